//! What the SecurityAlert object of an alert says. Everything is bounded, and the whole status stays under 8 KiB: the
//! object is a view, the log is the record.

use jiff::Timestamp;

use super::{Alert, episode, quiet_time};
use crate::{
    api::{
        alert::{
            Entity, EvidenceItem, KeyValue, RuleRef, SecurityAlertSpec, SecurityAlertStatus, TimelineEntry, Triage,
        },
        span::Span,
    },
    normalise::text::one_line,
};

/// Bytes of a serialised status. The etcd of the cluster is not ours alone.
pub const MAX_STATUS: usize = 8 * 1024;
/// Bytes of one value of the key; its identity is in the name.
const MAX_KEY_VALUE: usize = 512;
const EPISODES: usize = 5;

/// How much of an alert is shown. The first level that fits is taken.
struct Level {
    /// Events from each end.
    evidence: usize,
    message: usize,
    entities: usize,
    entity: usize,
}

const LEVELS: [Level; 5] = [
    Level { evidence: episode::SHOWN, message: 512, entities: 16, entity: 253 },
    Level { evidence: episode::SHOWN, message: 256, entities: 16, entity: 128 },
    Level { evidence: episode::SHOWN, message: 128, entities: 8, entity: 96 },
    Level { evidence: 2, message: 64, entities: 4, entity: 64 },
    // With eight selectors, each shows its newest.
    Level { evidence: 0, message: 64, entities: 4, entity: 64 },
];

impl Alert {
    /// The part that names the alert. `triage` belongs to people and is left out.
    pub fn spec(&self) -> SecurityAlertSpec {
        let pair = |(name, value): (&std::sync::Arc<str>, &std::sync::Arc<str>)| KeyValue {
            name: name.to_string(),
            value: one_line(value, MAX_KEY_VALUE),
        };
        SecurityAlertSpec {
            rule_ref: RuleRef { kind: self.rule.id.kind, name: self.rule.id.name.to_string() },
            key: self.rule.key_names.iter().zip(self.key.iter()).map(pair).collect(),
            triage: None,
        }
    }

    /// The facts as of `now`, and what people said of them.
    pub fn status(&self, now: Timestamp, triage: Option<&Triage>) -> SecurityAlertStatus {
        let mut status = self.status_at(now, triage, &LEVELS[0]);
        for level in LEVELS.iter().skip(1) {
            if serde_json::to_vec(&status).is_ok_and(|json| json.len() < MAX_STATUS) {
                break;
            }
            status = self.status_at(now, triage, level);
        }
        status
    }

    fn status_at(&self, now: Timestamp, triage: Option<&Triage>, level: &Level) -> SecurityAlertStatus {
        SecurityAlertStatus {
            state: self.state_at(now, triage.is_some_and(|t| self.acknowledged_by(t))),
            severity: self.severity(),
            summary: self.summary(),
            subject: self.subject(),
            count: self.count(),
            first_seen: self.first_seen(),
            last_seen: self.last_seen(),
            attack: self.rule.attack.iter().take(16).map(|id| one_line(id, 9)).collect(),
            entities: self.entities(level),
            evidence: self.evidence(level),
            episodes: self.episodes(),
            timeline: self.timeline(now),
            conditions: Vec::new(),
        }
    }

    /// True when `triage` acknowledges the current episode. A late event may have moved the episode's start, so any time
    /// within it names it.
    pub fn acknowledged_by(&self, triage: &Triage) -> bool {
        let current = self.current();
        triage.acknowledged && triage.episode.is_none_or(|at| current.start <= at && at <= current.end)
    }

    /// The first and the last few contributing events, and the newest of each selector: a flood of one source does not hide
    /// what another says.
    fn shown(&self, level: &Level) -> Vec<&episode::Shown> {
        let current = self.current();
        let all = current.evidence();
        let left_out = all.len().saturating_sub(2 * level.evidence);
        let (first, rest) = all.split_at(level.evidence.min(all.len()));
        let mut shown: Vec<&episode::Shown> = first.iter().chain(rest.iter().skip(left_out)).copied().collect();
        shown.extend(current.shares.values().filter_map(|share| share.newest.as_ref()));
        shown.sort_by_key(|shown| shown.order());
        shown.dedup_by_key(|shown| shown.evidence.id);
        shown
    }

    fn evidence(&self, level: &Level) -> Vec<EvidenceItem> {
        let item = |shown: &episode::Shown| EvidenceItem {
            record: shown.evidence.id.to_string(),
            time: shown.evidence.at,
            source: shown.evidence.source,
            host: shown.evidence.host.clone(),
            selector: one_line(&shown.selector, 63),
            message: one_line(&shown.evidence.message, level.message),
        };
        self.shown(level).into_iter().map(item).collect()
    }

    /// Who and what took part in the shown events, in order of appearance.
    fn entities(&self, level: &Level) -> Vec<Entity> {
        let mut entities: Vec<Entity> = Vec::new();
        for entity in self.current().evidence().iter().flat_map(|shown| &shown.evidence.entities) {
            let entity = Entity {
                kind: entity.kind,
                namespace: one_line(&entity.namespace, 63),
                name: one_line(&entity.name, level.entity),
            };
            if entities.len() < level.entities && !entity.name.is_empty() && !entities.contains(&entity) {
                entities.push(entity);
            }
        }
        entities
    }

    fn episodes(&self) -> Vec<crate::api::alert::Episode> {
        let view = |e: &episode::Episode| crate::api::alert::Episode {
            start: e.start,
            end: e.end,
            count: e.count,
            severity: e.severity,
        };
        self.episodes.newest_first().take(EPISODES).map(view).collect()
    }

    /// When each shown episode opened and ended, oldest first.
    fn timeline(&self, now: Timestamp) -> Vec<TimelineEntry> {
        let quiet = quiet_time(&self.rule);
        let span = Span::from_secs(quiet.as_secs().max(0).unsigned_abs());
        let mut entries = Vec::new();
        for episode in self.episodes.newest_first().take(EPISODES).collect::<Vec<_>>().into_iter().rev() {
            entries.push(TimelineEntry {
                time: episode.start,
                message: format!("opened with severity {}", episode.severity),
            });
            if now > episode.quiet_from(quiet) {
                let time = episode.quiet_from(quiet);
                entries.push(TimelineEntry { time, message: format!("resolved after {span} of quiet") });
            }
        }
        entries
    }
}
