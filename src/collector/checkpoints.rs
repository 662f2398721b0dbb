//! How far each file was read, on disk. Every change is durable when the call returns (SQLite, `synchronous` FULL), and a
//! crash at any moment leaves the state before or after it. A file is entered before anything of it is sent, so that its
//! name for the receiver (`Checkpoint::id`) is the same after any crash.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use rusqlite::{Connection, Transaction, params};

use super::{fingerprint::Fingerprint, open::Key};
use crate::record::{IdKey, RecordId};

/// Files that are remembered; of more the oldest that are done are forgotten.
pub const ROWS: i64 = 10_000;
const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS files (
  entered INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, device INTEGER NOT NULL, inode INTEGER NOT NULL,
  path TEXT NOT NULL, head_length INTEGER NOT NULL, head BLOB NOT NULL, offset INTEGER NOT NULL, skipping INTEGER NOT NULL,
  size INTEGER NOT NULL, done INTEGER NOT NULL) STRICT;
CREATE TABLE IF NOT EXISTS known (entered INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL UNIQUE) STRICT;";

/// What is known of one file, or of one generation of a file that was truncated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    /// `record::Position::file`.
    pub id: Arc<str>,
    pub key: Key,
    /// What it was called when it was found.
    pub path: Arc<str>,
    pub fingerprint: Fingerprint,
    /// All before it was received, or is in the spool.
    pub offset: u64,
    /// `offset` is within an oversized line.
    pub skipping: bool,
    /// Size when it was last read.
    pub size: u64,
    /// Nothing of it will be read any more.
    pub done: bool,
}

/// A checkpoint moves forward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Move {
    pub offset: u64,
    pub skipping: bool,
    pub size: u64,
}

#[derive(Debug, thiserror::Error)]
#[error("{path}: {source}; the directory must be writable and have space")]
pub struct CheckpointError {
    path: PathBuf,
    source: rusqlite::Error,
}

/// Names one file across renames. A function of the file and how often it began anew, so that even without the checkpoints
/// the same file gets the same name.
pub fn identity(file: Key, fingerprint: &Fingerprint, generation: u32, key: &IdKey) -> Arc<str> {
    let parts: [&[u8]; 5] = [
        b"file",
        &file.device.to_le_bytes(),
        &file.inode.to_le_bytes(),
        &generation.to_le_bytes(),
        &fingerprint.hash.0,
    ];
    RecordId::of(key, &parts).to_string().into()
}

pub struct Checkpoints {
    path: PathBuf,
    db: Connection,
}

impl Checkpoints {
    /// Opens `checkpoints.db` in `dir`. A file that is no database is set aside and `true` returned with an empty one.
    pub fn open(dir: &Path) -> Result<(Checkpoints, bool), CheckpointError> {
        let path = dir.join("checkpoints.db");
        match Checkpoints::try_open(&path) {
            Ok(checkpoints) => Ok((checkpoints, false)),
            Err(source) if is_damage(&source) => {
                let aside = path.with_extension("damaged");
                // What can't be moved is reported by the next open.
                for end in ["", "-wal", "-shm"] {
                    let with_end = |path: &Path| PathBuf::from(format!("{}{end}", path.display()));
                    if let Err(error) = std::fs::rename(with_end(&path), with_end(&aside)) {
                        tracing::debug!(%error, "setting damaged checkpoints aside");
                    }
                }
                let checkpoints = Checkpoints::try_open(&path).map_err(|source| CheckpointError { path, source })?;
                Ok((checkpoints, true))
            }
            Err(source) => Err(CheckpointError { path, source }),
        }
    }

    fn try_open(path: &Path) -> rusqlite::Result<Checkpoints> {
        let db = Connection::open(path)?;
        db.busy_timeout(Duration::from_secs(5))?;
        db.pragma_update(None, "journal_mode", "WAL")?;
        db.pragma_update(None, "synchronous", "FULL")?;
        db.execute_batch(SCHEMA)?;
        let checkpoints = Checkpoints { path: path.to_owned(), db };
        let check: String = checkpoints.db.query_row("PRAGMA quick_check(1)", [], |row| row.get(0))?;
        if check != "ok" {
            let damage = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
            return Err(rusqlite::Error::SqliteFailure(damage, Some(check)));
        }
        Ok(checkpoints)
    }

    fn failed(&self) -> impl Fn(rusqlite::Error) -> CheckpointError + use<> {
        let path = self.path.clone();
        move |source| CheckpointError { path: path.clone(), source }
    }

