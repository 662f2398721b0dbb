//! Reading the log in order. In: a sequence number. Out: the records from there on. A damaged block is skipped, counted
//! and logged once; it never hides what comes after it.

use std::path::PathBuf;

use rusqlite::ErrorCode;
use tracing::error;

use super::{
    Shared, StoreError,
    block::{Content, Flaw},
    locked,
    partition::{Partition, Place},
};
use crate::record::{Record, Seq};

/// Blocks looked up at a time.
const PLACES: usize = 64;
/// Damage remembered as reported, so that reading it again does not count it again.
const REPORTED: usize = 10_000;

/// A stretch of the log that one partition holds.
struct Stretch {
    path: PathBuf,
    first_seq: Seq,
    to: Seq,
    /// A later partition exists.
    closed: bool,
}

impl Shared {
    /// Records from `from` on, whole blocks until `max_bytes` are reached.
    pub(super) fn read(&self, from: Seq, max_bytes: usize) -> Result<Vec<(Seq, Record)>, StoreError> {
        let committed = *self.committed.borrow();
        let mut found = Found { from, records: Vec::new(), bytes: 0, max_bytes };
        let mut next = from;
        while next <= committed && !found.enough() {
            let Some(stretch) = self.stretch(next, committed) else { break };
            let partition = match self.reading(&stretch) {
                Ok(partition) => partition,
                // Dropped by retention since we looked: look again.
                Err(_) if !locked(&self.partitions).contains_key(&stretch.first_seq) => continue,
                Err(StoreError::Sqlite { source, .. }) if is_damage(&source) || !stretch.path.exists() => {
                    self.report(&stretch.path, stretch.first_seq, stretch.to, &Flaw::Sqlite(source));
                    next = stretch.to + 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            next = self.read_stretch(&partition, next, stretch.to, &mut found)?;
            *locked(&self.reader) = Some(partition);
        }
        Ok(found.records)
    }

    /// Reads on in one partition; returns where to go on.
    fn read_stretch(&self, partition: &Partition, from: Seq, to: Seq, found: &mut Found) -> Result<Seq, StoreError> {
        let places = match partition.places(from, to, PLACES) {
            Ok(places) => places,
            Err(source) if is_damage(&source) => {
                self.report(&partition.path, from, to, &Flaw::Sqlite(source));
                return Ok(to + 1);
            }
            Err(source) => return Err(StoreError::sqlite(&partition.path)(source)),
        };
        let mut next = from;
        for place in &places {
            if found.enough() {
                return Ok(next);
            }
            found.take(self.content(partition, place)?);
            next = next.max(place.last_seq + 1);
        }
        Ok(if places.len() < PLACES { to + 1 } else { next })
    }

    /// The checked content of a block, empty when it is damaged.
    pub(super) fn content(&self, partition: &Partition, place: &Place) -> Result<(usize, Content), StoreError> {
        let unsealed = match partition.block(place.first_seq) {
            Ok(block) => block.unseal().map(|content| (block.raw_bytes, content)),
            Err(source) if is_damage(&source) => Err(Flaw::Sqlite(source)),
            Err(source) => return Err(StoreError::sqlite(&partition.path)(source)),
        };
        let (bytes, content) = unsealed.unwrap_or_else(|flaw| (0, Content { records: Vec::new(), flaws: vec![flaw] }));
        for flaw in &content.flaws {
            self.report(&partition.path, place.first_seq, place.last_seq, flaw);
        }
        Ok((bytes, content))
    }

    fn stretch(&self, next: Seq, committed: Seq) -> Option<Stretch> {
        let partitions = locked(&self.partitions);
        let (first_seq, path) = partitions.range(..=next).next_back().or_else(|| partitions.iter().next())?;
        let after = partitions.range(first_seq + 1..).next().map(|(first_seq, _)| first_seq - 1);
        let to = after.unwrap_or(committed).max(next);
        Some(Stretch { path: path.clone(), first_seq: *first_seq, to, closed: after.is_some() })
    }

    /// The open connection of the last read when it is the right one. A second reader at the same time opens its own.
    fn reading(&self, stretch: &Stretch) -> Result<Partition, StoreError> {
        match locked(&self.reader).take() {
            Some(partition) if partition.first_seq == stretch.first_seq => Ok(partition),
            Some(_) | None => Partition::open_reading(&stretch.path, stretch.closed),
        }
    }

    fn report(&self, path: &std::path::Path, first_seq: Seq, last_seq: Seq, flaw: &Flaw) {
        let place = match flaw {
            Flaw::Record { seq, .. } => *seq,
            Flaw::Hash | Flaw::Codec(_) | Flaw::Zstd(_) | Flaw::Count { .. } | Flaw::Sqlite(_) => first_seq,
        };
        let mut reported = locked(&self.reported);
        if reported.contains(&place) {
            return;
        }
        if reported.len() < REPORTED {
            reported.insert(place);
        }
        self.metrics.blocks_corrupt.inc();
        error!(partition = %path.display(), first_seq, last_seq, %flaw, "a part of the log is damaged and skipped");
    }
}

/// What one read has gathered.
struct Found {
    from: Seq,
    records: Vec<(Seq, Record)>,
    bytes: usize,
    max_bytes: usize,
}

impl Found {
    fn enough(&self) -> bool {
        !self.records.is_empty() && self.bytes >= self.max_bytes
    }

    fn take(&mut self, (bytes, content): (usize, Content)) {
        self.bytes += bytes;
        self.records.extend(content.records.into_iter().filter(|(seq, _)| *seq >= self.from));
    }
}

/// True when the file is broken, false when the world is (no memory, no file handles, locked).
fn is_damage(error: &rusqlite::Error) -> bool {
    match error {
        rusqlite::Error::SqliteFailure(failure, _) => {
            // SQLITE_ERROR: our statements are fixed, so it is the tables that are not as they were made.
            let error = failure.extended_code == rusqlite::ffi::SQLITE_ERROR;
            error || matches!(failure.code, ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)
        }
        // A column of another type or length than was written, or the block's key without its row.
        rusqlite::Error::FromSqlConversionFailure(..)
        | rusqlite::Error::InvalidColumnType(..)
        | rusqlite::Error::IntegralValueOutOfRange(..)
        | rusqlite::Error::QueryReturnedNoRows => true,
        _ => false,
    }
}
