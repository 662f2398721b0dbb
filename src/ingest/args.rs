//! What ingest is told at the start: flags, and the limits behind them.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use super::{IngestError, credentials::is_subdomain};

/// Accounts that may be collectors.
const MOST_ACCOUNTS: usize = 16;

/// Flags of the receiver of audit webhooks and collectors.
#[derive(Clone, Debug, clap::Args)]
pub struct IngestArgs {
    /// Address and port on which audit webhooks and collectors are received.
    #[arg(long, env = "KUBEWITNESS_INGEST_LISTEN", default_value = "0.0.0.0:9443")]
    pub ingest_listen: SocketAddr,
    /// Certificate chain of the server, PEM. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_TLS_CERT", value_name = "FILE")]
    pub ingest_tls_cert: PathBuf,
    /// Private key of the server, PEM. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_TLS_KEY", value_name = "FILE")]
    pub ingest_tls_key: PathBuf,
    /// Tokens that senders may use, YAML: `credentials: [{cluster, apiserver, tokenSHA256}]`. Each is good for
    /// /audit/<cluster>/<apiserver> alone. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_INGEST_CREDENTIALS", value_name = "FILE")]
    pub ingest_credentials: Option<PathBuf>,
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
    pub tls_cert: PathBuf,
    pub tls_key: PathBuf,
    /// At least one of `credentials` and `client_ca` is given.
    pub credentials: Option<PathBuf>,
    pub client_ca: Option<PathBuf>,
    /// See `--cluster-name`.
    pub cluster: Option<String>,
    /// Service accounts of collectors, NAMESPACE/NAME.
    pub collectors: Vec<String>,
    pub limits: IngestLimits,
}

impl IngestArgs {
    /// Refuses a combination that would leave ingest open. Reads and binds nothing. `namespace` is the controller's.
    pub fn config(&self, namespace: &str) -> Result<IngestConfig, IngestError> {
        let mut collectors = self.collector_service_account.clone();
        if collectors.is_empty() {
            collectors.push(format!("{namespace}/kubewitness-collector"));
        }
        let config = IngestConfig {
            listen: self.ingest_listen,
            tls_cert: self.ingest_tls_cert.clone(),
            tls_key: self.ingest_tls_key.clone(),
            credentials: self.ingest_credentials.clone(),
            client_ca: self.ingest_client_ca.clone(),
            cluster: self.cluster_name.clone(),
            collectors,
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

    #[test]
    fn ingest_never_starts_open() {
        use clap::Parser;
        let parse = |more: &[&str]| {
            let base = ["kubewitness", "--ingest-tls-cert", "c", "--ingest-tls-key", "k"];
            Line::parse_from(base.iter().chain(more)).args.config("kw")
        };
        let message = parse(&[]).unwrap_err().to_string();
        assert!(message.contains("--ingest-credentials") && message.contains("--ingest-client-ca"), "{message}");
        assert!(parse(&["--ingest-credentials", "f"]).is_ok());
        assert!(parse(&["--ingest-client-ca", "f"]).is_ok());
    }

    #[test]
    fn collectors_have_an_account_of_the_controllers_namespace_unless_told_otherwise() {
        use clap::Parser;
        let parse = |more: &[&str]| {
            let base = ["kubewitness", "--ingest-tls-cert", "c", "--ingest-tls-key", "k", "--ingest-client-ca", "f"];
            let line = Line::try_parse_from(base.iter().chain(more)).map_err(|error| error.to_string())?;
            line.args.config("kw").map(|config| config.collectors).map_err(|error| error.to_string())
        };
        let flag = "--collector-service-account";
        assert_eq!(parse(&[]), Ok(vec!["kw/kubewitness-collector".to_owned()]));
        assert_eq!(parse(&[flag, "a/b", flag, "c/d"]), Ok(vec!["a/b".to_owned(), "c/d".to_owned()]));
        assert!(parse(&[flag, "a"]).unwrap_err().contains("NAMESPACE/NAME"));
        let many: Vec<&str> = (0..17).flat_map(|_| [flag, "a/b"]).collect();
        assert!(parse(&many).unwrap_err().contains(flag));
    }
}
