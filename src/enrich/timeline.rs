//! What an object was at any time: versions, each with its span. In: changes as they are learnt, roughly in order of time.
//! Out: the version that held at a time. Bounded: few versions an object, each gone after `KEEP`.

use std::collections::VecDeque;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

/// How long an ended version is kept for events that come late (delivery retries end after 4 min, collectors spool longer).
pub const KEEP: SignedDuration = SignedDuration::from_hours(1);

/// An object is learnt of a little after it exists, and at start all at once: until then its first version is taken to
/// have held this long already.
const HEAD_START: SignedDuration = SignedDuration::from_mins(5);

/// Versions of one object. A pod has about four in its life: created, scheduled, addressed, gone.
const MAX_VERSIONS: usize = 8;

#[derive(Clone, Debug, Serialize, Deserialize)]
struct Version<F> {
    facts: F,
    from: Timestamp,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    until: Option<Timestamp>,
}

/// Versions of one object, oldest first.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timeline<F> {
    versions: VecDeque<Version<F>>,
}

impl<F: PartialEq> Timeline<F> {
    pub fn new() -> Timeline<F> {
        Timeline { versions: VecDeque::new() }
    }

    /// `facts` hold from `at` on. Nothing changes when they hold already.
    pub fn set(&mut self, facts: F, at: Timestamp) {
        if self.versions.back().is_some_and(|last| last.until.is_none() && last.facts == facts) {
            return;
        }
        let from = self.end(at);
        self.versions.push_back(Version { facts, from, until: None });
        self.prune(at);
        while self.versions.len() > MAX_VERSIONS {
            self.versions.pop_front();
        }
    }

    /// Nothing holds from `at` on. Returns when that is: never before the last version began.
    pub fn end(&mut self, at: Timestamp) -> Timestamp {
        let Some(last) = self.versions.back_mut() else { return at };
        let end = at.max(last.from);
        last.until.get_or_insert(end);
        end
    }

    fn prune(&mut self, now: Timestamp) {
        let ended_long_ago = |v: &Version<F>| v.until.is_some_and(|until| is_forgotten(until, now));
        while self.versions.front().is_some_and(ended_long_ago) {
            self.versions.pop_front();
        }
    }

    pub fn is_live(&self) -> bool {
        self.versions.back().is_some_and(|v| v.until.is_none())
    }

    /// When the last version ended, if it did.
    pub fn ended(&self) -> Option<Timestamp> {
        self.versions.back()?.until
    }

    /// The version that held at `at`.
    pub fn held(&self, at: Timestamp) -> Option<&F> {
        self.versions.iter().rfind(|v| v.from <= at && v.until.is_none_or(|until| at < until)).map(|v| &v.facts)
    }

    /// The first version of which `is_it` is true, if that was learnt of soon after `at`.
    pub fn soon(&self, at: Timestamp, is_it: impl Fn(&F) -> bool) -> Option<&F> {
        let first = self.versions.iter().find(|v| is_it(&v.facts))?;
        let earliest = first.from.saturating_sub(HEAD_START).unwrap_or(first.from);
        (earliest <= at && at < first.from).then_some(&first.facts)
    }

    /// The version that held at `at`, or the nearest, however far: for a key that only ever names one object.
    pub fn nearest(&self, at: Timestamp) -> Option<&F> {
        let first = self.versions.front()?;
        if at < first.from { Some(&first.facts) } else { self.held(at).or_else(|| Some(&self.versions.back()?.facts)) }
    }

    pub fn facts(&self) -> impl Iterator<Item = &F> {
        self.versions.iter().map(|v| &v.facts)
    }
}

/// True when what ended at `until` need not be known any more at `now`.
pub fn is_forgotten(until: Timestamp, now: Timestamp) -> bool {
    now.duration_since(until) > KEEP
}
