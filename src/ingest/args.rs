//! What ingest is told at the start: flags, and the limits behind them.

use std::{
    collections::BTreeSet,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use super::{
    IngestError,
    credentials::is_subdomain,
    held::{Certificate, Content, Tokens},
};

/// Accounts that may be collectors.
const MOST_ACCOUNTS: usize = 16;
/// Names in a certificate.
const MOST_NAMES: usize = 64;

/// Flags of the receiver of audit webhooks and collectors.
#[derive(Clone, Debug, clap::Args)]
pub struct IngestArgs {
    /// Address and port on which audit webhooks and collectors are received.
    #[arg(long, env = "KUBEWITNESS_INGEST_LISTEN", default_value = "0.0.0.0:9443")]
    pub ingest_listen: SocketAddr,
    /// Certificate chain of the server, PEM. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_TLS_CERT", value_name = "FILE", requires = "ingest_tls_key")]
    pub ingest_tls_cert: Option<PathBuf>,
    /// Private key of the server, PEM. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_TLS_KEY", value_name = "FILE", requires = "ingest_tls_cert")]
    pub ingest_tls_key: Option<PathBuf>,
    /// Secret in the controller's namespace in which it keeps an authority and certificate of its own making, in place of
    /// --ingest-tls-cert and --ingest-tls-key. The Secret must exist and may be empty. One that holds tls.crt, tls.key and
    /// ca.crt without ca.key is somebody else's: it is used and followed, never written. Its annotation
    /// kubewitness.io/rotate=leaf, or =ca, asks for a new certificate, or authority, before the time.
    #[arg(long, env = "KUBEWITNESS_TLS_SECRET", value_name = "NAME", value_parser = dns_name)]
    #[arg(conflicts_with_all = ["ingest_tls_cert", "ingest_tls_key"], requires = "tls_name")]
    pub tls_secret: Option<String>,
    /// DNS name or IP address in the certificate of --tls-secret; may be given up to 64 times. Clients that connect to
    /// another name or address need one of these as tls-server-name.
    #[arg(long, env = "KUBEWITNESS_TLS_NAME", value_name = "NAME-OR-IP", value_delimiter = ',', value_parser = server_name)]
    #[arg(requires = "tls_secret")]
    pub tls_name: Vec<String>,
    /// Seconds for which a new authority of --tls-secret is published before it signs the certificate, and for which the old
    /// one is published after that.
    #[arg(long, env = "KUBEWITNESS_TLS_CA_OVERLAP", value_name = "SECONDS", default_value_t = 86_400)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=2_592_000))]
    pub tls_ca_overlap: u32,
    /// Tokens that senders may use, YAML: `credentials: [{cluster, apiserver, tokenSHA256}]`. Each is good for
    /// /audit/<cluster>/<apiserver> alone. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_CREDENTIALS", value_name = "FILE")]
    pub ingest_credentials: Option<PathBuf>,
    /// The same in the key credentials.yaml of a Secret in the controller's namespace, which `kubewitness webhook-config`
    /// writes. Followed by a watch.
    #[arg(long, env = "KUBEWITNESS_INGEST_CREDENTIALS_SECRET", value_name = "NAME", value_parser = dns_name)]
    #[arg(conflicts_with = "ingest_credentials")]
    pub ingest_credentials_secret: Option<String>,
    /// Authority whose client certificates senders may use, PEM. Their subject is O=kubewitness:audit,
    /// CN=<cluster>/<apiserver>. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_CLIENT_CA", value_name = "FILE")]
    pub ingest_client_ca: Option<PathBuf>,
    /// Name of this cluster in records of collectors: the one that its API servers have in their webhooks' path, so that an
    /// event which comes by the webhook and from the audit log is stored once. Without it, the one that all of
    /// --ingest-credentials name, or "default".
    #[arg(long, env = "KUBEWITNESS_CLUSTER_NAME", value_name = "NAME", value_parser = dns_name)]
    pub cluster_name: Option<String>,
    /// Service account of collectors, NAMESPACE/NAME; may be given up to 16 times. Without it, kubewitness-collector in
    /// the controller's namespace.
    #[arg(long, env = "KUBEWITNESS_COLLECTOR_SERVICE_ACCOUNT", value_name = "NAMESPACE/NAME", value_delimiter = ',')]
    #[arg(value_parser = account)]
    pub collector_service_account: Vec<String>,
}

fn dns_name(text: &str) -> Result<String, String> {
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err("not a lower case DNS name".to_owned()) }
}

/// An address in its one canonical form, so that it compares with what a certificate says.
fn server_name(text: &str) -> Result<String, String> {
    match text.parse::<IpAddr>() {
        Ok(address) => Ok(address.to_string()),
        Err(_) if is_subdomain(text) => Ok(text.to_owned()),
        Err(_) => Err("neither an IP address nor a lower case DNS name".to_owned()),
    }
}

