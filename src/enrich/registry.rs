//! Objects of one kind with their timelines and an index by name and address. In: changes. Out: look-ups as of a time.
//! Bounded: live objects, gone objects and objects behind one key each have a limit; what is turned away is counted.

use std::{collections::HashSet, net::IpAddr, sync::Arc};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::timeline::{Timeline, is_forgotten};
use crate::shared::{Copied, Map, Shared};

/// What an object can be found by, besides its own key. Several objects can share one, at a time or one after another.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Handle {
    Address(IpAddr),
    Name {
        namespace: String,
        name: String,
    },
    /// A service account that has a pod in the network of the node.
    HostAccount {
        node: String,
        namespace: String,
        account: String,
    },
}

/// Facts that can be found by handles.
pub trait Findable: PartialEq {
    fn handles(&self) -> Vec<Handle>;
}

/// Objects behind one handle: a crash-looping StatefulSet takes one name with many uids in an hour.
const MAX_BEHIND_HANDLE: usize = 64;

/// An object's key, and what it was when.
type Object<F> = (Arc<str>, Timeline<F>);
/// The keys behind a handle, the one that was learnt of last at the end.
type Behind = (Handle, Vec<Arc<str>>);

#[derive(Clone, Debug)]
pub struct Registry<F> {
    max_live: usize,
    max_gone: usize,
    objects: Map<Arc<str>, Timeline<F>>,
    index: Map<Handle, Vec<Arc<str>>>,
    live: usize,
    /// In the order in which they went.
    gone: Shared<(Timestamp, Arc<str>)>,
    overflow: u64,
}

/// A registry as it stood at one moment, but for the limits and the counter.
#[derive(Debug)]
pub struct KeptRegistry<F> {
    objects: Copied<Object<F>>,
    index: Copied<Behind>,
    gone: Shared<(Timestamp, Arc<str>)>,
}

/// A part of a registry, to make it again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Part<F> {
    Object(Arc<Object<F>>),
    /// A handle that several objects share.
    Shared(Arc<Behind>),
    /// In the order in which they went.
    Gone(Timestamp, Arc<str>),
}

impl<F> KeptRegistry<F> {
    /// All of it, objects first.
    pub fn parts(&self) -> impl Iterator<Item = Part<F>> {
        let objects = self.objects.iter().map(|object| Part::Object(Arc::clone(object)));
        let shared = self.index.iter().filter(|behind| behind.1.len() > 1);
        let shared = shared.map(|behind| Part::Shared(Arc::clone(behind)));
        let gone = self.gone.iter().map(|(until, key)| Part::Gone(*until, Arc::clone(key)));
        objects.chain(shared).chain(gone)
    }
}

impl<F: Findable + Clone> Registry<F> {
    pub fn new(max_live: usize, max_gone: usize) -> Registry<F> {
        Registry {
            max_live,
            max_gone,
            objects: Map::default(),
            index: Map::default(),
            live: 0,
            gone: Shared::default(),
            overflow: 0,
        }
    }

    /// All of it as it is now; it copies no object.
    pub fn keep(&self) -> KeptRegistry<F> {
        KeptRegistry { objects: self.objects.copied(), index: self.index.copied(), gone: self.gone.clone() }
    }

    /// Takes a part of another registry in. An object over the limit is turned away and counted.
    pub fn put(&mut self, part: Part<F>) {
        match part {
            Part::Object(object) if object.1.is_live() && self.live >= self.max_live => self.overflow += 1,
            Part::Object(object) => {
                let (key, timeline) = Arc::unwrap_or_clone(object);
                self.live += usize::from(timeline.is_live());
                self.reindex(&key, &HashSet::new(), &handles(&timeline));
                self.objects.insert(key, timeline);
            }
            Part::Shared(behind) => {
                let (handle, mut keys) = Arc::unwrap_or_clone(behind);
                keys.retain(|key| self.objects.get(key).is_some());
                if !keys.is_empty() && keys.len() <= MAX_BEHIND_HANDLE {
                    self.index.insert(handle, keys);
                }
            }
            Part::Gone(until, key) => self.gone.push((until, key)),
        }
    }

