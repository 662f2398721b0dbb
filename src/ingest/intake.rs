//! Events of one body on their way to the store, or to a relay's file: split, redacted on a blocking thread, appended in
//! groups.
//! In: decoded bytes. Out: how many were stored, were known already or went to the quarantine; or why to stop.
//! Holds at most one group, and nothing is counted as stored before the store says so.

use std::sync::Arc;

use jiff::Timestamp;
use serde::Deserialize;
use tokio::{sync::Semaphore, time::timeout};

use super::{
    IngestLimits, Metrics,
    answer::{Answer, Tally},
    credentials::{CertificateName, Source},
    reading::Take,
    slim::Form,
    split::{Broken, Element, Splitter},
};
use crate::{
    api::rule::Source as Kind,
    record::{IdKey, Origin, QuarantineReason, Quarantined, Record},
    redact, telemetry,
};

/// A group goes to the store when it has this many events …
const GROUP_EVENTS: usize = 400;
/// … or this many bytes. One event more may be in it, which is at most 1 MiB.
const GROUP_BYTES: usize = 1 << 20;
/// The most that is split before groups are looked for.
const PIECE: usize = 16 << 10;

/// Bytes of an event whose stamp is worth reading: some 10 us of the group's time.
const LONGEST_STAMPED: usize = 16 << 10;

/// What keeps the events of API servers: the controller's store, or a relay's file.
pub(super) trait Keeper: Send + Sync + 'static {
    fn limits(&self) -> &IngestLimits;

    fn metrics(&self) -> &Metrics;

    /// Bodies that may be worked on: it bounds memory.
    fn bodies(&self) -> &Semaphore;

    /// Whether a request for `source` may be taken; a refusal is counted.
    fn admit(
        &self,
        source: &Source,
        authorization: Option<&[u8]>,
        certificate: Option<&CertificateName>,
    ) -> Result<(), Answer>;

    /// Whether it makes sense to read a body of `length` bytes, 0 when that is unknown.
    fn ready(&self, length: u64) -> Result<(), Answer>;

    /// Redacts a group, and returns once all of it is on stable storage.
    fn keep(&self, group: Vec<Element>, origin: &Arc<Origin>) -> impl Future<Output = Result<Kept, Answer>> + Send;
}

/// What became of a group.
pub(super) struct Kept {
    pub stored: u64,
    pub duplicates: u64,
    /// Why events of it could not be read, one for each.
    pub quarantined: Vec<QuarantineReason>,
}

pub(super) struct Intake<K> {
    keeper: Arc<K>,
    origin: Arc<Origin>,
    splitter: Splitter,
    waiting: Vec<Element>,
    tally: Tally,
}

impl<K: Keeper> Intake<K> {
    pub(super) fn new(keeper: Arc<K>, origin: Origin) -> Intake<K> {
        Intake {
            keeper,
            origin: Arc::new(origin),
            splitter: Splitter::event_list(),
            waiting: Vec::new(),
            tally: Tally::default(),
        }
    }

    /// Takes the end of the body, whole or not: `stopped` says why it ends early. Complete events are kept, unless the
    /// body turned out to be something else than a list of events.
    pub(super) async fn finish(mut self, stopped: Option<Answer>) -> Answer {
        let end = match stopped {
            Some(why) => Some(why),
            None => self.splitter.finish(&mut self.waiting).err().map(Answer::NoList),
        };
        if let Some(Answer::NoList(Broken::Kind | Broken::ApiVersion | Broken::NotAnObject { .. })) = end {
            self.waiting.clear();
        }
        while !self.waiting.is_empty() {
            let group = self.next_group();
            if let Err(answer) = self.append(group).await {
                return answer;
            }
        }
        end.unwrap_or(Answer::Stored(self.tally))
    }

    /// The first events that wait, up to a group's size.
    fn next_group(&mut self) -> Vec<Element> {
        let mut bytes = 0;
        let full = self.waiting.iter().take(GROUP_EVENTS).position(|element| {
            bytes += element.bytes.len();
            bytes >= GROUP_BYTES
        });
        let count = full.map_or(GROUP_EVENTS, |at| at + 1).min(self.waiting.len());
        self.waiting.drain(..count).collect()
    }

