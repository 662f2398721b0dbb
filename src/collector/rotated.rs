//! The part of the census about files that no pattern names any more: renamed, copied, removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    sync::Arc,
};

use tokio::time::Instant;

use super::{
    census::{Census, Verdict, lock},
    metrics::Loss,
    open::{Found, Key},
    tail::Tail,
};
use crate::api::rule::Source;

impl Census {
    /// Looks at the rotated files of every path that is read or was: renamed while nobody looked, or copied.
    pub(super) fn search_rotated(&mut self) {
        let mut directories: BTreeMap<String, BTreeSet<Arc<str>>> = BTreeMap::new();
        let open = self.rows.values().filter(|row| !row.done).map(|row| &row.path);
        for path in self.tails.iter().map(|tail| &tail.path).chain(open) {
            let directory = path.rsplit_once('/').unwrap_or_default().0;
            directories.entry(directory.to_owned()).or_default().insert(Arc::clone(path));
        }
        for (directory, paths) in directories {
            self.search_directory(&directory, paths.into_iter().collect());
        }
        self.name_new();
    }

    fn search_directory(&mut self, directory: &str, mut paths: Vec<Arc<str>>) {
        paths.retain(|path| self.assigned(path).is_some());
        let Some((_, base)) = paths.first().and_then(|path| self.assigned(path)) else { return };
        let names: Vec<&str> = paths.iter().map(|path| path.rsplit_once('/').unwrap_or_default().1).collect();
        let relatives = match self.root.relatives(&base, directory, &names) {
            Ok(relatives) => relatives,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return,
            Err(error) => return self.failed(directory, &error),
        };
        for (path, found) in paths.iter().zip(relatives).flat_map(|(path, all)| all.into_iter().map(move |f| (path, f)))
        {
            if self.settled.get(&found.key) == Some(&found.changed)
                || self.tails.len() >= self.limits.files
                || self.tails.iter().any(|tail| tail.key == found.key)
                // It is a file of its own.
                || self.assigned(&found.path).is_some()
            {
                continue;
            }
            let Some((source, base)) = self.assigned(path) else { continue };
            if let Err(error) = self.take_rotated(&found, path, source, &base) {
                self.failed(&found.path, &error);
            }
        }
    }

    fn take_rotated(&mut self, found: &Found, live: &Arc<str>, source: Source, base: &str) -> io::Result<()> {
        let Some(file) = self.root.open(base, found)? else { return Ok(()) };
        match self.judge(&file, found, Some(live))? {
            Verdict::Same(id) => {
                self.resume(file, found.key, source, &id);
                if let Some(tail) = self.tails.last_mut() {
                    tail.rotated = true;
                }
            }
            Verdict::CopyOf(id) => self.adopt(file, found.key, source, &id)?,
            Verdict::Settled => {
                // As many as there are files in the directories of what is read; forgotten when it gets too much.
                if self.settled.len() > 10_000 {
                    self.settled.clear();
                }
                self.settled.insert(found.key, found.changed);
            }
            Verdict::Leave => {}
            // Made and rotated between two searches.
            Verdict::Unknown if self.known.contains(&**live) => {
                let mut tail = Tail::new(file, found.key, Arc::clone(live), source);
                tail.rotated = true;
                self.tails.push(tail);
            }
            Verdict::Unknown => {}
        }
        Ok(())
    }

    /// A truncated file of which nothing is left to read is done once all that was read has arrived. Until then, a crash
    /// has to find it undone: what did not arrive is read again, from the copy at `key`.
    pub(super) fn finish_read_beyond(&mut self, id: &Arc<str>, key: Key) {
        self.missing.remove(id);
        let Some((read, size)) = self.rows.get(id).map(|row| (row.offset, row.size)) else { return };
        let finished = {
            let mut checkpoints = lock(&self.checkpoints);
            match checkpoints.offset(id) {
                Ok(arrived) if arrived != read => return,
                Ok(_) => checkpoints.finish_as(id, key),
                Err(error) => Err(error),
            }
        };
        if let Err(error) = finished {
            return self.checkpoint_failed(&error);
        }
        self.destroyed(id, size.saturating_sub(read));
        if let Some(row) = self.rows.get_mut(id) {
            (row.key, row.done) = (key, true);
        }
    }

    /// Counts bytes that were seen in a file after it was copied, and were gone before they were read.
    pub(super) fn destroyed(&self, id: &Arc<str>, bytes: u64) {
        if bytes > 0 {
            self.metrics.lost(Loss::Truncated, bytes);
            let path = self.rows.get(id).map(|row| &*row.path);
            tracing::warn!(path, bytes, "a file was truncated before all that came after its copy was read");
        }
    }

    /// What is not found for some time is lost.
    pub(super) fn give_up_missing(&mut self) {
        let open: BTreeSet<&str> = self.tails.iter().filter_map(|tail| Some(&*tail.name.as_ref()?.0)).collect();
        let gone: Vec<Arc<str>> = self
            .rows
            .values()
            .filter(|row| !row.done && !open.contains(&*row.id) && self.assigned(&row.path).is_some())
            .map(|row| Arc::clone(&row.id))
            .collect();
        self.missing.retain(|id, _| gone.contains(id));
        for id in gone {
            let since = *self.missing.entry(Arc::clone(&id)).or_insert_with(Instant::now);
            if since.elapsed() >= self.limits.missing {
                self.give_up(&id);
            }
        }
    }

    fn give_up(&mut self, id: &Arc<str>) {
        let Some(row) = self.rows.get(id) else { return };
        let unread = row.size.saturating_sub(row.offset);
        let truncated = self.tails.iter().any(|tail| tail.key == row.key);
        let loss = if truncated { Loss::Truncated } else { Loss::Gone };
        // What was written since the last look is unknown, so the event counts even when nothing is known to be unread.
        self.metrics.lost(loss, unread);
        tracing::warn!(path = &*row.path, unread, reason = loss.as_str(), "a file went, perhaps before all was read");
        self.finish(id);
    }

    pub(super) fn finish(&mut self, id: &Arc<str>) {
        let finished = lock(&self.checkpoints).finish(id);
        match finished {
            Ok(()) => {
                self.missing.remove(id);
                if let Some(row) = self.rows.get_mut(id) {
                    row.done = true;
                }
            }
            Err(error) => self.checkpoint_failed(&error),
        }
    }

    /// Closes the rotated files that were read to their end, and whose lines all arrived.
    pub(super) fn finish_rotated(&mut self) {
        let mut index = 0;
        while let Some(tail) = self.tails.get(index) {
            if !tail.is_done(self.limits.quiet) {
                index += 1;
                continue;
            }
            let Some((id, _)) = tail.name.clone() else {
                // Renamed or removed, and never a byte in it.
                self.tails.swap_remove(index);
                continue;
            };
            let arrived = lock(&self.checkpoints).offset(&id);
            match arrived {
                Ok(offset) if offset == tail.offset => {
                    let tail = self.tails.swap_remove(index);
                    self.detach(&tail);
                    self.finish(&id);
                }
                Ok(_) => index += 1,
                Err(error) => {
                    self.checkpoint_failed(&error);
                    index += 1;
                }
            }
        }
    }
}
