//! The Secrets that ingest needs: who keeps them, and the way from there to the server.

use std::sync::Arc;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{ControllerArgs, Metrics, Tasks};
use crate::{
    admin::Check,
    cluster::{
        credentials,
        tls::{TlsConfig, TlsKeeper},
    },
    ingest::Content,
};

type Sender = watch::Sender<Option<Arc<[u8]>>>;

/// What is in Secrets and not in files, as the flags say.
pub struct Secrets {
    tls: Option<(TlsConfig, Sender)>,
    credentials: Option<(String, Sender)>,
    /// Of relays, by namespace. Nobody waits for them: there may be none.
    relays: Vec<(String, Sender)>,
    namespace: String,
}

impl Secrets {
    /// And what ingest reads: the certificate, the credentials, those of relays. Where a flag names no Secret, nothing ever comes.
    pub fn new(args: &ControllerArgs) -> (Secrets, Content, Content, Vec<Content>) {
        let (certificate, certificate_in) = watch::channel(None);
        let (tokens, tokens_in) = watch::channel(None);
        let config = |secret: &String| TlsConfig {
            namespace: args.namespace.clone(),
            secret: secret.clone(),
            names: args.ingest.tls_name.clone(),
            ca_overlap: args.ingest.tls_ca_overlap,
            published_in: args.ingest.collector_namespaces(&args.namespace),
        };
        // Who keeps credentials in files has no role for Secrets.
        let has_secrets = args.ingest.ingest_credentials_secret.is_some();
        let namespaces =
            if has_secrets { args.ingest.collector_namespaces(&args.namespace) } else { Default::default() };
        let relayed = namespaces.into_iter().map(|namespace| {
            let (sender, content) = watch::channel(None);
            ((namespace, sender), content)
        });
        let (relays, relays_in) = relayed.unzip();
        let secrets = Secrets {
            tls: args.ingest.tls_secret.as_ref().map(config).map(|config| (config, certificate)),
            credentials: args.ingest.ingest_credentials_secret.clone().map(|name| (name, tokens)),
            relays,
            namespace: args.namespace.clone(),
        };
        (secrets, certificate_in, tokens_in, relays_in)
    }

    /// Nothing has to be waited for.
    pub fn are_none(&self) -> bool {
        self.tls.is_none() && self.credentials.is_none()
    }

    /// `read` holds once each of them was read, or made.
    pub fn spawn(
        self,
        tasks: &mut Tasks,
        client: &Client,
        metrics: &Metrics,
        read: &Check,
        shutdown: &CancellationToken,
    ) {
        let mut awaited = Vec::new();
        if let Some((config, sender)) = self.tls {
            awaited.push(sender.subscribe());
            let keeper = TlsKeeper::new(client.clone(), config, metrics.cluster.clone(), sender);
            let shutdown = shutdown.clone();
            tasks.spawn(async move {
                keeper.run(shutdown).await;
                Ok(())
            });
        }
        if let Some((name, sender)) = self.credentials {
            awaited.push(sender.subscribe());
            let (client, metrics) = (client.clone(), metrics.cluster.clone());
            let (namespace, shutdown) = (self.namespace, shutdown.clone());
            tasks.spawn(async move {
                credentials::follow(client, namespace, name, metrics, sender, shutdown).await;
                Ok(())
            });
        }
        for (namespace, sender) in self.relays {
            let (client, shutdown) = (client.clone(), shutdown.clone());
            tasks.spawn(async move {
                credentials::look(client, namespace, credentials::RELAY_SECRET, sender, shutdown).await;
                Ok(())
            });
        }
        let (read, shutdown) = (read.clone(), shutdown.clone());
        tasks.spawn(async move {
            let all = async {
                for content in &mut awaited {
                    // An error says that the keeper ended, and so the controller ends.
                    drop(content.wait_for(Option::is_some).await);
                }
                read.set(true);
            };
            shutdown.run_until_cancelled(all).await;
            shutdown.cancelled().await;
            Ok(())
        });
    }
}
