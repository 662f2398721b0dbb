//! The composition root of `kubewitness controller`: builds every part, joins them, spawns them, drains them in flow order.
//!
//! ```text
//! ingest ─▶ store ─▶ pipeline (its own thread) ─▶ tray ─▶ alert writer
//!   ▲         ▲─ rules, inventory (watches, as records of the log), ticks of the clock
//!   └─ LogSources of each node (a watch; the newest state)
//! ```

pub mod metrics;
mod pipeline_thread;
mod secrets;
mod snapshots;
mod ticks;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, atomic::AtomicBool},
    thread,
    time::Duration,
};

use anyhow::{Context, bail};
use arc_swap::ArcSwapOption;
use futures::{FutureExt, future::BoxFuture};
use kube::Client;
use prometheus::Registry;
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

use crate::{
    admin::{Admin, AdminArgs, Check},
    cluster::{
        self, Journal, JournalError,
        alerts::{AlertArgs, AlertWriter, Tray},
        inventory::InventoryWatch,
        rules::{Activity, RulesWatch},
        sources::SourcesWatch,
        tokens,
    },
    ingest::{Bearer, Collection, Ingest, IngestArgs, IngestConfig, ReviewFailed, Reviewer},
    pipeline::rule_test,
    record::{IdKey, Payload, Record, RecordId},
    store::{Appender, Store, StoreArgs, Writer},
    telemetry::{self, LogArgs},
};
use pipeline_thread::PipelineThread;
use secrets::Secrets;
use snapshots::{SnapshotArgs, Snapshots};
use ticks::Ticks;

/// How long a drain may take before what is left is abandoned; a pod's default grace period is 30 s.
const DRAIN: Duration = Duration::from_secs(25);

#[derive(Clone, Debug, clap::Args)]
pub struct ControllerArgs {
    /// Namespace for alerts of cluster rules.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kubewitness", value_name = "NAMESPACE")]
    pub namespace: String,
    #[command(flatten)]
    pub ingest: IngestArgs,
    #[command(flatten)]
    pub store: StoreArgs,
    #[command(flatten)]
    pub snapshots: SnapshotArgs,
    #[command(flatten)]
    pub alerts: AlertArgs,
    #[command(flatten)]
    pub admin: AdminArgs,
    #[command(flatten)]
    pub log: LogArgs,
}

/// Every metric of the controller, registered once.
pub struct Metrics {
    pub registry: Registry,
    pub store: crate::store::Metrics,
    pub ingest: crate::ingest::Metrics,
    pub cluster: cluster::Metrics,
    pub pipeline: metrics::PipelineMetrics,
}

pub fn register_metrics() -> prometheus::Result<Metrics> {
    let registry = telemetry::registry()?;
    Ok(Metrics {
        store: crate::store::Metrics::register(&registry)?,
        ingest: crate::ingest::Metrics::register(&registry)?,
        cluster: cluster::Metrics::register(&registry)?,
        pipeline: metrics::PipelineMetrics::register(&registry)?,
        registry,
    })
}

/// The store, as the cluster edge sees it.
#[derive(Clone)]
struct StoreJournal {
    appender: Appender,
    key: IdKey,
}

impl Journal for StoreJournal {
    async fn append(&self, payloads: Vec<Payload>) -> Result<(), JournalError> {
        let now = telemetry::now();
        let record = |payload: Payload| {
            let text = serde_json::to_vec(&payload).map_err(|error| JournalError(error.to_string()))?;
            // With the time, so that a change back to an earlier state is a record of its own.
            let id = RecordId::of(&self.key, &[b"journal", now.to_string().as_bytes(), &text]);
            Ok(Record { id, received_at: now, origin: None, facts: Default::default(), payload })
        };
        let records = payloads.into_iter().map(record).collect::<Result<Vec<_>, JournalError>>()?;
        self.appender.append(records).await.map(drop).map_err(|error| JournalError(error.to_string()))
    }
}

/// The API server, as ingest asks it about tokens.
struct TokenReviewer(Client);

impl Reviewer for TokenReviewer {
    fn review<'a>(&'a self, token: &'a str) -> BoxFuture<'a, Result<Option<Bearer>, ReviewFailed>> {
        let bearer = |tokens::Holder { user, pod_uid, node }| Bearer { user, pod_uid, node };
        let review = async move { tokens::review(&self.0, token).await };
        review.map(move |held| held.map(|held| held.map(bearer)).map_err(|e| ReviewFailed(e.to_string()))).boxed()
    }
}

/// Runs the controller until SIGTERM or SIGINT.
pub fn main(args: ControllerArgs) -> anyhow::Result<()> {
    telemetry::init_logs(&args.log)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(run(args))
}

