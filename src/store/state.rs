//! The state database: the installation's id key and the readers' offsets. In: offsets by name. Out: the same.
//! Never ahead of the truth: after a power cut an offset may be an older one, which only repeats work.

use std::path::{Path, PathBuf};

use rusqlite::{Connection, OptionalExtension, params};

use super::{
    StoreError,
    partition::{FORMAT_VERSION, create_file, open_writing},
};
use crate::record::{IdKey, Seq};

const SCHEMA: &str = "
    CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
    CREATE TABLE reader(name TEXT PRIMARY KEY, seq INTEGER NOT NULL) WITHOUT ROWID;";

pub(super) struct State {
    conn: Connection,
    path: PathBuf,
    pub id_key: IdKey,
}

impl State {
    /// Opens `state.db` in `dir`, or makes it with a fresh key.
    pub fn open(dir: &Path) -> Result<State, StoreError> {
        let path = dir.join("state.db");
        if !path.exists() {
            create_file(&path)?;
        }
        let mut conn = open_writing(&path)?;
        let id_key = load(&mut conn, &path)?;
        // The key is on disk; a lost offset only repeats work, so the pipeline need not wait for the disk.
        conn.pragma_update(None, "synchronous", "NORMAL").map_err(StoreError::sqlite(&path))?;
        Ok(State { conn, path, id_key })
    }

    pub fn offset(&self, name: &str) -> Result<Option<Seq>, StoreError> {
        let found = self.conn.query_row("SELECT seq FROM reader WHERE name = ?1", [name], |row| row.get::<_, i64>(0));
        Ok(found.optional().map_err(StoreError::sqlite(&self.path))?.map(|seq| seq as Seq))
    }

    pub fn set_offset(&self, name: &str, seq: Seq) -> Result<(), StoreError> {
        let set = "INSERT INTO reader VALUES(?1, ?2) ON CONFLICT(name) DO UPDATE SET seq = excluded.seq";
        let done = self.conn.prepare_cached(set).and_then(|mut set| set.execute(params![name, seq as i64]));
        done.map(|_| ()).map_err(StoreError::sqlite(&self.path))
    }

    /// The lowest and the highest offset of all readers; `None` without readers.
    pub fn offset_range(&self) -> Result<Option<(Seq, Seq)>, StoreError> {
        let range = self.conn.query_row("SELECT min(seq), max(seq) FROM reader", [], |row| {
            Ok(row.get::<_, Option<i64>>(0)?.zip(row.get::<_, Option<i64>>(1)?))
        });
        let range = range.map_err(StoreError::sqlite(&self.path))?;
        Ok(range.map(|(low, high)| (low as Seq, high as Seq)))
    }
}

fn load(conn: &mut Connection, path: &Path) -> Result<IdKey, StoreError> {
    let tables = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    if tables.map_err(StoreError::sqlite(path))? == 0 {
        let mut key = [0; 32];
        getrandom::fill(&mut key).map_err(StoreError::Random)?;
        let begin = |conn: &mut Connection| -> rusqlite::Result<()> {
            let transaction = conn.transaction()?;
            transaction.execute_batch(SCHEMA)?;
            transaction.execute("INSERT INTO meta VALUES('version', ?1)", [FORMAT_VERSION])?;
            transaction.execute("INSERT INTO meta VALUES('id_key', ?1)", [key])?;
            transaction.commit()
        };
        begin(conn).map_err(StoreError::sqlite(path))?;
    }
    let version = conn.query_row("SELECT value FROM meta WHERE key = 'version'", [], |row| row.get(0));
    match version.map_err(StoreError::sqlite(path))? {
        FORMAT_VERSION => {}
        found => return Err(StoreError::Version { path: path.into(), found, expected: FORMAT_VERSION }),
    }
    let key = conn.query_row("SELECT value FROM meta WHERE key = 'id_key'", [], |row| row.get(0));
    key.map(IdKey).map_err(StoreError::sqlite(path))
}
