//! The controller is away, refuses, or breaks off; the collector is killed.

use std::fs;

use kubewitness::api::rule::Source;

use super::{
    Controller, Node,
    controller::{Mood, TOKEN},
    node::{assignment, source},
};

const LOG: &str = "/var/log/app.log";

fn spooled(node: &Node) -> usize {
    fs::read_dir(node.own("state/spool")).map_or(0, Iterator::count)
}

#[test]
fn lines_go_to_the_spool_while_the_controller_is_away_and_arrive_in_order() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "one\n");
    node.start();
    node.until_lines(&["one"]);
    node.controller.is(Mood::Cut);
    node.append(LOG, "two password=hunter2\n");
    node.until("a batch is spooled", |node| spooled(node) == 1);
    node.append(LOG, "three\n");
    node.until("another is", |node| spooled(node) == 2);
    // The spool is all that is left of these lines.
    node.kill();
    fs::remove_file(node.file(LOG)).unwrap();
    node.controller.is(Mood::Takes);
    node.start();
    node.until("they arrive", |node| node.controller.count() == 3);
    assert_eq!(node.controller.texts(), ["one", "two password=[redacted]", "three"]);
    node.until("the spool is empty", |node| spooled(node) == 0);
    node.until("the gauge says so", |node| node.metric("spool_bytes") == Some(0));
}

