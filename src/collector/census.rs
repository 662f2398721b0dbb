//! Which files are read, and which checkpoint belongs to which. In: what LogSources name, and what is found on disk. Out:
//! open files (`tail`), each at its checkpoint. Follows a file through a rename (device, inode and first line are the same)
//! and through a copy that is truncated (another inode with the same first line: what was not read is read from the copy).
//! What can't be found again is counted as lost.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::File,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::{
    CollectorConfig,
    args::CollectorLimits,
    checkpoints::{Checkpoint, CheckpointError, Checkpoints, ROWS, identity},
    fingerprint::Fingerprint,
    metrics::Metrics,
    open::{Found, HostRoot, Key, is_rotated_name},
    relay,
    tail::Tail,
};
use crate::{
    api::{
        log_source::{Assignment, Start},
        path_pattern::PathPattern,
        rule::Source,
    },
    record::IdKey,
};

/// One pattern of a source.
struct Named {
    source: Source,
    pattern: PathPattern,
    start: Start,
    /// Under which it is remembered that the pattern was searched before.
    begun: String,
}

pub struct Census {
    pub key: IdKey,
    pub(super) root: HostRoot,
    pub(super) limits: CollectorLimits,
    pub(super) metrics: Metrics,
    pub(super) checkpoints: Arc<Mutex<Checkpoints>>,
    named: Vec<Named>,
    /// All checkpoints by id; of an open file, `offset` is not kept up to date.
    pub(super) rows: HashMap<Arc<str>, Checkpoint>,
    /// Patterns that were searched, and paths whose earlier rotations were looked at.
    pub(super) known: HashSet<String>,
    /// In the order of their turns.
    pub tails: Vec<Tail>,
    /// Checkpoints whose file is not found, since when.
    pub(super) missing: HashMap<Arc<str>, Instant>,
    /// Rotated files with nothing to read in them, as they last changed.
    pub(super) settled: HashMap<Key, (i64, u64)>,
}

/// What a file turned out to be.
pub(super) enum Verdict {
    /// A checkpoint is of this file.
    Same(Arc<str>),
    /// A copy of a file that was truncated since.
    CopyOf(Arc<str>),
    /// Nothing to read in it as long as it does not change.
    Settled,
    /// Not to be read now.
    Leave,
    Unknown,
}

impl Census {
    pub fn new(
        config: &CollectorConfig,
        key: IdKey,
        checkpoints: Arc<Mutex<Checkpoints>>,
        metrics: Metrics,
    ) -> Result<Census, CheckpointError> {
        let (rows, known) = {
            let checkpoints = lock(&checkpoints);
            (checkpoints.all()?, checkpoints.known()?)
        };
        Ok(Census {
            key,
            root: HostRoot(config.host_root.clone()),
            limits: config.limits,
            metrics,
            checkpoints,
            named: Vec::new(),
            rows: rows.into_iter().map(|row| (Arc::clone(&row.id), row)).collect(),
            known,
            tails: Vec::new(),
            missing: HashMap::new(),
            settled: HashMap::new(),
        })
    }

    /// Takes another assignment. Files that it does not name are closed; their checkpoints stay.
    pub fn assign(&mut self, assignment: &Assignment) {
        self.named.clear();
        for source in &assignment.sources {
            for path in &source.paths {
                match PathPattern::parse(path) {
                    Ok(pattern) => self.named.push(Named {
                        source: source.source,
                        begun: format!("{} {}", source.name, pattern.as_str()),
                        pattern,
                        start: source.start,
                    }),
                    Err(error) => tracing::warn!(source = source.name, %error, "a path of a source can't be used"),
                }
            }
        }
        let mut tails = std::mem::take(&mut self.tails);
        tails.retain_mut(|tail| match self.assigned(&tail.path) {
            Some((source, _)) => {
                tail.source = source;
                true
            }
            None => {
                self.detach(tail);
                false
            }
        });
        self.tails = tails;
        self.metrics.assigned.set(assignment.sources.len().try_into().unwrap_or(i64::MAX));
        tracing::info!(sources = assignment.sources.len(), patterns = self.named.len(), "reading what is assigned");
    }

    /// Source and base of the first pattern that names a path.
    pub(super) fn assigned(&self, path: &str) -> Option<(Source, String)> {
        let named = self.named.iter().find(|named| named.pattern.matches(path))?;
        Some((named.source, named.pattern.base().to_owned()))
    }

