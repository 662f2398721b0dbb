//! The controller's own certificate. In: a Secret, empty at first. Out: an authority and a certificate in it, renewed in
//! time; the pair for the server; and the authorities to trust, in a ConfigMap of each namespace whose pods connect.
//! What it can't do is told, counted and tried again; the server keeps what it has. Never overwrites an authority that it
//! can't read: API servers trust it by a file that only a person changes.

mod kept;
mod make;
mod plan;
#[cfg(test)]
mod plan_tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures::{Stream, StreamExt, stream};
use k8s_openapi::{
    ByteString,
    api::core::v1::{ConfigMap, Secret},
};
use kube::{
    Api, Client,
    api::{Patch, PatchParams},
    runtime::watcher,
};
use serde_json::{Value, json};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    ClusterError, Metrics, call, is_status,
    metrics::{TlsFailure, Watched},
    rbac::NamedAccess,
    watch_one,
};
use crate::telemetry;
use kept::{Contents, Kept, TlsError};
use plan::{Rotate, Wish};

/// The Secret of the shipped manifests.
pub const SECRET: &str = "kubewitness-tls";
/// The ConfigMap that clients mount.
pub const BUNDLE: &str = "kubewitness-ca";
/// Its key.
pub const BUNDLE_KEY: &str = "ca.crt";
/// Annotation of the ConfigMap: the names in the certificate, separated by commas.
pub const NAMES: &str = "kubewitness.io/server-names";
/// Annotation of the Secret that asks for a new `leaf` or `ca` now; it is taken off when that is done.
pub const ROTATE: &str = "kubewitness.io/rotate";

/// What keeping the Secret needs, and `webhook-config`, which reads what is published.
pub const OWN_ACCESS: &[NamedAccess] = &[
    NamedAccess { resource: "secrets", name: SECRET, verbs: &["list", "patch", "watch"] },
    NamedAccess { resource: "configmaps", name: BUNDLE, verbs: &["get"] },
];
/// What publishing needs.
pub const BUNDLE_ACCESS: &[NamedAccess] =
    &[NamedAccess { resource: "configmaps", name: BUNDLE, verbs: &["list", "patch", "watch"] }];

/// How often dates are looked at, and what failed is tried again.
const TICK: Duration = Duration::from_secs(5);

/// What the certificate should be, and where it is kept and told.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    pub namespace: String,
    pub secret: String,
    /// DNS names and addresses, these in canonical form.
    pub names: Vec<String>,
    /// Seconds between publishing a new authority and signing by it.
    pub ca_overlap: u32,
    /// Namespaces of collectors; the controller's own is added.
    pub published_in: BTreeSet<String>,
}

enum Event {
    Secret(Box<watcher::Event<Secret>>),
    Bundle(String, Box<watcher::Event<ConfigMap>>),
}

/// The Secret as the API server has it.
struct Held {
    contents: Contents,
    rotate: Option<String>,
    version: Option<String>,
}

/// A ConfigMap of ours, as far as it matters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Published {
    bundle: String,
    names: String,
}

#[derive(Debug, thiserror::Error)]
enum KeepError {
    #[error("Secret {0} does not exist: create it, it may be empty")]
    NoSecret(String),
    #[error("Secret {secret}: {source}")]
    Content { secret: String, source: TlsError },
    #[error(
        "Secret {0} is renewed by whoever made it, not by the controller: ask them, and take the annotation {ROTATE} off"
    )]
    NotOurs(String),
    #[error("Secret {secret} is not written: {source}")]
    Write { secret: String, source: ClusterError },
    #[error("ConfigMap {namespace}/{BUNDLE} does not exist: create it, it may be empty")]
    NoBundle { namespace: String },
    #[error("ConfigMap {namespace}/{BUNDLE} is not written: {source}")]
    Publish { namespace: String, source: ClusterError },
}

impl KeepError {
    fn reason(&self) -> TlsFailure {
        match self {
            KeepError::NoSecret(_) => TlsFailure::NoSecret,
            KeepError::Content { .. } => TlsFailure::Content,
            KeepError::NotOurs(_) | KeepError::Write { .. } => TlsFailure::Write,
            KeepError::NoBundle { .. } | KeepError::Publish { .. } => TlsFailure::Publish,
        }
    }
}

/// Keeps one Secret and its ConfigMaps.
pub struct TlsKeeper {
    client: Client,
    config: TlsConfig,
    metrics: Metrics,
    identity: watch::Sender<Option<Arc<[u8]>>>,
    /// `None` before the first list, and while there is no such Secret.
    held: Option<Held>,
    is_listed: bool,
    /// What is served: it is written back should the Secret be emptied.
    in_use: Option<Contents>,
    /// By namespace, once listed; `None` where there is no such ConfigMap.
    published: BTreeMap<String, Option<Published>>,
    told: BTreeSet<String>,
}

