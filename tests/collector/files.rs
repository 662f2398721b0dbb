//! Which lines of which files arrive.

use std::{fs, os::unix::fs::symlink, process::Command};

use kubewitness::api::{log_source::Start, rule::Source};

use super::{
    Line, Node,
    node::{assignment, source},
};

const LOG: &str = "/var/log/app.log";

fn places(lines: &[Line]) -> Vec<(&str, u64)> {
    lines.iter().map(|line| (line.text.as_str(), line.offset)).collect()
}

#[test]
fn lines_arrive_redacted_with_their_place() {
    let mut node = Node::new(&["/var/log/*.log"]);
    node.append(LOG, "one token=hunter2\ntwo password=hunter2\nthree is not complete");
    node.start();
    node.until_lines(&["one token=[redacted]", "two password=[redacted]"]);
    node.append(LOG, " yet\n");
    node.until_lines(&["one token=[redacted]", "two password=[redacted]", "three is not complete yet"]);
    let lines = node.controller.lines();
    assert_eq!(
        places(&lines),
        [("one token=[redacted]", 0), ("two password=[redacted]", 18), ("three is not complete yet", 39)]
    );
    assert!(lines.iter().all(|line| line.path == LOG && line.id == lines[0].id), "{lines:?}");
    let state: Vec<u8> = fs::read_dir(node.own("state"))
        .unwrap()
        .filter_map(|entry| fs::read(entry.unwrap().path()).ok())
        .flatten()
        .collect();
    // Not of the first line either, by which the file is known.
    assert!(!state.is_empty() && !String::from_utf8_lossy(&state).contains("hunter2"));
    node.stop();
}

#[test]
fn a_link_to_a_secret_and_a_pipe_are_not_shipped() {
    let mut node = Node::new(&["/var/log/*.log", "/var/log/dir*/shadow"]);
    fs::create_dir_all(node.file("/etc")).unwrap();
    node.append("/etc/shadow", "root:$6$secret:20000:0:99999:7:::\n");
    symlink("/etc/shadow", node.file("/var/log/absolute.log")).unwrap();
    symlink(node.file("/etc/shadow"), node.file("/var/log/outside.log")).unwrap();
    symlink("../../etc/shadow", node.file("/var/log/relative.log")).unwrap();
    symlink("../../etc", node.file("/var/log/directory")).unwrap();
    assert!(Command::new("mkfifo").arg(node.file("/var/log/pipe.log")).status().unwrap().success());
    node.append("/var/log/app.txt", "by a link that stays\n");
    symlink("app.txt", node.file("/var/log/inside.log")).unwrap();
    node.start();
    node.until_lines(&["by a link that stays"]);
    node.until_metric("files_refused", 5);
    assert_eq!(node.metric("files_open"), Some(1));
    // A file that is replaced by a link while it is read.
    node.append(LOG, "real\n");
    node.until_lines(&["by a link that stays", "real"]);
    fs::remove_file(node.file(LOG)).unwrap();
    symlink("/etc/shadow", node.file(LOG)).unwrap();
    node.until_metric("files_refused", 6);
    node.stop();
    node.start();
    node.until_metric("files_refused", 6);
    node.until_lines(&["by a link that stays", "real"]);
}

