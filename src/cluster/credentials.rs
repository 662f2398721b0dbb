//! The Secrets with credentials of API servers: followed by the controller, added to by `webhook-config`.
//! In: watch events. Out: the YAML as it is, for whoever reads it. Keeps hashes of tokens, never a token.

use std::{sync::Arc, time::Duration};

use futures::StreamExt;
use k8s_openapi::{ByteString, api::core::v1::Secret};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::watcher,
};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ClusterError, Metrics, call, is_status, metrics::Watched, rbac::NamedAccess, watch_one};

/// Credentials for the controller's own door.
pub const SECRET: &str = "kubewitness-ingest-credentials";
/// Credentials for the relay of collectors on control-plane nodes, in the collectors' namespace.
pub const RELAY_SECRET: &str = "kubewitness-relay-credentials";
/// The key of either.
pub const KEY: &str = "credentials.yaml";

/// What following and adding need.
pub const ACCESS: &[NamedAccess] =
    &[NamedAccess { resource: "secrets", name: SECRET, verbs: &["get", "list", "patch", "watch"] }];
/// What adding needs, and knowing whom to expect; the relay reads it as a file.
pub const RELAY_ACCESS: &[NamedAccess] =
    &[NamedAccess { resource: "secrets", name: RELAY_SECRET, verbs: &["get", "patch"] }];

/// Keeps `content` filled with the Secret's YAML, until `shutdown`. A Secret that goes away changes nothing: whoever may
/// delete it must not cut off every API server by that.
pub async fn follow(
    client: Client,
    namespace: String,
    name: String,
    metrics: Metrics,
    content: watch::Sender<Option<Arc<[u8]>>>,
    shutdown: CancellationToken,
) {
    let secrets = Api::<Secret>::namespaced(client, &namespace);
    let mut events = watch_one(secrets, &name, Watched::Secrets, &metrics).boxed();
    let mut is_listed = false;
    while let Some(Some(event)) = shutdown.run_until_cancelled(events.next()).await {
        match event {
            watcher::Event::Init => is_listed = false,
            watcher::Event::Apply(secret) | watcher::Event::InitApply(secret) => {
                is_listed = true;
                content.send_replace(Some(yaml(&secret)));
            }
            watcher::Event::InitDone if is_listed => {}
            watcher::Event::InitDone | watcher::Event::Delete(_) => tracing::warn!(
                secret = name,
                namespace,
                "the Secret of --ingest-credentials-secret does not exist: create it, it may be empty"
            ),
        }
    }
}

/// Between two looks at a Secret that may be got and not watched. The kubelet takes longer to show a change of it.
const LOOK_EVERY: Duration = Duration::from_secs(30);

/// Keeps `content` filled with the YAML of a Secret that need not exist, until `shutdown`. One that goes away changes nothing.
pub async fn look(
    client: Client,
    namespace: String,
    name: &str,
    content: watch::Sender<Option<Arc<[u8]>>>,
    shutdown: CancellationToken,
) {
    let mut is_told = false;
    let looks = async {
        loop {
            match read(&client, &namespace, name).await {
                Ok(None) => {}
                Ok(Some(held)) => {
                    let yaml: Arc<[u8]> = held.yaml.into_bytes().into();
                    content.send_if_modified(|old| old.replace(yaml.clone()) != Some(yaml));
                    is_told = false;
                }
                // Not every install has relays, or lets its controller look.
                Err(error) if !std::mem::replace(&mut is_told, true) => {
                    tracing::info!(secret = name, namespace, %error, "not read: an API server behind a relay is missed only once it has spoken");
                }
                Err(error) => tracing::debug!(secret = name, namespace, %error, "not read"),
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    };
    shutdown.run_until_cancelled(looks).await;
}

fn yaml(secret: &Secret) -> Arc<[u8]> {
    let ByteString(yaml) = secret.data.as_ref().and_then(|data| data.get(KEY)).cloned().unwrap_or_default();
    yaml.into()
}

/// A Secret's YAML, and the version that a change of it must name.
#[derive(Clone, Debug)]
pub struct Held {
    pub yaml: String,
    version: Option<String>,
}

/// `None` when the Secret does not exist.
pub async fn read(client: &Client, namespace: &str, name: &str) -> Result<Option<Held>, ClusterError> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let secret = match call(secrets.get(name)).await {
        Ok(secret) => secret,
        Err(error) if is_status(&error, 404) => return Ok(None),
        Err(error) => return Err(error),
    };
    let yaml = String::from_utf8_lossy(&yaml(&secret)).into_owned();
    Ok(Some(Held { yaml, version: secret.metadata.resource_version }))
}

/// Replaces the YAML if the Secret is still as it was read; false when it is not.
pub async fn replace(
    client: &Client,
    namespace: &str,
    name: &str,
    read: &Held,
    yaml: &str,
) -> Result<bool, ClusterError> {
    let secrets = Api::<Secret>::namespaced(client.clone(), namespace);
    let change = json!({
        "metadata": {"resourceVersion": read.version},
        "data": {KEY: ByteString(yaml.as_bytes().to_vec())},
    });
    match call(secrets.patch(name, &PatchParams::default(), &Patch::Merge(&change))).await {
        Ok(_) => Ok(true),
        Err(error) if is_status(&error, 409) => Ok(false),
        Err(error) => Err(error),
    }
}