    /// Looks for files that are new, renamed or gone.
    pub fn search(&mut self) {
        self.forget_old();
        let found = self.search_patterns();
        for tail in &mut self.tails {
            tail.rotated = !found.contains_key(&tail.key);
        }
        let mut over = 0;
        for (found, named) in found.into_values() {
            if self.tails.iter().any(|tail| tail.key == found.key) {
                continue;
            }
            if self.tails.len() >= self.limits.files {
                over += 1;
            } else if let Err(error) = self.take_named(&found, named) {
                self.failed(&found.path, &error);
            }
        }
        self.metrics.files_over.set(over);
        self.name_new();
        self.remember_patterns();
        self.search_rotated();
        if over == 0 {
            self.give_up_missing();
        }
        self.finish_rotated();
        self.metrics.files.set(self.tails.len().try_into().unwrap_or(i64::MAX));
        self.tails.iter_mut().for_each(Tail::measure);
        let lag: u64 = self.tails.iter().map(Tail::unread).sum();
        self.metrics.lag.set(lag.try_into().unwrap_or(i64::MAX));
    }

    /// Takes over what the checkpoints have forgotten, so that memory stays as bounded as they are.
    fn forget_old(&mut self) {
        let limit = usize::try_from(ROWS).unwrap_or(usize::MAX) * 3 / 2;
        if self.rows.len() <= limit && self.known.len() <= limit {
            return;
        }
        let read = {
            let checkpoints = lock(&self.checkpoints);
            checkpoints.all().and_then(|rows| Ok((rows, checkpoints.known()?)))
        };
        match read {
            Ok((rows, known)) => {
                self.rows = rows.into_iter().map(|row| (Arc::clone(&row.id), row)).collect();
                self.known = known;
            }
            Err(error) => self.checkpoint_failed(&error),
        }
    }

    pub(super) fn failed(&self, path: &str, error: &dyn std::fmt::Display) {
        self.metrics.files_failed.inc();
        tracing::warn!(path, %error, "a file can't be read; it is tried again");
    }

