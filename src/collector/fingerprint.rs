//! Tells one file from another by its first line. Kept and compared as a keyed hash: a first line may hold a secret, and no
//! raw text of a log, nor a hash that could be guessed against, goes to the collector's disk or leaves the node.

use std::{
    fs::{self, File},
    io::{self, Read, Write},
    os::unix::fs::{FileExt, OpenOptionsExt},
    path::Path,
};

use crate::record::{IdKey, RecordId};

/// Of the first line.
const LONGEST: usize = 256;

/// The first line with its newline, or the first `LONGEST` bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint {
    /// How many bytes it is of; 0 for a file that was empty, which fits no file.
    pub length: u64,
    pub hash: RecordId,
}

impl Fingerprint {
    fn of_bytes(bytes: &[u8], key: &IdKey) -> Fingerprint {
        Fingerprint { length: bytes.len() as u64, hash: RecordId::of(key, &[b"fingerprint", bytes]) }
    }

    pub fn of_nothing(key: &IdKey) -> Fingerprint {
        Fingerprint::of_bytes(&[], key)
    }

    /// None for a file without a first line; for one that `is_complete`, what there is.
    pub fn of(file: &File, is_complete: bool, key: &IdKey) -> io::Result<Option<Fingerprint>> {
        let mut head = Vec::new();
        let at_end = fill(file, 0, &mut head, LONGEST)?;
        if let Some(newline) = head.iter().position(|byte| *byte == b'\n') {
            head.truncate(newline + 1);
            return Ok(Some(Fingerprint::of_bytes(&head, key)));
        }
        Ok((!at_end || (is_complete && !head.is_empty())).then(|| Fingerprint::of_bytes(&head, key)))
    }

    pub fn fits(&self, file: &File, key: &IdKey) -> io::Result<bool> {
        let length = usize::try_from(self.length).unwrap_or(LONGEST).min(LONGEST);
        let mut head = Vec::new();
        fill(file, 0, &mut head, length)?;
        Ok(length > 0 && Fingerprint::of_bytes(&head, key) == *self)
    }
}

/// Reads up to `length` bytes at `offset`; whether the file ends within them.
pub fn fill(file: &File, offset: u64, buffer: &mut Vec<u8>, length: usize) -> io::Result<bool> {
    buffer.resize(length, 0);
    let mut filled = 0;
    while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
        match file.read_at(rest, offset + filled as u64) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer.truncate(filled);
    Ok(filled < length)
}

/// The key of this collector, made at its first start. Beside the checkpoints, not in them: damaged checkpoints are made
/// anew, and files keep their names for the controller.
pub fn load_key(path: &Path) -> io::Result<IdKey> {
    let mut key = [0; 32];
    match File::open(path) {
        Ok(mut file) => {
            file.read_exact(&mut key)?;
            return Ok(IdKey(key));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        Err(error) => return Err(error),
    }
    getrandom::fill(&mut key).map_err(|error| io::Error::other(error.to_string()))?;
    let new = path.with_extension("new");
    let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&new)?;
    file.write_all(&key)?;
    file.sync_all()?;
    fs::rename(&new, path)?;
    if let Some(directory) = path.parent() {
        File::open(directory)?.sync_all()?;
    }
    Ok(IdKey(key))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_growing_file_keeps_its_fingerprint_and_another_first_line_has_another() {
        let dir = tempfile::tempdir().unwrap();
        let key = load_key(&dir.path().join("key")).unwrap();
        let of = |text: &str, is_complete| {
            let path = dir.path().join("file");
            fs::write(&path, text).unwrap();
            let file = File::open(&path).unwrap();
            (Fingerprint::of(&file, is_complete, &key).unwrap(), file)
        };
        assert_eq!((of("", true).0, of("begun", false).0), (None, None));
        let (line, _) = of("first line\n", false);
        let line = line.unwrap();
        assert_eq!((line.length, of("first line\nsecond", false).0), (11, Some(line)));
        assert!(line.fits(&of("first line\nsecond\n", false).1, &key).unwrap());
        for other in ["", "first", "other line\nsecond\n"] {
            assert!(!line.fits(&of(other, false).1, &key).unwrap(), "{other:?}");
            assert!(!Fingerprint::of_nothing(&key).fits(&of(other, false).1, &key).unwrap());
        }
        let (long, _) = of(&"x".repeat(300), false);
        assert_eq!(long.unwrap().length, 256);
        let unfinished = of("begun", true).0.unwrap();
        assert!(unfinished.fits(&of("begun and ended\n", false).1, &key).unwrap());
        // The key stays; another collector has another.
        assert_eq!(load_key(&dir.path().join("key")).unwrap().0, key.0);
        let other = load_key(&dir.path().join("other")).unwrap();
        assert!(!line.fits(&of("first line\n", false).1, &other).unwrap());
    }
}