impl TlsKeeper {
    /// `identity` gets chain and key in one PEM.
    pub fn new(
        client: Client,
        mut config: TlsConfig,
        metrics: Metrics,
        identity: watch::Sender<Option<Arc<[u8]>>>,
    ) -> TlsKeeper {
        config.published_in.insert(config.namespace.clone());
        TlsKeeper {
            client,
            config,
            metrics,
            identity,
            held: None,
            is_listed: false,
            in_use: None,
            published: BTreeMap::new(),
            told: BTreeSet::new(),
        }
    }

    /// Returns when `shutdown` is cancelled.
    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut events = self.events().boxed();
        let mut tick = tokio::time::interval(TICK);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                event = events.next() => match event {
                    Some(event) => self.take(event),
                    None => return,
                },
                _ = tick.tick() => {}
            }
            self.work().await;
        }
    }

    fn events(&self) -> impl Stream<Item = Event> + use<> {
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.config.namespace);
        let secret = watch_one(secrets, &self.config.secret, Watched::Secrets, &self.metrics);
        let bundles = self.config.published_in.iter().cloned().map(|namespace| {
            let maps = Api::<ConfigMap>::namespaced(self.client.clone(), &namespace);
            let events = watch_one(maps, BUNDLE, Watched::ConfigMaps, &self.metrics);
            events.map(move |event| Event::Bundle(namespace.clone(), Box::new(event))).boxed()
        });
        let bundles: Vec<_> = bundles.collect();
        stream::select(secret.map(|event| Event::Secret(Box::new(event))), stream::select_all(bundles))
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Secret(event) => match *event {
                watcher::Event::Init => (self.held, self.is_listed) = (None, false),
                watcher::Event::Apply(secret) | watcher::Event::InitApply(secret) => {
                    self.held = Some(Held::of(secret));
                }
                watcher::Event::InitDone => self.is_listed = true,
                watcher::Event::Delete(_) => self.held = None,
            },
            Event::Bundle(namespace, event) => match *event {
                watcher::Event::Init => drop(self.published.remove(&namespace)),
                watcher::Event::Apply(map) | watcher::Event::InitApply(map) => {
                    self.published.insert(namespace, Some(Published::of(&map)));
                }
                watcher::Event::InitDone => drop(self.published.entry(namespace).or_default()),
                watcher::Event::Delete(_) => drop(self.published.insert(namespace, None)),
            },
        }
    }

    /// Looks at everything once. Cheap where there is nothing to do.
    async fn work(&mut self) {
        let mut failures = Vec::new();
        failures.extend(self.keep().await.err());
        failures.extend(self.publish().await);
        let mut told = BTreeSet::new();
        for error in failures {
            self.metrics.tls_errors.with_label_values(&[error.reason().as_str()]).inc();
            let text = error.to_string();
            // Each look fails the same way: once in the log is enough, the counter goes on.
            if !self.told.contains(&text) {
                tracing::warn!(error = text, "the server's certificate is not kept as it should be; it is tried again");
            }
            told.insert(text);
        }
        self.told = told;
    }

    async fn keep(&mut self) -> Result<(), KeepError> {
        let secret = format!("{}/{}", self.config.namespace, self.config.secret);
        let Some(held) = &self.held else {
            return if self.is_listed { Err(KeepError::NoSecret(secret)) } else { Ok(()) };
        };
        let rotate = match held.rotate.as_deref() {
            None => None,
            Some("leaf") => Some(Rotate::Leaf),
            Some("ca") => Some(Rotate::Ca),
            Some(other) => {
                tracing::warn!(secret, asked = other, "{ROTATE} is neither leaf nor ca: it is taken off");
                None
            }
        };
        let wish = Wish { names: &self.config.names, rotate, overlap: self.config.ca_overlap.into() };
        let before = match &self.in_use {
            Some(in_use) if held.contents.values().all(|value| value.is_empty()) => in_use,
            _ => &held.contents,
        };
        let contents = plan::advance(before, &wish, telemetry::now())
            .map_err(|source| KeepError::Content { secret: secret.clone(), source })?;
        let is_foreign = Kept::read(&contents).is_ok_and(|kept| kept.is_foreign);
        if is_foreign && held.rotate.is_some() {
            let refused = KeepError::NotOurs(secret);
            self.serve(contents);
            return Err(refused);
        }
        if contents != held.contents || held.rotate.is_some() {
            match self.write(held, &contents).await {
                Ok(written) => {
                    tracing::info!(secret, "the server's certificate or its authority was made or renewed");
                    self.held = Some(Held::of(written));
                }
                // Somebody else was faster: the watch brings what they wrote.
                Err(error) if is_status(&error, 409) => return Ok(()),
                Err(source) => return Err(KeepError::Write { secret, source }),
            }
        }
        self.serve(contents);
        Ok(())
    }

    async fn write(&self, held: &Held, contents: &Contents) -> Result<Secret, ClusterError> {
        let changed = contents.iter().filter(|(key, value)| held.contents.get(*key) != Some(*value));
        let gone = held.contents.keys().filter(|key| !contents.contains_key(*key));
        let mut data: BTreeMap<&String, Value> =
            changed.map(|(key, value)| (key, json!(ByteString(value.clone())))).collect();
        data.extend(gone.map(|key| (key, Value::Null)));
        // With the version that was read, so that two controllers never write over each other.
        let change = json!({
            "metadata": {"resourceVersion": held.version, "annotations": {ROTATE: null}},
            "data": data,
        });
        let secrets = Api::<Secret>::namespaced(self.client.clone(), &self.config.namespace);
        call(secrets.patch(&self.config.secret, &PatchParams::default(), &Patch::Merge(&change))).await
    }

    fn serve(&mut self, contents: Contents) {
        if self.in_use.as_ref() == Some(&contents) {
            return;
        }
        let ends = Kept::read(&contents).ok().and_then(|kept| kept.ca).map(|ca| ca.life.ends);
        self.metrics.ca_not_after.set(ends.unwrap_or_default());
        self.identity.send_replace(Some(plan::identity(&contents).into_bytes().into()));
        self.in_use = Some(contents);
    }

    /// Writes the ConfigMaps that differ.
    async fn publish(&mut self) -> Vec<KeepError> {
        let Some(wanted) = self.in_use.as_ref().map(Published::wanted).filter(|w| !w.bundle.is_empty()) else {
            return Vec::new();
        };
        let mut failures = Vec::new();
        for (namespace, found) in &mut self.published {
            let Some(before) = found else {
                failures.push(KeepError::NoBundle { namespace: namespace.clone() });
                continue;
            };
            if *before == wanted {
                continue;
            }
            match write_bundle(&self.client, namespace, &wanted).await {
                Ok(()) => *before = wanted.clone(),
                Err(source) => failures.push(KeepError::Publish { namespace: namespace.clone(), source }),
            }
        }
        failures
    }
}

