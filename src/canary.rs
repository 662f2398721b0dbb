//! `kubewitness canary`: what `helm test` runs. Asks the API server for an object that does not exist, prints a line as a web
//! server would, and waits for the alert of each: the whole way, from the API server's webhook and the node's log file to the
//! SecurityAlert. Needs the canary rules of the chart kubewitness-rules, and the right to list alerts of one namespace.

use std::{
    process::ExitCode,
    time::{Duration, Instant},
};

use anyhow::Context;
use data_encoding::BASE32_NOPAD;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client, api::ListParams};

use crate::{api::alert::SecurityAlert, telemetry};

/// What the object that is asked for, and the path that is logged, begin with; the canary rules look for it.
const NAME: &str = "kubewitness-canary-";
/// Between two tries: rules and log sources may be a moment younger than the canary.
const PAUSE: Duration = Duration::from_secs(2);
/// Most alerts that are read at a time; the controller keeps no more by default.
const PAGE: u32 = 2000;

#[derive(Clone, Debug, clap::Args)]
pub struct CanaryArgs {
    /// Namespace of the controller, where alerts of cluster rules are.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kubewitness", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Seconds to wait for the alerts, 1 to 3600.
    #[arg(long, default_value_t = 120, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub timeout: u64,
    /// Makes no request: for clusters whose API server sends no audit events.
    #[arg(long, conflicts_with = "skip_line")]
    pub skip_request: bool,
    /// Prints no line: for clusters without collectors.
    #[arg(long)]
    pub skip_line: bool,
}

/// One of the two ways, and whether its alert came.
struct Bird {
    what: &'static str,
    rule: &'static str,
    remedy: &'static str,
    is_back: bool,
}

pub fn main(args: &CanaryArgs) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(run(args))
}

async fn run(args: &CanaryArgs) -> anyhow::Result<ExitCode> {
    let client =
        Client::try_default().await.context("no API server: set KUBECONFIG, or run in a pod of the cluster")?;
    let name = name()?;
    let alerts: Api<SecurityAlert> = Api::namespaced(client.clone(), &args.namespace);
    let objects: Api<ConfigMap> = Api::namespaced(client, &args.namespace);
    let mut birds = birds(args);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(args.timeout) {
        for bird in birds.iter().filter(|bird| !bird.is_back) {
            match bird.rule {
                // That there is no such object, or no right to it, is what is to be audited.
                REQUEST => drop(objects.get_opt(&name).await),
                _ => println!("{}", line(&name)),
            }
        }
        tokio::time::sleep(PAUSE).await;
        let list = alerts.list(&ListParams::default().limit(PAGE)).await.with_context(|| {
            format!("listing securityalerts in {}: are the custom resources installed?", args.namespace)
        })?;
        for bird in birds.iter_mut().filter(|bird| !bird.is_back) {
            bird.is_back = list.items.iter().any(|alert| is_of(alert, bird.rule, &name));
            if bird.is_back {
                eprintln!("canary: the {} became an alert after {} s", bird.what, began.elapsed().as_secs());
            }
        }
        if birds.iter().all(|bird| bird.is_back) {
            return Ok(ExitCode::SUCCESS);
        }
    }
    for bird in birds.iter().filter(|bird| !bird.is_back) {
        eprintln!("canary: no alert of the {} within {} s: {}", bird.what, args.timeout, bird.remedy);
    }
    Ok(ExitCode::FAILURE)
}

const REQUEST: &str = "kubewitness-canary-request";
const LINE: &str = "kubewitness-canary-line";

fn birds(args: &CanaryArgs) -> Vec<Bird> {
    let request = Bird {
        what: "audit event",
        rule: REQUEST,
        remedy: "does this API server send its audit events (kubewitness webhook-config), and is the rule \
                 kubewitness-canary-request of the chart kubewitness-rules Ready?",
        is_back: args.skip_request,
    };
    let line = Bird {
        what: "log line",
        rule: LINE,
        remedy: "does a collector run on this pod's node, and are the rule kubewitness-canary-line and the LogSource \
                 kubewitness-canary of the chart kubewitness-rules there?",
        is_back: args.skip_line,
    };
    vec![request, line]
}

fn is_of(alert: &SecurityAlert, rule: &str, name: &str) -> bool {
    alert.spec.rule_ref.name == rule && alert.spec.key.iter().any(|key| key.value.trim_start_matches('/') == name)
}

/// A name that no other run has.
fn name() -> anyhow::Result<String> {
    let mut bytes = [0; 10];
    getrandom::fill(&mut bytes).context("asking the system for random bytes")?;
    Ok(NAME.to_owned() + &BASE32_NOPAD.encode(&bytes).to_lowercase())
}

/// A line of an access log, in the combined format of Apache and nginx.
fn line(name: &str) -> String {
    let stamp = telemetry::now().strftime("%d/%b/%Y:%H:%M:%S +0000");
    format!(r#"127.0.0.1 - - [{stamp}] "GET /{name} HTTP/1.1" 404 0 "-" "kubewitness-canary""#)
}
