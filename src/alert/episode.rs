//! Episodes of an alert: completing events with no more than the quiet time between them. Each episode is a sum that
//! does not depend on the order of what was added, and two that a late finding bridges become one.

use std::{collections::BTreeMap, sync::Arc};

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::quiet_time;
use crate::{
    api::rule::Severity,
    correlate::{Contribution, Finding},
    detect::Evidence,
    record::RecordId,
    ruleset::CompiledRule,
};

/// How many contributing events are shown from each end of an episode.
pub const SHOWN: usize = 4;
/// Older episodes are one total.
const MAX_EPISODES: usize = 64;
/// Older episodes keep their times and counts, but no evidence.
const WITH_EVIDENCE: usize = 8;

/// A contributing event with the selector that it matched. Of two selectors the first one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Shown {
    pub selector: Arc<str>,
    /// Of the rule, which gives the captures' slots their meaning.
    pub generation: i64,
    pub evidence: Arc<Evidence>,
}

impl Shown {
    pub fn order(&self) -> (Timestamp, RecordId) {
        (self.evidence.at, self.evidence.id)
    }
}

/// What one selector brought to an episode.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// How often it happened: an event that was repeated counts as often.
    pub count: u64,
    /// None in an old episode.
    pub newest: Option<Shown>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episode {
    /// First and last completing event.
    pub start: Timestamp,
    pub end: Timestamp,
    /// Completing events.
    pub count: u64,
    /// Earliest and latest contributing event. The completing one of an Absence is its deadline, and counts here, too.
    pub first_seen: Timestamp,
    pub last_seen: Timestamp,
    pub severity: Severity,
    /// By selector name: a rule's edit may move the selectors' places.
    pub shares: BTreeMap<Arc<str>, Share>,
    /// The first and the last few contributing events, each sorted by (time, id). They overlap while there are few.
    pub earliest: Vec<Shown>,
    pub latest: Vec<Shown>,
}

impl Episode {
    /// An episode that consists of `finding` alone.
    fn of(finding: &Finding) -> Episode {
        let at = finding.completing.at;
        let mut episode = Episode {
            start: at,
            end: at,
            count: 0,
            first_seen: at,
            last_seen: at,
            severity: finding.rule.severity,
            shares: BTreeMap::new(),
            earliest: Vec::new(),
            latest: Vec::new(),
        };
        episode.add(finding);
        episode
    }

    fn add(&mut self, finding: &Finding) {
        let at = finding.completing.at;
        self.start = self.start.min(at);
        self.end = self.end.max(at);
        self.last_seen = self.last_seen.max(at);
        self.count += u64::from(finding.new);
        self.severity = self.severity.max(finding.rule.severity);
        for contribution in &finding.contributing {
            self.contribute(&finding.rule, contribution);
        }
    }

    fn contribute(&mut self, rule: &CompiledRule, contribution: &Contribution) {
        let Some(selector) = rule.selectors.get(contribution.selector) else { return };
        let evidence = contribution.evidence.clone();
        self.first_seen = self.first_seen.min(evidence.at);
        self.last_seen = self.last_seen.max(evidence.at);
        let shown = Shown { selector: selector.name.clone(), generation: rule.generation, evidence };
        show(&mut self.earliest, shown.clone());
        self.earliest.truncate(SHOWN);
        show(&mut self.latest, shown.clone());
        keep_last(&mut self.latest);
        let share = Share { count: shown.evidence.times.into(), newest: Some(shown) };
        add_share(&mut self.shares, selector.name.clone(), share);
    }

    /// Takes in all of `other`.
    fn absorb(&mut self, other: Episode) {
        let Episode { start, end, count, first_seen, last_seen, severity, shares, earliest, latest } = other;
        self.start = self.start.min(start);
        self.end = self.end.max(end);
        self.count += count;
        self.first_seen = self.first_seen.min(first_seen);
        self.last_seen = self.last_seen.max(last_seen);
        self.severity = self.severity.max(severity);
        for (selector, share) in shares {
            add_share(&mut self.shares, selector, share);
        }
        earliest.into_iter().for_each(|shown| show(&mut self.earliest, shown));
        self.earliest.truncate(SHOWN);
        latest.into_iter().for_each(|shown| show(&mut self.latest, shown));
        keep_last(&mut self.latest);
    }

    fn forget_evidence(&mut self) {
        self.earliest = Vec::new();
        self.latest = Vec::new();
        self.shares.values_mut().for_each(|share| share.newest = None);
    }

    /// When `quiet` has passed since its last completing event.
    pub fn quiet_from(&self, quiet: SignedDuration) -> Timestamp {
        self.end.checked_add(quiet).unwrap_or(Timestamp::MAX)
    }

    /// True when an event at `at` belongs to it.
    fn holds(&self, at: Timestamp, quiet: SignedDuration) -> bool {
        at <= self.quiet_from(quiet) && self.start <= at.checked_add(quiet).unwrap_or(Timestamp::MAX)
    }

