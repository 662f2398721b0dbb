//! One partition of the log: an SQLite file that holds the blocks from its first sequence number on.
//! In: sealed blocks. Out: the same blocks. Never changes a block; a partition is only appended to, then dropped whole.

use std::{
    fs,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use jiff::Timestamp;
use rusqlite::{Connection, OpenFlags, OptionalExtension, params};

use super::{
    StoreError,
    block::{Block, Hash},
};
use crate::record::{RecordId, Seq};

/// Version of everything in the data directory. A build reads exactly its own.
pub(super) const FORMAT_VERSION: i64 = 1;

/// `ids` stands before `data`, so that loading it does not walk through the data's overflow pages.
const SCHEMA: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE block(first_seq INTEGER PRIMARY KEY, last_seq INTEGER NOT NULL, count INTEGER NOT NULL,
        standing INTEGER NOT NULL, raw_bytes INTEGER NOT NULL, codec TEXT NOT NULL, prev_hash BLOB NOT NULL,
        hash BLOB NOT NULL, ids BLOB NOT NULL, data BLOB NOT NULL);";

/// How long a statement waits for another connection's short lock (a checkpoint, a close).
const BUSY_TIMEOUT: Duration = Duration::from_secs(2);

/// Never CREATE: a file that was removed must not come back empty. Also for readers of the partition that is written:
/// the last one to close a file in WAL mode must be able to remove the WAL.
const WRITE_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_WRITE.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
const READ_FLAGS: OpenFlags = OpenFlags::SQLITE_OPEN_READ_ONLY.union(OpenFlags::SQLITE_OPEN_NO_MUTEX);
/// What can't stand for itself in the path of a file: URI.
const NOT_IN_URI: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%').add(b'?').add(b'#').add(b' ');

pub(super) struct Partition {
    conn: Connection,
    pub path: PathBuf,
    pub first_seq: Seq,
}

/// What a new partition begins with.
pub(super) struct Beginning<'a> {
    pub first_seq: Seq,
    pub prev_hash: Hash,
    pub opened_at: Timestamp,
    /// Blocks of the standing records.
    pub carried: &'a [Block],
}

/// Where a partition's log ends.
pub(super) struct End {
    pub next_seq: Seq,
    pub hash: Hash,
    pub opened_at: Timestamp,
    /// Bytes and records of the blocks after the carried ones.
    pub appended_bytes: u64,
    pub appended_records: u64,
}

/// A block's place, without its content.
pub(super) struct Place {
    pub first_seq: Seq,
    pub last_seq: Seq,
}

impl Place {
    fn of(row: &rusqlite::Row<'_>) -> rusqlite::Result<Place> {
        Ok(Place { first_seq: row.get::<_, i64>(0)? as Seq, last_seq: row.get::<_, i64>(1)? as Seq })
    }
}

impl Partition {
    pub fn path(dir: &Path, first_seq: Seq) -> PathBuf {
        dir.join(format!("log-{first_seq:020}.db"))
    }

    /// The first sequence number that a partition's file name states; `None` for any other file.
    pub fn first_seq_of(path: &Path) -> Option<Seq> {
        let digits = path.file_name()?.to_str()?.strip_prefix("log-")?.strip_suffix(".db")?;
        digits.parse().ok().filter(|_| digits.len() == 20)
    }

    /// Makes the file; its schema, beginning and carried blocks are one transaction.
    pub fn create(dir: &Path, beginning: &Beginning<'_>) -> Result<Partition, StoreError> {
        let path = Partition::path(dir, beginning.first_seq);
        create_file(&path)?;
        let mut partition = Partition { conn: open_writing(&path)?, path, first_seq: beginning.first_seq };
        let path = partition.path.clone();
        let begin = |conn: &mut Connection| -> rusqlite::Result<()> {
            let transaction = conn.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            insert_blocks(&transaction, beginning.carried)?;
            let carried_to = beginning.carried.last().map_or(beginning.first_seq - 1, |block| block.last_seq);
            for (key, value) in [
                ("version", FORMAT_VERSION),
                ("first_seq", beginning.first_seq as i64),
                ("carried_to", carried_to as i64),
                ("opened_at", beginning.opened_at.as_second()),
            ] {
                transaction.execute("INSERT INTO meta VALUES(?1, ?2)", params![key, value])?;
            }
            transaction.execute("INSERT INTO meta VALUES('prev_hash', ?1)", [beginning.prev_hash])?;
            transaction.commit()
        };
        begin(&mut partition.conn).map_err(StoreError::sqlite(&path))?;
        Ok(partition)
    }

    /// Opens a partition to append to it; `None` when a crash left it before its first transaction, so that it is empty.
    pub fn open(path: &Path) -> Result<Option<Partition>, StoreError> {
        let partition = Partition { conn: open_writing(path)?, path: path.into(), first_seq: named_seq(path)? };
        let begun = partition.conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
        if begun.map_err(StoreError::sqlite(path))? == 0 {
            return Ok(None);
        }
        partition.check_version()?;
        Ok(Some(partition))
    }

