//! `POST /records`: lines and audit events that the collector of a node has read.
//! In: envelopes, one a line. Out: records in the store, and 200 once they are on stable storage. An envelope that is not
//! taken is counted and fails nothing but itself; offering it again would change nothing.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use axum::body::Body;
use http::{HeaderMap, header};
use tokio::time::timeout;

use super::{
    answer::{Answer, Tally},
    body::{Content, Decoder},
    desk::Desk,
    envelope::{self, Sender, Taken, Unfit},
    lines::{Cut, Lines},
    reading::{Reading, Take},
    route::Peer,
    split::Broken,
};
use crate::{
    record::{Payload, Record},
    telemetry,
};

/// A body, decoded.
const BODY_BYTES: u64 = 8 << 20;
/// A group goes to the store when it has this many envelopes …
const GROUP_LINES: usize = 1000;
/// … or this many bytes. One envelope more may be in it, which is at most 2 MiB.
const GROUP_BYTES: usize = 1 << 20;
/// The most that is split before groups are looked for.
const PIECE: usize = 16 << 10;

pub(super) async fn answer(desk: &Arc<Desk>, headers: &HeaderMap, peer: &Peer, body: &mut Body) -> Answer {
    let authorization = headers.get(header::AUTHORIZATION).map(|value| value.as_bytes());
    let node = match desk.collectors.admit(authorization).await {
        Ok(node) => node,
        Err(denial) => return Answer::Denied(denial),
    };
    peer.is_known.store(true, Ordering::Relaxed);
    let decoder = match Decoder::of(headers, BODY_BYTES, Content::JsonLines) {
        Ok(decoder) => decoder,
        Err(answer) => return answer,
    };
    let Some(_place) = desk.record_bodies.enter(&node) else { return Answer::Occupied };
    let sources = match desk.collectors.sources_of(&node) {
        Ok(sources) => sources,
        Err(answer) => return answer,
    };
    let sender = Arc::new(Sender { cluster: desk.collectors.cluster.clone(), node, sources });
    let mut batch = Batch::new(desk.clone(), sender);
    match Reading::begin(body, decoder, &desk.limits).feed(&mut batch, &desk.metrics).await {
        Ok(()) => batch.finish().await.map_or_else(|answer| answer, Answer::Stored),
        // What was stored of it is known by its ids when the sender sends all of it again.
        Err(answer) => answer,
    }
}

struct Batch {
    desk: Arc<Desk>,
    sender: Arc<Sender>,
    lines: Lines,
    waiting: Vec<Cut>,
    waiting_bytes: usize,
    patience: Duration,
    tally: Tally,
}

impl Batch {
    fn new(desk: Arc<Desk>, sender: Arc<Sender>) -> Batch {
        let (patience, tally) = (desk.limits.patience, Tally { refused: Some(0), ..Tally::default() });
        Batch { desk, sender, lines: Lines::default(), waiting: Vec::new(), waiting_bytes: 0, patience, tally }
    }

    async fn finish(mut self) -> Result<Tally, Answer> {
        self.lines.finish(&mut self.waiting);
        self.append().await?;
        Ok(self.tally)
    }

    async fn append(&mut self) -> Result<(), Answer> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        self.waiting_bytes = 0;
        let group = std::mem::take(&mut self.waiting);
        timeout(self.patience, self.redact_and_append(group)).await.unwrap_or(Err(Answer::StoreBusy))
    }

    async fn redact_and_append(&mut self, group: Vec<Cut>) -> Result<(), Answer> {
        let (sender, key, now) = (self.sender.clone(), self.desk.key.clone(), telemetry::now());
        let metrics = &self.desk.metrics;
        metrics.collectors.received.inc_by(group.len() as u64);
        let work = move || {
            let take = |cut: Cut| match cut {
                Cut::TooLong => Err(Unfit::TooLong),
                Cut::Line(line) => envelope::record(&line, &sender, now, &key),
            };
            group.into_iter().map(take).collect()
        };
        let outcomes: Vec<Result<Taken, Unfit>> = self.desk.redactions.run(work).await?;
        let (mut records, mut quarantined, mut unfit) = (Vec::new(), Vec::new(), Vec::new());
        for outcome in outcomes {
            match outcome {
                Ok((record, reason)) => {
                    record.payload.source().into_iter().for_each(|source| metrics.received(source, 1));
                    records.push(record);
                    quarantined.extend(reason);
                }
                Err(why) => unfit.push(why),
            }
        }
        if !records.is_empty() {
            // Of an API server that is read from its log, or through the relay.
            let has_audit = records.iter().any(|record: &Record| matches!(record.payload, Payload::Audit(_)));
            let appended = self.desk.append(records).await?;
            self.tally.stored += appended.stored;
            self.tally.duplicates += appended.duplicates;
            metrics.collectors.stored.inc_by(appended.stored);
            metrics.collectors.duplicate.inc_by(appended.duplicates);
            if has_audit {
                metrics.last_event.set(now.as_millisecond() as f64 / 1000.0);
                metrics.senders.stored(&self.sender.cluster, &self.sender.node, now);
            }
        }
        quarantined.iter().for_each(|reason| metrics.quarantined(*reason));
        unfit.iter().for_each(|why| metrics.collectors.unfit(*why));
        self.tally.quarantined += quarantined.len() as u64;
        self.tally.refused = self.tally.refused.map(|refused| refused + unfit.len() as u64);
        Ok(())
    }
}

impl Take for Batch {
    async fn take(&mut self, bytes: &[u8]) -> Result<(), Answer> {
        for piece in bytes.chunks(PIECE) {
            self.lines.feed(piece, &mut self.waiting);
            self.waiting_bytes += piece.len();
            if self.waiting.len() >= GROUP_LINES || self.waiting_bytes >= GROUP_BYTES {
                self.append().await?;
            }
            // Splitting alone never waits; others shall have their turn.
            tokio::task::coop::consume_budget().await;
        }
        Ok(())
    }

    fn broken(&self) -> Option<Broken> {
        None
    }
}
