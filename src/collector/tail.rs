//! One open file. In: its bytes, from where it was left. Out: lines in a batch, in turns of bounded size. Finds out that
//! the file began anew (it became shorter, or its first line is another one), and stops there.

use std::{
    fs::File,
    io,
    os::unix::fs::{FileExt, MetadataExt},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{
    args::CollectorLimits,
    batch::{Batch, LineOrigin},
    checkpoints::{Checkpoint, Move},
    cut::{Piece, Tail as End, cut},
    fingerprint::{Fingerprint, fill},
    metrics::{Loss, Metrics},
    open::Key,
};
use crate::{api::rule::Source, record::IdKey, redact::MAX_LINE, telemetry};

/// A file that is read.
pub struct Tail {
    file: File,
    pub key: Key,
    /// Reported; what a later name of it must match is this.
    pub path: Arc<str>,
    pub source: Source,
    /// Its name for the receiver and its first line; none until there is a first line and it is entered.
    pub name: Option<(Arc<str>, Fingerprint)>,
    pub offset: u64,
    pub skipping: bool,
    pub size: u64,
    /// It has another name now, or none.
    pub rotated: bool,
    /// Since when it has no new bytes.
    pub quiet_since: Instant,
    /// Not before then, because reading failed.
    pub pause_until: Option<Instant>,
    /// Size and time of its last change when it was read to its end.
    read_at: Option<(u64, i64, i64)>,
}

/// What a turn came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    Idle,
    Read,
    /// The file began anew; nothing was taken.
    Truncated,
}

/// What all turns share.
pub struct Desk<'a> {
    pub buffer: &'a mut Vec<u8>,
    pub batch: &'a mut Batch,
    pub limits: &'a CollectorLimits,
    pub metrics: &'a Metrics,
    pub key: &'a IdKey,
}

impl Tail {
    /// A file that was never read.
    pub fn new(file: File, key: Key, path: Arc<str>, source: Source) -> Tail {
        Tail {
            file,
            key,
            path,
            source,
            name: None,
            offset: 0,
            skipping: false,
            size: 0,
            rotated: false,
            quiet_since: Instant::now(),
            pause_until: None,
            read_at: None,
        }
    }

    /// A file that was read before, at its checkpoint.
    pub fn resumed(file: File, key: Key, source: Source, at: &Checkpoint) -> Tail {
        let name = Some((Arc::clone(&at.id), at.fingerprint));
        let (offset, skipping, size) = (at.offset, at.skipping, at.size);
        Tail { name, offset, skipping, size, ..Tail::new(file, key, Arc::clone(&at.path), source) }
    }

    /// Passes over what is there now.
    pub fn skip_to_end(&mut self) -> io::Result<()> {
        self.size = self.file.metadata()?.len();
        self.offset = self.size;
        let mut last = [b'\n'];
        if let Some(before) = self.size.checked_sub(1) {
            self.file.read_exact_at(&mut last, before)?;
        }
        self.skipping = last != [b'\n'];
        Ok(())
    }

    pub fn fingerprint(&self, key: &IdKey) -> io::Result<Option<Fingerprint>> {
        Fingerprint::of(&self.file, self.rotated, key)
    }

    /// Looks how large it is now. One that got smaller began anew, which its next turn finds.
    pub fn measure(&mut self) {
        if let Ok(metadata) = self.file.metadata() {
            self.size = self.size.max(metadata.len());
        }
    }

    pub fn unread(&self) -> u64 {
        self.size.saturating_sub(self.offset)
    }

    /// True when everything that is there was handed over, but for a line without its end.
    pub fn is_at_end(&self) -> bool {
        self.read_at.is_some()
    }

    /// Renamed or removed, and nothing came for `quiet`.
    fn is_quiet(&self, quiet: Duration) -> bool {
        self.rotated && self.quiet_since.elapsed() >= quiet
    }

    /// What is left of it is a line that nobody ends any more.
    pub fn ends(&self, quiet: Duration) -> bool {
        self.is_quiet(quiet) && self.is_at_end() && self.unread() > 0
    }

