//! What the store promises, on real files.

mod crash;
mod damage;
mod log;

use std::{path::Path, sync::Arc, thread::JoinHandle, time::Duration};

use serde_json::value::RawValue;

use super::*;
use crate::record::{
    IdKey, InventoryChange, NodeFacts, Origin, Payload, Provenance, Record, RecordId, RedactionFacts, RuleChange,
    RuleId,
};

/// An open store with its writer at work.
pub(super) struct Open {
    pub store: Store,
    pub appender: Appender,
    pub metrics: Metrics,
    pub page_limit: Arc<std::sync::atomic::AtomicU32>,
    writer: JoinHandle<()>,
}

impl Open {
    pub fn at(dir: &Path) -> Open {
        Open::with(StoreConfig::at(dir))
    }

    /// Partitions of 64 KiB, so that a few appends fill one.
    pub fn small(dir: &Path, retain_bytes: u64) -> Open {
        Open::with(StoreConfig { partition_bytes: 1, retain_bytes, ..StoreConfig::at(dir) })
    }

    pub fn with(config: StoreConfig) -> Open {
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (store, appender, writer) = Store::open(config, metrics.clone()).unwrap();
        let page_limit = writer.page_limit.clone();
        let writer = std::thread::spawn(move || writer.run());
        Open { store, appender, metrics, page_limit, writer }
    }

    /// Appends and expects all to be new.
    pub fn append(&self, records: Vec<Record>) -> Seq {
        let count = records.len() as u64;
        let appended = self.appender.append_blocking(records).unwrap();
        assert_eq!((appended.stored, appended.duplicates), (count, 0));
        appended.last_seq
    }

    /// Everything in the log.
    pub fn all(&self) -> Vec<(Seq, Record)> {
        let mut all: Vec<(Seq, Record)> = Vec::new();
        loop {
            let next = all.last().map_or(1, |(seq, _)| seq + 1);
            let more = self.store.read(next, 100_000).unwrap();
            if more.is_empty() {
                return all;
            }
            all.extend(more);
        }
    }

    pub fn close(self) {
        drop((self.store, self.appender));
        self.writer.join().unwrap();
    }
}

/// The audit event `number`, in about `size` bytes that don't compress.
pub(super) fn audit_of_size(number: u64, size: usize) -> Record {
    let mut noise = String::new();
    while noise.len() < size {
        noise
            .push_str(&RecordId::of(&IdKey::OFFLINE, &[&number.to_le_bytes(), &noise.len().to_le_bytes()]).to_string());
    }
    let event = format!(r#"{{"auditID":"{number}","noise":"{noise}","verb":"get"}}"#);
    Record {
        id: RecordId::of_audit(&IdKey::OFFLINE, "c", "a", &event),
        received_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        origin: Some(Origin { cluster: "c".into(), reporter: "a".into(), provenance: Provenance::AuditWebhook }),
        facts: RedactionFacts::default(),
        payload: Payload::Audit(RawValue::from_string(event).unwrap().into()),
    }
}

pub(super) fn audit(number: u64) -> Record {
    audit_of_size(number, 64)
}

/// The number that `audit` put in; `None` for other records.
pub(super) fn number_of(record: &Record) -> Option<u64> {
    let Payload::Audit(event) = &record.payload else { return None };
    let event: serde_json::Value = serde_json::from_str(event.get()).unwrap();
    event["auditID"].as_str()?.parse().ok()
}

pub(super) fn numbers(records: &[(Seq, Record)]) -> Vec<u64> {
    records.iter().filter_map(|(_, record)| number_of(record)).collect()
}

fn internal(id: &str, payload: Payload) -> Record {
    Record {
        id: RecordId::of(&IdKey::OFFLINE, &[id.as_bytes()]),
        received_at: "2026-01-01T00:00:00Z".parse().unwrap(),
        origin: None,
        facts: RedactionFacts::default(),
        payload,
    }
}

pub(super) fn node(name: &str, address: &str) -> Record {
    let facts = NodeFacts { name: name.into(), addresses: vec![address.into()] };
    internal(&format!("{name}{address}"), Payload::Inventory(InventoryChange::Node(facts)))
}

pub(super) fn node_gone(name: &str) -> Record {
    internal(name, Payload::Inventory(InventoryChange::NodeGone { name: name.into() }))
}

pub(super) fn rule_removed(name: &str) -> Record {
    internal(name, Payload::Rule(RuleChange::Removed { rule: RuleId::cluster(name) }))
}

/// Nodes that stand, as name and address.
pub(super) fn standing_nodes(store: &Store) -> Vec<(String, String)> {
    let node = |record: Record| match record.payload {
        Payload::Inventory(InventoryChange::Node(node)) => (node.name, node.addresses.join(",")),
        other => panic!("not a node: {other:?}"),
    };
    store.standing().unwrap().into_iter().map(node).collect()
}

pub(super) const PATIENCE: Duration = Duration::from_secs(20);
