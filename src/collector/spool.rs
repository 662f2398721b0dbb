//! Batches on disk while the controller is away, oldest first. In: bodies, redacted. Out: the same bodies, or which file a
//! crash or a disk damaged. A batch is durable when `put` returns: written aside, fsynced, renamed, directory fsynced.

use std::{
    collections::VecDeque,
    fs::{self, File},
    io::{self, Read, Write},
    path::PathBuf,
};

use flate2::{Compression, read::GzDecoder, write::GzEncoder};

/// Decoded size of a spooled batch; see `batch`: 1 MiB and one envelope.
const BODY: u64 = 8 << 20;

pub struct Spool {
    dir: PathBuf,
    limit: u64,
    /// Number and size of each file, oldest first.
    files: VecDeque<(u64, u64)>,
    bytes: u64,
    next: u64,
}

/// A body, compressed as it is sent.
pub fn compress(body: &[u8]) -> io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

impl Spool {
    /// Opens `dir`, which is made when absent, and finds what an earlier run left.
    pub fn open(dir: PathBuf, limit: u64) -> io::Result<Spool> {
        fs::create_dir_all(&dir)?;
        let mut files = Vec::new();
        for entry in fs::read_dir(&dir)? {
            let entry = entry?;
            let name = entry.file_name().into_string().unwrap_or_default();
            match name.strip_suffix(".gz").and_then(|number| number.parse().ok()) {
                Some(number) => files.push((number, entry.metadata()?.len())),
                // Begun and not finished: its lines are still in their files.
                None if name.ends_with(".new") => fs::remove_file(entry.path())?,
                None => {}
            }
        }
        files.sort_unstable();
        let next = files.last().map_or(1, |(number, _): &(u64, u64)| number + 1);
        let bytes = files.iter().map(|(_, size)| size).sum();
        Ok(Spool { dir, limit, files: files.into(), bytes, next })
    }

    fn path(&self, number: u64) -> PathBuf {
        self.dir.join(format!("{number:020}.gz"))
    }

    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether a further batch may be put.
    pub fn has_room(&self) -> bool {
        // A batch of incompressible lines is about as large as its body.
        self.bytes + BODY / 4 <= self.limit
    }

    /// Keeps a body; its number.
    pub fn put(&mut self, body: &[u8]) -> io::Result<u64> {
        let compressed = compress(body)?;
        let (path, size) = (self.path(self.next), compressed.len() as u64);
        let new = path.with_extension("new");
        let mut file = File::create(&new)?;
        file.write_all(&compressed)?;
        file.sync_all()?;
        fs::rename(&new, &path)?;
        File::open(&self.dir)?.sync_all()?;
        self.files.push_back((self.next, size));
        self.bytes += size;
        self.next += 1;
        Ok(self.next - 1)
    }

    /// Number and body of the oldest batch.
    pub fn oldest(&self) -> Option<(u64, io::Result<Vec<u8>>)> {
        let (number, _) = self.files.front()?;
        let read = || {
            let mut body = Vec::new();
            GzDecoder::new(File::open(self.path(*number))?).take(BODY + 1).read_to_end(&mut body)?;
            // The end of each body is the end of a line: gzip's own checksum has been compared by then.
            if body.len() as u64 > BODY || body.last() != Some(&b'\n') {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "no whole batch"));
            }
            Ok(body)
        };
        Some((*number, read()))
    }

    /// Forgets a batch. That its file is gone need not be durable: sent twice, it is stored once.
    pub fn remove(&mut self, number: u64) -> io::Result<()> {
        if let Some(at) = self.files.iter().position(|(n, _)| *n == number)
            && let Some((_, size)) = self.files.remove(at)
        {
            self.bytes -= size;
        }
        fs::remove_file(self.path(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bodies(spool: &mut Spool) -> Vec<Option<String>> {
        let mut bodies = Vec::new();
        while let Some((number, body)) = spool.oldest() {
            bodies.push(body.ok().map(|body| String::from_utf8(body).unwrap()));
            spool.remove(number).unwrap();
        }
        assert_eq!(spool.bytes(), 0);
        bodies
    }

    #[test]
    fn batches_come_back_in_order_after_a_restart() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path().into(), 1 << 30).unwrap();
        for n in 0..12 {
            spool.put(format!("{n}\n").as_bytes()).unwrap();
        }
        fs::write(dir.path().join(format!("{:020}.new", 13)), "half").unwrap();
        let mut spool = Spool::open(dir.path().into(), 1 << 30).unwrap();
        spool.put(b"12\n").unwrap();
        assert_eq!(bodies(&mut spool), (0..13).map(|n| Some(format!("{n}\n"))).collect::<Vec<_>>());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_file_cut_anywhere_is_known_as_damaged() {
        let dir = tempfile::tempdir().unwrap();
        let body = "{\"source\":\"Node\"}\n".repeat(20);
        let whole = compress(body.as_bytes()).unwrap();
        for end in 0..=whole.len() {
            fs::write(dir.path().join(format!("{:020}.gz", 1)), whole.get(..end).unwrap()).unwrap();
            let mut spool = Spool::open(dir.path().into(), 1 << 30).unwrap();
            let expected = (end == whole.len()).then(|| body.clone());
            assert_eq!(bodies(&mut spool), [expected], "cut at {end}");
        }
    }

    #[test]
    fn a_full_spool_has_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(dir.path().into(), BODY / 4 + 10).unwrap();
        assert!(spool.has_room());
        spool.put(b"one\n").unwrap();
        assert!(!spool.has_room());
    }
}