    /// Nothing of it will come any more. One without a name never had a byte.
    pub fn is_done(&self, quiet: Duration) -> bool {
        self.is_quiet(quiet) && (self.name.is_none() || (self.is_at_end() && self.unread() == 0))
    }

    /// Begins the file anew, from its first byte, under a name that it does not have yet.
    pub fn restart(&mut self) {
        self.name = None;
        (self.offset, self.skipping, self.size, self.read_at) = (0, false, 0, None);
    }

    /// Hands over lines until there are no more, the batch is full, or `turn` bytes are read.
    pub fn turn(&mut self, desk: &mut Desk<'_>, end: End) -> io::Result<Turn> {
        let Some((id, fingerprint)) = self.name.clone() else { return Ok(Turn::Idle) };
        let metadata = self.file.metadata()?;
        let now = (metadata.len(), metadata.mtime(), metadata.mtime_nsec());
        // What just came is the beginning of a line as long as it is not quiet for some time again.
        let end = match (self.read_at == Some(now), end) {
            (true, End::Waits) => return Ok(Turn::Idle),
            (true, End::Ends) => End::Ends,
            (false, End::Waits | End::Ends) => End::Waits,
        };
        if now.0 < self.offset {
            return Ok(Turn::Truncated);
        }
        self.quiet_since = Instant::now();
        let (limit, turn) = match self.source {
            Source::Audit => (desk.limits.audit_line, desk.limits.turn),
            Source::Node | Source::Container | Source::Web => (MAX_LINE, desk.limits.turn),
        };
        let mut length = turn;
        loop {
            let at_end = fill(&self.file, self.offset, desk.buffer, length)?;
            // The bytes are of this generation only if it was not over after they were read.
            if !fingerprint.fits(&self.file, desk.key)? {
                return Ok(Turn::Truncated);
            }
            self.size = now.0;
            let end = if at_end { end } else { End::Waits };
            let (moved, stopped) = self.cut(&id, limit, end, desk);
            if !moved && !at_end && length <= limit {
                length = limit + 1;
                continue;
            }
            self.read_at = (at_end && !stopped).then_some(now);
            return Ok(if moved { Turn::Read } else { Turn::Idle });
        }
    }

    /// Cuts what is in the buffer; whether it came further, and whether it stopped because the batch is full.
    fn cut(&mut self, id: &Arc<str>, limit: usize, end: End, desk: &mut Desk<'_>) -> (bool, bool) {
        let Desk { buffer, batch, metrics, limits: _, key: _ } = desk;
        let origin = LineOrigin { source: self.source, path: Arc::clone(&self.path), id: Arc::clone(id) };
        let (received, begin) = (telemetry::now(), self.offset);
        let mut stopped = false;
        let progress = cut(buffer, self.skipping, limit, end, &mut |piece| {
            match piece {
                Piece::Line { bytes: [], .. } => {}
                Piece::Line { at, bytes } => {
                    metrics.lines.inc();
                    if batch.add(bytes, begin + at as u64, &origin, received).is_err() {
                        metrics.lost_line(Loss::Unreadable, bytes.len() as u64);
                    }
                }
                // The head of an audit event is no event; of a line it is kept and flagged.
                Piece::Oversized { bytes, .. } if origin.source == Source::Audit => {
                    metrics.lost_line(Loss::Oversized, bytes.len() as u64);
                }
                Piece::Oversized { at, bytes } => {
                    metrics.lines.inc();
                    metrics.lost(Loss::Oversized, 1);
                    if batch.add(bytes, begin + at as u64, &origin, received).is_err() {
                        metrics.lost_line(Loss::Unreadable, bytes.len() as u64);
                    }
                }
                Piece::Skipped(bytes) => metrics.lost_more(Loss::Oversized, bytes as u64),
                Piece::Nul(bytes) => metrics.lost(Loss::Nul, bytes as u64),
            }
            stopped = batch.is_full();
            !stopped
        });
        if progress.consumed == 0 {
            return (false, stopped);
        }
        self.offset += progress.consumed as u64;
        self.skipping = progress.skipping;
        metrics.bytes.inc_by(progress.consumed as u64);
        batch.moved(id, Move { offset: self.offset, skipping: self.skipping, size: self.size });
        (true, stopped)
    }
}
