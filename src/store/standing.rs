//! The standing records: the newest word on each rule, node and pod. In: lines as they are committed. Out: what a new
//! partition begins with, so that dropping old partitions loses none of it. Never grows past its limits.

use std::{collections::BTreeMap, sync::Arc};

use super::{
    append::{Change, Line},
    block::Hash,
};
use crate::record::{Record, RecordId};

/// Most objects kept: a cluster at Kubernetes' stated limit has 5,000 nodes and 150,000 pods.
const MOST: usize = 200_000;
/// Most bytes of their records, within the 256 MiB that the process may take.
const MOST_BYTES: usize = 64 << 20;

/// An object's newest record.
#[derive(Clone)]
pub(super) struct Standing {
    pub id: RecordId,
    pub json: Arc<[u8]>,
    pub content: Hash,
}

/// All standing records by their key.
#[derive(Default)]
pub(super) struct StandingSet {
    by_key: BTreeMap<String, Standing>,
    bytes: usize,
    /// Some objects found no place, so that absence proves nothing.
    overflowed: bool,
}

/// What a change means to the set.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It says something new.
    New,
    /// It repeats what stands.
    Repeated,
    /// It ends what does not stand: judged by its id, as other records are.
    ById,
}

impl StandingSet {
    /// Judges `change` where `pending` are the later ones of the same commit: content, or `None` once gone.
    pub fn judge(&self, change: &Change, pending: Option<&Option<Hash>>) -> Verdict {
        let standing = match pending {
            Some(content) => *content,
            None => self.by_key.get(&change.key).map(|standing| standing.content),
        };
        match (standing, change.ends) {
            (None, true) if !self.overflowed => Verdict::ById,
            (Some(content), false) if content == change.content => Verdict::Repeated,
            (None | Some(_), _) => Verdict::New,
        }
    }

    /// Takes a committed line in; false when it found no place.
    pub fn apply(&mut self, line: &Line) -> bool {
        let Some(change) = &line.change else { return true };
        if let Some(old) = self.by_key.remove(&change.key) {
            self.bytes -= old.json.len();
        }
        if change.ends {
            return true;
        }
        // Rules and triage are bounded elsewhere and few; only pods and nodes can be too many.
        let inventory = change.key.starts_with("pod/") || change.key.starts_with("node/");
        if inventory && (self.by_key.len() >= MOST || self.bytes + line.json.len() > MOST_BYTES) {
            self.overflowed = true;
            return false;
        }
        self.bytes += line.json.len();
        let standing = Standing { id: line.id, json: line.json.as_slice().into(), content: change.content };
        self.by_key.insert(change.key.clone(), standing);
        true
    }

    /// What a new partition begins with, in the order of the keys.
    pub fn lines(&self) -> Vec<Line> {
        let line = |(key, standing): (&String, &Standing)| Line {
            id: standing.id,
            json: standing.json.to_vec(),
            source: None,
            change: Some(Change { key: key.clone(), content: standing.content, ends: false }),
        };
        self.by_key.iter().map(line).collect()
    }

    pub fn values(&self) -> Vec<Standing> {
        self.by_key.values().cloned().collect()
    }
}

impl Standing {
    pub fn record(&self) -> serde_json::Result<Record> {
        serde_json::from_slice(&self.json)
    }
}
