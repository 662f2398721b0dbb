//! The one writer. In: requests from the queue. Out: blocks on disk, then an answer for every request and the committed
//! sequence number. One transaction takes all that waits (group commit). Never answers `Ok` before fsync; after an
//! error it answers that, opens the log anew and goes on.

use std::{
    collections::{HashMap, HashSet},
    path::PathBuf,
    sync::{Arc, mpsc},
    time::Instant,
};

use jiff::Timestamp;
use tracing::{error, info, warn};

use super::{
    Shared, StoreConfig, StoreError,
    append::{AppendError, Appended, Line, Request},
    block::{self, Block, Hash},
    dedupe::{KnownIds, MOST_RECORDS},
    locked,
    partition::{self, Beginning, End, Partition},
    standing::{StandingSet, Verdict},
};
use crate::{
    record::{RecordId, Seq},
    telemetry,
};

/// JSON of one commit: long enough that the fsync is not what it costs, short enough to stay far below the deadline.
const GROUP_BYTES: usize = 8 << 20;

/// Owns the end of the log. `run` it on a thread of its own.
pub struct Writer {
    shared: Arc<Shared>,
    config: StoreConfig,
    requests: mpsc::Receiver<Request>,
    /// The partition being written; absent after an error, until it is opened again.
    tail: Option<Tail>,
    known: KnownIds,
    /// The end of the log that `known` and the standing records describe.
    known_at: Option<(Seq, Hash)>,
    /// Bytes on disk of the partitions before the current one.
    closed_bytes: u64,
    /// The last commit failed, and was reported.
    failing: bool,
    #[cfg(test)]
    pub(super) page_limit: Arc<std::sync::atomic::AtomicU32>,
}

struct Tail {
    partition: Partition,
    end: End,
}

/// What a commit will store, and what each of its requests will be told.
#[derive(Default)]
struct Selection<'a> {
    lines: Vec<&'a Line>,
    ids: HashSet<RecordId>,
    standing: HashMap<&'a str, Option<Hash>>,
    /// (stored, duplicates) per request.
    counts: Vec<(u64, u64)>,
}

impl Writer {
    pub(super) fn open(
        shared: Arc<Shared>,
        config: StoreConfig,
        requests: mpsc::Receiver<Request>,
    ) -> Result<Writer, StoreError> {
        let mut writer = Writer {
            shared,
            config,
            requests,
            tail: None,
            known: KnownIds::default(),
            known_at: None,
            closed_bytes: 0,
            failing: false,
            #[cfg(test)]
            page_limit: Arc::default(),
        };
        let tail = writer.open_tail()?;
        writer.enforce_retention(&tail)?;
        writer.tail = Some(tail);
        Ok(writer)
    }

    /// Commits until every `Appender` is dropped and what they sent is answered. Blocks the thread.
    pub fn run(mut self) {
        while let Ok(first) = self.requests.recv() {
            let mut bytes = first.bytes;
            let mut group = vec![first];
            while bytes < GROUP_BYTES
                && let Ok(request) = self.requests.try_recv()
            {
                bytes += request.bytes;
                group.push(request);
            }
            self.answer(group);
        }
    }

    fn answer(&mut self, group: Vec<Request>) {
        match self.commit(&group) {
            Ok(answers) => {
                if std::mem::take(&mut self.failing) {
                    info!("the store writes again");
                }
                for (request, answer) in group.into_iter().zip(answers) {
                    (request.reply)(Ok(answer));
                }
            }
            Err(error) => {
                // Each refused append is counted; the log says it once per spell.
                if !std::mem::replace(&mut self.failing, true) {
                    error!(%error, "the store can't write: senders are told to retry");
                }
                // The connection may be broken, and a failed commit may even have reached the disk: look again.
                self.tail = None;
                let reason = error.to_string();
                for request in group {
                    (request.reply)(Err(AppendError::Failed { reason: reason.clone() }));
                }
            }
        }
    }

    fn commit(&mut self, group: &[Request]) -> Result<Vec<Appended>, StoreError> {
        let mut tail = match self.tail.take() {
            Some(tail) => tail,
            None => self.open_tail()?,
        };
        if self.is_full(&tail.end) {
            tail = self.roll(tail)?;
        }
        let selection = self.select(group);
        self.write(&mut tail, &selection)?;
        let metrics = &self.shared.metrics;
        metrics.records_stored.inc_by(selection.lines.len() as u64);
        metrics.records_duplicate.inc_by(selection.counts.iter().map(|(_, duplicates)| duplicates).sum());
        let offered = group.iter().flat_map(|request| request.lines.iter());
        metrics.by_source(offered.map(|line| line.source), selection.lines.iter().map(|line| line.source));
        // Each request's last record is at or before the sum of what was stored up to it.
        let mut last_seq = tail.end.next_seq - 1 - selection.lines.len() as u64;
        let answer = |(stored, duplicates): &(u64, u64)| {
            last_seq += stored;
            Appended { stored: *stored, duplicates: *duplicates, last_seq }
        };
        let answers = selection.counts.iter().map(answer).collect();
        self.tail = Some(tail);
        Ok(answers)
    }