async fn write_bundle(client: &Client, namespace: &str, wanted: &Published) -> Result<(), ClusterError> {
    let change = json!({
        "metadata": {"annotations": {NAMES: wanted.names}},
        "data": {BUNDLE_KEY: wanted.bundle},
    });
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    call(maps.patch(BUNDLE, &PatchParams::default(), &Patch::Merge(&change))).await?;
    tracing::info!(namespace, "the authorities to trust were published");
    Ok(())
}

impl Held {
    fn of(secret: Secret) -> Held {
        let data = secret.data.unwrap_or_default();
        let rotate = secret.metadata.annotations.and_then(|mut annotations| annotations.remove(ROTATE));
        Held {
            contents: data.into_iter().map(|(key, ByteString(value))| (key, value)).collect(),
            rotate,
            version: secret.metadata.resource_version,
        }
    }
}

impl Published {
    fn of(map: &ConfigMap) -> Published {
        let text = |map: Option<&BTreeMap<String, String>>, key| map.and_then(|m| m.get(key)).cloned();
        Published {
            bundle: text(map.data.as_ref(), BUNDLE_KEY).unwrap_or_default(),
            names: text(map.metadata.annotations.as_ref(), NAMES).unwrap_or_default(),
        }
    }

    fn wanted(contents: &Contents) -> Published {
        let leaf = Kept::read(contents).ok().and_then(|kept| kept.leaf);
        Published { bundle: plan::bundle(contents), names: leaf.map(|leaf| leaf.names.join(",")).unwrap_or_default() }
    }
}

/// What is published in a namespace: the authorities to trust, PEM, and the names in the server's certificate.
pub async fn read_bundle(client: &Client, namespace: &str) -> Result<Option<(String, Vec<String>)>, ClusterError> {
    let maps = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    match call(maps.get(BUNDLE)).await {
        Ok(map) => {
            let Published { bundle, names } = Published::of(&map);
            let names = names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
            Ok(Some((bundle, names)).filter(|(bundle, _)| !bundle.is_empty()))
        }
        Err(error) if is_status(&error, 404) => Ok(None),
        Err(error) => Err(error),
    }
}
