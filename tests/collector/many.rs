//! Many files, and large ones beside small ones.

use std::fmt::Write as _;

use super::Node;

const FILES: usize = 1000;

#[test]
fn memory_stays_bounded_with_a_thousand_files_and_those_over_it_are_counted() {
    let mut node = Node::new(&["/var/log/pods/*/0.log"]);
    let path = |n: usize| format!("/var/log/pods/pod-{n}/0.log");
    let lines = |n: usize| {
        (0..20).fold(String::new(), |mut text, line| {
            writeln!(text, "pod {n} line {line} {}", "x".repeat(200)).unwrap();
            text
        })
    };
    for n in 0..FILES + 5 {
        node.append(&path(n), lines(n));
    }
    node.start();
    node.until("the lines of a thousand files arrive", |node| node.controller.count() == FILES * 20);
    node.until_metric("files_open", FILES as u64);
    assert_eq!(node.metric("files_over_limit"), Some(5));
    let peak = node.peak_mib();
    println!("peak: {peak} MiB");
    assert!(peak <= 64, "{peak} MiB");
    assert_eq!(node.controller.contradictions(), []);
}

#[test]
fn a_large_backlog_does_not_keep_other_files_waiting() {
    let mut node = Node::new(&["/var/log/*.log"]);
    let mut big = String::new();
    for n in 0..100_000 {
        writeln!(big, "line {n} of the large file {}", "x".repeat(100)).unwrap();
    }
    node.append("/var/log/a-large.log", &big);
    node.append("/var/log/b-small.log", "of the small file\n");
    node.start();
    node.until("the small file's line arrives", |node| {
        node.controller.texts().iter().any(|text| text == "of the small file")
    });
    node.until("all arrive", |node| node.controller.count() == 100_001);
    let texts = node.controller.texts();
    let at = texts.iter().position(|text| text == "of the small file").unwrap();
    assert!(at < 30_000, "after {at} lines of the large file");
}
