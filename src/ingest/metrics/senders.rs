//! Who spoke last and when, so that silence shows: API servers by their credential, nodes by the token of their collector.
//! Bounded by the credentials and by the nodes that exist.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use jiff::Timestamp;
use prometheus::{Gauge, GaugeVec, IntGaugeVec};

use crate::telemetry::Series;

/// API servers with a series of their own; the others share one, named [`OTHER`].
const MOST_APISERVERS: usize = 256;
const OTHER: &str = "other";
/// Collectors ask for their sources every ten seconds, and retry at most every ten minutes.
const HEARD: Duration = Duration::from_secs(300);
const NODES: [&str; 3] = ["Heard", "Silent", "Never"];

/// Cluster and name.
type ApiServer = (Arc<str>, Arc<str>);

#[derive(Clone)]
pub(in crate::ingest) struct Senders {
    last_event: GaugeVec,
    clock_offset: GaugeVec,
    nodes: IntGaugeVec,
    /// With a series of their own, and whether a credential names them.
    apiservers: Arc<Mutex<BTreeMap<ApiServer, bool>>>,
    heard: Arc<Mutex<HashMap<Arc<str>, Instant>>>,
}

impl Senders {
    pub(super) fn register(series: &Series<'_>) -> prometheus::Result<Senders> {
        let last_event = GaugeVec::new(
            series.opts(
                "apiserver_last_event_timestamp_seconds",
                "When the last audit event of an API server was stored, in seconds since 1970; 0 before the first since the \
                 start. One for each API server that has a credential, here or with a relay, or whose audit log is read; the \
                 257th and further as `other`.",
            ),
            &["cluster", "apiserver"],
        )?;
        series.registry.register(Box::new(last_event.clone()))?;
        let clock_offset = GaugeVec::new(
            series.opts(
                "apiserver_clock_offset_seconds",
                "The stamp of the last event in an API server's last batch, less the controller's clock when it came: above 0, \
                 the API server's clock is ahead; below, it is behind, or the batch was on its way for so long. 0 before the first, \
                 and for those that send by a relay or are read from their log: these have the clock of their node, which \
                 `kubewitness_collector_clock_offset_seconds` shows.",
            ),
            &["cluster", "apiserver"],
        )?;
        series.registry.register(Box::new(clock_offset.clone()))?;
        let nodes = IntGaugeVec::new(
            series.opts(
                "nodes",
                "Nodes of the cluster by their collector: Heard within five minutes, Silent (heard before), Never (not \
                 since the start).",
            ),
            &["collector"],
        )?;
        NODES.iter().for_each(|label| nodes.with_label_values(&[label]).set(0));
        series.registry.register(Box::new(nodes.clone()))?;
        Ok(Senders { last_event, clock_offset, nodes, apiservers: Arc::default(), heard: Arc::default() })
    }

    /// Every API server that a credential names has a series from now on, and those that none names any more have none.
    pub(in crate::ingest) fn expect(&self, named: &[ApiServer]) {
        let mut known = self.apiservers.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|apiserver, by_credential| {
            let stays = !*by_credential || named.contains(apiserver);
            let gone = if stays { [None, None] } else { [&self.last_event, &self.clock_offset].map(Some) };
            for gauges in gone.into_iter().flatten() {
                if gauges.remove_label_values(&[&apiserver.0, &apiserver.1]).is_err() {
                    tracing::debug!("an API server that was expected had no series");
                }
            }
            stays
        });
        for apiserver in named {
            if self.gauges_of(&mut known, apiserver, true).0.get() == 0.0 {
                tracing::debug!(cluster = &*apiserver.0, apiserver = &*apiserver.1, "nothing came yet");
            }
        }
    }

    /// An event of this API server is on stable storage.
    pub(in crate::ingest) fn stored(&self, cluster: &Arc<str>, apiserver: &Arc<str>, now: Timestamp) {
        let mut known = self.apiservers.lock().unwrap_or_else(PoisonError::into_inner);
        let (last_event, _) = self.gauges_of(&mut known, &(cluster.clone(), apiserver.clone()), false);
        last_event.set(now.as_millisecond() as f64 / 1000.0);
    }

    /// An API server stamped an event that came now.
    pub(in crate::ingest) fn stamped(
        &self,
        cluster: &Arc<str>,
        apiserver: &Arc<str>,
        stamped: Timestamp,
        now: Timestamp,
    ) {
        let mut known = self.apiservers.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, clock_offset) = self.gauges_of(&mut known, &(cluster.clone(), apiserver.clone()), false);
        clock_offset.set(stamped.duration_since(now).as_secs_f64());
    }

    /// When its last event came, and how its clock stands.
    fn gauges_of(
        &self,
        known: &mut BTreeMap<ApiServer, bool>,
        apiserver: &ApiServer,
        by_credential: bool,
    ) -> (Gauge, Gauge) {
        let room = known.len() < MOST_APISERVERS;
        match known.get_mut(apiserver) {
            Some(named) => *named |= by_credential,
            None if room => drop(known.insert(apiserver.clone(), by_credential)),
            None => return self.labelled([OTHER, OTHER]),
        }
        self.labelled([&*apiserver.0, &*apiserver.1])
    }

    fn labelled(&self, labels: [&str; 2]) -> (Gauge, Gauge) {
        (self.last_event.with_label_values(&labels), self.clock_offset.with_label_values(&labels))
    }

    /// The collector of this node showed a good token.
    pub(in crate::ingest) fn heard(&self, node: &Arc<str>, now: Instant) {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner).insert(node.clone(), now);
    }

    /// Counts the nodes that exist, and forgets the others.
    pub(in crate::ingest) fn count<'n>(&self, nodes: impl Iterator<Item = &'n str>, now: Instant) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        let mut old = std::mem::take(&mut *heard);
        let mut counts = [0i64; 3];
        for node in nodes {
            let [recent, silent, never] = &mut counts;
            match old.remove_entry(node) {
                None => *never += 1,
                Some((node, at)) => {
                    *(if now.saturating_duration_since(at) <= HEARD { recent } else { silent }) += 1;
                    heard.insert(node, at);
                }
            }
        }
        for (label, count) in NODES.iter().zip(counts) {
            self.nodes.with_label_values(&[label]).set(count);
        }
    }
}