#[test]
fn a_damaged_file_of_the_spool_is_skipped_and_counted() {
    let mut node = Node::new(&[LOG]);
    fs::create_dir_all(node.own("state/spool")).unwrap();
    fs::write(node.own("state/spool/00000000000000000001.gz"), "no gzip").unwrap();
    node.append(LOG, "one\n");
    node.start();
    node.until_lines(&["one"]);
    node.until_metric(r#"lost_bytes_total{reason="SpoolDamaged"}"#, 7);
    assert_eq!(spooled(&node), 0);
}

#[test]
fn with_a_full_spool_reading_stops_and_nothing_is_lost() {
    let mut node = Node::new(&[LOG]);
    node.flag("--spool-max=8MiB");
    node.append(LOG, "begin\n");
    node.start();
    node.until_lines(&["begin"]);
    node.controller.is(Mood::Refuses(503));
    // 24 MiB that do not compress well.
    let mut random = fastrand::Rng::with_seed(7);
    let mut expected = vec!["begin".to_owned()];
    for _ in 0..24 {
        let mut text = String::new();
        while text.len() < 1 << 20 {
            let line: String = (0..500).map(|_| random.alphanumeric()).collect();
            text += &format!("{} {line}\n", expected.len());
            expected.push(format!("{} {line}", expected.len()));
        }
        node.append(LOG, text);
    }
    let size = fs::metadata(node.file(LOG)).unwrap().len();
    node.until("the spool is full", |node| node.metric("spool_bytes") > Some(5 << 20));
    node.until("reading stops", |node| {
        let before = node.metric("bytes_read_total");
        std::thread::sleep(std::time::Duration::from_secs(1));
        before.is_some() && before == node.metric("bytes_read_total") && before < Some(size)
    });
    assert!(node.metric("spool_bytes") <= Some(8 << 20));
    node.controller.is(Mood::Takes);
    node.until("all lines arrive", |node| node.controller.count() == expected.len());
    // Redaction may take such texts for secrets; their numbers are enough.
    let numbers = |lines: Vec<String>| {
        let mut numbers: Vec<String> =
            lines.iter().filter_map(|line| Some(line.split(' ').next()?.to_owned())).collect();
        numbers.sort();
        numbers
    };
    assert_eq!(numbers(node.controller.texts()), numbers(expected));
}

#[test]
fn what_was_stored_and_not_answered_is_sent_again_from_the_same_place() {
    let mut node = Node::new(&[LOG]);
    node.controller.is(Mood::TakesAndCuts);
    node.append(LOG, "one\ntwo\n");
    node.start();
    node.until("they come twice", |node| node.controller.duplicates() >= 2);
    node.kill();
    node.append(LOG, "three\n");
    node.controller.is(Mood::Takes);
    node.start();
    node.until_lines(&["one", "two", "three"]);
    assert_eq!(node.controller.contradictions(), []);
    node.until("the connection's end is counted", |node| {
        node.metric(r#"retries_total{reason="Connection"}"#).is_some()
    });
}

#[test]
fn a_line_that_is_refused_is_dropped_alone() {
    let mut node = Node::new(&[LOG]);
    node.controller.is(Mood::Hates("poison"));
    let lines: Vec<String> = (0..50).map(|n| if n == 31 { "poison".into() } else { format!("line {n}") }).collect();
    node.append(LOG, lines.join("\n") + "\n");
    node.start();
    let good: Vec<&str> = lines.iter().map(String::as_str).filter(|line| *line != "poison").collect();
    node.until_lines(&good);
    node.until_metric("lines_refused_total", 1);
    node.append(LOG, "next\n");
    node.until("the next line arrives", |node| node.controller.texts().iter().any(|text| text == "next"));
}

#[test]
fn a_renewed_token_is_used_and_another_certificate_is_not_believed() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "one\n");
    node.controller.takes_only("renewed");
    node.start();
    node.until("the token is refused", |node| node.controller.answers("/sources", 401) > 0);
    assert_eq!(node.controller.count(), 0);
    fs::write(node.own("token"), "renewed").unwrap();
    node.until_lines(&["one"]);
    // An authority that did not sign the controller's certificate.
    let other = tempfile::tempdir().unwrap();
    let stranger = Controller::start(other.path(), assignment(Vec::new()));
    fs::copy(other.path().join("ca.crt"), node.own("ca.crt")).unwrap();
    drop(stranger);
    node.append(LOG, "two\n");
    node.until("it is not believed", |node| node.metric(r#"retries_total{reason="Connection"}"#) > Some(0));
    assert_eq!(node.controller.count(), 1);
    assert!(!node.log().contains(TOKEN) && !node.log().contains("renewed"), "tokens are not logged");
}

#[test]
fn the_last_assignment_is_used_while_the_controller_is_away() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "one\n");
    node.start();
    node.until_lines(&["one"]);
    node.until("the assignment is asked again, unchanged", |node| node.controller.answers("/sources", 304) > 0);
    node.kill();
    node.controller.is(Mood::Refuses(503));
    node.append(LOG, "two\n");
    node.start();
    node.until("it is read and spooled", |node| spooled(node) == 1);
    node.controller.assign(assignment(vec![source(Source::Node, &["/var/log/other.log"])]));
    node.controller.is(Mood::Takes);
    node.until_lines(&["one", "two"]);
    node.append("/var/log/other.log", "of another file\n");
    node.until_lines(&["one", "two", "of another file"]);
    node.append(LOG, "no longer named\n");
    node.append("/var/log/other.log", "last\n");
    node.until_lines(&["one", "two", "of another file", "last"]);
}

#[test]
fn a_state_directory_belongs_to_one_collector() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "one\n");
    node.start();
    node.until_lines(&["one"]);
    let mut second = node.spawn();
    assert_eq!(second.wait().unwrap().code(), Some(2));
    assert!(node.log().contains("another collector uses it"), "{}", node.log());
}

#[test]
fn at_the_end_what_was_read_is_sent() {
    let mut node = Node::new(&[LOG]);
    node.append(LOG, "one\n");
    node.start();
    node.until_lines(&["one"]);
    node.append(LOG, "two\n");
    node.until("it is read", |node| node.metric("lines_read_total") == Some(2));
    node.stop();
    assert_eq!(node.controller.texts(), ["one", "two"]);
    node.start();
    node.append(LOG, "three\n");
    node.until_lines(&["one", "two", "three"]);
    assert_eq!(node.controller.duplicates(), 0);
}