    /// Opens a partition to read from it; `closed` when nothing will be appended to it any more.
    pub fn open_reading(path: &Path, closed: bool) -> Result<Partition, StoreError> {
        let folded = fs::metadata(beside(path, "-wal")).map_or(true, |wal| wal.len() == 0);
        let conn = match immutable_uri(path).filter(|_| closed && folded) {
            Some(uri) => Connection::open_with_flags(uri, READ_FLAGS | OpenFlags::SQLITE_OPEN_URI),
            None => Connection::open_with_flags(path, WRITE_FLAGS),
        };
        let conn = conn.map_err(StoreError::sqlite(path))?;
        conn.busy_timeout(BUSY_TIMEOUT).map_err(StoreError::sqlite(path))?;
        conn.pragma_update(None, "query_only", true).map_err(StoreError::sqlite(path))?;
        let partition = Partition { conn, path: path.into(), first_seq: named_seq(path)? };
        partition.check_version()?;
        Ok(partition)
    }

    fn check_version(&self) -> Result<(), StoreError> {
        match self.meta::<i64>("version")? {
            FORMAT_VERSION => Ok(()),
            found => Err(StoreError::Version { path: self.path.clone(), found, expected: FORMAT_VERSION }),
        }
    }

    fn meta<T: rusqlite::types::FromSql>(&self, key: &str) -> Result<T, StoreError> {
        self.conn
            .query_row("SELECT value FROM meta WHERE key = ?1", [key], |row| row.get(0))
            .map_err(StoreError::sqlite(&self.path))
    }

    /// Hash of the last block before this partition.
    pub fn prev_hash(&self) -> Result<Hash, StoreError> {
        self.meta("prev_hash")
    }

    /// When the partition was begun.
    pub fn opened_at(&self) -> Result<Timestamp, StoreError> {
        Ok(Timestamp::from_second(self.meta("opened_at")?).unwrap_or_default())
    }

    pub fn end(&self) -> Result<End, StoreError> {
        let last = "SELECT last_seq, hash FROM block ORDER BY first_seq DESC LIMIT 1";
        let last = self.conn.query_row(last, [], |row| Ok((row.get::<_, i64>(0)? as Seq + 1, row.get(1)?))).optional();
        let (next_seq, hash) = match last.map_err(StoreError::sqlite(&self.path))? {
            Some(last) => last,
            None => (self.first_seq, self.prev_hash()?),
        };
        let carried_to: i64 = self.meta("carried_to")?;
        let bytes = "SELECT coalesce(sum(length(data) + length(ids)), 0) FROM block WHERE first_seq > ?1";
        let bytes = self.conn.query_row(bytes, [carried_to], |row| row.get::<_, i64>(0));
        Ok(End {
            next_seq,
            hash,
            opened_at: self.opened_at()?,
            appended_bytes: bytes.map_err(StoreError::sqlite(&self.path))? as u64,
            appended_records: next_seq.saturating_sub(carried_to as Seq + 1),
        })
    }

    /// Appends blocks in one transaction. After `Ok` they are on disk.
    pub fn insert(&mut self, blocks: &[Block]) -> Result<(), StoreError> {
        let commit = |conn: &mut Connection| -> rusqlite::Result<()> {
            let transaction = conn.transaction()?;
            insert_blocks(&transaction, blocks)?;
            transaction.commit()
        };
        commit(&mut self.conn).map_err(StoreError::sqlite(&self.path))
    }

    /// Ids of all records, for deduplication.
    pub fn ids(&self) -> Result<Vec<RecordId>, StoreError> {
        let mut ids = Vec::new();
        let read = |ids: &mut Vec<RecordId>| -> rusqlite::Result<()> {
            let mut statement = self.conn.prepare("SELECT ids FROM block")?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                let (block, _) = row.get_ref(0)?.as_blob()?.as_chunks::<16>();
                ids.extend(block.iter().map(|id| RecordId(*id)));
            }
            Ok(())
        };
        read(&mut ids).map_err(StoreError::sqlite(&self.path))?;
        Ok(ids)
    }

    /// Places of at most `limit` blocks that hold records from `from` to `to`, in order.
    pub fn places(&self, from: Seq, to: Seq, limit: usize) -> rusqlite::Result<Vec<Place>> {
        let sql = "SELECT first_seq, last_seq FROM block
            WHERE first_seq >= (SELECT coalesce(max(first_seq), 0) FROM block WHERE first_seq <= ?1)
            AND first_seq <= ?2 ORDER BY first_seq LIMIT ?3";
        let mut statement = self.conn.prepare_cached(sql)?;
        statement.query_map(params![from as i64, to as i64, limit as i64], Place::of)?.collect()
    }

    /// Places of the blocks that hold standing records, in order.
    pub fn standing_places(&self) -> Result<Vec<Place>, StoreError> {
        let read = || -> rusqlite::Result<Vec<Place>> {
            let sql = "SELECT first_seq, last_seq FROM block WHERE standing > 0 ORDER BY first_seq";
            self.conn.prepare(sql)?.query_map([], Place::of)?.collect()
        };
        read().map_err(StoreError::sqlite(&self.path))
    }

    /// The block that begins at `first_seq`, as stored: not yet checked.
    pub fn block(&self, first_seq: Seq) -> rusqlite::Result<Block> {
        let sql = "SELECT first_seq, last_seq, count, standing, raw_bytes, codec, prev_hash, hash, ids, data
            FROM block WHERE first_seq = ?1";
        self.conn.prepare_cached(sql)?.query_row([first_seq as i64], |row| {
            Ok(Block {
                first_seq: row.get::<_, i64>(0)? as Seq,
                last_seq: row.get::<_, i64>(1)? as Seq,
                count: row.get::<_, i64>(2)? as u64,
                standing: row.get::<_, i64>(3)? as u64,
                raw_bytes: row.get::<_, i64>(4)? as usize,
                codec: row.get(5)?,
                prev_hash: row.get(6)?,
                hash: row.get(7)?,
                ids: row.get(8)?,
                data: row.get(9)?,
            })
        })
    }

    /// Moves the WAL's content into the file, so that a closed partition is one file.
    pub fn fold_wal(&self) -> rusqlite::Result<()> {
        self.conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))
    }

    /// Stands in for a full disk: the file can't grow beyond `pages` of 4 KiB.
    #[cfg(test)]
    pub fn limit_pages(&self, pages: u32) {
        self.conn.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).unwrap();
    }
}

