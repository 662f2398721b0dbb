//! Lines on their way to the controller. In: pieces of a file. Out: a body for `POST /records`, one envelope a line, with
//! the checkpoints that move once it is received. Nothing unredacted is in it.

use std::{collections::BTreeMap, sync::Arc};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    checkpoints::Move,
    relay::line::{self, Line},
};
use crate::{
    api::rule::Source,
    record::{Envelope, Position},
    redact,
};

/// Aimed at for a body, in bytes; a single envelope may be larger (the door takes 2 MiB).
const BODY: usize = 1 << 20;

/// What is known of every line of a file.
#[derive(Clone, Debug)]
pub struct LineOrigin {
    pub source: Source,
    pub path: Arc<str>,
    pub id: Arc<str>,
}

/// A body in the making, or done.
#[derive(Debug)]
pub struct Batch {
    /// JSON lines.
    pub body: Vec<u8>,
    pub lines: u64,
    pub moves: BTreeMap<Arc<str>, Move>,
    /// When its first byte was read.
    pub begun: Instant,
}

/// A line that can't be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unreadable;

impl Batch {
    pub fn new() -> Batch {
        Batch { body: Vec::new(), lines: 0, moves: BTreeMap::new(), begun: Instant::now() }
    }

    pub fn is_full(&self) -> bool {
        self.body.len() >= BODY
    }

    pub fn is_empty(&self) -> bool {
        self.moves.is_empty()
    }

    /// Adds one line, redacted. An audit event that can't be read is not added: no part of it may be kept.
    pub fn add(&mut self, bytes: &[u8], offset: u64, origin: &LineOrigin, now: Timestamp) -> Result<(), Unreadable> {
        let (log, event, facts) = match origin.source {
            Source::Audit => {
                let (bytes, earlier) = match line::read(bytes) {
                    Line::Head => return Ok(()),
                    Line::Event(relayed) => (relayed.event.get().as_bytes(), Some(relayed.facts)),
                    Line::Other => (bytes, None),
                    Line::Broken => return Err(Unreadable),
                };
                let redacted = redact::audit_event(redact::Input { bytes, oversize: false }).map_err(|_| Unreadable)?;
                let mut facts = redacted.facts;
                earlier.into_iter().for_each(|earlier| facts.add(earlier));
                (None, Some(redacted.canonical), facts)
            }
            Source::Node | Source::Container | Source::Web => {
                let (text, facts) = redact::line(bytes);
                (Some(text), None, facts)
            }
        };
        let envelope = Envelope {
            source: origin.source,
            host: None,
            file: Some(origin.path.to_string()),
            received: Some(now),
            position: Some(Position { file: Arc::clone(&origin.id), offset }),
            log,
            event,
            facts,
        };
        let before = self.body.len();
        if serde_json::to_writer(&mut self.body, &envelope).is_err() {
            self.body.truncate(before);
            return Err(Unreadable);
        }
        self.body.push(b'\n');
        self.lines += 1;
        Ok(())
    }

    /// All of file `id` before `to` is in this batch or in an earlier one.
    pub fn moved(&mut self, id: &Arc<str>, to: Move) {
        self.moves.insert(Arc::clone(id), to);
    }
}
