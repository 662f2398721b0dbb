//! Findings -> alerts: one alert per rule and key, whatever the order of findings, restarts or replays. In: `Finding`s.
//! Out: `Alert`s, and what their SecurityAlert objects say. Episodes follow event time, so that late findings merge
//! what they bridge. Text of strangers is shown on one line, without anything that could fool a reader. Never reads a
//! clock and never writes to a cluster.

mod book;
mod episode;
mod status;
mod wording;

#[cfg(test)]
mod tests;

use std::{fmt, sync::Arc};

use data_encoding::BASE32_NOPAD;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

pub use book::{AlertBook, BookConfig, BookCounters};

use crate::{
    api::{alert::AlertState, rule::Severity},
    correlate::Finding,
    detect::Key,
    record::{RuleId, Seq},
    ruleset::{CompiledDetection, CompiledRule},
};
use episode::{Episode, Episodes};

/// Name of the SecurityAlert object, and so the identity of an alert.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AlertId(Arc<str>);

impl AlertId {
    pub fn of(rule: &RuleId, key: &Key) -> AlertId {
        AlertId(alert_name(rule, key).into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// 63 for a DNS-1123 label, less the dash and 16 digits of the hash.
const MAX_RULE_PART: usize = 46;

/// `<rule name, cut>-<80 bits of SHA-256 in base32>`: a DNS-1123 label, the same after every restart and replay.
///
/// The hash is over rule kind, namespace, name and the key's values, each with its length before it, so that no two
/// alerts can be made to share a name.
pub fn alert_name(rule: &RuleId, key: &Key) -> String {
    let mut hash = Sha256::new();
    let scope = [rule.kind.as_str(), &rule.namespace, &rule.name];
    for part in scope.into_iter().chain(key.iter().map(AsRef::as_ref)) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let label = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    let cut: String = rule.name.chars().map(label).take(MAX_RULE_PART).collect();
    let digest: Vec<u8> = hash.finalize().iter().take(10).copied().collect();
    let digits = BASE32_NOPAD.encode(&digest).to_ascii_lowercase();
    match cut.trim_matches('-') {
        "" => format!("rule-{digits}"),
        cut => format!("{cut}-{digits}"),
    }
}

/// The findings of one rule and key.
#[derive(Debug, Clone)]
pub struct Alert {
    pub id: AlertId,
    /// The version of the rule that found last.
    pub rule: Arc<CompiledRule>,
    pub key: Key,
    episodes: Episodes,
    /// Log positions of all contributing records, ascending; kept on request.
    contributions: Option<Vec<Seq>>,
}

/// What an alert is made again from. The rule is the place in a list that the writer keeps.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct AlertPart {
    pub rule: u32,
    pub key: Key,
    episodes: Episodes,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    contributions: Option<Vec<Seq>>,
}

impl Alert {
    pub fn part(&self, rule: u32) -> AlertPart {
        AlertPart {
            rule,
            key: self.key.clone(),
            episodes: self.episodes.clone(),
            contributions: self.contributions.clone(),
        }
    }

    /// None when `part` has no episode, which no alert is without.
    pub fn of_part(part: AlertPart, rule: Arc<CompiledRule>) -> Option<Alert> {
        let AlertPart { rule: _, key, episodes, contributions } = part;
        let id = AlertId::of(&rule.id, &key);
        (!episodes.is_empty()).then_some(Alert { id, rule, key, episodes, contributions })
    }

    fn new(id: AlertId, first: &Finding, keep_contributions: bool) -> Alert {
        Alert {
            id,
            rule: first.rule.clone(),
            key: first.key.clone(),
            episodes: Episodes::opened_by(first),
            contributions: keep_contributions.then(|| first.seqs().fold(Vec::new(), with_seq)),
        }
    }

    /// False when `finding` only extends an episode that is not here.
    fn fold(&mut self, finding: &Finding) -> bool {
        if !self.episodes.fold(finding) {
            return false;
        }
        self.rule = finding.rule.clone();
        self.contributions = self.contributions.take().map(|seqs| finding.seqs().fold(seqs, with_seq));
        true
    }

    fn current(&self) -> &Episode {
        self.episodes.current()
    }

    /// Completing events of the current episode.
    pub fn count(&self) -> u64 {
        self.current().count
    }

    /// Completing events of all episodes.
    pub fn total_count(&self) -> u64 {
        self.episodes.total_count()
    }

    /// Earliest contributing event of the current episode.
    pub fn first_seen(&self) -> Timestamp {
        self.current().first_seen
    }

    /// Latest contributing event of the current episode; of an Absence, the latest deadline.
    pub fn last_seen(&self) -> Timestamp {
        self.current().last_seen
    }

    /// Earliest contributing event of all episodes.
    pub fn total_first_seen(&self) -> Timestamp {
        self.episodes.total_first_seen()
    }

    /// Latest contributing event of all episodes.
    pub fn total_last_seen(&self) -> Timestamp {
        self.episodes.total_last_seen()
    }

    /// The worst that the rule said during the current episode.
    pub fn severity(&self) -> Severity {
        self.current().severity
    }

    /// One sentence for people: the rule's summary, filled from the current episode. `{SELECTOR.count}` are the
    /// contributing matches of that selector in it; a field is that of its newest contributing match.
    pub fn summary(&self) -> String {
        wording::summary(self)
    }

    /// Who or what it is about: the key's values, or else who did what in the newest contributing event.
    pub fn subject(&self) -> String {
        wording::subject(self)
    }

    /// When the rule's quiet time has passed since the last completing event.
    pub fn resolves_at(&self) -> Timestamp {
        self.current().quiet_from(quiet_time(&self.rule))
    }

    /// Resolved behind `resolves_at`.
    pub fn state_at(&self, now: Timestamp, acknowledged: bool) -> AlertState {
        if now > self.resolves_at() {
            AlertState::Resolved
        } else if acknowledged {
            AlertState::Acknowledged
        } else {
            AlertState::Open
        }
    }

    /// Episodes that are no longer kept one by one, only in the totals.
    pub fn forgotten_episodes(&self) -> u64 {
        self.episodes.forgotten
    }

    /// Log positions of all contributing records, ascending; empty unless the book keeps them.
    pub fn contributions(&self) -> &[Seq] {
        self.contributions.as_deref().unwrap_or_default()
    }

    /// The namespace of the object: the tenant's for a SecurityRule; None stands for the controller's own.
    pub fn namespace(&self) -> Option<&str> {
        Some(&*self.rule.id.namespace).filter(|namespace| !namespace.is_empty())
    }
}

impl Finding {
    fn seqs(&self) -> impl Iterator<Item = Seq> {
        self.contributing.iter().map(|c| c.evidence.seq)
    }
}

fn with_seq(mut seqs: Vec<Seq>, seq: Seq) -> Vec<Seq> {
    if let Err(place) = seqs.binary_search(&seq) {
        seqs.insert(place, seq);
    }
    seqs
}

/// How long an episode outlives its last completing event: the rule's `resolveAfter`, and never less than its window.
/// Else one event could take part in two episodes, and which of them has it would hang on the order of arrival.
pub fn quiet_time(rule: &CompiledRule) -> SignedDuration {
    let window = match &rule.detection {
        // Each finding consists of one event.
        CompiledDetection::Match | CompiledDetection::Absence { .. } | CompiledDetection::NewValue { .. } => {
            SignedDuration::ZERO
        }
        CompiledDetection::Threshold { within, .. } | CompiledDetection::Sequence { within, ordered: false, .. } => {
            *within
        }
        // A tie reaches up to a second beyond.
        CompiledDetection::Sequence { within, ordered: true, .. } => {
            within.saturating_add(SignedDuration::from_secs(1))
        }
    };
    rule.resolve_after.max(window)
}
