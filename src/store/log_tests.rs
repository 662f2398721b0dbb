//! The log in good times: order, identity, partitions, retention, standing records, the queue.

use std::{path::Path, time::Duration};

use super::{
    AppendError, Appended, Metrics, Store, StoreConfig,
    fixture::{Open, audit, audit_of_size, node, node_gone, numbers, rule_removed, standing_nodes},
};
use crate::record::Record;

const PATIENCE: Duration = Duration::from_secs(20);

#[test]
fn what_was_appended_is_read_back_in_order_after_reopen() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::at(dir.path());
    assert_eq!((*open.store.committed().borrow(), open.store.first_seq().unwrap()), (0, 1));
    assert!(open.store.read(1, 1000).unwrap().is_empty());
    assert_eq!(open.append((0..3).map(audit).collect()), 3);
    assert_eq!(open.append((3..500).map(|number| audit_of_size(number, 4000)).collect()), 500);
    let key = open.store.id_key().0;
    assert_ne!(key, [0; 32]);
    open.close();

    let open = Open::at(dir.path());
    assert_eq!((*open.store.committed().borrow(), open.store.id_key().0), (500, key));
    let all = open.all();
    assert_eq!(all.iter().map(|(seq, _)| *seq).collect::<Vec<_>>(), (1..=500).collect::<Vec<_>>());
    assert_eq!(numbers(&all), (0..500).collect::<Vec<_>>());
    assert_eq!(serde_json::to_string(&all[0].1).unwrap(), serde_json::to_string(&audit(0)).unwrap());
    let middle = open.store.read(250, 1).unwrap();
    assert_eq!(middle[0].0, 250, "a read may begin inside a block");
    assert!(middle.len() < 300, "about one block: {}", middle.len());
    assert!(open.store.read(501, 1000).unwrap().is_empty());
    assert_eq!(open.append(vec![audit(500)]), 501);
}

#[test]
fn same_record_is_stored_once() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::small(dir.path(), 100 << 20);
    let twice = open.appender.append_blocking(vec![audit(0), audit(1), audit(0)]).unwrap();
    assert_eq!(twice, Appended { stored: 2, duplicates: 1, last_seq: 2 });
    let again = open.appender.append_blocking(vec![audit(1)]).unwrap();
    assert_eq!(again, Appended { stored: 0, duplicates: 1, last_seq: 2 });
    // Over the size of the first partition; the next append begins the second.
    open.append((2..10).map(|number| audit_of_size(number, 30_000)).collect());
    open.append(vec![audit(10)]);
    assert_eq!(partitions(dir.path()), 2);
    let previous = open.appender.append_blocking(vec![audit(0), audit(10), audit(11)]).unwrap();
    assert_eq!((previous.stored, previous.duplicates), (1, 2));
    open.close();

    let open = Open::small(dir.path(), 100 << 20);
    let reopened = open.appender.append_blocking((0..2).chain(10..13).map(audit).collect()).unwrap();
    assert_eq!((reopened.stored, reopened.duplicates), (1, 4));
    assert_eq!(numbers(&open.all()), (0..13).collect::<Vec<_>>());
    assert_eq!((open.metrics.records_stored.get(), open.metrics.records_duplicate.get()), (1, 4));
}

#[test]
fn retention_drops_the_oldest_and_counts_the_unread() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::small(dir.path(), 1 << 20);
    open.store.set_offset("pipeline", 5).unwrap();
    assert_eq!(open.store.offset("pipeline").unwrap(), Some(5));
    assert_eq!(open.store.offset("other").unwrap(), None);
    for number in 0..60 {
        open.append(vec![audit_of_size(number, 80_000)]);
    }
    let first_seq = open.store.first_seq().unwrap();
    assert!(first_seq > 30, "{first_seq}");
    let all = open.all();
    assert_eq!(numbers(&all), (first_seq - 1..60).collect::<Vec<_>>(), "the retained rest is whole");
    assert_eq!(open.metrics.records_dropped_unread.get(), first_seq - 1 - 5);
    assert!(open.metrics.partitions_dropped.get() > 10);
    assert!(open.metrics.bytes.get() <= 1 << 20, "{}", open.metrics.bytes.get());
    assert!(open.metrics.oldest_record_timestamp.get() > 1.7e9);
    open.store.set_offset("pipeline", 60).unwrap();
    let unread = open.metrics.records_dropped_unread.get();
    for number in 60..80 {
        open.append(vec![audit_of_size(number, 80_000)]);
        open.store.set_offset("pipeline", number + 1).unwrap();
    }
    assert_eq!(open.metrics.records_dropped_unread.get(), unread, "what was read is dropped without complaint");
}