fn insert_blocks(conn: &Connection, blocks: &[Block]) -> rusqlite::Result<()> {
    let mut insert = conn.prepare_cached("INSERT INTO block VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)")?;
    for block in blocks {
        let Block { first_seq, last_seq, count, standing, raw_bytes, codec, prev_hash, hash, ids, data } = block;
        let (first_seq, last_seq, raw_bytes) = (*first_seq as i64, *last_seq as i64, *raw_bytes as i64);
        let (count, standing) = (*count as i64, *standing as i64);
        insert.execute(params![first_seq, last_seq, count, standing, raw_bytes, codec, prev_hash, hash, ids, data])?;
    }
    Ok(())
}

/// Names a file that nobody changes: SQLite then needs no locks and no shared memory beside it, so that the log can
/// be read while the disk is full.
fn immutable_uri(path: &Path) -> Option<String> {
    let path = percent_encoding::utf8_percent_encode(path.to_str()?, NOT_IN_URI);
    Some(format!("file:{path}?immutable=1"))
}

fn named_seq(path: &Path) -> Result<Seq, StoreError> {
    Partition::first_seq_of(path).ok_or_else(|| StoreError::Name { path: path.into() })
}

/// Creates `path` for this user alone and makes its name durable: SQLite syncs what is in a file, the directory that
/// names it only now and then.
pub(super) fn create_file(path: &Path) -> Result<(), StoreError> {
    let made = fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    made.and_then(|file| file.sync_all()).map_err(StoreError::io(path))?;
    let dir = path.parent().unwrap_or(path);
    fs::File::open(dir).and_then(|dir| dir.sync_all()).map_err(StoreError::io(dir))
}

/// A connection whose every commit is on disk when it returns.
pub(super) fn open_writing(path: &Path) -> Result<Connection, StoreError> {
    let open = || -> rusqlite::Result<(Connection, String)> {
        let conn = Connection::open_with_flags(path, WRITE_FLAGS)?;
        conn.busy_timeout(BUSY_TIMEOUT)?;
        // FULL: the WAL is synced at each commit (NORMAL would only do so at checkpoints).
        conn.pragma_update(None, "synchronous", "FULL")?;
        let mode = conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get(0))?;
        // A WAL that a slow reader let grow is cut back at the next checkpoint.
        conn.pragma_update_and_check(None, "journal_size_limit", 16 << 20, |_| Ok(()))?;
        Ok((conn, mode))
    };
    let (conn, mode) = open().map_err(StoreError::sqlite(path))?;
    // SQLite answers with the mode that it kept when it can't have the asked one.
    if mode != "wal" {
        return Err(StoreError::NoWal { path: path.into(), mode });
    }
    Ok(conn)
}

/// Bytes that a partition takes on disk, its WAL included.
pub(super) fn disk_bytes(path: &Path) -> u64 {
    let size = |path: &Path| fs::metadata(path).map_or(0, |meta| meta.len());
    size(path) + size(&beside(path, "-wal"))
}

/// Removes a partition's files. The database goes first: without it the other two are recognised as leftovers.
pub(super) fn remove(path: &Path) -> Result<(), StoreError> {
    for path in [path.to_path_buf(), beside(path, "-wal"), beside(path, "-shm")] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(StoreError::io(&path)(error)),
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// The file that SQLite keeps beside a database.
pub(super) fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_commit_of_a_writing_connection_is_synced() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log.db");
        fs::write(&path, "").unwrap(); // it opens what is there
        let conn = open_writing(&path).unwrap();
        // 2 is FULL (https://www.sqlite.org/pragma.html#pragma_synchronous).
        assert_eq!(conn.pragma_query_value(None, "synchronous", |row| row.get::<_, i64>(0)).unwrap(), 2);
        assert_eq!(conn.pragma_query_value(None, "journal_mode", |row| row.get::<_, String>(0)).unwrap(), "wal");
    }
}