fn account(text: &str) -> Result<String, String> {
    match text.split_once('/') {
        Some((namespace, name)) if is_subdomain(namespace) && is_subdomain(name) => Ok(text.to_owned()),
        Some(_) | None => Err("not NAMESPACE/NAME of a service account".to_owned()),
    }
}

/// What [`super::Ingest`] runs with.
#[derive(Clone, Debug)]
pub struct IngestConfig {
    pub listen: SocketAddr,
    pub certificate: Certificate,
    /// At least one of `credentials` and `client_ca` is given.
    pub credentials: Option<Tokens>,
    pub client_ca: Option<PathBuf>,
    /// See `--cluster-name`.
    pub cluster: Option<String>,
    /// Service accounts of collectors, NAMESPACE/NAME.
    pub collectors: Vec<String>,
    /// Credentials that relays check, YAML: who is expected to send by one. They let nobody in here.
    pub relays: Vec<Content>,
    pub limits: IngestLimits,
}

impl IngestArgs {
    /// Namespaces in which collectors run; `namespace` is the controller's.
    pub fn collector_namespaces(&self, namespace: &str) -> BTreeSet<String> {
        let given = self.collector_service_account.iter().filter_map(|account| account.split_once('/'));
        let given: BTreeSet<String> = given.map(|(namespace, _)| namespace.to_owned()).collect();
        if given.is_empty() { [namespace.to_owned()].into() } else { given }
    }

    /// Refuses a combination that would leave ingest open. Reads and binds nothing. `namespace` is the controller's; what
    /// is kept in Secrets comes by `certificate` (chain and key in one PEM) and `credentials` (YAML).
    pub fn config(
        &self,
        namespace: &str,
        certificate: Content,
        credentials: Content,
    ) -> Result<IngestConfig, IngestError> {
        if self.tls_name.len() > MOST_NAMES {
            return Err(IngestError::Names { given: self.tls_name.len(), most: MOST_NAMES });
        }
        let mut collectors = self.collector_service_account.clone();
        if collectors.is_empty() {
            collectors.push(format!("{namespace}/kubewitness-collector"));
        }
        let config = IngestConfig {
            listen: self.ingest_listen,
            certificate: match (&self.tls_secret, &self.ingest_tls_cert, &self.ingest_tls_key) {
                (Some(secret), _, _) => Certificate::Held { secret: secret.clone(), content: certificate },
                (None, Some(chain), Some(key)) => Certificate::Files { chain: chain.clone(), key: key.clone() },
                (None, _, _) => return Err(IngestError::NoCertificate),
            },
            credentials: match (&self.ingest_credentials_secret, &self.ingest_credentials) {
                (Some(secret), _) => Some(Tokens::Held { secret: secret.clone(), content: credentials }),
                (None, file) => file.clone().map(Tokens::File),
            },
            client_ca: self.ingest_client_ca.clone(),
            cluster: self.cluster_name.clone(),
            collectors,
            relays: Vec::new(),
            limits: IngestLimits::SHIPPED,
        };
        config.check()?;
        Ok(config)
    }
}

impl IngestConfig {
    pub(super) fn check(&self) -> Result<(), IngestError> {
        if self.collectors.len() > MOST_ACCOUNTS {
            return Err(IngestError::Accounts { given: self.collectors.len(), most: MOST_ACCOUNTS });
        }
        match (&self.credentials, &self.client_ca) {
            (None, None) => Err(IngestError::Open),
            (Some(_), _) | (_, Some(_)) => Ok(()),
        }
    }
}

/// Bounds of time and memory. Tests shorten the times.
#[derive(Clone, Copy, Debug)]
pub struct IngestLimits {
    /// Open connections; further ones are closed at once and counted.
    pub connections: usize,
    /// TLS handshake.
    pub handshake: Duration,
    /// From the handshake to the first request with a good credential.
    pub first_request: Duration,
    /// Between requests of a connection, and for the head of a request.
    pub idle: Duration,
    /// Between two pieces of a body.
    pub body_pause: Duration,
    /// A whole body.
    pub body_total: Duration,
    /// Waiting for redaction and the store, for each group of up to 400 events or 1 MiB.
    pub patience: Duration,
    /// Size of a body in bytes, decoded.
    pub body_bytes: u64,
    /// Bodies worked on at the same time; for a further one the answer is 503.
    pub bodies: usize,
    /// The same for bodies of collectors, of which two may be of one node.
    pub record_bodies: usize,
    /// After this the client is asked to connect again, so that it meets new certificates and other replicas.
    pub connection_age: Duration,
    /// For requests under way at shutdown.
    pub drain: Duration,
    /// How often certificates and credentials are looked at.
    pub reload_every: Duration,
}

