//! `kubewitness webhook-config`: connects an API server. In: which one, and where it will send to. Out: a credential, of
//! which the cluster keeps the hash alone, and the three files for the API server's node.
//! A second call for the same API server adds a second credential; --revoke-others ends the older ones afterwards, so that
//! nothing is lost between. Changes nothing on any node.

mod files;
mod output;
mod target;

use std::io::IsTerminal;

use anyhow::{Context, bail};
use data_encoding::BASE64URL_NOPAD;
use kube::Client;

use crate::{
    cluster::{ClusterError, credentials, tls},
    ingest::{CredentialList, is_subdomain},
};
use files::Webhook;
use output::Output;
use target::{Server, server};

/// How often a Secret that others change meanwhile is read anew.
const TRIES: usize = 5;

#[derive(Clone, Debug, clap::Args)]
pub struct WebhookConfigArgs {
    /// Name of the API server: its node's. Its credential is good for /audit/<cluster>/<apiserver> alone.
    #[arg(long, value_name = "NODE", value_parser = dns_name)]
    pub apiserver: String,
    /// Name of its cluster in records and alerts; the controller's --cluster-name for the cluster that it runs in.
    #[arg(long, env = "KUBEWITNESS_CLUSTER_NAME", value_name = "NAME", default_value = "default", value_parser = dns_name)]
    pub cluster: String,
    /// Where the API server reaches the controller, such as https://10.96.0.60:9443. API servers in static pods resolve no
    /// Service names: give an address.
    #[arg(long, value_name = "URL", value_parser = server, required_unless_present_any = ["relay", "revoke_others"])]
    pub server: Option<Server>,
    /// Sends to the relay on the API server's own node, http://127.0.0.1:9444, which keeps events on disk while the
    /// controller is away.
    #[arg(long, conflicts_with = "server")]
    pub relay: bool,
    /// Issues nothing and writes nothing: ends all credentials of this API server but the newest. For when it uses that.
    #[arg(long, conflicts_with_all = ["server", "output", "tar"])]
    pub revoke_others: bool,
    /// Directory for the three files; made where it is missing.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub output: std::path::PathBuf,
    /// Writes the three files to standard output as a tar archive.
    #[arg(long, conflicts_with = "output")]
    pub tar: bool,
    /// Namespace of the controller.
    #[arg(long, env = "POD_NAMESPACE", default_value = "kubewitness", value_name = "NAMESPACE")]
    pub namespace: String,
    /// Namespace of the collectors, for --relay. Without it, the controller's.
    #[arg(long, env = "KUBEWITNESS_COLLECTOR_NAMESPACE", value_name = "NAMESPACE")]
    pub collector_namespace: Option<String>,
}

fn dns_name(text: &str) -> Result<String, String> {
    if is_subdomain(text) { Ok(text.to_owned()) } else { Err("not a lower case DNS name".to_owned()) }
}

/// A Secret of credentials.
struct Place<'a> {
    client: &'a Client,
    namespace: &'a str,
    name: &'static str,
}