async fn run(args: ControllerArgs) -> anyhow::Result<()> {
    let metrics = register_metrics()?;
    let (secrets, certificate, credentials, relays) = Secrets::new(&args);
    let config = IngestConfig { relays, ..args.ingest.config(&args.namespace, certificate, credentials)? };
    let client = Client::try_default().await.context("no API server: set KUBECONFIG, or run in a pod")?;
    let (store, appender, writer) = Store::open(args.store.config(), metrics.store.clone())?;
    let collection =
        Collection { reviewer: Arc::new(TokenReviewer(client.clone())), assignments: Arc::new(ArcSwapOption::empty()) };
    let sources = SourcesWatch::new(client.clone(), metrics.cluster.clone(), collection.assignments.clone());
    let ingest = Ingest::new(config, collection, appender.clone(), store.id_key().clone(), metrics.ingest.clone())?;
    let ingest_listener = bind(&args.ingest.ingest_listen.to_string()).await?;
    let admin_listener = bind(&args.admin.admin_listen.to_string()).await?;
    let ingest_address = ingest_listener.local_addr()?;
    let admin_address = admin_listener.local_addr()?;

    let checks = Checks {
        pipeline: Check::new("pipeline", true),
        store: Check::new("store writer", true),
        secrets: Check::new("certificate and credentials", secrets.are_none()),
    };
    let shutdown = Shutdown::default();
    let mut edges = Edges { writer: Some(spawn_writer(writer, checks.store.clone())?), ..Edges::default() };
    secrets.spawn(&mut edges.intake, &client, &metrics, &checks.secrets, &shutdown.intake);
    let own_user = own_user(&client).await;
    let parts = Parts::new(&args, client, own_user, &store, &appender, &metrics)?;
    parts.spawn(&mut edges, &checks, &shutdown)?;
    spawn_admin(&mut edges, &metrics, &checks, admin_listener, &shutdown);
    edges.intake.spawn(sources.run(shutdown.intake.clone()).map(Ok));
    let token = shutdown.intake.clone();
    edges.intake.spawn(async move { ingest.run(ingest_listener, token).await.map_err(anyhow::Error::from) });
    tracing::info!(ingest = %ingest_address, admin = %admin_address, namespace = args.namespace, "controller started");

    let outcome = wait(&mut edges).await;
    if tokio::time::timeout(DRAIN, drain(edges, appender, &shutdown)).await.is_err() {
        tracing::error!("drain took longer than {} s; what was acknowledged is on disk", DRAIN.as_secs());
    }
    outcome
}

/// Without an answer the controller runs all the same: what it writes is seen by rules then, at most once an interval.
async fn own_user(client: &Client) -> Option<String> {
    match cluster::own_user(client).await {
        Ok(user) => user,
        Err(error) => {
            tracing::warn!(%error, "the controller's own user is unknown: rules will see what it writes");
            None
        }
    }
}

async fn bind(address: &str) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| format!("listening on {address}"))
}

/// One token per drain step, cancelled in flow order.
#[derive(Default)]
struct Shutdown {
    intake: CancellationToken,
    pipeline: CancellationToken,
    alerts: CancellationToken,
    admin: CancellationToken,
}

/// Alive as long as their threads. Audit events can be taken from the first moment that there is a certificate to show and
/// that credentials are known, so nothing else makes the controller unready: replay and rules are gauges, since an unready
/// pod would be sent nothing and senders keep events for 80 s.
struct Checks {
    pipeline: Check,
    store: Check,
    /// For readiness alone.
    secrets: Check,
}

type Tasks = JoinSet<anyhow::Result<()>>;

/// What runs, by when it ends.
#[derive(Default)]
struct Edges {
    /// Ingest and watches: what appends to the log.
    intake: Tasks,
    pipeline: Option<thread::JoinHandle<()>>,
    alerts: Tasks,
    writer: Option<thread::JoinHandle<()>>,
    admin: Tasks,
}

struct Parts {
    pipeline: PipelineThread,
    rules: RulesWatch<StoreJournal>,
    inventory: InventoryWatch<StoreJournal>,
    alerts: AlertWriter<StoreJournal>,
    ticks: Ticks<StoreJournal>,
}

