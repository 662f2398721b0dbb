//! `kubewitness collector`: reads the log files of one node that its LogSources name, and brings each line to the
//! controller at least once, redacted, with the place where it stood; the controller stores it once.
//!
//! ```text
//! GET /sources ─▶ sources ─▶ census ─▶ tail ─▶ cut ─▶ redact ─▶ batch ─▶ shipper ─▶ POST /records
//!                 what        which files,       (one thread)              └▶ spool while the controller is away
//!                             at which checkpoint
//! ```
//! A checkpoint moves only after the controller has stored a batch, or after the batch is durable in the spool. Without
//! space in the spool nothing is read, and the files keep what comes. On the node of an API server it can take that one's
//! audit webhook, too, into a file of its own (`relay`). Nothing unredacted leaves this process or reaches
//! its disk. What can't be read any more, because somebody truncated, removed or compressed it, is counted.

use std::{
    fs::File,
    io,
    path::PathBuf,
    sync::{Arc, Mutex},
    thread,
};

use bytesize::ByteSize;
use prometheus::Registry;
use tokio::{
    net::TcpListener,
    sync::{mpsc, watch},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Admin, Check},
    api::log_source::Assignment,
    telemetry,
};

mod args;
mod batch;
mod census;
mod checkpoints;
mod cut;
mod door;
mod fingerprint;
mod metrics;
mod open;
mod reader;
mod relay;
mod rotated;
mod shipper;
mod sources;
mod spool;
mod tail;

pub use args::{CollectorArgs, CollectorConfig, CollectorLimits};
pub use metrics::Metrics;

use census::Census;
use checkpoints::{CheckpointError, Checkpoints};
use door::Door;
use reader::Reader;
use relay::Relay;
use shipper::Shipper;
use sources::Sources;
use spool::Spool;

