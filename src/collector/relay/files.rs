//! The relay's files: `audit.log`, and `audit.log.NUMBER` once nothing is added any more. In: lines. Out: bytes on stable
//! storage, for the collector's tail. A file is never added to after a failure or a restart: what the tail has seen of it may
//! be more than what is left of it, and must not be overwritten by other lines. No half line is left by a crash.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::Errno;

use super::line;
use crate::{
    collector::{checkpoints::Checkpoint, fingerprint::Fingerprint},
    record::IdKey,
};

pub const LIVE: &str = "audit.log";
const DIGITS: usize = 20;

/// What the files take, whoever asks.
#[derive(Debug, Default)]
pub struct Held {
    bytes: AtomicU64,
    closed: Mutex<Vec<Closed>>,
}

#[derive(Clone, Debug)]
struct Closed {
    path: PathBuf,
    length: u64,
}

impl Held {
    /// Of all files.
    pub fn bytes(&self) -> u64 {
        self.bytes.load(Ordering::Relaxed)
    }

    fn closed(&self) -> MutexGuard<'_, Vec<Closed>> {
        self.closed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn is_empty(&self) -> bool {
        self.closed().is_empty()
    }

    /// Removes the closed files of which all has arrived, by their checkpoints.
    pub fn remove_arrived(&self, key: &IdKey, rows: impl FnOnce() -> Vec<Checkpoint>) -> io::Result<()> {
        if self.is_empty() {
            return Ok(());
        }
        let rows = rows();
        let closed = self.closed().clone();
        for file in closed {
            let head = match File::open(&file.path) {
                Ok(file) => Fingerprint::of(&file, true, key)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    self.forget(&file);
                    continue;
                }
                Err(error) => return Err(error),
            };
            // A file that was given up as not found is done, too, but was not read to its end.
            let arrived = rows.iter().any(|row| Some(row.fingerprint) == head && row.done && row.offset >= file.length);
            if arrived {
                fs::remove_file(&file.path)?;
                self.forget(&file);
            }
        }
        Ok(())
    }

    fn forget(&self, file: &Closed) {
        self.closed().retain(|other| other.path != file.path);
        self.bytes.fetch_sub(file.length, Ordering::Relaxed);
    }
}

struct Live {
    file: File,
    /// All of it is on stable storage.
    length: u64,
}

/// Owned by the one thread that writes.
pub struct Files<'h> {
    dir: PathBuf,
    held: &'h Held,
    live: Option<Live>,
    next: u64,
    /// A larger file is closed.
    largest: u64,
}

impl<'h> Files<'h> {
    /// Finds what an earlier run left, and mends it: half a line at its end goes.
    pub fn open(dir: &Path, largest: u64, held: &'h Held) -> io::Result<Files<'h>> {
        DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        let mut next = 1;
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            let number = name.strip_prefix(LIVE).and_then(|rest| rest.strip_prefix('.'));
            let Some(number) = number.and_then(|digits| digits.parse::<u64>().ok()) else { continue };
            next = next.max(number + 1);
            let length = entry.metadata()?.len();
            held.closed().push(Closed { path: entry.path(), length });
            held.bytes.fetch_add(length, Ordering::Relaxed);
        }
        let mut files = Files { dir: dir.to_owned(), held, live: None, next, largest };
        files.close_left()?;
        Ok(files)
    }

    /// Adds whole lines. After an error, none of them counts as kept.
    pub fn append(&mut self, parts: &[&[u8]]) -> io::Result<()> {
        let length: u64 = parts.iter().map(|part| part.len() as u64).sum();
        if self.live.as_ref().is_some_and(|live| live.length >= self.largest) {
            self.close()?;
        }
        let live = match &mut self.live {
            Some(live) => live,
            None => {
                let live = self.begin()?;
                self.live.insert(live)
            }
        };
        // A disk that is full shows here, before anybody can see half of the lines.
        reserve(&live.file, live.length, length)?;
        let written = parts.iter().try_for_each(|part| live.file.write_all(part)).and_then(|()| live.file.sync_data());
        match written {
            Ok(()) => {
                live.length += length;
                self.held.bytes.fetch_add(length, Ordering::Relaxed);
                Ok(())
            }
            Err(error) => {
                // What the file holds beyond its length is unknown after a failure, also what a later fsync says of it.
                if let Err(error) = live.file.set_len(live.length).and_then(|()| self.close()) {
                    tracing::warn!(%error, "a file of the relay could not be closed; it is tried again");
                    self.drop_live();
                }
                Err(error)
            }
        }
    }

