//! Which API servers send by a relay, so that one that is silent from the start is missed.
//! In: the credentials that relays check, YAML. Out: cluster and name, as their events are stored. They open no door here.

use std::sync::Arc;

use super::{Content, Metrics, credentials::Credentials};

/// Cluster and name.
type ApiServer = (Arc<str>, Arc<str>);

pub(super) struct Relayed {
    /// Of the collectors, and so of what comes by them, whatever the path of the webhook says.
    cluster: Arc<str>,
    secrets: Vec<(Content, Vec<ApiServer>)>,
}

impl Relayed {
    pub(super) fn new(contents: Vec<Content>, cluster: Arc<str>) -> Relayed {
        Relayed { cluster, secrets: contents.into_iter().map(|content| (content, Vec::new())).collect() }
    }

    /// As the credentials are now; those of a Secret that has become wrong stay, which is counted and logged.
    pub(super) fn apiservers(&mut self, metrics: &Metrics) -> impl Iterator<Item = ApiServer> {
        for (content, named) in &mut self.secrets {
            if !content.has_changed().unwrap_or(false) {
                continue;
            }
            let yaml = content.borrow_and_update().clone().unwrap_or_default();
            match parse(&yaml, &self.cluster) {
                Ok(now) => *named = now,
                Err(error) => {
                    metrics.reload_failures.inc();
                    tracing::warn!(%error, "credentials of relays are not usable, the last good ones say whom to expect");
                }
            }
        }
        self.secrets.iter().flat_map(|(_, named)| named).cloned()
    }
}

/// None before the first is issued.
fn parse(yaml: &[u8], cluster: &Arc<str>) -> Result<Vec<ApiServer>, super::CredentialsError> {
    if yaml.trim_ascii().is_empty() {
        return Ok(Vec::new());
    }
    let credentials = Credentials::parse(&String::from_utf8_lossy(yaml))?;
    Ok(credentials.apiservers().into_iter().map(|(_, apiserver)| (cluster.clone(), apiserver)).collect())
}

#[cfg(test)]
mod tests {
    use prometheus::Registry;
    use tokio::sync::watch;

    use super::*;

    #[test]
    fn those_of_the_last_good_credentials_are_expected_in_the_cluster_of_the_collectors() {
        let (secret, content) = watch::channel(None);
        let (_other, empty) = watch::channel(None);
        let metrics = Metrics::register(&Registry::new()).unwrap();
        let mut relayed = Relayed::new(vec![content, empty], "prod".into());
        let named = |relayed: &mut Relayed| {
            relayed.apiservers(&metrics).map(|(cluster, name)| format!("{cluster}/{name}")).collect::<Vec<_>>()
        };
        let yaml = |name: &str| {
            let hash = "ab".repeat(32);
            Some(Arc::from(
                format!("credentials:\n- {{cluster: other, apiserver: {name}, tokenSHA256: {hash}}}\n").as_bytes(),
            ))
        };
        assert_eq!(named(&mut relayed), [""; 0]);
        for (text, expected, failures) in [
            (yaml("cp-1"), &["prod/cp-1"][..], 0),
            (yaml("cp-2"), &["prod/cp-2"], 0),
            (Some(Arc::from(&b"credentials: [{}]"[..])), &["prod/cp-2"], 1),
            (Some(Arc::from(&b""[..])), &[], 1),
        ] {
            secret.send_replace(text);
            assert_eq!(named(&mut relayed), expected);
            assert_eq!(named(&mut relayed), expected);
            assert_eq!(metrics.reload_failures.get(), failures, "each is told of once");
        }
    }
}
