//! What stands in for a kubelet: it answers the API server over TLS as far as is needed for a request to be a success. Commands
//! are "upgraded" and then end; all else is an empty object. No container runs.

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::{IpAddr, TcpListener, TcpStream, UdpSocket},
    sync::{Arc, Mutex},
};

use rustls::pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};
use serde_json::json;

use crate::support::{Authority, Kubectl, WatchedCluster};

pub struct Kubelet {
    /// The API server passes nothing on to a loopback address.
    address: IpAddr,
    port: u16,
    /// Request lines, in the order of their coming.
    asked: Arc<Mutex<Vec<String>>>,
}

pub const NODE: &str = "node-1";

impl Kubelet {
    /// Listens until the test's process ends.
    pub fn start(_watched: &WatchedCluster) -> Kubelet {
        let authority = Authority::new("kubelet-ca").unwrap();
        let identity = authority.server(&["127.0.0.1"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let tls =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let tls = Arc::new(tls);
        let address = own_address();
        let listener = TcpListener::bind((address, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let notes = Arc::clone(&asked);
        std::thread::spawn(move || {
            for socket in listener.incoming().flatten() {
                let (tls, notes) = (Arc::clone(&tls), Arc::clone(&notes));
                std::thread::spawn(move || answer(socket, tls, &notes));
            }
        });
        Kubelet { address, port, asked }
    }

    /// Makes the node that leads here.
    pub fn register(&self, admin: &Kubectl) {
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}});
        admin.stdin(node.to_string()).run(&["create", "-f", "-"]).success().unwrap();
        let status = json!({"status": {
            "addresses": [{"type": "InternalIP", "address": self.address}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
        }});
        admin.run(&["patch", "node", NODE, "--subresource=status", "-p", &status.to_string()]).success().unwrap();
    }

    /// True when a request for a path that begins so has come.
    pub fn asked(&self, path: &str) -> bool {
        self.asked.lock().unwrap().iter().any(|line| line.split(' ').nth(1).is_some_and(|at| at.starts_with(path)))
    }
}

/// An address of this machine that others could reach. Nothing is sent to find it.
fn own_address() -> IpAddr {
    let socket = UdpSocket::bind("0.0.0.0:0").unwrap();
    socket.connect("192.0.2.1:9").expect("a route, and so an address that is not the loopback's");
    socket.local_addr().unwrap().ip()
}

/// One connection: each request is answered until the API server, or a command, ends it.
fn answer(socket: TcpStream, tls: Arc<rustls::ServerConfig>, asked: &Mutex<Vec<String>>) -> Option<()> {
    let session = rustls::ServerConnection::new(tls).ok()?;
    let mut stream = BufReader::new(rustls::StreamOwned::new(session, socket));
    loop {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if stream.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        asked.lock().unwrap().push(head.lines().next()?.to_owned());
        let lower = head.to_lowercase();
        let length = lower.lines().find_map(|line| line.strip_prefix("content-length: ")).and_then(|n| n.parse().ok());
        stream.read_exact(&mut vec![0; length.unwrap_or(0)]).ok()?;
        let upgrade = lower.contains("upgrade: spdy/3.1");
        let reply = if upgrade {
            "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n"
        } else {
            "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
        };
        stream.get_mut().write_all(reply.as_bytes()).ok()?;
        stream.get_mut().flush().ok()?;
        if upgrade {
            return Some(());
        }
    }
}