    fn live_path(&self) -> PathBuf {
        self.dir.join(LIVE)
    }

    fn begin(&mut self) -> io::Result<Live> {
        self.close_left()?;
        let path = self.live_path();
        let mut name = [0; 16];
        getrandom::fill(&mut name).map_err(|error| io::Error::other(error.to_string()))?;
        let head = line::head(name);
        let mut file = OpenOptions::new().create_new(true).append(true).mode(0o600).open(&path)?;
        let begun = file.write_all(&head).and_then(|()| file.sync_all()).and_then(|()| self.sync_dir());
        if let Err(error) = begun {
            fs::remove_file(&path)?;
            return Err(error);
        }
        self.held.bytes.fetch_add(head.len() as u64, Ordering::Relaxed);
        Ok(Live { file, length: head.len() as u64 })
    }

    fn sync_dir(&self) -> io::Result<()> {
        File::open(&self.dir)?.sync_all()
    }

    /// Nothing is added any more.
    fn close(&mut self) -> io::Result<()> {
        let Some(length) = self.live.as_ref().map(|live| live.length) else { return Ok(()) };
        self.rename_live(length)?;
        self.live = None;
        Ok(())
    }

    fn rename_live(&mut self, length: u64) -> io::Result<()> {
        let path = self.dir.join(format!("{LIVE}.{:0DIGITS$}", self.next));
        fs::rename(self.live_path(), &path)?;
        self.next += 1;
        self.held.closed().push(Closed { path, length });
        // If the new name is lost in a crash, the file is found under the old one and closed again.
        Ok(())
    }

    /// Forgets the file that is written; `close_left` finds it again.
    fn drop_live(&mut self) {
        if let Some(live) = self.live.take() {
            self.held.bytes.fetch_sub(live.length, Ordering::Relaxed);
        }
    }

    /// Closes a file that was left in writing, without the half line at its end.
    fn close_left(&mut self) -> io::Result<()> {
        let path = self.live_path();
        let file = match OpenOptions::new().read(true).write(true).open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => return Err(error),
        };
        let whole = whole_lines(&file)?;
        if whole == 0 {
            return fs::remove_file(&path);
        }
        if whole < file.metadata()?.len() {
            file.set_len(whole)?;
        }
        file.sync_all()?;
        self.held.bytes.fetch_add(whole, Ordering::Relaxed);
        self.rename_live(whole)
    }
}

