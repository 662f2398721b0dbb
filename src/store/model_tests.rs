//! The log against a model that is plain enough to be right: any order of appends, repetitions, changes and reopenings.

use std::collections::{BTreeMap, HashSet};

use proptest::prelude::*;

use super::fixture::{Open, audit, node, node_gone, standing_nodes};
use crate::record::{Record, RecordId};

#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Entry>),
    Reopen,
}

#[derive(Debug, Clone)]
enum Entry {
    Audit(u64),
    Node(u8, u8),
    Gone(u8),
}

/// What the log must hold after the steps so far.
#[derive(Default)]
struct Model {
    log: Vec<RecordId>,
    seen: HashSet<RecordId>,
    nodes: BTreeMap<String, String>,
}

impl Model {
    /// Takes in a record; true when it is to be stored.
    fn take(&mut self, entry: &Entry) -> bool {
        let record = entry.record();
        let stored = match entry {
            Entry::Node(name, address) => {
                let address = address.to_string();
                self.nodes.insert(format!("n{name}"), address.clone()) != Some(address)
            }
            Entry::Gone(name) => self.nodes.remove(&format!("n{name}")).is_some() || !self.seen.contains(&record.id),
            Entry::Audit(_) => !self.seen.contains(&record.id),
        };
        if stored {
            self.log.push(record.id);
            self.seen.insert(record.id);
        }
        stored
    }
}

impl Entry {
    fn record(&self) -> Record {
        match self {
            Entry::Audit(number) => audit(*number),
            Entry::Node(name, address) => node(&format!("n{name}"), &address.to_string()),
            Entry::Gone(name) => node_gone(&format!("n{name}")),
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let entry = prop_oneof![
        (0..20u64).prop_map(Entry::Audit),
        (0..3u8, 0..3u8).prop_map(|(name, address)| Entry::Node(name, address)),
        (0..3u8).prop_map(Entry::Gone),
    ];
    let append = prop::collection::vec(entry, 0..8).prop_map(Step::Append);
    prop::collection::vec(prop_oneof![4 => append, 1 => Just(Step::Reopen)], 1..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]

    #[test]
    fn log_agrees_with_a_model(steps in steps()) {
        let dir = tempfile::tempdir().unwrap();
        let mut open = Open::at(dir.path());
        let mut model = Model::default();
        for step in steps {
            match step {
                Step::Append(entries) => {
                    let stored = entries.iter().filter(|entry| model.take(entry)).count() as u64;
                    let records = entries.iter().map(Entry::record).collect::<Vec<_>>();
                    let appended = open.appender.append_blocking(records).unwrap();
                    prop_assert_eq!(appended.stored, stored);
                    prop_assert_eq!(appended.stored + appended.duplicates, entries.len() as u64);
                    prop_assert_eq!(appended.last_seq, model.log.len() as u64);
                }
                Step::Reopen => {
                    open.close();
                    open = Open::at(dir.path());
                }
            }
            let log: Vec<_> = open.all().into_iter().map(|(seq, record)| (seq, record.id)).collect();
            let expected: Vec<_> = (1..).zip(model.log.iter().copied()).collect();
            prop_assert_eq!(log, expected);
            let nodes: BTreeMap<_, _> = standing_nodes(&open.store).into_iter().collect();
            prop_assert_eq!(&nodes, &model.nodes);
        }
        open.close();
    }
}
