//! One request is one event, however many stages the API server sends and however it ends.

use super::steps::{Mark, accept, cluster_rule, counts, events_of, expect, get, requests, spec};
use crate::support::{Authority, ClusterOptions, Kubectl, TestCluster, WatchedCluster, wait_until};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

const SOON: Duration = Duration::from_secs(60);
const ON_EXEC: &str = "audit.objectRef.resource == \"pods\" && audit.objectRef.subresource == \"exec\"";

/// Stands in for a kubelet, which no test bed runs: takes the API server's upgrade, answers 101, and closes. All that is
/// tested happens in the API server.
struct Kubelet {
    address: SocketAddr,
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Kubelet {
    fn start() -> Kubelet {
        let identity = Authority::new("kubelet-ca").unwrap().server(&["127.0.0.1"]).unwrap();
        let certificate = CertificateDer::from_pem_slice(identity.certificate_pem.as_bytes()).unwrap();
        let key = PrivateKeyDer::from_pem_slice(identity.key_pem.as_bytes()).unwrap();
        let tls =
            rustls::ServerConfig::builder().with_no_client_auth().with_single_cert(vec![certificate], key).unwrap();
        let (tls, stop) = (Arc::new(tls), Arc::new(AtomicBool::new(false)));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let stopped = stop.clone();
        let thread = std::thread::spawn(move || {
            for socket in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    return;
                }
                // A client that goes away is no matter: the test looks at what the API server reports.
                drop(socket.and_then(|socket| answer(socket, &tls)));
            }
        });
        Kubelet { address, stop, thread: Some(thread) }
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address)); // wakes it
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

fn answer(socket: TcpStream, tls: &Arc<rustls::ServerConfig>) -> std::io::Result<()> {
    socket.set_read_timeout(Some(SOON))?;
    let session = rustls::ServerConnection::new(tls.clone()).map_err(std::io::Error::other)?;
    let mut stream = BufReader::new(rustls::StreamOwned::new(session, socket));
    let mut line = String::new();
    while stream.read_line(&mut line)? > 2 {
        line.clear();
    }
    let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\n\
                X-Stream-Protocol-Version: v4.channel.k8s.io\r\n\r\n";
    stream.get_mut().write_all(head.as_bytes())?;
    stream.get_mut().conn.send_close_notify();
    stream.get_mut().flush()
}

/// A node whose kubelet is ours, and pod `web` on it.
fn place_pod(watched: &WatchedCluster, kubelet: &Kubelet) {
    let node = json!({
        "apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-a"},
        "status": {
            "addresses": [{"type": "InternalIP", "address": "127.0.0.1"}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": kubelet.address.port()}},
        },
    });
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"nodeName": "node-a", "containers": [{"name": "web", "image": "web"}]},
    });
    for object in [node, pod] {
        watched.apply(&object.to_string()).unwrap();
    }
}

/// A user who may look at pods and at nothing else.
fn onlooker(watched: &WatchedCluster, name: &str) -> Kubectl {
    let admin = watched.kubectl();
    let user = format!("--user={name}");
    admin.run(&["create", "rolebinding", name, "-n", "shop", "--role=onlooker", &user]).success().unwrap();
    admin.with_kubeconfig(&watched.client_certificate(name, &[]).unwrap())
}

/// Waits until every request below `uri` has been logged with both stages, answered by `code`; how many there are.
fn logged(watched: &WatchedCluster, uri: &str, code: u64) -> u64 {
    let stages = wait_until(&format!("both stages of {uri}"), SOON, || {
        let events = events_of(watched, uri);
        let ids = requests(&events);
        let of = |stage: &str| {
            let staged: Vec<_> = events.iter().filter(|event| event["stage"] == stage).cloned().collect();
            requests(&staged).len()
        };
        let whole = !ids.is_empty() && of("ResponseStarted") == ids.len() && of("ResponseComplete") == ids.len();
        whole.then(|| (events.clone(), ids.len() as u64))
    });
    let (events, requests) = stages.unwrap_or_else(|error| panic!("{error}: {:?}", events_of(watched, uri)));
    assert!(events.iter().all(|event| event["responseStatus"]["code"] == code), "{events:?}");
    requests
}

/// What an older client, or one without WebSockets, does to execute: one POST with an upgrade to SPDY.
fn post_exec(cluster: &TestCluster, path: &str) -> u16 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let client = cluster.client().await.unwrap();
        let request = http::Request::post(path)
            .header("Connection", "Upgrade")
            .header("Upgrade", "SPDY/3.1")
            .header("X-Stream-Protocol-Version", "v4.channel.k8s.io")
            .body(kube::client::Body::empty())
            .unwrap();
        client.send(request).await.unwrap().status().as_u16()
    })
}

