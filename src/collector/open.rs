//! Opens files of a node, and finds those that a pattern names. A process on the node may plant links, pipes and devices
//! below a watched path; this reads regular files alone, and follows a symbolic link only while it stays below the
//! pattern's base: `openat2` with RESOLVE_BENEATH (<https://man7.org/linux/man-pages/man2/openat2.2.html>, Linux 5.6).

use std::{
    fs::File,
    io,
    os::fd::{AsFd, OwnedFd},
    path::PathBuf,
};

use glob::Pattern;
use rustix::fs::{CWD, Dir, FileType, Mode, OFlags, ResolveFlags, openat, openat2};

use crate::api::path_pattern::{OPTIONS, PathPattern};

/// Names that are looked at in one search; a directory with more is not read to its end.
const NAMES: usize = 100_000;
/// Of a path on the node, in bytes; see `record::Line`.
const PATH: usize = 1024;

/// Device and inode: which file it is, whatever it is called.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub device: u64,
    pub inode: u64,
}

/// The directory under which the node's file system is mounted.
#[derive(Clone, Debug)]
pub struct HostRoot(pub PathBuf);

/// A regular file that was found but not opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// On the node.
    pub path: String,
    pub key: Key,
    /// When content, name or owner last changed: seconds and nanoseconds since 1970.
    pub changed: (i64, u64),
}

/// What a search came to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Search {
    pub files: Vec<Found>,
    /// Matching names that are no regular file, or lead out of the base.
    pub refused: u64,
    /// There was more than may be looked at.
    pub cut: bool,
}

/// A directory of the node, and what is below it.
struct Base {
    dir: OwnedFd,
    path: String,
}

impl HostRoot {
    /// A base is named by whoever writes a LogSource: links in it are followed, as the node would.
    fn base(&self, path: &str) -> io::Result<Base> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = openat(CWD, &self.0, flags, Mode::empty())?;
        let below = path.trim_matches('/');
        let below = if below.is_empty() { "." } else { below };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        let dir = openat2(root, below, flags, Mode::empty(), resolve)?;
        Ok(Base { dir, path: path.trim_end_matches('/').to_owned() })
    }

    /// The regular files that a pattern names now, by path.
    pub fn search(&self, pattern: &PathPattern) -> io::Result<Search> {
        let base = self.base(pattern.base())?;
        let below = pattern.as_str().strip_prefix(pattern.base()).unwrap_or_default();
        let segments: Vec<&str> = below.split('/').filter(|segment| !segment.is_empty()).collect();
        let mut search = Search::default();
        let mut names = 0;
        let Some((last, directories)) = segments.split_last() else { return Ok(search) };
        let mut below = vec![String::new()];
        for segment in directories {
            below = base.names(&below, segment, &mut names)?;
        }
        for name in base.names(&below, last, &mut names)? {
            base.look(&name, &mut search);
        }
        search.cut = names >= NAMES;
        Ok(search)
    }

    /// For each of `names` in `directory`, which is `base` or below it: the regular files that it may be called now that it
    /// was rotated.
    pub fn relatives(&self, base: &str, directory: &str, names: &[&str]) -> io::Result<Vec<Vec<Found>>> {
        let base = self.base(base)?;
        let below = directory.strip_prefix(&base.path).unwrap_or_default().trim_matches('/');
        let entries = base.entries(below)?;
        let relatives = names.iter().map(|name| {
            let mut search = Search::default();
            for entry in entries.iter().filter(|entry| is_rotated_name(entry, name)) {
                base.look(&if below.is_empty() { entry.clone() } else { format!("{below}/{entry}") }, &mut search);
            }
            search.files
        });
        Ok(relatives.collect())
    }

    /// Opens a file that was found below `base`; none when it has become another one.
    pub fn open(&self, base: &str, found: &Found) -> io::Result<Option<File>> {
        let base = self.base(base)?;
        let Some(below) = found.path.strip_prefix(&base.path) else { return Ok(None) };
        // O_NONBLOCK: a pipe that has taken the file's place would wait for its writer.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
        let file = File::from(base.open(below.trim_start_matches('/'), flags)?);
        Ok(key_of(&file)?.is_some_and(|(key, _)| key == found.key).then_some(file))
    }
}

impl Base {
    fn open(&self, below: &str, flags: OFlags) -> io::Result<OwnedFd> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let below = if below.is_empty() { "." } else { below };
        Ok(openat2(&self.dir, below, flags | OFlags::CLOEXEC, Mode::empty(), resolve)?)
    }

    /// Every name of the directory `below`, but for names that are no UTF-8.
    fn entries(&self, below: &str) -> io::Result<Vec<String>> {
        let dir = self.open(below, OFlags::RDONLY | OFlags::DIRECTORY)?;
        let mut names = Vec::new();
        for entry in Dir::read_from(dir)?.take(NAMES) {
            match entry?.file_name().to_str() {
                Ok("." | "..") | Err(_) => {}
                Ok(name) => names.push(name.to_owned()),
            }
        }
        names.sort();
        Ok(names)
    }

    /// Paths one segment further. What can't be read is left out: it may have gone since.
    fn names(&self, below: &[String], segment: &str, names: &mut usize) -> io::Result<Vec<String>> {
        let join = |above: &String, name: &str| {
            if above.is_empty() { name.to_owned() } else { format!("{above}/{name}") }
        };
        if !segment.contains(['*', '?', '[']) {
            return Ok(below.iter().map(|above| join(above, segment)).collect());
        }
        let pattern = Pattern::new(segment).map_err(io::Error::other)?;
        let mut found = Vec::new();
        for above in below {
            let entries = self.entries(above).unwrap_or_default();
            *names += entries.len();
            found.extend(entries.iter().filter(|e| pattern.matches_with(e, OPTIONS)).map(|e| join(above, e)));
            if *names >= NAMES {
                break;
            }
        }
        Ok(found)
    }

    /// Says which file it is, without opening it for reading: that alone has effects on a device.
    fn look(&self, below: &str, search: &mut Search) {
        let path = format!("{}/{below}", self.path);
        let key = self.open(below, OFlags::PATH).and_then(key_of);
        match key {
            Ok(Some((key, changed))) if path.len() <= PATH => search.files.push(Found { path, key, changed }),
            Ok(None | Some(_)) => search.refused += 1,
            Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(_) => search.refused += 1,
        }
    }
}

