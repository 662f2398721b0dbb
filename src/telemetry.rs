//! Logs, the clock and the one metrics registry. What every edge may use.

use jiff::Timestamp;
use prometheus::{IntCounter, IntCounterVec, IntGauge, Opts, Registry};
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

/// The clock, for the edges. Stages take time as an argument.
#[allow(clippy::disallowed_methods)]
pub fn now() -> Timestamp {
    Timestamp::now()
}

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// One JSON object a line, for log collectors.
    #[default]
    Json,
    /// For a person at a terminal.
    Text,
}

#[derive(Clone, Debug, clap::Args)]
pub struct LogArgs {
    /// What to log: a level (error, warn, info, debug, trace), or per module as in `info,kubewitness::ingest=debug`.
    #[arg(long, env = "KUBEWITNESS_LOG", default_value = "info", value_name = "FILTER")]
    pub log: String,
    /// How log lines look.
    #[arg(long, env = "KUBEWITNESS_LOG_FORMAT", default_value = "json", value_name = "FORMAT")]
    pub log_format: LogFormat,
}

#[derive(Debug, thiserror::Error)]
#[error("--log {filter:?} must be a level or a comma-separated list of module=level: {reason}")]
pub struct BadFilter {
    filter: String,
    reason: tracing_subscriber::filter::ParseError,
}

/// Starts logging to standard output. Event bodies are never logged.
pub fn init_logs(args: &LogArgs) -> Result<(), BadFilter> {
    let filter = EnvFilter::try_new(&args.log).map_err(|reason| BadFilter { filter: args.log.clone(), reason })?;
    let registry = tracing_subscriber::registry().with(filter);
    // A second start (in tests) finds a subscriber in place and keeps it.
    let started = match args.log_format {
        LogFormat::Json => registry.with(fmt::layer().json().flatten_event(true)).try_init(),
        LogFormat::Text => registry.with(fmt::layer()).try_init(),
    };
    if started.is_err() {
        tracing::debug!("logging was already started");
    }
    Ok(())
}

/// Registers the series of one part of the program as `kubewitness_PART_NAME`.
pub struct Series<'a> {
    pub registry: &'a Registry,
    pub part: &'static str,
}

impl Series<'_> {
    pub fn opts(&self, name: &str, help: &str) -> Opts {
        Opts::new(format!("kubewitness_{}_{name}", self.part), help)
    }

    pub fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let counter = IntCounter::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(counter.clone()))?;
        Ok(counter)
    }

    pub fn gauge(&self, name: &str, help: &str) -> prometheus::Result<IntGauge> {
        let gauge = IntGauge::with_opts(self.opts(name, help))?;
        self.registry.register(Box::new(gauge.clone()))?;
        Ok(gauge)
    }

    /// One counter for each value of `label`, all from the start, at zero.
    pub fn counters<'v>(
        &self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = &'v str>,
    ) -> prometheus::Result<IntCounterVec> {
        let counters = IntCounterVec::new(self.opts(name, help), &[label])?;
        values.into_iter().for_each(|value| counters.with_label_values(&[value]).inc_by(0));
        self.registry.register(Box::new(counters.clone()))?;
        Ok(counters)
    }
}

/// A registry that already knows `kubewitness_build_info`.
pub fn registry() -> prometheus::Result<Registry> {
    let registry = Registry::new();
    let info = prometheus::IntGaugeVec::new(
        prometheus::Opts::new("kubewitness_build_info", "Always 1; the label says which version runs."),
        &["version"],
    )?;
    info.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
    registry.register(Box::new(info))?;
    Ok(registry)
}