#[test]
fn a_renamed_file_is_read_to_its_end_also_over_restarts() {
    let mut node = Node::new(&[LOG]);
    node.append("/var/log/app.log.1", "older than the collector\n");
    node.append(LOG, "first\n");
    node.start();
    node.until_lines(&["first"]);
    // Renamed while it runs: the writer goes on for a while.
    node.rename("/var/log/app.log.1", "/var/log/app.log.2");
    node.rename(LOG, "/var/log/app.log.1");
    node.append("/var/log/app.log.1", "second\n");
    node.append(LOG, "third\n");
    node.until_lines(&["first", "second", "third"]);
    // Renamed twice while nobody looks: one of the files was never seen under its own name.
    node.kill();
    node.append(LOG, "fourth\n");
    for (from, to) in [(2, 3), (1, 2)] {
        node.rename(&format!("/var/log/app.log.{from}"), &format!("/var/log/app.log.{to}"));
    }
    node.rename(LOG, "/var/log/app.log.1");
    node.append(LOG, "fifth\n");
    for (from, to) in [(3, 4), (2, 3), (1, 2)] {
        node.rename(&format!("/var/log/app.log.{from}"), &format!("/var/log/app.log.{to}"));
    }
    node.rename(LOG, "/var/log/app.log.1");
    node.append(LOG, "sixth\n");
    node.start();
    node.until_lines(&["first", "second", "third", "fourth", "fifth", "sixth"]);
    let lines = node.controller.lines();
    assert!(lines.iter().all(|line| line.path == LOG), "{lines:?}");
    let id = |text: &str| &lines.iter().find(|line| line.text == text).unwrap().id;
    assert_eq!(id("first"), id("second"));
    assert_eq!(id("third"), id("fourth"));
    let mut ids: Vec<_> = lines.iter().map(|line| &line.id).collect();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), 4, "{lines:?}");
    assert_eq!(node.controller.contradictions(), []);
}

#[test]
fn the_unfinished_last_line_of_a_rotated_file_is_sent() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "whole\nunfinished");
    node.start();
    node.until_lines(&["whole"]);
    node.rename(LOG, "/var/log/app.log.1");
    node.until_lines(&["whole", "unfinished"]);
}

#[test]
fn equal_lines_of_a_truncated_file_are_different_lines() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "same\nmore of it\n");
    node.start();
    node.until_lines(&["same", "more of it"]);
    fs::write(node.file(LOG), "same\n").unwrap();
    node.until_lines(&["same", "more of it", "same"]);
    let lines = node.controller.lines();
    assert_eq!((lines[0].offset, lines[2].offset), (0, 0));
    assert_ne!(lines[0].id, lines[2].id);
    node.until_metric("truncations_total", 1);
}

#[test]
fn a_file_that_began_anew_with_the_same_line_goes_on_where_it_was_left_after_restarts() {
    let mut node = Node::new(&[LOG]);
    let mut expected = vec!["head".to_owned(), "first".to_owned()];
    let arrived =
        |node: &Node, expected: &[String]| node.until_lines(&expected.iter().map(|line| &**line).collect::<Vec<_>>());
    node.append(LOG, "head\nfirst\n");
    node.start();
    arrived(&node, &expected);
    // Shorter than before, and no copy of it.
    fs::write(node.file(LOG), "head\n").unwrap();
    expected.push("head".into());
    arrived(&node, &expected);
    // Which of the two checkpoints is looked at first is left to chance.
    for n in 0..6 {
        node.kill();
        node.append(LOG, format!("line {n}\n"));
        expected.push(format!("line {n}"));
        node.start();
        arrived(&node, &expected);
    }
}

