//! Snapshots of a reader's state beside the log, each complete or absent. In: bytes, through a writer. Out: the same, newest
//! first. Two are kept: while the newest is written, and in case that it is damaged, there is another.

use std::{
    fs::{self, File},
    io::{self, BufReader, BufWriter, Read, Write},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use super::{Store, StoreError};
use crate::record::Seq;

const PREFIX: &str = "snapshot-";
const SUFFIX: &str = ".jsonl.zst";
const TEMPORARY: &str = "snapshot.tmp";
const KEPT: usize = 2;
/// Fast; a third of a snapshot's size stays.
const LEVEL: i32 = 1;

impl Store {
    /// Keeps what `write` writes as the snapshot after the record `seq`, compressed. It is on the disk, whole, when this
    /// returns; until then the ones before it stand. Blocks the thread.
    pub fn put_snapshot<E: From<io::Error>>(
        &self,
        seq: Seq,
        write: impl FnOnce(&mut dyn Write) -> Result<(), E>,
    ) -> Result<u64, E> {
        let dir = &self.shared.dir;
        let temporary = dir.join(TEMPORARY);
        let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&temporary)?;
        let mut encoder = zstd::Encoder::new(BufWriter::new(file), LEVEL)?;
        encoder.include_checksum(true)?;
        write(&mut encoder)?;
        let file = encoder.finish()?.into_inner().map_err(io::IntoInnerError::into_error)?;
        file.sync_all()?;
        let bytes = file.metadata()?.len();
        fs::rename(&temporary, dir.join(format!("{PREFIX}{seq:020}{SUFFIX}")))?;
        File::open(dir)?.sync_all()?;
        for (_, path) in found(dir)?.into_iter().skip(KEPT) {
            fs::remove_file(path)?;
        }
        Ok(bytes)
    }

    /// The snapshots by the records after which they stand, newest first.
    pub fn snapshots(&self) -> Result<Vec<(Seq, PathBuf)>, StoreError> {
        found(&self.shared.dir).map_err(StoreError::io(&self.shared.dir))
    }

    /// Removes a snapshot that can't be used, so that it is not tried again at each start.
    pub fn drop_snapshot(&self, path: &Path) -> Result<(), StoreError> {
        fs::remove_file(path).map_err(StoreError::io(path))
    }
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
