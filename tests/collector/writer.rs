//! A writer that rotates its file, by rename and by copytruncate in turn. In: a path, how much of everything. Out: what it
//! wrote, and what the truncations destroyed. Every line is another one, so a receiver can name what is lost or repeated.

use std::{
    collections::BTreeSet,
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

/// Longer than a collector needs to find new lines.
const READ_BEFORE: Duration = Duration::from_millis(600);

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct Scale {
    pub rotations: usize,
    pub kills: usize,
    pub lines_a_second: u64,
    pub between_rotations: Duration,
    pub cut: Duration,
}

impl Scale {
    /// `small`, unless `KUBEWITNESS_CHAOS=full` asks for all of it.
    pub fn from_environment(small: Scale) -> Scale {
        match std::env::var("KUBEWITNESS_CHAOS").as_deref() {
            Ok("full") => Scale {
                rotations: 50,
                kills: 20,
                lines_a_second: 5_000,
                between_rotations: Duration::from_secs(3),
                cut: Duration::from_secs(60),
            },
            Ok(_) | Err(_) => small,
        }
    }

    /// From the first line to the last rotation.
    pub fn span(&self) -> Duration {
        self.between_rotations * self.rotations as u32
    }
}

/// What the writer did.
#[derive(Default)]
pub struct Written {
    pub lines: usize,
    pub rotations: usize,
    /// Lines that stood neither in the copy nor in the file after a truncation.
    pub destroyed: BTreeSet<usize>,
}

impl Written {
    /// Lines that did not come, without those that the truncations destroyed.
    pub fn lost(&self, came: impl Fn(usize) -> bool) -> Vec<usize> {
        (0..self.lines).filter(|number| !came(*number) && !self.destroyed.contains(number)).collect()
    }
}

/// Each line is another one.
fn text(number: usize) -> String {
    format!("app[7]: line {number} {}", "x".repeat(number % 90))
}

/// Which line a text is; none if the writer never wrote it.
pub fn number_of(line: &str) -> Option<usize> {
    let number = line.strip_prefix("app[7]: line ")?.split(' ').next()?.parse().ok()?;
    (line == text(number)).then_some(number)
}

/// A writer on a thread of its own.
pub struct Writing(thread::JoinHandle<Written>);

impl Writing {
    pub fn start(path: PathBuf, scale: Scale) -> Writing {
        let writer = Writer { file: append(&path), path, written: Written::default(), scale };
        Writing(thread::spawn(move || writer.run()))
    }

    pub fn is_done(&self) -> bool {
        self.0.is_finished()
    }

    pub fn end(self) -> Written {
        self.0.join().unwrap()
    }
}

/// Writes lines into one file and rotates it.
struct Writer {
    path: PathBuf,
    file: File,
    written: Written,
    scale: Scale,
}

fn append(path: &Path) -> File {
    OpenOptions::new().create(true).append(true).open(path).unwrap()
}

impl Writer {
    fn lines(&mut self, count: usize) {
        let mut block = String::new();
        for _ in 0..count {
            block += &text(self.written.lines);
            block.push('\n');
            self.written.lines += 1;
        }
        self.file.write_all(block.as_bytes()).unwrap();
    }

    /// Writes at the pace of the scale until it is time to rotate.
    fn write(&mut self) {
        let (begin, before) = (Instant::now(), self.written.lines);
        while begin.elapsed() < self.scale.between_rotations {
            let due = begin.elapsed().as_millis() as u64 * self.scale.lines_a_second / 1000;
            let due = due as usize - (self.written.lines - before).min(due as usize);
            self.lines(due);
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn rotated(&self, n: usize) -> PathBuf {
        PathBuf::from(format!("{}.{n}", self.path.display()))
    }

    fn shift(&self) {
        for n in (1..=self.scale.rotations).rev().filter(|n| self.rotated(*n).exists()) {
            fs::rename(self.rotated(n), self.rotated(n + 1)).unwrap();
        }
    }

    /// As logrotate does by default: the writer goes on in the renamed file until it is told.
    fn rename(&mut self) {
        self.shift();
        fs::rename(&self.path, self.rotated(1)).unwrap();
        self.lines(20);
        self.file = append(&self.path);
    }

    /// As logrotate does with `copytruncate`: what is written between the two is destroyed, unless it was read before.
    fn copy_and_truncate(&mut self) {
        self.shift();
        fs::copy(&self.path, self.rotated(1)).unwrap();
        let before = self.written.lines;
        self.lines(20);
        self.written.destroyed.extend(before..self.written.lines);
        // Every other time so long that they are read before: then they stand in no file any more, and came.
        if self.written.rotations % 4 == 1 {
            thread::sleep(READ_BEFORE);
        }
        self.file.set_len(0).unwrap();
    }

    fn run(mut self) -> Written {
        for rotation in 0..self.scale.rotations {
            self.write();
            if rotation % 2 == 0 {
                self.rename()
            } else {
                self.copy_and_truncate()
            }
            self.written.rotations += 1;
        }
        self.write();
        self.written
    }
}