/// Which file it is and when it changed; none for what is no regular file.
fn key_of(fd: impl AsFd) -> io::Result<Option<(Key, (i64, u64))>> {
    let stat = rustix::fs::fstat(fd)?;
    let regular = FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile;
    let key = Key { device: stat.st_dev, inode: stat.st_ino };
    Ok(regular.then_some((key, (stat.st_ctime, stat.st_ctime_nsec))))
}

/// Whether a file named `name` may have been called `live` before it was rotated: `auth.log.1`, `auth.log-20260101`,
/// `access-20260101.log`. A compressed one is another file.
pub fn is_rotated_name(name: &str, live: &str) -> bool {
    const COMPRESSED: [&str; 7] = [".gz", ".bz2", ".xz", ".zst", ".lz4", ".Z", ".zip"];
    if name == live || COMPRESSED.iter().any(|end| name.ends_with(end)) {
        return false;
    }
    if name.strip_prefix(live).is_some_and(|rest| rest.starts_with(['.', '-', '_', '~'])) {
        return true;
    }
    let stem = live.rsplit_once('.').map_or(live, |(stem, _)| stem);
    let digit = |rest: &str| rest.starts_with(|c: char| c.is_ascii_digit());
    !stem.is_empty() && name.strip_prefix(stem).and_then(|rest| rest.strip_prefix(['.', '-', '_'])).is_some_and(digit)
}

#[cfg(test)]
mod tests {
    use std::{fs, os::unix::fs::symlink};

    use super::*;

    fn paths(search: &Search) -> Vec<&str> {
        search.files.iter().map(|found| found.path.as_str()).collect()
    }

    #[test]
    fn links_out_of_the_base_pipes_and_directories_are_not_read() {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot(dir.path().to_owned());
        let log = dir.path().join("var/log/app");
        fs::create_dir_all(log.join("directory.log")).unwrap();
        fs::create_dir_all(dir.path().join("etc")).unwrap();
        fs::write(dir.path().join("etc/shadow"), "root:secret\n").unwrap();
        fs::write(log.join("real"), "line\n").unwrap();
        symlink("/etc/shadow", log.join("absolute.log")).unwrap();
        symlink("../../../etc/shadow", log.join("relative.log")).unwrap();
        symlink("real", log.join("inside.log")).unwrap();
        symlink("gone", log.join("dangling.log")).unwrap();
        symlink("/proc/self/environ", log.join("proc.log")).unwrap();
        let fifo = std::process::Command::new("mkfifo").arg(log.join("pipe.log")).status().unwrap();
        assert!(fifo.success());
        let search = root.search(&PathPattern::parse("/var/log/app/*.log").unwrap()).unwrap();
        assert_eq!(paths(&search), ["/var/log/app/inside.log"]);
        assert_eq!((search.refused, search.cut), (5, false));
        // A directory that leads out is as closed as a file.
        symlink("/etc", log.join("out")).unwrap();
        symlink("../../../etc", log.join("up")).unwrap();
        let search = root.search(&PathPattern::parse("/var/log/app/*/shadow").unwrap()).unwrap();
        assert_eq!(paths(&search), Vec::<&str>::new());
    }

    #[test]
    fn a_file_that_became_another_one_is_not_opened() {
        let dir = tempfile::tempdir().unwrap();
        let root = HostRoot(dir.path().to_owned());
        fs::write(dir.path().join("a.log"), "a").unwrap();
        fs::write(dir.path().join("b"), "b").unwrap();
        let pattern = PathPattern::parse("/*.log").unwrap();
        let found = root.search(&pattern).unwrap().files.remove(0);
        assert_eq!(found.path, "/a.log");
        assert!(root.open(pattern.base(), &found).unwrap().is_some());
        fs::rename(dir.path().join("b"), dir.path().join("a.log")).unwrap();
        assert!(root.open(pattern.base(), &found).unwrap().is_none());
        fs::remove_file(dir.path().join("a.log")).unwrap();
        symlink("/etc/hostname", dir.path().join("a.log")).unwrap();
        assert!(root.open(pattern.base(), &found).is_err());
    }

    #[test]
    fn rotated_names_are_known() {
        for (name, live, is) in [
            ("auth.log.1", "auth.log", true),
            ("auth.log-20260101", "auth.log", true),
            ("access-20260101.log", "access.log", true),
            ("access.1.log", "access.log", true),
            ("auth.log.2.gz", "auth.log", false),
            ("auth.log", "auth.log", false),
            ("authority.log", "auth.log", false),
            ("auth.logger", "auth.log", false),
            ("access-error.log", "access.log", false),
        ] {
            assert_eq!(is_rotated_name(name, live), is, "{name} of {live}");
        }
    }
}