    /// Every file that a pattern names, with the first pattern that does.
    fn search_patterns(&self) -> BTreeMap<Key, (Found, usize)> {
        let (mut all, mut refused) = (BTreeMap::new(), 0);
        for (index, named) in self.named.iter().enumerate() {
            match self.root.search(&named.pattern) {
                Ok(search) => {
                    refused += search.refused;
                    if search.cut {
                        self.failed(named.pattern.as_str(), &"the directories have too many names");
                    }
                    for found in search.files {
                        all.entry(found.key).or_insert((found, index));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => self.failed(named.pattern.as_str(), &error),
            }
        }
        self.metrics.files_refused.set(refused.try_into().unwrap_or(i64::MAX));
        all
    }

    /// Opens a file that a pattern names.
    fn take_named(&mut self, found: &Found, named: usize) -> io::Result<()> {
        let Some(named) = self.named.get(named) else { return Ok(()) };
        let (source, base) = (named.source, named.pattern.base().to_owned());
        let begins_at_end = named.start == Start::End && !self.known.contains(&named.begun);
        let Some(file) = self.root.open(&base, found)? else { return Ok(()) };
        match self.judge(&file, found, None)? {
            Verdict::Same(id) => self.resume(file, found.key, source, &id),
            Verdict::CopyOf(id) => self.adopt(file, found.key, source, &id)?,
            Verdict::Leave | Verdict::Settled => {}
            Verdict::Unknown => {
                let path: Arc<str> = found.path.as_str().into();
                self.remember_rotated(&base, &path)?;
                // What the relay has acknowledged is read, whatever was there first.
                let skips = begins_at_end && !relay::is_of_relay(&file)?;
                let mut tail = Tail::new(file, found.key, path, source);
                if skips {
                    tail.skip_to_end()?;
                }
                self.tails.push(tail);
            }
        }
        Ok(())
    }

    /// Which checkpoint a file belongs to. `live`: what it was called, if it has a rotated name.
    pub(super) fn judge(&self, file: &File, found: &Found, live: Option<&str>) -> io::Result<Verdict> {
        let head = Fingerprint::of(file, true, &self.key)?;
        let is_open =
            |row: &Checkpoint| self.tails.iter().any(|t| t.name.as_ref().is_some_and(|(id, _)| *id == row.id));
        if let Some(row) = self.row_of(file, found)? {
            return Ok(match row.done {
                _ if is_open(row) => Verdict::Leave,
                // Someone writes to it after all, or it is named now.
                true if file.metadata()?.len() <= row.offset => Verdict::Settled,
                true | false => Verdict::Same(Arc::clone(&row.id)),
            });
        }
        let mut verdict = if live.is_some() && head.is_none() { Verdict::Settled } else { Verdict::Unknown };
        for row in self.rows.values().filter(|row| Some(row.fingerprint) == head) {
            let copied = match live {
                Some(live) => *row.path == *live,
                None => is_rotated_of(&found.path, &row.path),
            };
            match copied {
                false => {}
                // As long as the file itself is there, it is read; the copy is looked at again when it was truncated.
                true if is_open(row) => verdict = Verdict::Leave,
                true if row.done => verdict = Verdict::Settled,
                true => return Ok(Verdict::CopyOf(Arc::clone(&row.id))),
            }
        }
        Ok(verdict)
    }

    /// The checkpoint of a file by its inode and first line; of one that began anew with the same first line, the newest.
    fn row_of(&self, file: &File, found: &Found) -> io::Result<Option<&Checkpoint>> {
        let mut newest: Option<(u32, &Checkpoint)> = None;
        for row in self.rows.values().filter(|row| row.key.inode == found.key.inode) {
            // A device may have another number after a boot; then the name decides.
            let same_file = row.key.device == found.key.device || *row.path == *found.path;
            if !same_file || !row.fingerprint.fits(file, &self.key)? {
                continue;
            }
            let generation = self.generation(row);
            if newest.is_none_or(|(newer, _)| newer <= generation) {
                newest = Some((generation, row));
            }
        }
        Ok(newest.map(|(_, row)| row))
    }

    /// How often a file had begun anew when the checkpoint was made; 0 for one that went over to a copy.
    fn generation(&self, row: &Checkpoint) -> u32 {
        let names = (0..).map(|generation| (generation, identity(row.key, &row.fingerprint, generation, &self.key)));
        let mut earlier = names.take_while(|(_, id)| self.rows.contains_key(id));
        earlier.find(|(_, id)| *id == row.id).map_or(0, |(generation, _)| generation)
    }

    pub(super) fn resume(&mut self, file: File, key: Key, source: Source, id: &Arc<str>) {
        self.missing.remove(id);
        if let Some(row) = self.rows.get(id) {
            self.tails.push(Tail::resumed(file, key, source, row));
        }
    }

    /// Reads the rest of a truncated file from its copy.
    pub(super) fn adopt(&mut self, file: File, key: Key, source: Source, id: &Arc<str>) -> io::Result<()> {
        let length = file.metadata()?.len();
        let Some(row) = self.rows.get(id) else { return Ok(()) };
        let (read, size) = (row.offset, row.size);
        if length < read {
            // It was read beyond its copy before it was truncated: there is nothing in the copy that was not read.
            self.finish_read_beyond(id, key);
            return Ok(());
        }
        let rekeyed = lock(&self.checkpoints).rekey(id, key);
        if let Err(error) = rekeyed {
            self.checkpoint_failed(&error);
            return Ok(());
        }
        if let Some(row) = self.rows.get_mut(id) {
            (row.key, row.size) = (key, length);
        }
        self.destroyed(id, size.saturating_sub(length));
        self.resume(file, key, source, id);
        if let Some(tail) = self.tails.last_mut() {
            tail.rotated = true;
        }
        Ok(())
    }

    pub(super) fn checkpoint_failed(&self, error: &CheckpointError) {
        self.metrics.checkpoint_errors.inc();
        tracing::error!(%error, "checkpoints can't be written; it is tried again");
    }

    /// At the first sight of a path, its earlier rotations are entered as done: no pattern names them.
    fn remember_rotated(&mut self, base: &str, path: &Arc<str>) -> io::Result<()> {
        if self.known.contains(&**path) {
            return Ok(());
        }
        let mut done = Vec::new();
        let (directory, name) = path.rsplit_once('/').unwrap_or_default();
        for found in self.root.relatives(base, directory, &[name])?.into_iter().flatten() {
            if self.tails.iter().any(|tail| tail.key == found.key) {
                continue;
            }
            let Some(file) = self.root.open(base, &found)? else { continue };
            if relay::is_of_relay(&file)? {
                continue;
            }
            let fingerprint =
                Fingerprint::of(&file, true, &self.key)?.unwrap_or_else(|| Fingerprint::of_nothing(&self.key));
            let size = file.metadata()?.len();
            let id = self.free_name(found.key, &fingerprint);
            let path = Arc::clone(path);
            done.push(Checkpoint {
                id,
                key: found.key,
                path,
                fingerprint,
                offset: size,
                skipping: false,
                size,
                done: true,
            });
        }
        let entered = lock(&self.checkpoints).enter(&done, &[path]);
        match entered {
            Ok(()) => {
                self.known.insert(path.to_string());
                self.rows.extend(done.into_iter().map(|row| (Arc::clone(&row.id), row)));
            }
            Err(error) => self.checkpoint_failed(&error),
        }
        Ok(())
    }

    /// From now on, files of these patterns are read from their beginning.
    fn remember_patterns(&mut self) {
        let new: Vec<String> =
            self.named.iter().map(|named| named.begun.clone()).filter(|name| !self.known.contains(name)).collect();
        if new.is_empty() {
            return;
        }
        let names: Vec<&str> = new.iter().map(String::as_str).collect();
        let entered = lock(&self.checkpoints).enter(&[], &names);
        match entered {
            Ok(()) => self.known.extend(new),
            Err(error) => self.checkpoint_failed(&error),
        }
    }

    fn free_name(&self, key: Key, fingerprint: &Fingerprint) -> Arc<str> {
        let mut generation = 0;
        loop {
            let id = identity(key, fingerprint, generation, &self.key);
            if !self.rows.contains_key(&id) {
                return id;
            }
            generation += 1;
        }
    }

    /// Enters the files that have a first line by now.
    pub fn name_new(&mut self) {
        let mut new = Vec::new();
        for (index, tail) in self.tails.iter().enumerate().filter(|(_, tail)| tail.name.is_none()) {
            match tail.fingerprint(&self.key) {
                Ok(Some(fingerprint)) => new.push((
                    index,
                    Checkpoint {
                        id: self.free_name(tail.key, &fingerprint),
                        key: tail.key,
                        path: Arc::clone(&tail.path),
                        fingerprint,
                        offset: tail.offset,
                        skipping: tail.skipping,
                        size: tail.size,
                        done: false,
                    },
                )),
                Ok(None) => {}
                Err(error) => self.failed(&tail.path, &error),
            }
        }
        if new.is_empty() {
            return;
        }
        let rows: Vec<Checkpoint> = new.iter().map(|(_, row)| row.clone()).collect();
        let entered = lock(&self.checkpoints).enter(&rows, &[]);
        if let Err(error) = entered {
            return self.checkpoint_failed(&error);
        }
        for (index, row) in new {
            if let Some(tail) = self.tails.get_mut(index) {
                tail.name = Some((Arc::clone(&row.id), row.fingerprint));
            }
            self.rows.insert(Arc::clone(&row.id), row);
        }
    }

    /// A file is no longer read: its checkpoint is where it was left.
    pub(super) fn detach(&mut self, tail: &Tail) {
        if let Some((id, _)) = &tail.name
            && let Some(row) = self.rows.get_mut(id)
        {
            (row.offset, row.skipping, row.size) = (tail.offset, tail.skipping, tail.size.max(row.size));
        }
    }

    /// The file at `index` began anew.
    pub fn truncated(&mut self, index: usize) {
        let Some(mut tail) = (index < self.tails.len()).then(|| self.tails.swap_remove(index)) else { return };
        self.metrics.truncations.inc();
        tracing::info!(path = &*tail.path, unread = tail.unread(), "a file began anew");
        self.detach(&tail);
        tail.restart();
        self.tails.push(tail);
    }
}

pub(super) fn lock(checkpoints: &Mutex<Checkpoints>) -> MutexGuard<'_, Checkpoints> {
    checkpoints.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Whether `path` is a rotated name of `live`, in the same directory.
fn is_rotated_of(path: &str, live: &str) -> bool {
    match (path.rsplit_once('/'), live.rsplit_once('/')) {
        (Some((directory, name)), Some((other, live))) => directory == other && is_rotated_name(name, live),
        _ => false,
    }
}