#[test]
fn standing_records_survive_the_drop_of_their_partition() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::small(dir.path(), 1 << 20);
    open.append(vec![node("n1", "10.0.0.1"), node("n2", "10.0.0.2"), node("n3", "10.0.0.3")]);
    open.append(vec![node("n1", "10.0.0.9"), node_gone("n2")]);
    let expected = vec![("n1".to_string(), "10.0.0.9".to_string()), ("n3".into(), "10.0.0.3".into())];
    assert_eq!(standing_nodes(&open.store), expected);
    for number in 0..40 {
        open.append(vec![audit_of_size(number, 80_000)]);
    }
    assert!(open.store.first_seq().unwrap() > 10);
    assert_eq!(standing_nodes(&open.store), expected);
    let in_log = open.all().iter().filter(|(_, record)| record.id == node("n1", "10.0.0.9").id).count();
    assert!(in_log >= 2, "each partition begins with it: {in_log}");
    assert!(!open.all().iter().any(|(_, record)| record.id == node("n1", "10.0.0.1").id), "only the newest is carried");
    open.close();
    let open = Open::small(dir.path(), 1 << 20);
    assert_eq!(standing_nodes(&open.store), expected);
}

#[test]
fn standing_record_is_stored_when_it_says_something_new() {
    let cases: [(&str, Vec<Record>, u64, u64); 7] = [
        ("equal content", vec![node("n", "1"), node("n", "1")], 1, 1),
        ("changed content", vec![node("n", "1"), node("n", "2")], 2, 0),
        ("back to earlier content", vec![node("n", "1"), node("n", "2"), node("n", "1")], 3, 0),
        ("gone and back", vec![node("n", "1"), node_gone("n"), node("n", "1")], 3, 0),
        ("gone twice", vec![node("n", "1"), node_gone("n"), node_gone("n")], 2, 1),
        ("gone, back, gone", vec![node("n", "1"), node_gone("n"), node("n", "1"), node_gone("n")], 4, 0),
        ("removal of an unknown rule", vec![rule_removed("r"), rule_removed("r")], 1, 1),
    ];
    for (name, records, stored, duplicates) in cases {
        let dir = tempfile::tempdir().unwrap();
        let open = Open::at(dir.path());
        let once = open.appender.append_blocking(records.clone()).unwrap();
        assert_eq!((once.stored, once.duplicates), (stored, duplicates), "{name}: in one append");
        let dir = tempfile::tempdir().unwrap();
        let open = Open::at(dir.path());
        let sums = records.into_iter().map(|record| open.appender.append_blocking(vec![record]).unwrap());
        let sums = sums.fold((0, 0), |sum, one| (sum.0 + one.stored, sum.1 + one.duplicates));
        assert_eq!(sums, (stored, duplicates), "{name}: one by one");
    }
}

#[test]
fn partition_is_rolled_by_age() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::with(StoreConfig { partition_age: Duration::ZERO, ..StoreConfig::at(dir.path()) });
    (0..3).for_each(|number| assert_eq!(open.append(vec![audit(number)]), number + 1));
    assert_eq!(partitions(dir.path()), 3);
    assert_eq!(numbers(&open.all()), [0, 1, 2]);
}

#[tokio::test]
async fn full_queue_refuses_at_once_and_slow_commit_is_reported() {
    let cases = [("by length", 1 << 20, 1), ("by bytes", 100, 1000)];
    for (name, queue_bytes, queue_len) in cases {
        let dir = tempfile::tempdir().unwrap();
        let deadline = Duration::from_millis(50);
        let config = StoreConfig { queue_bytes, queue_len, deadline, ..StoreConfig::at(dir.path()) };
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        // The writer does not run yet, as if the disk hung.
        let (store, appender, writer) = Store::open(config, metrics.clone()).unwrap();
        assert_eq!(appender.append(vec![audit(0)]).await, Err(AppendError::Slow), "{name}");
        // Busy, not Slow: it did not wait for the deadline.
        assert_eq!(appender.append(vec![audit(1)]).await, Err(AppendError::Busy), "{name}");
        assert_eq!(appender.append_blocking(vec![audit(1)]), Err(AppendError::Busy), "{name}");
        let refused = |reason: &str| metrics.append_refused.with_label_values(&[reason]).get();
        assert_eq!((refused("slow"), refused("busy"), refused("failed")), (1, 2, 0), "{name}");
        // Once the disk is back the late append is there, and offering it again does not store it twice.
        let writer = std::thread::spawn(move || writer.run());
        let mut committed = store.committed();
        tokio::time::timeout(PATIENCE, committed.wait_for(|seq| *seq == 1)).await.unwrap().unwrap();
        let again = loop {
            match appender.append(vec![audit(0)]).await {
                Ok(again) => break again,
                Err(error) => assert!(matches!(error, AppendError::Busy | AppendError::Slow), "{error}"),
            }
        };
        assert_eq!((again.stored, again.duplicates), (0, 1), "{name}");
        drop(appender);
        writer.join().unwrap();
    }
}

