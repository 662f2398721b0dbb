//! What the collector is told at the start: flags, and the limits behind them.

use std::{path::PathBuf, time::Duration};

use bytesize::ByteSize;

use super::{
    CollectorError,
    relay::{RelayArgs, RelayConfig},
};
use crate::{admin::AdminArgs, telemetry::LogArgs};

/// Flags of `kubewitness collector`.
#[derive(Clone, Debug, clap::Args)]
pub struct CollectorArgs {
    /// Where the controller takes records, such as https://kubewitness.kubewitness.svc:9443.
    #[arg(long, env = "KUBEWITNESS_CONTROLLER", value_name = "URL")]
    pub controller: String,
    /// Authority that signed the controller's certificate, PEM. Read again when it changes.
    #[arg(long, env = "KUBEWITNESS_CONTROLLER_CA", value_name = "FILE")]
    pub controller_ca: PathBuf,
    /// Token that the controller knows this node by: a projected ServiceAccount token of the controller's own audience.
    /// Read for each request, so that a renewed one is used at once.
    #[arg(
        long,
        env = "KUBEWITNESS_TOKEN_FILE",
        default_value = "/var/run/secrets/kubewitness.io/token",
        value_name = "FILE"
    )]
    pub token_file: PathBuf,
    /// Directory of checkpoints and spool; must outlive the pod, and belongs to one process at a time.
    #[arg(long, env = "KUBEWITNESS_STATE_DIR", default_value = "/var/lib/kubewitness-collector", value_name = "DIR")]
    pub state_dir: PathBuf,
    /// Where the node's file system is mounted. Paths of LogSources are looked up below it and reported without it.
    #[arg(long, env = "KUBEWITNESS_HOST_ROOT", default_value = "/", value_name = "DIR")]
    pub host_root: PathBuf,
    /// Disk that batches may take while the controller is away, such as 512MiB. When it is full, reading stops and the
    /// log files themselves keep what comes.
    #[arg(long, env = "KUBEWITNESS_SPOOL_MAX", default_value = "512MiB", value_name = "SIZE")]
    pub spool_max: ByteSize,
    /// Longest pause between two attempts to reach the controller, in seconds.
    #[arg(long, env = "KUBEWITNESS_RETRY_MAX", default_value_t = 30, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=600))]
    pub retry_max: u64,
    #[command(flatten)]
    pub relay: RelayArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    #[command(flatten)]
    pub log: LogArgs,
}

/// What the collector runs with.
#[derive(Clone, Debug)]
pub struct CollectorConfig {
    /// `https://HOST:PORT`, without a slash at its end.
    pub controller: String,
    pub controller_ca: PathBuf,
    pub token_file: PathBuf,
    pub state_dir: PathBuf,
    pub host_root: PathBuf,
    pub spool_max: u64,
    pub relay: Option<RelayConfig>,
    pub limits: CollectorLimits,
}

impl CollectorArgs {
    /// Refuses what can't work. Reads and binds nothing.
    pub fn config(&self) -> Result<CollectorConfig, CollectorError> {
        let controller = self.controller.trim_end_matches('/');
        let authority = controller.strip_prefix("https://").unwrap_or_default();
        if authority.is_empty() || authority.contains(['/', '?', '#', '@']) {
            return Err(CollectorError::Controller(self.controller.clone()));
        }
        if self.spool_max.as_u64() < SMALLEST_SPOOL {
            return Err(CollectorError::SpoolTooSmall(self.spool_max));
        }
        Ok(CollectorConfig {
            controller: controller.to_owned(),
            controller_ca: self.controller_ca.clone(),
            token_file: self.token_file.clone(),
            state_dir: self.state_dir.clone(),
            host_root: self.host_root.clone(),
            spool_max: self.spool_max.as_u64(),
            relay: self.relay.config()?,
            limits: CollectorLimits { backoff_max: Duration::from_secs(self.retry_max), ..CollectorLimits::SHIPPED },
        })
    }
}

/// Four batches of lines that don't compress.
const SMALLEST_SPOOL: u64 = 8 << 20;