#[test]
fn exec_allowed_or_refused_counts_once() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let kubelet = Kubelet::start();
    let mark = Mark::start(&watched);
    accept(&watched, &cluster_rule("exec", spec(ON_EXEC, "user.name + \" \" + audit.verb + \" \" + event.outcome")));
    for arguments in [
        &["create", "namespace", "shop"][..],
        &["create", "serviceaccount", "default", "-n", "shop"],
        &["create", "role", "onlooker", "-n", "shop", "--verb=get", "--resource=pods"],
    ] {
        admin.run(arguments).success().unwrap();
    }
    place_pod(&watched, &kubelet);
    let exec = |container: &str| format!("/api/v1/namespaces/shop/pods/web/exec?command={container}");

    // kubectl asks with a WebSocket, which the API server translates for the kubelet.
    let allowed = admin.run(&["exec", "-n", "shop", "web", "--", "allowed"]);
    assert!(!allowed.ok && !allowed.stderr.contains("Forbidden"), "the kubelet closes at once: {allowed:?}");
    assert_eq!(logged(&watched, &exec("allowed"), 101), 1);
    assert_eq!(post_exec(&watched, &exec("posted&stdout=true&container=web")), 101);
    assert_eq!(logged(&watched, &exec("posted"), 101), 1);

    // Refused, one request; and by kubectl, which asks for the WebSocket and then for SPDY: two requests with two ids.
    let eve = onlooker(&watched, "eve");
    let refused = eve.stdin("{}").run(&["create", "--raw", &exec("single"), "-f", "-"]);
    assert!(!refused.ok && refused.stderr.contains("orbidden"), "{refused:?}");
    assert_eq!(logged(&watched, &exec("single"), 403), 1);
    let mallory = onlooker(&watched, "mallory");
    let refused = mallory.run(&["exec", "-n", "shop", "web", "--", "twice"]);
    assert!(!refused.ok && refused.stderr.contains("orbidden"), "{refused:?}");
    let asked = logged(&watched, &exec("twice"), 403);
    mark.pass(&watched);
    let found = counts(&watched, "exec");
    let mallory: u64 = found.iter().filter(|(key, _)| key.starts_with("mallory ")).map(|(_, count)| count).sum();
    assert_eq!(mallory, asked, "{found:?}");
    let others: Vec<_> = found.iter().filter(|(key, _)| !key.starts_with("mallory ")).collect();
    let one = |key: &str| (key.to_owned(), 1);
    let wanted = [one("admin create success"), one("admin get success"), one("eve create failure")];
    assert_eq!(others, wanted.iter().collect::<Vec<_>>());
}

/// A kubeconfig whose token nobody issued.
fn stranger(watched: &WatchedCluster) -> Kubectl {
    let path = watched.service_account_kubeconfig("kubewitness", "controller").unwrap();
    let mut file: Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    file["users"][0]["user"]["token"] = json!("nobody-issued-this");
    std::fs::write(&path, file.to_string()).unwrap();
    watched.kubectl().with_kubeconfig(&path)
}

#[test]
fn refused_credentials_watches_and_impersonation_count_once_and_for_the_real_user() {
    let watched = WatchedCluster::start(ClusterOptions::default()).unwrap();
    let admin = watched.kubectl();
    let mark = Mark::start(&watched);
    accept(&watched, &cluster_rule("unknown-credential", spec("audit.responseStatus.code == 401", "audit.requestURI")));
    let watches = "audit.verb == \"watch\" && audit.objectRef.namespace == \"watched\"";
    accept(&watched, &cluster_rule("watch", spec(watches, "user.name")));
    let who = "user.name + \" as \" + user.effective.name";
    let acting = spec("user.name == \"dana\" && event.outcome == \"success\"", who);
    let refused = spec("user.name == \"dana\" && event.outcome == \"failure\"", who);
    accept(&watched, &cluster_rule("acting", acting));
    accept(&watched, &cluster_rule("refused-acting", refused));

    get(&stranger(&watched), "/api/v1/nodes");
    get(&admin, "/api/v1/namespaces/watched/configmaps?watch=true&timeoutSeconds=1");
    assert_eq!(logged(&watched, "/api/v1/namespaces/watched/configmaps?", 200), 1);
    for arguments in [
        &["create", "clusterrole", "impersonator", "--verb=impersonate", "--resource=users", "--resource-name=carol"][..],
        &["create", "clusterrolebinding", "dana", "--clusterrole=impersonator", "--user=dana"],
        &["create", "clusterrole", "reader", "--verb=list", "--resource=pods"],
        &["create", "clusterrolebinding", "carol", "--clusterrole=reader", "--user=carol"],
    ] {
        admin.run(arguments).success().unwrap();
    }
    let dana = admin.with_kubeconfig(&watched.client_certificate("dana", &[]).unwrap());
    dana.run(&["get", "--as=carol", "--raw", "/api/v1/namespaces/default/pods"]).success().unwrap();
    // Whom one may not act as: the API server refuses, and reports dana alone.
    let refused = dana.run(&["get", "--as=root", "--raw", "/api/v1/namespaces/default/pods"]);
    assert!(!refused.ok && refused.stderr.contains("orbidden"), "{refused:?}");

    mark.pass(&watched);
    expect(&watched, "unknown-credential", &[("/api/v1/nodes", 1)]);
    expect(&watched, "watch", &[("admin", 1)]);
    expect(&watched, "acting", &[("dana as carol", 1)]);
    expect(&watched, "refused-acting", &[("dana as ", 1)]);
}
