//! The log in bad times: changed bytes, full disks, other versions, leftovers of crashes.

use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use super::{
    AppendError, Metrics, Store, StoreConfig,
    fixture::{Open, audit, audit_of_size, numbers},
    partition::Partition,
};
use crate::record::Seq;

fn partition_paths(dir: &Path) -> Vec<PathBuf> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| Partition::first_seq_of(path).is_some());
    paths.sort();
    paths
}

/// Five partitions, of one large record each.
fn five_partitions(dir: &Path) {
    let open = Open::small(dir, 100 << 20);
    for number in 0..5 {
        open.append(vec![audit_of_size(number, 200_000)]);
    }
    open.close();
    assert_eq!(partition_paths(dir).len(), 5);
}

/// Walks the whole log; returns the places where the chain breaks.
fn chain_breaks(dir: &Path) -> Vec<Seq> {
    let (mut hash, mut breaks) = ([0; 32], Vec::new());
    for path in partition_paths(dir) {
        let partition = Partition::open_reading(&path, false).unwrap();
        if partition.prev_hash().unwrap() != hash {
            breaks.push(partition.first_seq);
        }
        for place in partition.places(0, Seq::MAX / 2, 1000).unwrap() {
            match partition.block(place.first_seq) {
                Ok(block) => {
                    if block.prev_hash != hash || block.hash != block.expected_hash() {
                        breaks.push(block.first_seq);
                    }
                    hash = block.hash;
                }
                Err(_) => breaks.push(place.first_seq),
            }
        }
    }
    breaks
}

#[test]
fn flipped_byte_breaks_the_chain_there_and_is_skipped_and_counted() {
    // In the middle of the file lies the middle of its one block, and at a page's first bytes the number of the next.
    for (name, place) in [("in the content", 100), ("in SQLite's own structure", 0)] {
        let dir = tempfile::tempdir().unwrap();
        five_partitions(dir.path());
        assert_eq!(chain_breaks(dir.path()), Vec::<Seq>::new(), "{name}: the chain holds over partitions");
        let path = &partition_paths(dir.path())[2];
        let mut bytes = std::fs::read(path).unwrap();
        let at = bytes.len() / 2 / 4096 * 4096 + place;
        bytes[at] ^= 1;
        std::fs::write(path, bytes).unwrap();
        assert_eq!(chain_breaks(dir.path()).first(), Some(&3), "{name}");
        let open = Open::small(dir.path(), 100 << 20);
        assert_eq!(numbers(&open.all()), [0, 1, 3, 4], "{name}");
        assert_eq!(numbers(&open.all()), [0, 1, 3, 4], "{name}");
        assert_eq!(open.metrics.blocks_corrupt.get(), 1, "{name}: counted once however often it is read");
    }
}

#[test]
fn damage_never_hides_the_rest() {
    type Harm = fn(&Path);
    let cases: [(&str, Harm, &[u64]); 6] = [
        ("partition of no SQLite", |path| std::fs::write(path, [7; 9000]).unwrap(), &[0, 1, 3, 4]),
        ("partition without tables", |path| harm(path, "DROP TABLE block"), &[0, 1, 3, 4]),
        ("block of another size", |path| harm(path, "UPDATE block SET raw_bytes = 10"), &[0, 1, 3, 4]),
        ("unknown codec", |path| harm(path, "UPDATE block SET codec = 'lz9'"), &[0, 1, 3, 4]),
        ("short hash", |path| harm(path, "UPDATE block SET hash = x'00'"), &[0, 1, 3, 4]),
        ("block removed", |path| harm(path, "DELETE FROM block"), &[0, 1, 3, 4]),
    ];
    for (name, harm, expected) in cases {
        let dir = tempfile::tempdir().unwrap();
        five_partitions(dir.path());
        harm(&partition_paths(dir.path())[2]);
        let open = Open::small(dir.path(), 100 << 20);
        assert_eq!(numbers(&open.all()), expected, "{name}");
        if name != "block removed" {
            assert_eq!(open.metrics.blocks_corrupt.get(), 1, "{name}");
        }
        assert!(open.append(vec![audit(9)]) > 5, "{name}: the log goes on");
    }
}

fn harm(path: &Path, sql: &str) {
    rusqlite::Connection::open(path).unwrap().execute_batch(sql).unwrap();
}

#[test]
fn full_disk_fails_the_append_and_recovers_without_restart() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::at(dir.path());
    open.append(vec![audit(0)]);
    open.page_limit.store(12, Ordering::Relaxed);
    let big = || (1..4).map(|number| audit_of_size(number, 100_000)).collect::<Vec<_>>();
    for _ in 0..2 {
        let error = open.appender.append_blocking(big()).unwrap_err();
        assert!(matches!(&error, AppendError::Failed { reason } if reason.contains("full")), "{error}");
    }
    assert_eq!((*open.store.committed().borrow(), open.all().len()), (1, 1), "nothing of it is there");
    assert_eq!(open.metrics.append_refused.with_label_values(&["failed"]).get(), 2);
    open.page_limit.store(1 << 20, Ordering::Relaxed);
    assert_eq!(open.append(big()), 4);
    assert_eq!(numbers(&open.all()), [0, 1, 2, 3]);
    open.close();
    assert_eq!(chain_breaks(dir.path()), Vec::<Seq>::new());
}

#[test]
fn other_format_version_is_refused_with_a_remedy() {
    for file in ["state.db", "log-00000000000000000001.db"] {
        let dir = tempfile::tempdir().unwrap();
        Open::at(dir.path()).close();
        harm(&dir.path().join(file), "UPDATE meta SET value = 7 WHERE key = 'version'");
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let error = Store::open(StoreConfig::at(dir.path()), metrics).err().unwrap().to_string();
        assert!(
            error.contains(file) && error.contains("format version 7") && error.contains("use the build"),
            "{error}"
        );
    }
}

#[test]
fn leftovers_of_a_crash_are_cleared_away() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::at(dir.path());
    open.append((0..3).map(audit).collect());
    open.close();
    // A roll that got no further than the file, and a drop that got no further than the database.
    std::fs::write(dir.path().join("log-00000000000000000004.db"), "").unwrap();
    std::fs::write(dir.path().join("log-00000000000000000000.db-wal"), "x").unwrap();
    let open = Open::at(dir.path());
    assert_eq!(open.append(vec![audit(3)]), 4);
    assert_eq!(numbers(&open.all()), [0, 1, 2, 3]);
    open.close();
    assert_eq!(partition_paths(dir.path()).len(), 1);
    assert!(!dir.path().join("log-00000000000000000000.db-wal").exists());
}

#[test]
fn log_begins_after_the_offsets_when_its_partitions_were_removed() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::at(dir.path());
    open.append((0..3).map(audit).collect());
    open.store.set_offset("pipeline", 3).unwrap();
    open.close();
    partition_paths(dir.path()).iter().for_each(|path| std::fs::remove_file(path).unwrap());
    let open = Open::at(dir.path());
    assert_eq!(open.append(vec![audit(3)]), 4, "or the pipeline would pass over it");
}
