//! Connections that come from another loopback address: whoever connects to the forwarder reaches the target from `from`.
//! Without it all of a machine's requests come from 127.0.0.1, which is nobody's; so a test can be somebody on a node. It can
//! be cut, as a network is.

use std::{
    net::{Ipv4Addr, SocketAddr},
    thread,
};

use anyhow::{Context, Result};
use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::{oneshot, watch},
};

/// Runs on a thread of its own until it is dropped.
pub struct Forwarder {
    address: SocketAddr,
    end: Option<oneshot::Sender<()>>,
    cut: watch::Sender<bool>,
}

impl Forwarder {
    /// Takes connections on a free port of 127.0.0.1, and makes one to `to` from `from` for each.
    pub fn start(from: Ipv4Addr, to: SocketAddr) -> Result<Forwarder> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let listener = runtime.block_on(TcpListener::bind(("127.0.0.1", 0))).context("listening on 127.0.0.1")?;
        let address = listener.local_addr()?;
        let (end, ended) = oneshot::channel::<()>();
        let (cut, is_cut) = watch::channel(false);
        thread::spawn(move || {
            runtime.block_on(async {
                tokio::select! {
                    _ = ended => {}
                    () = forward(listener, from, to, is_cut) => {}
                }
            });
        });
        Ok(Forwarder { address, end: Some(end), cut })
    }

    /// While it is cut, no byte passes: what is under way hangs and breaks off at the end of the cut, new connections end
    /// at once.
    pub fn cut(&self, is_cut: bool) {
        self.cut.send_replace(is_cut);
    }

    /// Where to connect.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.end.take().map(|end| end.send(()));
    }
}

async fn forward(listener: TcpListener, from: Ipv4Addr, to: SocketAddr, is_cut: watch::Receiver<bool>) {
    while let Ok((client, _)) = listener.accept().await {
        if *is_cut.borrow() {
            continue;
        }
        // A connection that can't be made ends, and its client sees it.
        let is_cut = is_cut.clone();
        tokio::spawn(async move { join(client, from, to, is_cut).await.ok() });
    }
}

async fn join(
    mut client: TcpStream,
    from: Ipv4Addr,
    to: SocketAddr,
    mut is_cut: watch::Receiver<bool>,
) -> std::io::Result<()> {
    let socket = TcpSocket::new_v4()?;
    socket.bind((from, 0).into())?;
    let mut server = socket.connect(to).await?;
    let mut cut = is_cut.clone();
    tokio::select! {
        copied = tokio::io::copy_bidirectional(&mut client, &mut server) => return copied.map(drop),
        _ = cut.wait_for(|cut| *cut) => {}
    }
    // An error is the end of the forwarder.
    is_cut.wait_for(|cut| !*cut).await.ok();
    Ok(())
}
