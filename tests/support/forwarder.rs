//! A TCP forwarder on the loopback: it lends its clients a source address, and can be shut while they go on.
//! In: the address to come from, where to. Out: a port of 127.0.0.1. Looks at no byte; ends with its owner.

use anyhow::Result;
use std::net::{IpAddr, SocketAddr, TcpListener as StdListener};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// What it connects to; `None` while it is shut.
type Target = Option<SocketAddr>;

pub struct Forwarder {
    port: u16,
    target: watch::Sender<Target>,
    _runtime: Runtime,
}

impl Forwarder {
    /// Listens, shut: a client's connection ends at once.
    pub fn shut(from: IpAddr) -> Result<Forwarder> {
        let listener = StdListener::bind("127.0.0.1:0")?;
        listener.set_nonblocking(true)?;
        let port = listener.local_addr()?.port();
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        let (target, seen) = watch::channel(None);
        let listener = {
            let _entered = runtime.enter();
            TcpListener::from_std(listener)?
        };
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, from, seen.clone()));
            }
        });
        Ok(Forwarder { port, target, _runtime: runtime })
    }

    /// Forwards to a port of 127.0.0.1, coming from `from`.
    pub fn between(from: IpAddr, port: u16) -> Result<Forwarder> {
        let forwarder = Forwarder::shut(from)?;
        forwarder.open(port);
        Ok(forwarder)
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on connections lead to `port` of 127.0.0.1.
    pub fn open(&self, port: u16) {
        self.target.send_replace(Some(SocketAddr::from(([127, 0, 0, 1], port))));
    }

    /// Ends all connections, and new ones at once, until it is opened.
    pub fn close(&self) {
        self.target.send_replace(None);
    }
}

/// One connection, until either side ends it or the target changes.
async fn carry(mut client: TcpStream, from: IpAddr, mut seen: watch::Receiver<Target>) {
    let Some(to) = *seen.borrow_and_update() else { return };
    let forward = async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::new(from, 0))?;
        let mut server = socket.connect(to).await?;
        tokio::io::copy_bidirectional(&mut client, &mut server).await
    };
    tokio::select! {
        // Either side sees the end of its connection; what failed shows there.
        _ = forward => {}
        _ = seen.changed() => {}
    }
}