/// Why the collector can't start, or had to stop.
#[derive(Debug, thiserror::Error)]
pub enum CollectorError {
    #[error("--controller {0}: must be https://HOST:PORT, without a path")]
    Controller(String),
    #[error("--spool-max {0}: at least 8MiB, which is four batches")]
    SpoolTooSmall(ByteSize),
    #[error(
        "--controller-ca {path}: {reason}: name the PEM file of the authority that signed the controller's certificate"
    )]
    Authority { path: PathBuf, reason: String },
    #[error("--host-root {path}: {reason}: name the directory where the node's file system is mounted")]
    HostRoot { path: PathBuf, reason: io::Error },
    #[error("--state-dir {path}: {reason}: name a directory that this user may write to")]
    State { path: PathBuf, reason: io::Error },
    #[error("--state-dir {0}: another collector uses it; each needs its own")]
    Taken(PathBuf),
    #[error(transparent)]
    Checkpoints(#[from] CheckpointError),
    #[error(transparent)]
    Logs(#[from] telemetry::BadFilter),
    #[error("metrics: {0}")]
    Metrics(#[from] prometheus::Error),
    #[error("--admin-listen {address}: {reason}: name an address of this host and a free port, such as 127.0.0.1:0")]
    Listen { address: std::net::SocketAddr, reason: io::Error },
    #[error(
        "--relay-listen {0}: the relay speaks plain HTTP, so only to this node: give a loopback address such as 127.0.0.1:9444"
    )]
    RelayNotLocal(std::net::SocketAddr),
    #[error("--relay-listen {address}: {reason}: name a loopback address and a free port, such as 127.0.0.1:9444")]
    RelayListen { address: std::net::SocketAddr, reason: io::Error },
    #[error("--relay-max {0}: at least 32MiB, which is eight files of 4MiB")]
    RelayTooSmall(ByteSize),
    #[error(transparent)]
    Relay(#[from] crate::ingest::relay::RelayError),
    #[error("starting {what}: {reason}")]
    Start { what: &'static str, reason: io::Error },
    #[error("{0} ended early")]
    Ended(&'static str),
}

/// Every metric of the collector, in a registry of their own.
pub fn register_metrics() -> prometheus::Result<(Registry, Metrics)> {
    let registry = telemetry::registry()?;
    let metrics = Metrics::register(&registry)?;
    Ok((registry, metrics))
}

/// Runs the collector until SIGTERM or SIGINT.
pub fn main(args: &CollectorArgs) -> Result<(), CollectorError> {
    telemetry::init_logs(&args.log)?;
    let config = args.config()?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|reason| CollectorError::Start { what: "the runtime", reason })?;
    runtime.block_on(run(config, args.admin.admin_listen))
}

async fn run(config: CollectorConfig, address: std::net::SocketAddr) -> Result<(), CollectorError> {
    let (registry, metrics) = register_metrics()?;
    let host_root = |reason| CollectorError::HostRoot { path: config.host_root.clone(), reason };
    std::fs::read_dir(&config.host_root).map(drop).map_err(host_root)?;
    // Held until the end: the kernel lets go of it whatever happens to the process.
    let _lock = lock_state(&config)?;
    let parts = Parts::new(&config, &metrics)?;
    let relay = parts.relay(&config).await?;
    let admin = TcpListener::bind(address).await.map_err(|reason| CollectorError::Listen { address, reason })?;
    let shutdown = Shutdown::default();
    let mut signals = Signals::new().map_err(|reason| CollectorError::Start { what: "waiting for signals", reason })?;
    tracing::info!(controller = config.controller, state = %config.state_dir.display(), "collector started");
    let mut running = parts.spawn(&config, registry, admin, &shutdown)?;
    running.relay = relay.map(|relay| tokio::spawn(relay.run(shutdown.relay.clone())));
    let outcome = tokio::select! {
        signal = signals.next() => {
            tracing::info!(signal, "draining");
            Ok(())
        }
        () = running.alive.cancelled() => Err(CollectorError::Ended("the reader")),
        _ = &mut running.shipper => Err(CollectorError::Ended("the shipper")),
        _ = &mut running.sources => Err(CollectorError::Ended("the watch of sources")),
        () = ended_early(&mut running.relay) => Err(CollectorError::Ended("the relay")),
        _ = &mut running.admin => Err(CollectorError::Ended("the admin port")),
    };
    running.drain(&config, &shutdown).await;
    outcome
}

/// One collector a state directory.
fn lock_state(config: &CollectorConfig) -> Result<File, CollectorError> {
    let path = config.state_dir.clone();
    let state = |reason| CollectorError::State { path: path.clone(), reason };
    std::fs::create_dir_all(&config.state_dir).map_err(state)?;
    let file = File::create(config.state_dir.join("lock")).map_err(state)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(std::fs::TryLockError::WouldBlock) => Err(CollectorError::Taken(path)),
        Err(std::fs::TryLockError::Error(reason)) => Err(CollectorError::State { path, reason }),
    }
}

/// Everything, before it runs.
struct Parts {
    door: Arc<Door>,
    spool: Spool,
    checkpoints: Arc<Mutex<Checkpoints>>,
    census: Census,
    to_reader: watch::Sender<Option<Arc<Assignment>>>,
    metrics: Metrics,
}

#[derive(Default)]
struct Shutdown {
    /// The relay ends.
    relay: CancellationToken,
    /// Reader and sources end.
    intake: CancellationToken,
    /// What is under way is left.
    give_up: CancellationToken,
    admin: CancellationToken,
}

struct Running {
    shipper: JoinHandle<()>,
    sources: JoinHandle<()>,
    admin: JoinHandle<()>,
    relay: Option<JoinHandle<()>>,
    /// Cancelled when the reader's thread ends.
    alive: CancellationToken,
}

impl Parts {
    fn new(config: &CollectorConfig, metrics: &Metrics) -> Result<Parts, CollectorError> {
        let (checkpoints, damaged) = Checkpoints::open(&config.state_dir)?;
        if damaged {
            metrics.checkpoint_errors.inc();
            tracing::error!("the checkpoints were damaged and set aside: files are read again from their beginning");
        }
        let checkpoints = Arc::new(Mutex::new(checkpoints));
        let state = |reason| CollectorError::State { path: config.state_dir.clone(), reason };
        let key = fingerprint::load_key(&config.state_dir.join("key")).map_err(state)?;
        let spool = Spool::open(config.state_dir.join("spool"), config.spool_max).map_err(state)?;
        Ok(Parts {
            door: Arc::new(Door::new(config, metrics.clock_offset.clone())?),
            spool,
            census: Census::new(config, key, Arc::clone(&checkpoints), metrics.clone())?,
            checkpoints,
            to_reader: watch::channel(None).0,
            metrics: metrics.clone(),
        })
    }

    /// The relay, if there is to be one.
    async fn relay(&self, config: &CollectorConfig) -> Result<Option<Relay>, CollectorError> {
        let Some(relay) = &config.relay else { return Ok(None) };
        let (key, assignments) = (self.census.key.clone(), self.to_reader.subscribe());
        let opened = Relay::open(relay, config, key, Arc::clone(&self.checkpoints), assignments, self.metrics.clone());
        opened.await.map(Some)
    }

    fn spawn(
        self,
        config: &CollectorConfig,
        registry: Registry,
        listener: TcpListener,
        shutdown: &Shutdown,
    ) -> Result<Running, CollectorError> {
        let Parts { door, spool, checkpoints, census, to_reader, metrics } = self;
        let limits = config.limits;
        let (reading, known) = (Check::new("reader", true), Check::new("sources", false));
        let assignments = to_reader.subscribe();
        // One batch (2 MiB) waits while one is under way and one is in the making; see `CollectorLimits`.
        let (batches, to_shipper) = mpsc::channel(1);
        let reader = Reader {
            census,
            limits,
            metrics: metrics.clone(),
            assignments,
            batches,
            shutdown: shutdown.intake.clone(),
        };
        let alive = CancellationToken::new();
        let guards = (alive.clone().drop_guard(), reading.clone().until_dropped());
        let read = move || {
            let held = guards;
            reader.run();
            drop(held);
        };
        thread::Builder::new()
            .name("reader".into())
            .spawn(read)
            .map_err(|reason| CollectorError::Start { what: "the reader's thread", reason })?;
        let file = config.state_dir.join("assignment.json");
        let sources = Sources {
            door: Arc::clone(&door),
            file,
            limits,
            metrics: metrics.clone(),
            assignments: to_reader,
            known: known.clone(),
        };
        let give_up = shutdown.give_up.clone();
        let shipper = Shipper { door, spool, checkpoints, limits, metrics, held: None, give_up };
        let admin = Admin { registry, live: vec![reading.clone()], ready: vec![reading, known] };
        let until = shutdown.admin.clone();
        let serve = async move {
            if let Err(error) = admin.run(listener, until).await {
                tracing::error!(%error, "the admin port is closed");
            }
        };
        Ok(Running {
            shipper: tokio::spawn(shipper.run(to_shipper)),
            sources: tokio::spawn(sources.run(shutdown.intake.clone())),
            admin: tokio::spawn(serve),
            relay: None,
            alive,
        })
    }
}

impl Running {
    /// Reads no more, and sends what was read, as long as it goes through in time.
    async fn drain(self, config: &CollectorConfig, shutdown: &Shutdown) {
        let Running { mut shipper, sources, admin, relay, alive } = self;
        shutdown.relay.cancel();
        if let Some(relay) = relay {
            ended(relay, "the relay").await;
        }
        shutdown.intake.cancel();
        if !shipper.is_finished() && tokio::time::timeout(config.limits.drain, &mut shipper).await.is_err() {
            tracing::warn!("the controller is away: what is under way is sent after the next start");
            shutdown.give_up.cancel();
            ended(shipper, "the shipper").await;
        }
        alive.cancelled().await;
        ended(sources, "the watch of sources").await;
        shutdown.admin.cancel();
        ended(admin, "the admin port").await;
        tracing::info!("drained");
    }
}

/// Waits for the end of a task that may not be there.
async fn ended_early(task: &mut Option<JoinHandle<()>>) {
    match task {
        Some(task) => drop(task.await),
        None => std::future::pending().await,
    }
}

async fn ended(task: JoinHandle<()>, what: &'static str) {
    if !task.is_finished()
        && let Err(error) = task.await
    {
        tracing::error!(%error, what, "a part broke off");
    }
}

/// SIGTERM and SIGINT.
struct Signals(tokio::signal::unix::Signal, tokio::signal::unix::Signal);

impl Signals {
    fn new() -> io::Result<Signals> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals(signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.0.recv() => "SIGTERM",
            _ = self.1.recv() => "SIGINT",
        }
    }
}