pub fn main(args: &WebhookConfigArgs) -> anyhow::Result<()> {
    if args.tar && std::io::stdout().is_terminal() {
        bail!("--tar writes an archive with a secret in it, and standard output is a terminal: add `| tar x -C DIR`");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the runtime")?;
    runtime.block_on(run(args))
}

async fn run(args: &WebhookConfigArgs) -> anyhow::Result<()> {
    let client =
        Client::try_default().await.context("no API server: set KUBECONFIG, or run in the controller's pod")?;
    let place = match args.relay {
        false => Place { client: &client, namespace: &args.namespace, name: credentials::SECRET },
        true => Place {
            client: &client,
            namespace: args.collector_namespace.as_ref().unwrap_or(&args.namespace),
            name: credentials::RELAY_SECRET,
        },
    };
    if args.revoke_others {
        return revoke_others(args, &place).await;
    }
    let token = token()?;
    let webhook = webhook(args, &client, &token).await?;
    // What can go wrong with the files shows before a credential is stored that nobody has.
    let output = match args.tar {
        true => Output::Tar,
        false => Output::stage(&args.output, &webhook.files())?,
    };
    let count = change(&place, |list| {
        list.add(&args.cluster, &args.apiserver, &token)?;
        Ok(list.count(&args.cluster, &args.apiserver))
    });
    let count = count.await?;
    let written = output.finish(&webhook.files()).context(
        "the credential is stored and the files are not written: run it again; --revoke-others ends the lost one later",
    )?;
    tell(args, &place, count, &written);
    Ok(())
}

fn tell(args: &WebhookConfigArgs, place: &Place<'_>, count: usize, written: &str) {
    let (cluster, apiserver) = (&args.cluster, &args.apiserver);
    eprintln!(
        "{written}: webhook.kubeconfig holds the token, keep it readable by root alone; flags.txt says what to do"
    );
    eprintln!(
        "stored for /audit/{cluster}/{apiserver} in Secret {}/{}: the token's SHA-256",
        place.namespace, place.name
    );
    if count > 1 {
        let relay = if args.relay { " --relay" } else { "" };
        eprintln!(
            "{} older of it still good; once the API server uses the new one: kubewitness webhook-config --cluster \
             {cluster} --apiserver {apiserver}{relay} --revoke-others",
            count - 1
        );
    }
}

async fn revoke_others(args: &WebhookConfigArgs, place: &Place<'_>) -> anyhow::Result<()> {
    let (cluster, apiserver) = (&args.cluster, &args.apiserver);
    let revoked = change(place, |list| match list.count(cluster, apiserver) {
        0 => bail!(
            "there is no credential for /audit/{cluster}/{apiserver} in Secret {}/{}",
            place.namespace,
            place.name
        ),
        _ => Ok(list.revoke_others(cluster, apiserver)),
    });
    eprintln!("/audit/{cluster}/{apiserver}: {} older ended, the newest stays", revoked.await?);
    Ok(())
}

/// 256 random bits, in characters that need no escape in YAML or a URL.
fn token() -> anyhow::Result<String> {
    let mut bytes = [0u8; 32];
    getrandom::fill(&mut bytes).context("no random numbers")?;
    Ok(BASE64URL_NOPAD.encode(&bytes))
}

async fn webhook<'a>(args: &'a WebhookConfigArgs, client: &Client, token: &'a str) -> anyhow::Result<Webhook<'a>> {
    let webhook = Webhook { cluster: &args.cluster, apiserver: &args.apiserver, token, server: None };
    let Some(server) = &args.server else { return Ok(webhook) };
    let namespace = &args.namespace;
    let bundle = tls::read_bundle(client, namespace).await;
    let place = format!("ConfigMap {namespace}/{}", tls::BUNDLE);
    let bundle = bundle.map_err(|error| explained(error, "get", &place))?;
    let Some((ca, names)) = bundle else {
        bail!("{place} holds no authority yet: the controller publishes it, with --tls-secret; is it running?");
    };
    if !server.is_address() {
        eprintln!("note: an API server in a static pod does not resolve {}; give an address then", server.host());
    }
    Ok(Webhook { server: Some((server, ca, server.name_to_expect(&names))), ..webhook })
}

/// Reads, changes and writes the list, anew while others write it.
async fn change<T>(
    place: &Place<'_>,
    mut edit: impl FnMut(&mut CredentialList) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let Place { client, namespace, name } = place;
    let secret = format!("Secret {namespace}/{name}");
    for _ in 0..TRIES {
        let held = credentials::read(client, namespace, name).await.map_err(|e| explained(e, "get", &secret))?;
        let Some(held) = held else {
            bail!(
                "{secret} does not exist: create it (kubectl create secret generic {name} -n {namespace}), it may be empty"
            );
        };
        let mut list = CredentialList::parse(&held.yaml).with_context(|| format!("{secret}, {}", credentials::KEY))?;
        let outcome = edit(&mut list)?;
        let written = credentials::replace(client, namespace, name, &held, &list.to_yaml()?).await;
        if written.map_err(|error| explained(error, "patch", &secret))? {
            return Ok(outcome);
        }
    }
    bail!("{secret} was changed by others at each of {TRIES} tries: try again")
}

fn explained(error: ClusterError, verb: &str, object: &str) -> anyhow::Error {
    let forbidden = error.is_forbidden();
    let error = anyhow::Error::from(error);
    match forbidden {
        true => error.context(format!(
            "this account may not {verb} {object}: use an administrator's kubeconfig, or run in the controller's pod, whose \
             Role (manifests/rbac/) has the right"
        )),
        false => error.context(format!("{verb} {object}")),
    }
}