    /// Leaves out what the log, or this same commit, has already.
    fn select<'a>(&self, group: &'a [Request]) -> Selection<'a> {
        let mut selection = Selection::default();
        let standing = locked(&self.shared.standing);
        for request in group {
            let before = selection.lines.len();
            for line in &request.lines {
                let verdict = line.change.as_ref().map_or(Verdict::ById, |change| {
                    standing.judge(change, selection.standing.get(change.key.as_str()))
                });
                let stored = match verdict {
                    Verdict::New => true,
                    Verdict::Repeated => false,
                    Verdict::ById => !self.known.contains(&line.id) && !selection.ids.contains(&line.id),
                };
                if stored {
                    selection.ids.insert(line.id);
                    selection.lines.push(line);
                    if let Some(change) = &line.change {
                        selection.standing.insert(&change.key, (!change.ends).then_some(change.content));
                    }
                }
            }
            let stored = (selection.lines.len() - before) as u64;
            selection.counts.push((stored, request.lines.len() as u64 - stored));
        }
        selection
    }

    /// Commits the selected lines and takes them into what is known.
    fn write(&mut self, tail: &mut Tail, selection: &Selection<'_>) -> Result<(), StoreError> {
        if selection.lines.is_empty() {
            return Ok(());
        }
        let blocks =
            block::seal_all(tail.end.next_seq, tail.end.hash, &selection.lines).map_err(StoreError::Compress)?;
        #[cfg(test)]
        match self.page_limit.load(std::sync::atomic::Ordering::Relaxed) {
            0 => {}
            pages => tail.partition.limit_pages(pages),
        }
        let begun = Instant::now();
        tail.partition.insert(&blocks)?;
        self.shared.metrics.commit_seconds.observe(begun.elapsed().as_secs_f64());
        tail.end.advance(&blocks);
        self.known.extend(selection.ids.iter().copied());
        self.known_at = Some((tail.partition.first_seq, tail.end.hash));
        self.apply_standing(selection.lines.iter().copied());
        self.shared.committed.send_replace(tail.end.next_seq - 1);
        self.measure(tail);
        Ok(())
    }

    fn apply_standing<'a>(&self, lines: impl Iterator<Item = &'a Line>) {
        let mut standing = locked(&self.shared.standing);
        for line in lines {
            if !standing.apply(line) {
                self.shared.metrics.standing_overflow.inc();
            }
        }
    }

    fn is_full(&self, end: &End) -> bool {
        let age = telemetry::now().duration_since(end.opened_at).unsigned_abs();
        end.appended_records > 0
            && (end.appended_bytes >= self.config.partition_bytes
                || end.appended_records >= MOST_RECORDS
                || age >= self.config.partition_age)
    }

    /// Closes the partition and begins the next one with the standing records.
    fn roll(&mut self, tail: Tail) -> Result<Tail, StoreError> {
        let lines = locked(&self.shared.standing).lines();
        let lines: Vec<&Line> = lines.iter().collect();
        let (first_seq, prev_hash) = (tail.end.next_seq, tail.end.hash);
        let carried = block::seal_all(first_seq, prev_hash, &lines).map_err(StoreError::Compress)?;
        let beginning = Beginning { first_seq, prev_hash, opened_at: telemetry::now(), carried: &carried };
        let partition = Partition::create(&self.shared.dir, &beginning)?;
        if let Err(error) = tail.partition.fold_wal() {
            // Nothing is lost: SQLite reads the WAL beside the file.
            warn!(%error, "a closed partition keeps its write-ahead log");
        }
        let end = partition.end()?;
        self.known.roll();
        self.known.extend(lines.iter().map(|line| line.id));
        self.known_at = Some((first_seq, end.hash));
        locked(&self.shared.partitions).insert(first_seq, partition.path.clone());
        self.shared.committed.send_replace(end.next_seq - 1);
        let tail = Tail { partition, end };
        self.enforce_retention(&tail)?;
        Ok(tail)
    }

    fn enforce_retention(&mut self, tail: &Tail) -> Result<(), StoreError> {
        self.closed_bytes = self.shared.enforce_retention(self.config.partition_bytes)?;
        self.measure(tail);
        Ok(())
    }

    fn measure(&self, tail: &Tail) {
        let bytes = self.closed_bytes + partition::disk_bytes(&tail.partition.path) + self.shared.snapshot_bytes();
        let metrics = &self.shared.metrics;
        let set = |gauge: &prometheus::IntGauge, bytes: u64| gauge.set(i64::try_from(bytes).unwrap_or(i64::MAX));
        set(&metrics.bytes, bytes);
        set(&metrics.limit_bytes, self.shared.retain_bytes);
        match rustix::fs::statvfs(&self.shared.dir) {
            Ok(disk) => {
                set(&metrics.disk_bytes, disk.f_blocks.saturating_mul(disk.f_frsize));
                set(&metrics.disk_free_bytes, disk.f_bavail.saturating_mul(disk.f_frsize));
            }
            Err(error) => warn!(%error, "the disk's free space is not known"),
        }
    }

    /// Opens the end of the log as it is on disk, and makes what is known agree with it.
    fn open_tail(&mut self) -> Result<Tail, StoreError> {
        let mut paths = list(&self.shared.dir)?;
        let partition = loop {
            let Some(path) = paths.last() else { break self.create_first()? };
            match Partition::open(path)? {
                Some(partition) => break partition,
                None => {
                    // A crash came between the file and its first transaction; nothing was ever in it.
                    partition::remove(path)?;
                    paths.pop();
                }
            }
        };
        let end = partition.end()?;
        let mut partitions: std::collections::BTreeMap<Seq, PathBuf> =
            paths.into_iter().filter_map(|path| Some((Partition::first_seq_of(&path)?, path))).collect();
        partitions.insert(partition.first_seq, partition.path.clone());
        let previous = partitions.range(..partition.first_seq).next_back().map(|(_, path)| path.clone());
        *locked(&self.shared.partitions) = partitions;
        if self.known_at != Some((partition.first_seq, end.hash)) {
            self.learn(&partition, previous)?;
            self.known_at = Some((partition.first_seq, end.hash));
        }
        self.shared.committed.send_replace(end.next_seq - 1);
        Ok(Tail { partition, end })
    }

    /// Loads the ids of the last two partitions, and the standing records of the last.
    fn learn(&mut self, partition: &Partition, previous: Option<PathBuf>) -> Result<(), StoreError> {
        let previous = match previous.map(|path| Partition::open_reading(&path, true)?.ids()) {
            Some(Ok(ids)) => ids,
            Some(Err(error)) => {
                warn!(%error, "the partition before the last is damaged: its records may be stored again");
                Vec::new()
            }
            None => Vec::new(),
        };
        self.known = KnownIds::new(previous, partition.ids()?);
        *locked(&self.shared.standing) = StandingSet::default();
        for place in partition.standing_places()? {
            let (_, content) = self.shared.content(partition, &place)?;
            let standing = content.records.iter().filter(|(_, record)| record.standing_key().is_some());
            // What was just parsed can be serialised.
            let lines: Vec<Line> = standing.filter_map(|(_, record)| Line::new(record).ok()).collect();
            self.apply_standing(lines.iter());
        }
        Ok(())
    }

    /// Begins the log; after every reader's offset, should somebody have removed the partitions before.
    fn create_first(&self) -> Result<Partition, StoreError> {
        let read_to = locked(&self.shared.state).offset_range()?.map_or(0, |(_, furthest)| furthest);
        let opened_at: Timestamp = telemetry::now();
        let beginning = Beginning { first_seq: read_to + 1, prev_hash: [0; 32], opened_at, carried: &[] };
        Partition::create(&self.shared.dir, &beginning)
    }
}

impl End {
    fn advance(&mut self, blocks: &[Block]) {
        for block in blocks {
            self.next_seq = block.last_seq + 1;
            self.hash = block.hash;
            self.appended_bytes += (block.data.len() + block.ids.len()) as u64;
            self.appended_records += block.count;
        }
    }
}

/// The partitions in `dir`, oldest first. Clears away what a crash left of dropped ones.
fn list(dir: &std::path::Path) -> Result<Vec<PathBuf>, StoreError> {
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(StoreError::io(dir))? {
        let path = entry.map_err(StoreError::io(dir))?.path();
        if Partition::first_seq_of(&path).is_some() {
            paths.push(path);
            continue;
        }
        let of_partition = ["-wal", "-shm"].iter().find_map(|suffix| {
            let database = PathBuf::from(path.to_str()?.strip_suffix(suffix)?);
            Partition::first_seq_of(&database).map(|_| database)
        });
        if let Some(database) = of_partition
            && !database.exists()
        {
            partition::remove(&database)?;
        }
    }
    paths.sort();
    Ok(paths)
}