/// Bytes up to the last end of a line.
fn whole_lines(file: &File) -> io::Result<u64> {
    let (mut file, mut buffer) = (file, vec![0; 64 << 10]);
    let (mut read, mut whole) = (0, 0);
    loop {
        let count = match file.read(&mut buffer) {
            Ok(0) => return Ok(whole),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let newline = buffer.get(..count).unwrap_or_default().iter().rposition(|byte| *byte == b'\n');
        whole = newline.map_or(whole, |at| read + at as u64 + 1);
        read += count as u64;
    }
}

/// Takes space on the disk without changing the file's length, where the file system can.
fn reserve(file: &File, offset: u64, length: u64) -> io::Result<()> {
    match fallocate(file, FallocateFlags::KEEP_SIZE, offset, length) {
        Err(error @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG | Errno::IO)) => Err(error.into()),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{collector::open::Key, record::RecordId};

    fn names(dir: &Path) -> Vec<String> {
        let names = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Every line of the files but the first of each, in order.
    fn lines(dir: &Path) -> Vec<String> {
        let mut all = Vec::new();
        let mut names = names(dir);
        let live_first = usize::from(names.first().is_some_and(|name| name == LIVE));
        names.rotate_left(live_first);
        for name in names {
            let text = fs::read_to_string(dir.join(name)).unwrap();
            assert!(text.ends_with('\n') && line::is_head(text.as_bytes()), "{text:?}");
            all.extend(text.lines().skip(1).map(str::to_owned));
        }
        all
    }

    fn on_disk(dir: &Path) -> u64 {
        names(dir).iter().map(|name| fs::metadata(dir.join(name)).unwrap().len()).sum()
    }

    #[test]
    fn a_file_cut_anywhere_loses_its_half_line_and_is_never_added_to() {
        let dir = tempfile::tempdir().unwrap();
        let mut files = Files::open(dir.path(), 1 << 20, Box::leak(Box::default())).unwrap();
        files.append(&[b"one\n", b"two\n"]).unwrap();
        files.append(&[b"three\n"]).unwrap();
        let whole = fs::read(dir.path().join(LIVE)).unwrap();
        let head = whole.len() - "one\ntwo\nthree\n".len();
        for end in 0..=whole.len() {
            let dir = tempfile::tempdir().unwrap();
            fs::write(dir.path().join(LIVE), &whole[..end]).unwrap();
            let held = Held::default();
            let mut files = Files::open(dir.path(), 1 << 20, &held).unwrap();
            assert_eq!(held.bytes(), on_disk(dir.path()), "cut at {end}");
            files.append(&[b"four\n"]).unwrap();
            let left = match end.saturating_sub(head) {
                0..4 => 0,
                4..8 => 1,
                8..14 => 2,
                _ => 3,
            };
            let expected: Vec<&str> = ["one", "two", "three"].into_iter().take(left).chain(["four"]).collect();
            assert_eq!(lines(dir.path()), expected, "cut at {end}");
            assert_eq!(held.bytes(), on_disk(dir.path()), "cut at {end}");
            let live = fs::read_to_string(dir.path().join(LIVE)).unwrap();
            assert_eq!(live.lines().count(), 2, "a file of its own after a restart");
        }
    }

    #[test]
    fn files_are_closed_at_their_size_and_go_when_all_has_arrived() {
        let dir = tempfile::tempdir().unwrap();
        let (held, key) = (Held::default(), IdKey::OFFLINE);
        let mut files = Files::open(dir.path(), 100, &held).unwrap();
        let text = format!("{}\n", "x".repeat(99));
        for _ in 0..3 {
            files.append(&[text.as_bytes()]).unwrap();
        }
        let closed = |number: u64| format!("{LIVE}.{number:020}");
        assert_eq!(names(dir.path()), [LIVE.to_owned(), closed(1), closed(2)]);
        let row = |number, done, offset| {
            let file = File::open(dir.path().join(closed(number))).unwrap();
            let fingerprint = Fingerprint::of(&file, true, &key).unwrap().unwrap();
            let size = file.metadata().unwrap().len();
            let (device, inode) = (0, number);
            let offset = offset + size;
            Checkpoint {
                id: number.to_string().into(),
                key: Key { device, inode },
                path: "/audit.log".into(),
                fingerprint,
                offset,
                skipping: false,
                size,
                done,
            }
        };
        let given_up = Checkpoint { offset: 0, ..row(1, true, 0) };
        let other = Checkpoint { fingerprint: Fingerprint { length: 9, hash: RecordId([1; 16]) }, ..row(1, true, 0) };
        for rows in [vec![], vec![row(1, false, 0)], vec![given_up], vec![other]] {
            held.remove_arrived(&key, || rows.clone()).unwrap();
            assert_eq!(names(dir.path()).len(), 3, "{rows:?}");
        }
        let second = row(2, true, 0);
        held.remove_arrived(&key, || vec![second]).unwrap();
        assert_eq!(names(dir.path()), [LIVE.to_owned(), closed(1)]);
        assert_eq!(held.bytes(), on_disk(dir.path()));
        // Numbers go on, so that no name is used again.
        drop(files);
        let held = Held::default();
        let _files = Files::open(dir.path(), 100, &held).unwrap();
        assert_eq!(names(dir.path()), [closed(1), closed(2)]);
        assert_eq!(held.bytes(), on_disk(dir.path()));
    }

    #[test]
    fn what_can_not_be_written_leaves_nothing_behind_and_the_next_try_is_clean() {
        let dir = tempfile::tempdir().unwrap();
        let (own, away) = (dir.path().join("relay"), dir.path().join("away"));
        let held = Held::default();
        let mut files = Files::open(&own, 1, &held).unwrap();
        files.append(&[b"one\n"]).unwrap();
        // The file is full, and no other can be made.
        fs::rename(&own, &away).unwrap();
        files.append(&[b"two\n"]).unwrap_err();
        files.append(&[b"three\n"]).unwrap_err();
        fs::rename(&away, &own).unwrap();
        files.append(&[b"four\n"]).unwrap();
        assert_eq!(lines(&own), ["one", "four"]);
        assert_eq!(held.bytes(), on_disk(&own));
        // A device without space: every write fails, and nothing counts.
        let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
        let before = held.bytes();
        files.largest = u64::MAX;
        let real = files.live.replace(Live { file: full, length: 0 }).unwrap();
        files.append(&[b"five\n"]).unwrap_err();
        assert!(files.live.is_none());
        assert_eq!(held.bytes(), before, "none of it is kept");
        drop(real);
    }
}
