//! Snapshots of a reader's state beside the log, each complete or absent. In: bytes, through a writer. Out: the same, newest
//! first. Two are kept: while the newest is written, and in case that it is damaged, there is another. They count in the
//! bytes that the store may take, and none takes more than an eighth of them.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{Shared, Store, StoreError};
use crate::record::Seq;

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".jsonl.zst";
const TEMPORARY: &str = "snapshot.tmp";
const KEPT: usize = 2;
/// Fast; a third of a snapshot's size stays.
const LEVEL: i32 = 1;
/// Of the bytes that the store may take: three snapshots leave the log most of them.
const PART: u64 = 8;

impl Shared {
    /// Bytes of the snapshots, when they were last measured.
    pub(super) fn snapshot_bytes(&self) -> u64 {
        self.snapshot_bytes.load(Ordering::Relaxed)
    }

    pub(super) fn measure_snapshots(&self) {
        let bytes = |(_, path): (Seq, PathBuf)| fs::metadata(path).map_or(0, |file| file.len());
        let sum = found(&self.dir).into_iter().flatten().map(bytes).sum();
        self.snapshot_bytes.store(sum, Ordering::Relaxed);
    }
}

/// Refuses what goes beyond a limit.
struct Bounded<W> {
    out: W,
    left: u64,
}

impl<W: Write> Write for Bounded<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if bytes.len() as u64 > self.left {
            return Err(io::Error::other("over an eighth of --retain-bytes: raise it"));
        }
        let written = self.out.write(bytes)?;
        self.left -= written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Store {
    /// Keeps what `write` writes as the snapshot after the record `seq`, compressed. It is on the disk, whole, when this
    /// returns; until then the ones before it stand. Blocks the thread.
    pub fn put_snapshot(&self, seq: Seq, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
        let dir = &self.shared.dir;
        let temporary = dir.join(TEMPORARY);
        let bytes = put(&temporary, self.shared.retain_bytes / PART, write).inspect_err(|_| {
            // A part of a snapshot is of no use, and on a full disk the log needs its room.
            fs::remove_file(&temporary).ok();
        })?;
        fs::rename(&temporary, dir.join(format!("{PREFIX}{seq:020}{SUFFIX}")))?;
        File::open(dir)?.sync_all()?;
        for (_, path) in found(dir)?.into_iter().skip(KEPT) {
            fs::remove_file(path)?;
        }
        self.shared.measure_snapshots();
        Ok(bytes)
    }

    /// The snapshots by the records after which they stand, newest first.
    pub fn snapshots(&self) -> Result<Vec<(Seq, PathBuf)>, StoreError> {
        found(&self.shared.dir).map_err(StoreError::io(&self.shared.dir))
    }

    /// Removes a snapshot that can't be used, so that it is not tried again at each start.
    pub fn drop_snapshot(&self, path: &Path) -> Result<(), StoreError> {
        fs::remove_file(path).map_err(StoreError::io(path))?;
        self.shared.measure_snapshots();
        Ok(())
    }
}

/// Writes what `write` writes to the file, whole, if it has room in `limit` bytes; how many it has then.
fn put(path: &Path, limit: u64, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<u64> {
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    let mut encoder = zstd::Encoder::new(Bounded { out: BufWriter::new(file), left: limit }, LEVEL)?;
    encoder.include_checksum(true)?;
    write(&mut encoder)?;
    let file = encoder.finish()?.out.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    Ok(file.metadata()?.len())
}

/// The bytes of a snapshot. What is damaged ends in an error while it is read.
pub fn open_snapshot(path: &Path) -> io::Result<BufReader<impl Read + use<>>> {
    Ok(BufReader::new(zstd::Decoder::new(File::open(path)?)?))
}

fn found(dir: &Path) -> io::Result<Vec<(Seq, PathBuf)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        let name = entry.file_name();
        let seq = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.strip_suffix(SUFFIX)?.parse().ok());
        found.extend(seq.map(|seq: Seq| (seq, entry.path())));
    }
    found.sort_unstable_by_key(|(seq, _)| std::cmp::Reverse(*seq));
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{
        Metrics, StoreConfig,
        fixture::{Open, audit_of_size},
    };

    /// Bytes that don't compress.
    fn noise(bytes: usize) -> Vec<u8> {
        let mut random = fastrand::Rng::with_seed(1);
        std::iter::repeat_with(|| random.u8(..)).take(bytes).collect()
    }

    #[test]
    fn snapshots_take_their_room_from_the_log_and_none_more_than_an_eighth() {
        let limit = 1 << 20;
        let first_left = |snapshots: &[Seq]| {
            let dir = tempfile::tempdir().unwrap();
            let open = Open::small(dir.path(), limit);
            for seq in snapshots {
                open.store.put_snapshot(*seq, |out| out.write_all(&noise(120_000))).unwrap();
            }
            let too_large = open.store.put_snapshot(9, |out| out.write_all(&noise(140_000)));
            assert!(too_large.unwrap_err().to_string().contains("--retain-bytes"));
            for number in 0..60 {
                open.append(vec![audit_of_size(number, 80_000)]);
            }
            let bytes = u64::try_from(open.metrics.bytes.get()).unwrap();
            assert!(bytes <= limit && bytes > limit / 2, "{bytes}");
            open.store.first_seq().unwrap()
        };
        let (without, with) = (first_left(&[]), first_left(&[1, 2, 3]));
        assert!(without < with, "{without} {with}");
    }

    #[test]
    fn a_snapshot_that_can_t_be_written_leaves_the_one_before_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (store, _appender, _writer) = Store::open(StoreConfig::at(dir.path()), metrics).unwrap();
        store.put_snapshot(1, |out| out.write_all(b"one")).unwrap();
        let names = || -> Vec<_> {
            let mut names: Vec<_> = fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let before = names();
        let full = |out: &mut dyn Write| {
            out.write_all(b"half")?;
            Err(io::Error::other("no space left"))
        };
        assert!(store.put_snapshot(2, full).is_err());
        assert_eq!(names(), before);
        assert_eq!(store.snapshots().unwrap().iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), [1]);
    }
}