#[cfg(test)]
mod tests {
    use prometheus::{Registry, TextEncoder};

    use super::*;

    fn senders() -> (Registry, Senders) {
        let registry = Registry::new();
        let senders = Senders::register(&Series { registry: &registry, part: "ingest" }).unwrap();
        (registry, senders)
    }

    fn lines(registry: &Registry, metric: &str) -> Vec<String> {
        let text = TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
        let prefix = format!("kubewitness_ingest_{metric}{{");
        text.lines().filter_map(|line| line.strip_prefix(&prefix)).map(str::to_owned).collect()
    }

    fn named(name: &str) -> ApiServer {
        ("prod".into(), name.into())
    }

    #[test]
    fn an_api_server_with_a_credential_has_a_series_before_it_speaks_and_none_after_the_credential_is_gone() {
        let (registry, senders) = senders();
        let apiservers = || lines(&registry, "apiserver_last_event_timestamp_seconds");
        senders.expect(&[named("cp-1"), named("cp-2")]);
        let two = [r#"apiserver="cp-1",cluster="prod"} 0"#, r#"apiserver="cp-2",cluster="prod"} 0"#];
        assert_eq!(apiservers(), two);
        senders.stored(&"prod".into(), &"cp-2".into(), Timestamp::from_second(12).unwrap());
        // By a client certificate, which no list names.
        senders.stored(&"prod".into(), &"cp-3".into(), Timestamp::from_second(13).unwrap());
        senders.stamped(
            &"prod".into(),
            &"cp-2".into(),
            Timestamp::from_second(15).unwrap(),
            Timestamp::from_millisecond(11_500).unwrap(),
        );
        senders.expect(&[named("cp-2")]);
        let clocks = [r#"apiserver="cp-2",cluster="prod"} 3.5"#, r#"apiserver="cp-3",cluster="prod"} 0"#];
        assert_eq!(lines(&registry, "apiserver_clock_offset_seconds"), clocks);
        let left = [r#"apiserver="cp-2",cluster="prod"} 12"#, r#"apiserver="cp-3",cluster="prod"} 13"#];
        assert_eq!(apiservers(), left);
    }

    #[test]
    fn more_api_servers_than_any_cluster_has_share_a_series() {
        let (registry, senders) = senders();
        let many: Vec<_> = (0..MOST_APISERVERS + 9).map(|n| named(&format!("cp-{n}"))).collect();
        senders.expect(&many);
        let lines = lines(&registry, "apiserver_last_event_timestamp_seconds");
        assert_eq!(lines.len(), MOST_APISERVERS + 1);
        assert_eq!(lines.iter().filter(|line| line.starts_with(r#"apiserver="other""#)).count(), 1);
    }

    #[test]
    fn a_node_is_heard_then_silent_and_forgotten_when_it_is_gone() {
        let (registry, senders) = senders();
        let start = Instant::now();
        let nodes = || lines(&registry, "nodes");
        let shown = |heard, silent, never| {
            [("Heard", heard), ("Never", never), ("Silent", silent)].map(|(l, n)| format!("collector=\"{l}\"}} {n}"))
        };
        assert_eq!(nodes(), shown(0, 0, 0));
        senders.heard(&"a".into(), start);
        senders.heard(&"b".into(), start);
        senders.count(["a", "b", "c"].into_iter(), start + HEARD);
        assert_eq!(nodes(), shown(2, 0, 1));
        senders.heard(&"b".into(), start + HEARD);
        senders.count(["a", "b", "c"].into_iter(), start + HEARD * 2);
        assert_eq!(nodes(), shown(1, 1, 1));
        senders.count(["b"].into_iter(), start + HEARD * 2);
        senders.count(["a", "b"].into_iter(), start + HEARD * 2);
        assert_eq!(nodes(), shown(1, 0, 1), "a node that comes back begins anew");
    }
}