impl IngestLimits {
    /// Memory: 1,280 connections x about 40 KiB (TLS session, read buffer) = 50 MiB; 24 bodies x at most 5 MiB (an
    /// event being read: 1 MiB, in a vector that may have grown to 2; a batch waiting: under 2 MiB; pieces not read
    /// yet: 1 MiB) = 120 MiB; a body of the audit webhook is about 1 MiB (400 events of 2.5 KiB); 8 bodies of collectors
    /// x at most 8 MiB (a line being read: 2 MiB, in a vector that may have grown to 4; a group: 3 MiB) = 64 MiB. What of
    /// those waits for the store is at most 24 of the 32 MiB of its queue, so that the webhook always finds room in it.
    /// Times: Go's client keeps an idle connection for 90 s and gives up on an answer after 30 s.
    pub const SHIPPED: IngestLimits = IngestLimits {
        connections: 1280,
        handshake: Duration::from_secs(10),
        first_request: Duration::from_secs(30),
        idle: Duration::from_secs(120),
        body_pause: Duration::from_secs(20),
        body_total: Duration::from_secs(60),
        patience: Duration::from_secs(10),
        body_bytes: 128 << 20,
        bodies: 24,
        record_bodies: 8,
        connection_age: Duration::from_secs(3600),
        drain: Duration::from_secs(20),
        reload_every: Duration::from_secs(10),
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: IngestArgs,
    }

    fn config(words: &[&str]) -> Result<IngestConfig, String> {
        use clap::Parser;
        let line = Line::try_parse_from(["kubewitness"].iter().chain(words)).map_err(|error| error.to_string())?;
        let nothing = || tokio::sync::watch::channel(None).1;
        line.args.config("kw", nothing(), nothing()).map_err(|error| error.to_string())
    }

    #[test]
    fn ingest_never_starts_open() {
        let parse = |more: &[&str]| config(&[&["--ingest-tls-cert", "c", "--ingest-tls-key", "k"], more].concat());
        let message = parse(&[]).unwrap_err().to_string();
        assert!(message.contains("--ingest-credentials") && message.contains("--ingest-client-ca"), "{message}");
        assert!(parse(&["--ingest-credentials", "f"]).is_ok());
        assert!(parse(&["--ingest-client-ca", "f"]).is_ok());
        assert!(parse(&["--ingest-credentials-secret", "f"]).is_ok());
        assert!(parse(&["--ingest-credentials-secret", "f", "--ingest-credentials", "f"]).is_err());
    }

    #[test]
    fn a_certificate_is_in_files_or_in_a_secret() {
        let parse = |more: &[&str]| config(&[&["--ingest-client-ca", "f"], more].concat()).map(|c| c.certificate);
        for (words, expected) in [
            (&[][..], "--tls-secret"),
            (&["--ingest-tls-cert", "c"], "--ingest-tls-key"),
            (&["--tls-secret", "s"], "--tls-name"),
            (&["--tls-name", "n"], "--tls-secret"),
            (&["--tls-secret", "s", "--tls-name", "N"], "neither an IP address nor"),
            (&["--tls-secret", "s", "--tls-name", "n", "--ingest-tls-cert", "c", "--ingest-tls-key", "k"], "cannot be"),
        ] {
            let message = parse(words).unwrap_err();
            assert!(message.contains(expected), "{words:?}: {message}");
        }
        let held = parse(&["--tls-secret", "s", "--tls-name", "n,10.0.0.1", "--tls-name", "::1"]).unwrap();
        assert!(matches!(held, Certificate::Held { secret, .. } if secret == "s"));
    }

    #[test]
    fn collectors_have_an_account_of_the_controllers_namespace_unless_told_otherwise() {
        let parse = |more: &[&str]| {
            let base = ["--ingest-tls-cert", "c", "--ingest-tls-key", "k", "--ingest-client-ca", "f"];
            config(&[&base, more].concat()).map(|config| config.collectors)
        };
        let flag = "--collector-service-account";
        assert_eq!(parse(&[]), Ok(vec!["kw/kubewitness-collector".to_owned()]));
        assert_eq!(parse(&[flag, "a/b", flag, "c/d"]), Ok(vec!["a/b".to_owned(), "c/d".to_owned()]));
        assert!(parse(&[flag, "a"]).unwrap_err().contains("NAMESPACE/NAME"));
        let many: Vec<&str> = (0..17).flat_map(|_| [flag, "a/b"]).collect();
        assert!(parse(&many).unwrap_err().contains(flag));
    }
}
