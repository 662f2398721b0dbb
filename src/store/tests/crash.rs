//! A process that is killed while it appends: what it acknowledged is there, and nothing is half there.

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
};

use super::*;

/// Set in the child: the directory to append to until killed.
const CHILD: &str = "KUBEWITNESS_TEST_CRASH_DIR";

#[test]
fn killed_writer_loses_nothing_that_it_acknowledged() {
    if let Some(dir) = std::env::var_os(CHILD) {
        append_until_killed(Path::new(&dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let mut acknowledged = 0;
    for seed in 0..10 {
        acknowledged = acknowledged.max(kill_after(dir.path(), seed * 7));
        let open = Open::small(dir.path(), 100 << 20);
        let all = open.all();
        let last = all.last().map_or(0, |(seq, _)| *seq);
        assert_eq!(all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=last).collect::<Vec<_>>(), "no holes");
        let numbers = numbers(&all);
        assert!(numbers.len() as u64 > acknowledged, "{acknowledged} was acknowledged, stored: {}", numbers.len());
        assert_eq!(numbers, (0..numbers.len() as u64).collect::<Vec<_>>(), "in order, each once");
        assert_eq!(numbers.len() % 3, 0, "an append is there whole or not at all");
        assert_eq!(open.metrics.blocks_corrupt.get(), 0);
        open.close();
    }
}

/// Starts a child on `dir` and kills it some time after its first acknowledgement; returns the last one.
fn kill_after(dir: &Path, milliseconds: u64) -> u64 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "--nocapture", "store::tests::crash::killed_writer_loses_nothing_that_it_acknowledged"])
        .env(CHILD, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut acks = lines.map_while(Result::ok).filter_map(|line| line.strip_prefix("ack ")?.parse::<u64>().ok());
    let first = acks.next().expect("the child acknowledges until it is killed");
    std::thread::sleep(Duration::from_millis(milliseconds));
    child.kill().unwrap();
    child.wait().unwrap();
    acks.last().unwrap_or(first)
}

/// Appends numbered records by threes, from where the log ends, and prints each number once it is acknowledged.
fn append_until_killed(dir: &Path) -> ! {
    let open = Open::small(dir, 100 << 20);
    let mut next = numbers(&open.all()).last().map_or(0, |number| number + 1);
    loop {
        open.append((next..next + 3).map(|number| audit_of_size(number, 3000)).collect());
        next += 3;
        println!("ack {}", next - 1);
    }
}