#[test]
fn what_a_truncation_destroys_is_read_from_the_copy() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "first\n");
    node.start();
    node.until_lines(&["first"]);
    node.kill();
    node.append(LOG, "second\n");
    fs::copy(node.file(LOG), node.file("/var/log/app.log.1")).unwrap();
    fs::write(node.file(LOG), "after\n").unwrap();
    node.start();
    node.until_lines(&["first", "second", "after"]);
    let lines = node.controller.lines();
    let place = |text: &str| lines.iter().find(|line| line.text == text).map(|line| (&line.id, line.offset)).unwrap();
    assert_eq!(place("second"), (place("first").0, 6));
    assert_eq!(node.metric(r#"lost_bytes_total{reason="Truncated"}"#), Some(0));
}

#[test]
fn what_was_read_between_copy_and_truncation_is_not_read_again() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "first\nsecond\n");
    node.start();
    node.until_lines(&["first", "second"]);
    fs::copy(node.file(LOG), node.file("/var/log/app.log.1")).unwrap();
    node.append(LOG, "third\n");
    node.until_lines(&["first", "second", "third"]);
    fs::write(node.file(LOG), "after\n").unwrap();
    node.until_metric("truncations_total", 1);
    node.append(LOG, "more\n");
    node.until_lines(&["first", "second", "third", "after", "more"]);
    node.stop();
    node.append(LOG, "last\n");
    node.start();
    node.until_lines(&["first", "second", "third", "after", "more", "last"]);
    assert_eq!(node.metric(r#"losses_total{reason="Truncated"}"#), Some(0));
}

#[test]
fn what_is_seen_and_destroyed_between_copy_and_truncation_counts_as_lost() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "first\n");
    node.start();
    node.until_lines(&["first"]);
    fs::copy(node.file(LOG), node.file("/var/log/app.log.1")).unwrap();
    node.append(LOG, "unfinished");
    node.until_metric("lag_bytes", 10);
    fs::write(node.file(LOG), "after\n").unwrap();
    node.until_lines(&["first", "after"]);
    node.until_metric(r#"lost_bytes_total{reason="Truncated"}"#, 10);
    assert_eq!(node.metric(r#"losses_total{reason="Truncated"}"#), Some(1));
    // How many lines they were, nobody saw.
    assert_eq!(node.metric(r#"lost_lines_total{reason="Truncated"}"#), Some(0));
}

#[test]
fn a_file_that_is_compressed_before_it_is_read_counts_as_lost() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "first\n");
    node.start();
    node.until_lines(&["first"]);
    node.kill();
    fs::write(node.file("/var/log/app.log.1.gz"), "compressed").unwrap();
    // In this order, so that the new file can't have the inode of the old one.
    node.append("/var/log/app.log.new", "next\n");
    node.rename("/var/log/app.log.new", LOG);
    node.start();
    node.until_lines(&["first", "next"]);
    node.until_metric(r#"losses_total{reason="Gone"}"#, 1);
}

#[test]
fn a_source_may_begin_at_the_end() {
    let mut from_end = source(Source::Node, &["/var/log/*.log"]);
    from_end.start = Start::End;
    let mut node = Node::with(assignment(vec![from_end]));
    node.append(LOG, "long ago\nunfinished");
    node.start();
    node.until_metric("files_open", 1);
    node.append(LOG, " line\nnow\n");
    node.append("/var/log/new.log", "made later\n");
    node.until_lines(&["now", "made later"]);
}

#[test]
fn an_oversized_line_is_cut_and_the_next_one_is_whole() {
    let mut node = Node::new(&[LOG]);
    let long = "word ".repeat(30_000);
    node.append(LOG, format!("before\n{long}\nafter\n"));
    node.start();
    node.until("three lines arrive", |node| node.controller.count() == 3);
    let lines = node.controller.lines();
    assert!(lines[1].text.len() <= 64 << 10 && lines[1].text.starts_with("word word"), "{}", lines[1].text.len());
    assert_eq!(places(&lines)[2], ("after", 7 + long.len() as u64 + 1));
    node.until("it is counted", |node| node.metric(r#"lost_bytes_total{reason="Oversized"}"#) > Some(0));
}

#[test]
fn audit_events_are_sent_as_events_and_other_lines_of_their_file_are_not_sent() {
    let audit = source(Source::Audit, &["/var/log/audit.log"]);
    let mut node = Node::with(assignment(vec![audit]));
    let event = r#"{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Request","auditID":"a-1","stage":"ResponseComplete","verb":"create","requestURI":"/api/v1/namespaces/default/secrets","objectRef":{"resource":"secrets","namespace":"default","apiVersion":"v1"},"requestObject":{"kind":"Secret","apiVersion":"v1","data":{"key":"aHVudGVyMg=="}},"requestReceivedTimestamp":"2026-01-02T03:04:05.000001Z","stageTimestamp":"2026-01-02T03:04:05.000002Z"}"#;
    let broken = "password=hunter2 is no event";
    node.append("/var/log/audit.log", format!("{event}\n{broken}\n{}\n", event.replace("a-1", "a-2")));
    node.start();
    node.until("two events arrive", |node| node.controller.count() == 2);
    let lines = node.controller.lines();
    assert!(lines[0].text.contains("a-1") && lines[1].text.contains("a-2"), "{lines:?}");
    assert!(lines.iter().all(|line| !line.text.contains("aHVudGVyMg") && !line.text.contains("hunter2")), "{lines:?}");
    node.until_metric(r#"lost_bytes_total{reason="Unreadable"}"#, broken.len() as u64);
    node.until_metric(r#"lost_lines_total{reason="Unreadable"}"#, 1);
}
