//! The command line: what was typed, and which root runs it.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::{canary, collector, controller, generate, offline, webhook_config};

/// Audit events of a Kubernetes API server and log lines of its nodes become SecurityAlerts, in the cluster.
#[derive(Debug, Parser)]
#[command(name = "kubewitness", version, propagate_version = true)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Receives audit events, evaluates rules, writes SecurityAlerts. Runs in the cluster.
    Controller(Box<controller::ControllerArgs>),
    /// Reads the log files of a node that LogSources name and sends the lines to the controller. Runs on each node.
    Collector(Box<collector::CollectorArgs>),
    /// Issues the credential of one API server and writes what connects it: webhook kubeconfig, audit policy, flags.
    WebhookConfig(webhook_config::WebhookConfigArgs),
    /// Makes one audit event and one log line, and waits for their alerts. What `helm test` runs.
    Canary(canary::CanaryArgs),
    /// Runs the tests that rules carry, without a cluster.
    Test(offline::test::TestArgs),
    /// Runs rules over recorded events and prints the alerts, without a cluster.
    Replay(offline::replay::ReplayArgs),
    /// Prints what rules see of recorded events and log lines, without a cluster.
    Normalise(offline::normalise::NormaliseArgs),
    /// Shows which conditions of rules hold for an event and which do not, with the values.
    Explain(offline::explain::ExplainArgs),
    /// Evaluates one expression of the rule language over an audit event or over variables.
    Eval(offline::eval::EvalArgs),
    /// Writes the files that are made from code: CRDs, roles, references.
    #[command(hide = true)]
    Generate(GenerateArgs),
}

#[derive(Debug, clap::Args)]
pub struct GenerateArgs {
    /// Top of the repository: where the rules are read and the files are written.
    #[arg(long, default_value = ".")]
    pub into: std::path::PathBuf,
}

impl Cli {
    /// Runs the command; the exit code is 0 for success, 1 for findings of a check, 2 for a use or world error.
    pub fn run(self) -> anyhow::Result<ExitCode> {
        match self.command {
            Command::Controller(args) => controller::main(*args).map(|()| ExitCode::SUCCESS),
            Command::Collector(args) => Ok(collector::main(&args).map(|()| ExitCode::SUCCESS)?),
            Command::WebhookConfig(args) => webhook_config::main(&args).map(|()| ExitCode::SUCCESS),
            Command::Canary(args) => canary::main(&args),
            Command::Test(args) => offline::test::main(&args),
            Command::Replay(args) => offline::replay::main(&args),
            Command::Normalise(args) => offline::normalise::main(&args),
            Command::Explain(args) => offline::explain::main(&args),
            Command::Eval(args) => offline::eval::main(&args),
            Command::Generate(args) => write_generated(&args),
        }
    }
}

fn write_generated(args: &GenerateArgs) -> anyhow::Result<ExitCode> {
    for file in generate::files(&args.into)? {
        let path = args.into.join(&file.path);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(&path, file.text)?;
        println!("{}", path.display());
    }
    Ok(ExitCode::SUCCESS)
}
/// An error with its causes, each once: many messages end with their cause already.
pub fn told(error: &anyhow::Error) -> String {
    error.chain().skip(1).map(ToString::to_string).fold(error.to_string(), |told, cause| match told.contains(&cause) {
        true => told,
        false => format!("{told}: {cause}"),
    })
}