    /// The first and the last few contributing events, in order, none twice.
    pub fn evidence(&self) -> Vec<&Shown> {
        let last = self.earliest.last().map(Shown::order);
        self.earliest.iter().chain(self.latest.iter().filter(|s| Some(s.order()) > last)).collect()
    }
}

/// Puts `shown` at its place; an event that is there already keeps the selector whose name sorts first.
fn show(list: &mut Vec<Shown>, shown: Shown) {
    match list.binary_search_by(|s| s.order().cmp(&shown.order())) {
        Ok(place) if shown.selector < list[place].selector => list[place] = shown,
        Ok(_) => {}
        Err(place) => list.insert(place, shown),
    }
}

fn keep_last(list: &mut Vec<Shown>) {
    let excess = list.len().saturating_sub(SHOWN);
    list.drain(..excess);
}

fn add_share(shares: &mut BTreeMap<Arc<str>, Share>, selector: Arc<str>, added: Share) {
    match shares.get_mut(&selector) {
        Some(share) => {
            share.count += added.count;
            let newer = added.newest.as_ref().map(Shown::order) > share.newest.as_ref().map(Shown::order);
            if newer {
                share.newest = added.newest;
            }
        }
        None => {
            shares.insert(selector, added);
        }
    }
}

/// What became of the episodes before those that are kept one by one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Past {
    /// Its last completing event.
    end: Timestamp,
    count: u64,
    first_seen: Timestamp,
}

/// All episodes of an alert; there is always one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Episodes {
    /// Oldest first, more than the quiet time apart. The last one is the current one.
    kept: Vec<Episode>,
    past: Option<Past>,
    /// How many episodes went into `past`.
    pub forgotten: u64,
}

impl Episodes {
    pub fn opened_by(first: &Finding) -> Episodes {
        Episodes { kept: vec![Episode::of(first)], past: None, forgotten: 0 }
    }

    /// False when `finding` only extends an episode that is not here.
    pub fn fold(&mut self, finding: &Finding) -> bool {
        let at = finding.completing.at;
        if let Some(past) = self.past.as_mut().filter(|past| at <= past.end) {
            past.count += u64::from(finding.new);
            let parts = finding.contributing.iter().map(|c| c.evidence.at);
            past.first_seen = parts.fold(past.first_seen.min(at), Timestamp::min);
            return true;
        }
        let quiet = quiet_time(&finding.rule);
        let first = self.kept.partition_point(|e| e.start <= at && !e.holds(at, quiet));
        let bridged = self.kept.iter().skip(first).take_while(|e| e.holds(at, quiet)).count();
        if bridged > 0 {
            let others: Vec<Episode> = self.kept.drain(first + 1..first + bridged).collect();
            let episode = &mut self.kept[first];
            others.into_iter().for_each(|other| episode.absorb(other));
            episode.add(finding);
        } else if finding.new {
            self.kept.insert(first, Episode::of(finding));
        } else {
            return false;
        }
        self.bound();
        true
    }

    fn bound(&mut self) {
        if self.kept.len() > MAX_EPISODES {
            let oldest = self.kept.remove(0);
            let before = self.past.take();
            self.past = Some(Past {
                end: oldest.end,
                count: oldest.count + before.as_ref().map_or(0, |p| p.count),
                first_seen: before.map_or(oldest.first_seen, |p| p.first_seen.min(oldest.first_seen)),
            });
            self.forgotten += 1;
        }
        let old = self.kept.len().saturating_sub(WITH_EVIDENCE);
        self.kept.iter_mut().take(old).filter(|e| !e.earliest.is_empty()).for_each(Episode::forget_evidence);
    }

    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// The newest completing event.
    pub fn newest_completion(&self) -> Timestamp {
        self.kept.iter().map(|e| e.end).max().unwrap_or(Timestamp::MIN)
    }

    pub fn current(&self) -> &Episode {
        self.kept
            .last()
            .expect("an alert is opened with an episode or made of parts with one, and none goes but by merging or from 65 down")
    }

    /// Newest first.
    pub fn newest_first(&self) -> impl Iterator<Item = &Episode> {
        self.kept.iter().rev()
    }

    pub fn total_count(&self) -> u64 {
        self.kept.iter().map(|e| e.count).sum::<u64>() + self.past.as_ref().map_or(0, |p| p.count)
    }

    pub fn total_first_seen(&self) -> Timestamp {
        let past = self.past.as_ref().map(|p| p.first_seen);
        self.kept.iter().map(|e| e.first_seen).chain(past).min().unwrap_or(self.current().first_seen)
    }

    pub fn total_last_seen(&self) -> Timestamp {
        self.kept.iter().map(|e| e.last_seen).max().unwrap_or(self.current().last_seen)
    }
}
