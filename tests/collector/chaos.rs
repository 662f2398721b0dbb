//! Rotations by rename and by copytruncate under a writer, while the collector is killed and the controller is away: every
//! line arrives, from one place. `KUBEWITNESS_CHAOS=full` runs the whole of it, some minutes; otherwise a small count.

use std::{
    collections::{BTreeSet, HashMap},
    fs::{self, File, OpenOptions},
    io::Write,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{Node, controller::Mood, node::LONG};
use crate::support::wait_until;

const LOG: &str = "/var/log/app.log";

/// How much of everything.
#[derive(Clone, Copy, Debug)]
struct Scale {
    rotations: usize,
    kills: usize,
    lines_a_second: u64,
    between_rotations: Duration,
    cut: Duration,
}

impl Scale {
    fn from_environment() -> Scale {
        match std::env::var("KUBEWITNESS_CHAOS").as_deref() {
            Ok("full") => Scale {
                rotations: 50,
                kills: 20,
                lines_a_second: 5_000,
                between_rotations: Duration::from_secs(3),
                cut: Duration::from_secs(60),
            },
            _ => Scale {
                rotations: 8,
                kills: 4,
                lines_a_second: 2_000,
                between_rotations: Duration::from_millis(700),
                cut: Duration::from_secs(1),
            },
        }
    }
}

/// Where lines end up, so that the same chaos can run against another receiver: a real controller counts what it has stored
/// in its metrics, and can be killed, too.
trait Receiver {
    /// Unique lines so far.
    fn unique(&self) -> usize;
    fn is(&self, mood: Mood);
    /// What is wrong with the lines that came; `written` holds every line by its number.
    fn faults(&self, written: &Written) -> Vec<String>;
}

impl Receiver for super::Controller {
    fn unique(&self) -> usize {
        self.count()
    }

    fn is(&self, mood: Mood) {
        super::Controller::is(self, mood);
    }

    fn faults(&self, written: &Written) -> Vec<String> {
        let mut faults: Vec<String> = self
            .contradictions()
            .iter()
            .map(|(first, second)| format!("two lines at one place: {first:?} {second:?}"))
            .collect();
        let mut places: HashMap<usize, (String, u64)> = HashMap::new();
        for line in self.lines() {
            let number = line.text.strip_prefix("app[7]: line ").and_then(|rest| rest.split(' ').next()?.parse().ok());
            match number {
                Some(number) if line.text == text(number) => {
                    let place = (line.id.clone(), line.offset);
                    if let Some(other) = places.insert(number, place) {
                        faults.push(format!("line {number} from two places: {other:?} {line:?}"));
                    }
                }
                Some(_) | None => faults.push(format!("a line that nobody wrote: {line:?}")),
            }
        }
        let lost: Vec<usize> = (0..written.lines)
            .filter(|number| !places.contains_key(number) && !written.destroyed.contains(number))
            .collect();
        if !lost.is_empty() {
            faults.push(format!("{} lines are lost, such as {:?}", lost.len(), &lost[..lost.len().min(20)]));
        }
        faults
    }
}

/// What the writer did.
#[derive(Default)]
struct Written {
    lines: usize,
    /// Lines that stood neither in the copy nor in the file after a truncation.
    destroyed: BTreeSet<usize>,
}

fn text(number: usize) -> String {
    format!("app[7]: line {number} {}", "x".repeat(number % 90))
}

/// Writes lines into one file and rotates it.
struct Writer {
    path: PathBuf,
    file: File,
    written: Written,
    scale: Scale,
    /// How far it is, for others to see.
    rotations: Arc<AtomicUsize>,
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
            self.rotations.store(rotation + 1, Ordering::Relaxed);
        }
        self.write();
        self.written
    }
}

/// Kills the collector and starts it again at uneven distances, until the writer is done; then as often as is left.
fn kill_again_and_again(node: &mut Node, scale: Scale, ended: &AtomicBool) {
    let mut random = fastrand::Rng::with_seed(11);
    let span = scale.between_rotations * scale.rotations as u32;
    let begin = Instant::now();
    let mut is_cut = None;
    for kill in 0..scale.kills {
        let at = span * (kill as u32 + 1) / (scale.kills as u32 + 1) + Duration::from_millis(random.u64(0..400));
        wait_until("time for the next kill", span + LONG, || (begin.elapsed() >= at).then_some(())).unwrap();
        node.kill();
        // Now and then so long that more than one rotation is missed.
        let away = if kill % 3 == 0 { scale.between_rotations * 2 } else { Duration::ZERO };
        let killed = Instant::now();
        wait_until("the collector stays away", LONG, || (killed.elapsed() >= away).then_some(())).unwrap();
        node.start();
        let receiver: &dyn Receiver = &node.controller;
        match kill {
            1 => receiver.is(Mood::Refuses(503)),
            2 => receiver.is(Mood::TakesAndCuts),
            3 => {
                receiver.is(Mood::Cut);
                is_cut = Some(Instant::now());
            }
            _ if is_cut.is_some_and(|since| since.elapsed() < scale.cut) => {}
            _ => receiver.is(Mood::Takes),
        }
    }
    wait_until("the writer is done", span + LONG, || ended.load(Ordering::Relaxed).then_some(())).unwrap();
    let since = is_cut.unwrap_or(begin);
    wait_until("the cut is over", scale.cut + LONG, || (since.elapsed() >= scale.cut).then_some(())).unwrap();
    Receiver::is(&node.controller, Mood::Takes);
}

#[test]
fn no_line_is_lost_or_repeated_by_rotations_kills_and_outages() {
    let scale = Scale::from_environment();
    let mut node = Node::new(&[LOG]);
    let rotations = Arc::new(AtomicUsize::new(0));
    let path = node.file(LOG);
    let writer =
        Writer { file: append(&path), path, written: Written::default(), scale, rotations: Arc::clone(&rotations) };
    node.start();
    let ended = Arc::new(AtomicBool::new(false));
    let done = Arc::clone(&ended);
    let writing = thread::spawn(move || {
        let written = writer.run();
        done.store(true, Ordering::Relaxed);
        written
    });
    kill_again_and_again(&mut node, scale, &ended);
    let written = writing.join().unwrap();
    assert_eq!(rotations.load(Ordering::Relaxed), scale.rotations);
    let receiver: &dyn Receiver = &node.controller;
    let at_least = written.lines - written.destroyed.len();
    let mut last = (receiver.unique(), Instant::now());
    let arrived = wait_until("every line arrives", LONG * 5, || {
        if receiver.unique() != last.0 {
            last = (receiver.unique(), Instant::now());
        }
        // Once nothing comes any more, what is missing can be named.
        (receiver.unique() >= at_least && last.1.elapsed() > Duration::from_secs(2) || last.1.elapsed() > LONG / 2)
            .then_some(())
    });
    let faults = receiver.faults(&written);
    assert!(arrived.is_ok() && faults.is_empty(), "{scale:?}\n{}\n{}", faults.join("\n"), node.log());
    println!(
        "{} lines written, {} between copy and truncation, {} arrived, {} came more than once",
        written.lines,
        written.destroyed.len(),
        node.controller.count(),
        node.controller.duplicates()
    );
}
