//! What the events of web servers' logs tell against what was asked, in each format.

use super::{
    scenes::{Act, Scene, Seen},
    truth::{assert_told, differences, in_order},
};

/// Redaction took something out of what was asked, and nothing else differs.
fn same_but_redacted(asked: &str, told: &str) -> bool {
    let (mut rest, mut parts) = (asked, told.split("[redacted]"));
    let Some(after) = parts.next().and_then(|first| rest.strip_prefix(first)) else { return false };
    rest = after;
    for part in parts {
        let found = if part.is_empty() { Some(rest.len()) } else { rest.find(part) };
        let Some(index) = found else { return false };
        rest = rest.get(index + part.len()..).unwrap_or_default();
    }
    rest.is_empty()
}

fn compare(format: &str, act: &Act, seen: &Seen) -> Vec<String> {
    let status = act.number("status");
    let outcome = if act.value["status"].as_i64() >= Some(400) { "failure" } else { "success" };
    let mut expected = vec![
        ("event.action", "http-request"),
        ("event.outcome", outcome),
        ("source.ip", act.text("address")),
        ("http.request.method", act.text("method")),
        ("http.response.status_code", &*status),
        ("user.name", act.text("user")),
    ];
    // The common format has neither; nor has nginx where it refuses a request before it reads the headers.
    let has_headers = !(format.contains("common") || format.starts_with("nginx") && status == "400");
    if has_headers {
        expected.push(("user_agent.original", act.text("agent")));
    }
    let mut wrong = differences(seen, &expected);
    let mut compare = |path: &str, asked: &str| {
        let told = seen.get(path);
        if asked != told && !same_but_redacted(asked, told) {
            wrong.push(format!("{path} {told:?}, not {asked:?}"));
        }
    };
    compare("url.original", act.text("target"));
    if has_headers {
        compare("http.request.referrer", act.text("referer"));
    }
    wrong
}

/// Of bytes sent as they stand the answer's status alone is known, and who sent them.
fn raw(scene: &Scene, events: &[&Seen]) -> Vec<String> {
    let sent: Vec<&Act> = scene.acts.iter().filter(|act| act.text("act") == "http-raw").collect();
    let by = |seen: &Seen, act: &Act| act.text("address") == seen.get("source.ip");
    let is_known = |seen: &&&Seen| {
        let status = seen.get("http.response.status_code");
        // What follows a request in the same connection is one more, whose answer is not in the truth; nor is that of HTTP/0.9.
        let answered = |act: &Act| [status, ""].contains(&&*act.number("status")) || status == "400";
        sent.iter().any(|act| by(seen, act) && answered(act))
    };
    let unknown =
        events.iter().filter(|seen| !is_known(seen)).map(|seen| format!("nobody did this: {:?}", seen.fields));
    let answered = sent.iter().filter(|act| !act.number("status").is_empty());
    let untold = answered.filter(|act| !events.iter().any(|seen| by(seen, act)));
    unknown.chain(untold.map(|act| format!("no event tells of {}", act.value))).collect()
}

fn requests(scene: &Scene, format: &str, events: &[Seen]) -> Vec<String> {
    if !scene.is_web() || format.contains("error") {
        return Vec::new();
    }
    let acts: Vec<&Act> = scene.acts.iter().filter(|act| act.text("act") == "http").collect();
    assert!(acts.len() > 50, "{}: {} requests", scene.name, acts.len());
    let events: Vec<&Seen> = events.iter().filter(|seen| seen.get("event.provider") == "access-log").collect();
    // Requests come first in the scene, bytes after them.
    let (requests, rest) = events.split_at(acts.len().min(events.len()));
    let mut wrong = in_order(&acts, requests.iter().copied(), |act, seen| compare(format, act, seen));
    wrong.extend(raw(scene, rest));
    wrong
}

#[test]
fn requests_are_told_as_they_were_asked_in_each_format() {
    assert_told(requests);
}

#[test]
fn a_redacted_address_is_the_one_that_was_asked_but_for_what_was_cut() {
    assert!(same_but_redacted("/?token=x&a=b", "/?token=[redacted]&a=b"));
    assert!(same_but_redacted("/?token=x", "/?token=[redacted]"));
    for wrong in ["/?token=[redacted]&a=c", "/x?token=[redacted]&a=b", "/?token=[redacted]&a=b&c", "/?a=b"] {
        assert!(!same_but_redacted("/?token=x&a=b", wrong), "{wrong}");
    }
}