    fn full_group(&mut self) -> Option<Vec<Element>> {
        let bytes: usize = self.waiting.iter().map(|element| element.bytes.len()).sum();
        (self.waiting.len() >= GROUP_EVENTS || bytes >= GROUP_BYTES).then(|| self.next_group())
    }

    /// Waits for one group at most as long as the sender can be held; while groups go through, the body's own deadline
    /// bounds the whole.
    async fn append(&mut self, group: Vec<Element>) -> Result<(), Answer> {
        timeout(self.keeper.limits().patience, self.keep(group)).await.unwrap_or(Err(Answer::StoreBusy))
    }

    async fn keep(&mut self, group: Vec<Element>) -> Result<(), Answer> {
        let metrics = self.keeper.metrics();
        let now = telemetry::now();
        metrics.events_received.inc_by(group.len() as u64);
        metrics.received(Kind::Audit, group.len() as u64);
        let stamped = group.iter().rev().find_map(stamp);
        metrics.events_oversize.inc_by(group.iter().filter(|element| element.form != Form::Whole).count() as u64);
        let kept = self.keeper.keep(group, &self.origin).await?;
        kept.quarantined.iter().for_each(|reason| metrics.quarantined(*reason));
        metrics.last_event.set(now.as_millisecond() as f64 / 1000.0);
        metrics.senders.stored(&self.origin.cluster, &self.origin.reporter, now);
        if let Some(stamped) = stamped {
            metrics.senders.stamped(&self.origin.cluster, &self.origin.reporter, stamped, now);
        }
        self.tally.stored += kept.stored;
        self.tally.duplicates += kept.duplicates;
        self.tally.quarantined += kept.quarantined.len() as u64;
        Ok(())
    }
}

impl<K: Keeper> Take for Intake<K> {
    /// Takes decoded bytes and appends the groups that they fill. What follows a break is not taken.
    async fn take(&mut self, bytes: &[u8]) -> Result<(), Answer> {
        for piece in bytes.chunks(PIECE) {
            self.splitter.feed(piece, &mut self.waiting);
            while let Some(group) = self.full_group() {
                self.append(group).await?;
            }
            // Parsing alone never waits; others shall have their turn.
            tokio::task::coop::consume_budget().await;
        }
        Ok(())
    }

    fn broken(&self) -> Option<Broken> {
        self.splitter.broken()
    }
}

/// When an event came to its stage by its API server's clock. Of large ones it is not read: the next one will do.
fn stamp(element: &Element) -> Option<Timestamp> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Stamped {
        stage_timestamp: Timestamp,
    }
    let read = |bytes| serde_json::from_slice::<Stamped>(bytes).ok();
    (element.bytes.len() <= LONGEST_STAMPED)
        .then(|| read(&element.bytes))
        .flatten()
        .map(|stamped| stamped.stage_timestamp)
}

/// One event as the log keeps it, and why it is in quarantine if it is.
pub(super) fn record(
    element: Element,
    origin: &Origin,
    received_at: jiff::Timestamp,
    key: &IdKey,
) -> (Record, Option<QuarantineReason>) {
    let outcome = redacted(&element);
    let reason = outcome.as_ref().err().map(|redact::Rejected(quarantined)| quarantined.reason);
    (redact::record(outcome, &element.bytes, origin, received_at, key), reason)
}

/// One event as it may be kept, or why it can't be read.
pub(super) fn redacted(element: &Element) -> Result<redact::Redacted, redact::Rejected> {
    let Element { bytes, line: _, length, form } = element;
    let outcome = match form {
        Form::Whole | Form::Slimmed => redact::audit_event(redact::Input { bytes, oversize: *form == Form::Slimmed }),
        Form::Digest => Err(redact::Rejected(Quarantined {
            length: *length,
            reason: QuarantineReason::Oversize,
            error: "over 1 MiB without its bodies, long strings and long fields".into(),
        })),
    };
    // Redaction saw what is left of it; the length is that of what was sent.
    outcome.map_err(|redact::Rejected(quarantined)| redact::Rejected(Quarantined { length: *length, ..quarantined }))
}