    fn change(&mut self, change: impl FnOnce(&Transaction<'_>) -> rusqlite::Result<()>) -> Result<(), CheckpointError> {
        let failed = self.failed();
        let transaction = self.db.transaction().map_err(&failed)?;
        change(&transaction).and_then(|()| transaction.commit()).map_err(failed)
    }

    /// Every file that is remembered, in the order in which they were entered.
    pub fn all(&self) -> Result<Vec<Checkpoint>, CheckpointError> {
        let read = || -> rusqlite::Result<Vec<Checkpoint>> {
            let mut rows = self.db.prepare(
                "SELECT id, device, inode, path, head_length, head, offset, skipping, size, done FROM files ORDER BY entered",
            )?;
            let rows = rows.query_map([], |row| {
                Ok(Checkpoint {
                    id: row.get::<_, String>(0)?.into(),
                    key: Key {
                        device: row.get::<_, i64>(1)?.cast_unsigned(),
                        inode: row.get::<_, i64>(2)?.cast_unsigned(),
                    },
                    path: row.get::<_, String>(3)?.into(),
                    fingerprint: Fingerprint {
                        length: row.get::<_, i64>(4)?.cast_unsigned(),
                        hash: RecordId(row.get(5)?),
                    },
                    offset: row.get::<_, i64>(6)?.cast_unsigned(),
                    skipping: row.get(7)?,
                    size: row.get::<_, i64>(8)?.cast_unsigned(),
                    done: row.get(9)?,
                })
            })?;
            rows.collect()
        };
        read().map_err(self.failed())
    }

    /// Enters files, with whatever else becomes known by it: names in the table `known`.
    pub fn enter(&mut self, files: &[Checkpoint], known: &[&str]) -> Result<(), CheckpointError> {
        self.change(|transaction| {
            for file in files {
                transaction
                    .prepare_cached(
                        "INSERT INTO files (id, device, inode, path, head_length, head, offset, skipping, size, done)
                         VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                    )?
                    .execute(params![
                        &*file.id,
                        file.key.device.cast_signed(),
                        file.key.inode.cast_signed(),
                        &*file.path,
                        file.fingerprint.length.cast_signed(),
                        file.fingerprint.hash.0,
                        file.offset.cast_signed(),
                        file.skipping,
                        file.size.cast_signed(),
                        file.done
                    ])?;
            }
            for name in known {
                transaction.execute("INSERT OR IGNORE INTO known (name) VALUES (?)", [name])?;
            }
            transaction
                .execute("DELETE FROM files WHERE done AND entered <= (SELECT max(entered) FROM files) - ?", [ROWS])?;
            // Of paths; patterns are as few as people write. Pods come and go, each with paths of its own.
            transaction.execute(
                "DELETE FROM known WHERE name LIKE '/%' AND entered <= (SELECT max(entered) FROM known) - ?
                 AND name NOT IN (SELECT path FROM files)",
                [ROWS],
            )?;
            Ok(())
        })
    }

    /// Names that were entered with `enter`.
    pub fn known(&self) -> Result<std::collections::HashSet<String>, CheckpointError> {
        let read = || -> rusqlite::Result<std::collections::HashSet<String>> {
            self.db.prepare("SELECT name FROM known")?.query_map([], |row| row.get(0))?.collect()
        };
        read().map_err(self.failed())
    }

    /// Moves checkpoints, all or none.
    pub fn commit<'a>(&mut self, moves: impl Iterator<Item = (&'a Arc<str>, &'a Move)>) -> Result<(), CheckpointError> {
        self.change(|transaction| {
            let mut update = transaction
                .prepare_cached("UPDATE files SET offset = ?, skipping = ?, size = max(size, ?) WHERE id = ?")?;
            for (id, to) in moves {
                update.execute(params![to.offset.cast_signed(), to.skipping, to.size.cast_signed(), &**id])?;
            }
            Ok(())
        })
    }

    /// How far a file was received.
    pub fn offset(&self, id: &str) -> Result<u64, CheckpointError> {
        let offset = self.db.query_row("SELECT offset FROM files WHERE id = ?", [id], |row| row.get::<_, i64>(0));
        offset.map(i64::cast_unsigned).map_err(self.failed())
    }

    /// What was read of `id` is found in another file now: a copy of it.
    pub fn rekey(&mut self, id: &str, key: Key) -> Result<(), CheckpointError> {
        self.change(|transaction| {
            let key = params![key.device.cast_signed(), key.inode.cast_signed(), id];
            transaction.execute("UPDATE files SET device = ?, inode = ? WHERE id = ?", key).map(drop)
        })
    }