impl Parts {
    fn new(
        args: &ControllerArgs,
        client: Client,
        own_user: Option<String>,
        store: &Store,
        appender: &Appender,
        metrics: &Metrics,
    ) -> anyhow::Result<Parts> {
        let standing = store.standing()?;
        let journal = StoreJournal { appender: appender.clone(), key: store.id_key().clone() };
        let activity: Activity = Arc::new(Mutex::new(BTreeMap::new()));
        let tray = Arc::new(Tray::default());
        let waits = Arc::new(AtomicBool::new(false));
        let rules = RulesWatch::new(
            client.clone(),
            journal.clone(),
            rule_test::validate,
            metrics.cluster.clone(),
            Arc::clone(&activity),
            &standing,
        )
        .keeping(args.store.retain_bytes.as_u64());
        Ok(Parts {
            ticks: Ticks::new(journal.clone(), store.committed(), Arc::clone(&waits)),
            pipeline: PipelineThread::new(
                store.clone(),
                own_user,
                Arc::clone(&tray),
                activity,
                waits,
                metrics.pipeline.clone(),
                Snapshots::new(store.clone(), &args.snapshots, metrics.pipeline.snapshots.clone()),
            ),
            rules,
            inventory: InventoryWatch::new(client.clone(), journal.clone(), metrics.cluster.clone(), &standing),
            alerts: AlertWriter::new(
                client,
                journal,
                args.namespace.clone(),
                args.alerts.clone(),
                metrics.cluster.clone(),
                tray,
                &standing,
            ),
        })
    }

    fn spawn(self, edges: &mut Edges, checks: &Checks, shutdown: &Shutdown) -> anyhow::Result<()> {
        let Parts { pipeline, rules, inventory, alerts, ticks } = self;
        edges.intake.spawn(rules.run(shutdown.intake.clone()).map(Ok));
        edges.intake.spawn(ticks.run(shutdown.intake.clone()).map(Ok));
        edges.intake.spawn(inventory.run(shutdown.intake.clone()).map(Ok));
        edges.alerts.spawn(alerts.run(shutdown.alerts.clone()).map(Ok));
        let thread = pipeline.spawn(checks.pipeline.clone(), shutdown.pipeline.clone());
        edges.pipeline = Some(thread.context("starting the pipeline thread")?);
        Ok(())
    }
}

fn spawn_writer(writer: Writer, alive: Check) -> anyhow::Result<thread::JoinHandle<()>> {
    let run = move || {
        let guard = alive.until_dropped();
        writer.run();
        drop(guard);
    };
    thread::Builder::new().name("store-writer".into()).spawn(run).context("starting the store's writer")
}

fn spawn_admin(edges: &mut Edges, metrics: &Metrics, checks: &Checks, listener: TcpListener, shutdown: &Shutdown) {
    let live = vec![checks.pipeline.clone(), checks.store.clone()];
    let ready = [live.clone(), vec![checks.secrets.clone()]].concat();
    let admin = Admin { registry: metrics.registry.clone(), live, ready };
    let token = shutdown.admin.clone();
    edges.admin.spawn(async move { admin.run(listener, token).await.context("serving the admin port") });
}

/// Waits for a signal, or for a part that ended by itself, which is an error.
async fn wait(edges: &mut Edges) -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).context("listening for SIGTERM")?;
    let ended = tokio::select! {
        _ = terminate.recv() => {
            tracing::info!("SIGTERM: draining");
            return Ok(());
        }
        _ = tokio::signal::ctrl_c() => {
            tracing::info!("SIGINT: draining");
            return Ok(());
        }
        Some(ended) = edges.intake.join_next() => ended,
        Some(ended) = edges.alerts.join_next() => ended,
        Some(ended) = edges.admin.join_next() => ended,
    };
    match ended {
        Ok(Err(error)) => Err(error),
        Ok(Ok(())) => bail!("a part of the controller ended early"),
        Err(panic) => bail!("a part of the controller panicked: {panic}"),
    }
}

/// Stops taking in, then lets what is in flight arrive. The store's writer comes last but for the admin port: it ends when
/// nobody holds an appender any more, and the alert writer holds one.
async fn drain(edges: Edges, appender: Appender, shutdown: &Shutdown) {
    let Edges { intake, pipeline, alerts, writer, admin } = edges;
    shutdown.intake.cancel();
    ended(intake).await;
    shutdown.pipeline.cancel();
    join(pipeline, "pipeline").await;
    shutdown.alerts.cancel();
    ended(alerts).await;
    drop(appender);
    join(writer, "store writer").await;
    shutdown.admin.cancel();
    ended(admin).await;
    tracing::info!("drained");
}

async fn ended(mut tasks: Tasks) {
    while let Some(task) = tasks.join_next().await {
        match task {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "a part of the controller ended with an error"),
            Err(panic) => tracing::error!(%panic, "a part of the controller panicked"),
        }
    }
}

async fn join(thread: Option<thread::JoinHandle<()>>, name: &'static str) {
    let Some(thread) = thread else { return };
    let panicked = tokio::task::spawn_blocking(move || thread.join().is_err()).await;
    if panicked.unwrap_or(true) {
        tracing::error!(name, "a thread panicked");
    }
}