/// Bounds of time and memory.
#[derive(Clone, Copy, Debug)]
pub struct CollectorLimits {
    /// Between two looks at files for new bytes.
    pub poll: Duration,
    /// Between two searches for files.
    pub search: Duration,
    /// Between two questions for what is to be read.
    pub ask: Duration,
    /// A batch is sent at this age.
    pub batch_age: Duration,
    /// Of a file that was renamed: without new bytes so long, it is done.
    pub quiet: Duration,
    /// For a file that is gone, until what was unread of it counts as lost: the copy of a truncated file may come late.
    pub missing: Duration,
    /// The controller is away so long before batches go to the spool.
    pub spool_after: Duration,
    pub backoff_min: Duration,
    pub backoff_max: Duration,
    /// A request with its answer.
    pub request: Duration,
    /// For what is under way at shutdown.
    pub drain: Duration,
    /// Files that are read at the same time.
    pub files: usize,
    /// Read of a file before the next one has its turn.
    pub turn: usize,
    /// Of an audit event's line; of others see `redact::MAX_LINE`.
    pub audit_line: usize,
}

impl CollectorLimits {
    /// Memory: 1,000 files x under 2 KiB (paths, fingerprint, descriptor) = 2 MiB; one buffer of 256 KiB that grows to
    /// 4 MiB for an audit event; parsing and redacting that event: some 20 MiB; batches in the making, handed over and
    /// under way: 3 x 2 MiB with their compressed copies. Together under 64 MiB.
    pub const SHIPPED: CollectorLimits = CollectorLimits {
        poll: Duration::from_millis(250),
        search: Duration::from_secs(2),
        ask: Duration::from_secs(10),
        batch_age: Duration::from_secs(1),
        quiet: Duration::from_secs(10),
        missing: Duration::from_secs(20),
        spool_after: Duration::from_secs(5),
        backoff_min: Duration::from_millis(250),
        backoff_max: Duration::from_secs(30),
        request: Duration::from_secs(30),
        drain: Duration::from_secs(10),
        files: 1000,
        turn: 256 << 10,
        audit_line: 4 << 20,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: CollectorArgs,
    }

    #[test]
    fn only_a_controller_that_can_prove_itself_is_taken() {
        use clap::Parser;
        let parse = |url: &str, spool: &str| {
            let flags = ["collector", "--controller", url, "--controller-ca", "ca.crt", "--spool-max", spool];
            Line::parse_from(flags).args.config()
        };
        assert_eq!(parse("https://controller:9443/", "1GiB").unwrap().controller, "https://controller:9443");
        for url in ["http://controller:9443", "controller:9443", "https://", "https://a/b", "https://user@a"] {
            let message = parse(url, "1GiB").unwrap_err().to_string();
            assert!(message.contains(url) && message.contains("https://HOST:PORT"), "{message}");
        }
        assert!(parse("https://controller", "1MiB").unwrap_err().to_string().contains("--spool-max"));
    }

    #[test]
    fn a_relay_listens_on_the_loopback_alone_and_never_without_credentials() {
        use clap::Parser;
        let parse = |more: &[&str]| {
            let flags = ["collector", "--controller=https://controller", "--controller-ca=ca.crt"];
            let line = Line::try_parse_from(flags.iter().chain(more)).map_err(|error| error.to_string())?;
            line.args.config().map(|config| config.relay).map_err(|error| error.to_string())
        };
        let credentials = "--relay-credentials=f";
        assert!(parse(&[]).unwrap().is_none());
        for address in ["127.0.0.1:9444", "127.0.0.2:1", "[::1]:9444"] {
            assert!(parse(&[&format!("--relay-listen={address}"), credentials]).unwrap().is_some(), "{address}");
        }
        for address in ["0.0.0.0:9444", "10.0.0.1:9444", "[::]:9444"] {
            let message = parse(&[&format!("--relay-listen={address}"), credentials]).unwrap_err();
            assert!(message.contains(address) && message.contains("127.0.0.1:9444"), "{message}");
        }
        assert!(parse(&["--relay-listen=127.0.0.1:9444"]).unwrap_err().contains("--relay-credentials"));
        assert!(parse(&[credentials]).unwrap_err().contains("--relay-listen"));
        let small = parse(&["--relay-listen=127.0.0.1:9444", credentials, "--relay-max=1MiB"]).unwrap_err();
        assert!(small.contains("--relay-max 1.0 MiB"), "{small}");
    }
}
