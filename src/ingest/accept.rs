//! Connections: accepted up to a bound, TLS within a deadline, then HTTP/1.1 or HTTP/2 as agreed; on the loopback HTTP/1.1
//! without TLS.
//! In: a listener. Out: requests to the router, with what TLS knows about the peer. Whoever shows no good credential
//! in time loses the connection. A stranger who opens connections faster than they time out can still fill the bound:
//! let only API servers reach the port.

use std::{
    convert::Infallible,
    io,
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::{IngestLimits, Metrics, live::Live, metrics::Turned, route::Peer, tls::certificate_name};

/// Read buffer of an HTTP/1 connection, and so the longest request head, in bytes.
const BUFFER: usize = 64 << 10;
/// HTTP/2: what a peer may send ahead, per request and per connection, in bytes.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;

#[derive(Clone)]
pub(super) struct Acceptor {
    /// None for a listener on the loopback alone.
    pub tls: Option<Arc<Live>>,
    pub router: Router,
    pub limits: IngestLimits,
    pub metrics: Metrics,
    pub shutdown: CancellationToken,
}

impl Acceptor {
    pub(super) async fn run(self, listener: TcpListener) {
        let mut open = JoinSet::new();
        loop {
            let accepted = tokio::select! {
                () = self.shutdown.cancelled() => break,
                accepted = listener.accept() => accepted,
                Some(_) = open.join_next() => {
                    self.metrics.connections.set(open.len() as i64);
                    continue;
                }
            };
            match accepted {
                Ok((stream, _)) if open.len() < self.limits.connections => {
                    open.spawn(self.clone().connection(stream));
                    self.metrics.connections.set(open.len() as i64);
                }
                Ok(_) => self.metrics.turned(Turned::Limit),
                Err(error) => pause_after(&error).await,
            }
        }
        drop(listener);
        let drained = timeout(self.limits.drain, async { while open.join_next().await.is_some() {} });
        if drained.await.is_err() {
            tracing::warn!(connections = open.len(), "requests were still under way at the end of the grace period");
            open.shutdown().await;
        }
        self.metrics.connections.set(0);
    }

    async fn connection(self, stream: TcpStream) {
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let Some(live) = &self.tls else { return self.serve(stream, Peer::default(), false).await };
        let Some(tls) = live.tls.load_full() else { return self.metrics.turned(Turned::NoCertificate) };
        let handshake = TlsAcceptor::from(tls).accept(stream);
        match timeout(self.limits.handshake, handshake).await {
            Err(_) => self.metrics.turned(Turned::HandshakeTimeout),
            Ok(Err(error)) => {
                self.metrics.turned(Turned::Handshake);
                tracing::debug!(%error, "TLS handshake ended");
            }
            Ok(Ok(tls)) => self.serve_tls(tls).await,
        }
    }

    async fn serve_tls(self, tls: TlsStream<TcpStream>) {
        let session = tls.get_ref().1;
        let certificate = session.peer_certificates().and_then(|chain| chain.first()).map(certificate_name);
        let peer = Peer { certificate, ..Peer::default() };
        let is_http2 = session.alpn_protocol() == Some(b"h2");
        self.serve(tls, peer, is_http2).await;
    }

    async fn serve(self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, peer: Peer, is_http2: bool) {
        let builder = self.protocol(is_http2);
        let service = service_fn(|request| answer(self.router.clone(), self.metrics.clone(), peer.clone(), request));
        let connection = builder.serve_connection(TokioIo::new(stream), service);
        tokio::pin!(connection);
        let first_request = sleep(self.limits.first_request);
        let old_age = sleep(self.limits.connection_age);
        tokio::pin!(first_request, old_age);
        let (mut is_checked, mut is_closing) = (false, false);
        loop {
            tokio::select! {
                ended = connection.as_mut() => {
                    if let Err(error) = ended {
                        tracing::debug!(%error, "connection ended");
                    }
                    return;
                }
                () = first_request.as_mut(), if !is_checked => {
                    is_checked = true;
                    if !peer.is_known.load(Ordering::Relaxed) {
                        return self.metrics.turned(Turned::Idle);
                    }
                    continue;
                }
                () = self.shutdown.cancelled(), if !is_closing => {}
                () = old_age.as_mut(), if !is_closing => {}
            }
            is_closing = true;
            connection.as_mut().graceful_shutdown();
        }
    }

    fn protocol(&self, is_http2: bool) -> auto::Builder<TokioExecutor> {
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(TokioTimer::new()).header_read_timeout(self.limits.idle).max_buf_size(BUFFER);
        builder
            .http2()
            .timer(TokioTimer::new())
            .keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(15))
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_concurrent_streams(64)
            .max_header_list_size(BUFFER as u32);
        if is_http2 { builder.http2_only() } else { builder.http1_only() }
    }
}

async fn answer(
    router: Router,
    metrics: Metrics,
    peer: Peer,
    request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(peer);
    let response = router.oneshot(request).await?;
    metrics.answered(response.status().as_u16());
    Ok(response)
}

/// A peer that left before it was accepted is no reason to wait; being out of file descriptors is.
async fn pause_after(error: &io::Error) {
    let left = [io::ErrorKind::ConnectionAborted, io::ErrorKind::ConnectionReset, io::ErrorKind::Interrupted];
    if !left.contains(&error.kind()) {
        tracing::warn!(%error, "no connection could be accepted");
        sleep(Duration::from_millis(100)).await;
    }
}