    pub fn live(&self) -> usize {
        self.live
    }

    /// Changes turned away because there were too many objects.
    pub fn overflow(&self) -> u64 {
        self.overflow
    }

    /// `facts` of the object `key` hold from `at` on.
    pub fn set(&mut self, key: &str, facts: F, at: Timestamp) {
        self.forget(at);
        let was_live = self.objects.get(key).is_some_and(|t| t.is_live());
        if key.is_empty() || (!was_live && self.live >= self.max_live) {
            self.overflow += u64::from(!key.is_empty());
            return;
        }
        if self.objects.get(key).is_none() {
            self.objects.insert(Arc::from(key), Timeline::new());
        }
        let Some((key, timeline)) = self.objects.entry_mut(key) else { return };
        let before = handles(timeline);
        timeline.set(facts, at);
        let (key, after) = (Arc::clone(key), handles(timeline));
        self.reindex(&key, &before, &after);
        self.live += usize::from(!was_live);
    }

    /// The object `key` is gone from `at` on.
    pub fn end(&mut self, key: &str, at: Timestamp) {
        self.forget(at);
        let Some((key, timeline)) = self.objects.entry_mut(key) else { return };
        let was_live = timeline.is_live();
        let (until, key) = (timeline.end(at), Arc::clone(key));
        if was_live {
            self.live -= 1;
            self.gone.push((until, key));
            self.forget(at);
        }
    }

    /// Drops what went long ago, or first, when too many went.
    fn forget(&mut self, now: Timestamp) {
        while let Some((until, _)) = self.gone.get(0) {
            if !is_forgotten(*until, now) && self.gone.len() <= self.max_gone {
                return;
            }
            let Some((until, key)) = self.gone.pop() else { return };
            // It may have come back meanwhile, and gone again (a node of the same name).
            if self.objects.get(&key).is_some_and(|t| t.ended() == Some(until))
                && let Some(object) = self.objects.remove(&key)
            {
                self.reindex(&key, &handles(&object.1), &HashSet::new());
            }
        }
    }

    fn reindex(&mut self, key: &Arc<str>, before: &HashSet<Handle>, after: &HashSet<Handle>) {
        for handle in before.difference(after) {
            if let Some(keys) = self.index.get_mut(handle) {
                keys.retain(|k| k != key);
                if keys.is_empty() {
                    self.index.remove(handle);
                }
            }
        }
        for handle in after.difference(before) {
            let Some(keys) = self.index.get_mut(handle) else {
                self.index.insert(handle.clone(), vec![Arc::clone(key)]);
                continue;
            };
            if keys.len() >= MAX_BEHIND_HANDLE {
                keys.remove(0);
                self.overflow += 1;
            }
            keys.push(Arc::clone(key));
        }
    }

    /// By its own key, which names one object for ever: the version of `at`, or the nearest.
    pub fn by_key(&self, key: &str, at: Timestamp) -> Option<&F> {
        self.objects.get(key)?.nearest(at)
    }

    /// The objects that had `handle` at `at`; when none had, those that were seen with it soon after.
    pub fn by_handle(&self, handle: &Handle, at: Timestamp) -> Vec<&F> {
        let has_it = |facts: &F| facts.handles().contains(handle);
        let behind = || {
            let keys = self.index.get(handle).map(Vec::as_slice).unwrap_or_default();
            keys.iter().filter_map(|key| self.objects.get(key))
        };
        let held: Vec<&F> = behind().filter_map(|t| t.held(at).filter(|f| has_it(f))).collect();
        if held.is_empty() { behind().filter_map(|t| t.soon(at, has_it)).collect() } else { held }
    }
}

fn handles<F: Findable>(timeline: &Timeline<F>) -> HashSet<Handle> {
    timeline.facts().flat_map(Findable::handles).collect()
}