    /// What was read of `id` is all that is in a copy of it. At once, because a copy that is shorter than what was read must
    /// never be taken for a file to go on with.
    pub fn finish_as(&mut self, id: &str, key: Key) -> Result<(), CheckpointError> {
        self.change(|transaction| {
            let key = params![key.device.cast_signed(), key.inode.cast_signed(), id];
            transaction.execute("UPDATE files SET device = ?, inode = ?, done = 1 WHERE id = ?", key).map(drop)
        })
    }

    pub fn finish(&mut self, id: &str) -> Result<(), CheckpointError> {
        self.change(|transaction| transaction.execute("UPDATE files SET done = 1 WHERE id = ?", [id]).map(drop))
    }
}

fn is_damage(error: &rusqlite::Error) -> bool {
    matches!(error.sqlite_error_code(), Some(rusqlite::ErrorCode::DatabaseCorrupt | rusqlite::ErrorCode::NotADatabase))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn file(inode: u64) -> Checkpoint {
        let key = Key { device: u64::MAX, inode };
        let fingerprint = Fingerprint { length: 11, hash: RecordId([7; 16]) };
        Checkpoint {
            id: identity(key, &fingerprint, 0, &IdKey::OFFLINE),
            key,
            path: "/var/log/auth.log".into(),
            fingerprint,
            offset: 0,
            skipping: false,
            size: 10,
            done: false,
        }
    }

    fn open(dir: &Path) -> Checkpoints {
        let (checkpoints, damaged) = Checkpoints::open(dir).unwrap();
        assert!(!damaged);
        checkpoints
    }

    #[test]
    fn identity_names_the_file_and_its_generation() {
        let head = |byte| Fingerprint { length: 9, hash: RecordId([byte; 16]) };
        let of =
            |device, inode, byte, generation| identity(Key { device, inode }, &head(byte), generation, &IdKey::OFFLINE);
        let first = of(1, 2, 7, 0);
        assert_eq!((first.len(), &first), (32, &of(1, 2, 7, 0)));
        for other in [of(1, 2, 7, 1), of(1, 2, 8, 0), of(2, 1, 7, 0)] {
            assert_ne!(first, other);
        }
    }

    #[test]
    fn a_crash_at_any_write_leaves_a_state_that_was_committed() {
        let dir = tempfile::tempdir().unwrap();
        let mut checkpoints = open(dir.path());
        let mut states = vec![Vec::new()];
        let mut step = |checkpoints: &mut Checkpoints, offset: Option<u64>| {
            match offset {
                None => checkpoints.enter(&[file(1), file(2)], &["/var/log/auth.log"]).unwrap(),
                Some(offset) => {
                    let to = Move { offset, skipping: offset % 2 == 1, size: offset };
                    let ids = [file(1).id, file(2).id];
                    checkpoints.commit(ids.iter().map(|id| (id, &to))).unwrap();
                }
            }
            states.push(checkpoints.all().unwrap());
        };
        step(&mut checkpoints, None);
        for offset in 1..12 {
            step(&mut checkpoints, Some(offset));
        }
        // A process that is killed, or a machine that loses power, has written any part of the log's end.
        let log = fs::read(dir.path().join("checkpoints.db-wal")).unwrap();
        let mut seen = std::collections::BTreeSet::new();
        for end in (0..=log.len()).step_by(97).chain([log.len()]) {
            let crashed = tempfile::tempdir().unwrap();
            fs::copy(dir.path().join("checkpoints.db"), crashed.path().join("checkpoints.db")).unwrap();
            fs::write(crashed.path().join("checkpoints.db-wal"), log.get(..end).unwrap()).unwrap();
            let found = open(crashed.path()).all().unwrap();
            let state = states.iter().position(|state| *state == found);
            seen.insert(state.unwrap_or_else(|| panic!("{end}: {found:?}")));
        }
        assert!(seen.len() > 10 && seen.contains(&(states.len() - 1)), "{seen:?}");
    }

    #[test]
    fn damaged_checkpoints_are_set_aside() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("checkpoints.db"), "no database ".repeat(1000)).unwrap();
        let (mut checkpoints, damaged) = Checkpoints::open(dir.path()).unwrap();
        assert!(damaged && dir.path().join("checkpoints.damaged").exists());
        checkpoints.enter(&[file(1)], &[]).unwrap();
        assert_eq!(checkpoints.all().unwrap(), [file(1)]);
    }
}