#[test]
fn append_after_the_writer_ended_says_closed() {
    let dir = tempfile::tempdir().unwrap();
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let (_store, appender, writer) = Store::open(StoreConfig::at(dir.path()), metrics).unwrap();
    drop(writer);
    assert_eq!(appender.append_blocking(vec![audit(0)]), Err(AppendError::Closed));
}

#[test]
fn second_process_is_refused_with_a_remedy() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::at(dir.path());
    let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
    let error = Store::open(StoreConfig::at(dir.path()), metrics.clone()).err().unwrap().to_string();
    assert!(error.contains("in use by another process") && error.contains("--data-dir"), "{error}");
    open.close();
    Store::open(StoreConfig::at(dir.path()), metrics).map(|_| ()).unwrap();
}

#[test]
fn registered_metrics_start_at_zero_with_help() {
    let registry = prometheus::Registry::new();
    Metrics::register(&registry).unwrap();
    let text = prometheus::TextEncoder::new().encode_to_string(&registry.gather()).unwrap();
    assert!(text.contains("kubewitness_store_append_refused_total{reason=\"busy\"} 0"), "{text}");
    assert!(text.contains("kubewitness_store_records_stored_total 0"), "{text}");
    assert!(text.contains("kubewitness_store_inputs_stored_total{source="), "{text}");
    assert_eq!(text.matches("# HELP kubewitness_store_").count(), text.matches("# TYPE ").count(), "{text}");
}

#[tokio::test]
async fn reader_follows_the_writer_over_partitions() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::small(dir.path(), 100 << 20);
    let (store, appender) = (open.store.clone(), open.appender.clone());
    let writing = std::thread::spawn(move || {
        (0..60).for_each(|number| {
            assert_eq!(appender.append_blocking(vec![audit_of_size(number, 20_000)]).unwrap().stored, 1)
        });
    });
    let mut committed = open.store.committed();
    let mut found = Vec::new();
    while found.len() < 60 {
        let next = found.len() as u64 + 1;
        tokio::time::timeout(PATIENCE, committed.wait_for(|seq| *seq >= next)).await.unwrap().unwrap();
        let more = store.read(next, 1).unwrap();
        assert_eq!(more[0].0, next, "what is committed can be read");
        found.extend(numbers(&more));
    }
    assert_eq!(found, (0..60).collect::<Vec<_>>());
    assert!(partitions(dir.path()) > 3);
    writing.join().unwrap();
}

/// Prints its speed, and asserts only that all arrived.
#[test]
fn concurrent_appenders_share_commits() {
    let dir = tempfile::tempdir().unwrap();
    let open = Open::with(StoreConfig { deadline: PATIENCE, ..StoreConfig::at(dir.path()) });
    let (callers, batches, size) = (4, 3, 400);
    let batch = |batch| (batch * size..(batch + 1) * size).map(|number| audit_of_size(number, 2400)).collect();
    let mut all_batches: Vec<Vec<Record>> = (0..callers * batches).map(batch).collect();
    let begun = std::time::Instant::now();
    std::thread::scope(|scope| {
        for _ in 0..callers {
            let own = all_batches.split_off(all_batches.len() - batches as usize);
            let appender = open.appender.clone();
            scope.spawn(move || {
                own.into_iter().for_each(|batch| assert_eq!(appender.append_blocking(batch).unwrap().stored, size))
            });
        }
    });
    let (count, took) = (callers * batches * size, begun.elapsed());
    let commits = open.metrics.commit_seconds.get_sample_count();
    println!("{count} records of 2.5 KB in {took:?}, {commits} commits: {:.0}/s", count as f64 / took.as_secs_f64());
    println!("of that in SQLite: {:.3} s", open.metrics.commit_seconds.get_sample_sum());
    let mut all = numbers(&open.all());
    all.sort_unstable();
    assert_eq!(all, (0..count).collect::<Vec<_>>());
}

fn partitions(dir: &Path) -> usize {
    std::fs::read_dir(dir)
        .unwrap()
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|it| it == "db"))
        .count()
        - 1
}
