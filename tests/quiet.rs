//! The shipped rules over what real daemons wrote (tests/node/recordings): ordinary life raises nothing above Low, and each
//! attack that was recorded in the same way is seen. Through the library: redaction, normalising, joining, detection.

mod life;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    io::Read,
    path::Path,
    sync::Arc,
};

use flate2::read::GzDecoder;
use jiff::Timestamp;
use kubewitness::{
    api::{
        ClusterSecurityRule,
        log_source::LineFormat,
        rule::{Severity, Source},
    },
    event::Outcome,
    normalise::line::{Near, is_parsed, program},
    pipeline::{Pipeline, PipelineConfig},
    record::{IdKey, Line, Origin, Provenance, Record, RedactionFacts, RuleId},
    redact::{self, LinePlace},
    ruleset::compile::{RuleSource, compile},
};

const NODE: &str = "node-1";

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A pipeline with all rules of the repository.
pub fn pipeline() -> Pipeline {
    let mut pipeline = Pipeline::new(PipelineConfig::offline());
    for directory in ["audit", "node", "joint"] {
        for entry in fs::read_dir(repository().join("manifests/rules").join(directory)).unwrap() {
            let path = entry.unwrap().path();
            let rule: ClusterSecurityRule = serde_saphyr::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
            let id = RuleId::cluster(rule.metadata.name.as_deref().unwrap());
            let source = RuleSource { id, generation: 1, spec: rule.spec.0 };
            pipeline.accept(Arc::new(compile(&source).unwrap_or_else(|e| panic!("{}: {e}", path.display()))));
        }
    }
    assert!(pipeline.rules().len() >= 15, "{} rules", pipeline.rules().len());
    pipeline
}

/// The lines of a recorded file, each received when it was written: by its own stamp, in the year nearest to `near`.
fn lines(file: &str, near: Timestamp) -> Vec<Record> {
    let path = repository().join("tests/node/recordings").join(file);
    let bytes = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut text = String::new();
    if file.ends_with(".gz") {
        GzDecoder::new(bytes.as_slice()).read_to_string(&mut text).unwrap();
    } else {
        text = String::from_utf8_lossy(&bytes).into_owned();
    }
    let name = path.file_name().unwrap().to_str().unwrap().trim_end_matches(".gz").to_owned();
    let source = if name.contains("access") { Source::Web } else { Source::Node };
    let origin = Origin { cluster: "test".into(), reporter: NODE.into(), provenance: Provenance::File };
    let directory = if source == Source::Web { "/var/log/nginx" } else { "/var/log" };
    let file: Arc<str> = format!("{directory}/{name}").into();
    let mut near = Near::begin(near, []);
    let mut records = Vec::new();
    for (at, text) in (0..).zip(text.lines()) {
        let line = Line { source, file: Arc::clone(&file), format: LineFormat::Auto, zone: None, text: text.into() };
        let written = near.date(&line);
        let place = LinePlace { line, position: None, at, facts: RedactionFacts::default() };
        records.push(redact::line_record(text.as_bytes(), place, &origin, written, &IdKey::OFFLINE));
    }
    records
}

/// Feeds records in the order of their receipt; how many of them a format recognised.
fn feed(pipeline: &mut Pipeline, mut records: Vec<Record>) -> usize {
    records.sort_by_key(|record| record.received_at);
    let parsed = |record: &&Record| kubewitness::normalise::event(record).is_some_and(|event| is_parsed(&event));
    let count = records.iter().filter(parsed).count();
    for (seq, record) in (1..).zip(&records) {
        pipeline.push(seq, record);
    }
    count
}

/// Asserts that nothing above Low was raised; else says which rule did, and of what.
fn assert_quiet(pipeline: &Pipeline) {
    let loud: Vec<String> = pipeline
        .alerts()
        .filter(|alert| !matches!(alert.severity(), Severity::Low | Severity::Informational))
        .map(|alert| {
            format!("{} ({}, {} times): {}", alert.rule.id.name, alert.severity(), alert.total_count(), alert.summary())
        })
        .collect();
    assert!(loud.is_empty(), "ordinary life raised:\n{}", loud.join("\n"));
    assert!(pipeline.failures().is_empty(), "rules without a value: {:?}", pipeline.failures());
}

/// Lines of each kind that a day of ordinary life must have at least.
const LEAST: &[(&str, usize)] = &[
    ("cron", 4000),
    ("dpkg.log", 10_000),
    ("sudo", 2000),
    ("sshd", 4000),
    ("useradd", 1000),
    ("su", 1000),
    ("kubelet", 8000),
    ("nginx", 5000),
    ("login by key", 500),
    // The odd one: of one person at a time.
    ("login refused", 10),
];

/// How many lines of each kind there are: by program, by file where no program is named, and of logins by their outcome.
fn kinds(records: &[Record]) -> BTreeMap<String, usize> {
    let mut kinds = BTreeMap::new();
    for event in records.iter().filter_map(kubewitness::normalise::event) {
        let kind = match (event.source, program(&event)) {
            (Source::Web, _) => "nginx",
            (_, "other") => event.log_file.rsplit('/').next().unwrap_or_default(),
            (_, program) => program,
        };
        *kinds.entry(kind.to_owned()).or_default() += 1;
        if &*event.action == "ssh-login" {
            let method = event.fields.as_ref().and_then(|fields| fields["method"].as_str());
            let kind = match (event.outcome, method) {
                (Outcome::Success, Some("publickey")) => "login by key",
                (Outcome::Success, _) => "login by password",
                _ => "login refused",
            };
            *kinds.entry(kind.to_owned()).or_default() += 1;
        }
    }
    kinds
}

#[test]
fn ordinary_life_raises_no_alert_above_low() {
    let near: Timestamp = "2026-11-02T12:00:00Z".parse().unwrap();
    // Each set tells of the same day, in other formats.
    for (set, least_parsed) in [
        (["auth.log.gz", "syslog.rfc3339.gz", "nginx-access.log.gz", "dpkg.log.gz"], 50_000),
        (["auth.rfc3339.log.gz", "syslog.rfc3339.gz", "nginx-access.json.gz", "dpkg.log.gz"], 50_000),
    ] {
        let mut pipeline = pipeline();
        for change in life::inventory() {
            pipeline.push(0, &life::inventory_record(change, near));
        }
        let recorded: Vec<Record> = set.iter().flat_map(|file| lines(&format!("ordinary/{file}"), near)).collect();
        let kinds = kinds(&recorded);
        for (kind, least) in LEAST {
            assert!(kinds.get(*kind) >= Some(least), "{set:?}: not {least} lines of {kind}: {kinds:?}");
        }
        let api = life::api_requests("2026-11-02T06:00:00Z".parse().unwrap(), 24 * 60);
        let events = recorded.len() + api.len();
        let parsed = feed(&mut pipeline, recorded.into_iter().chain(api).collect());
        assert!(parsed > least_parsed, "{set:?}: {parsed} of {events} events were parsed");
        let counters = pipeline.counters();
        assert_eq!((counters.events, counters.unreadable), (events as u64, 0), "{set:?}");
        // Logins alone are the first step of a joint rule, and failures of two more.
        assert!(counters.matched > 300, "{set:?}: selectors took {} events", counters.matched);
        assert_quiet(&pipeline);
    }
}

/// The same way in, and alerts come out: the silence above is not that of a broken harness.
#[test]
fn recorded_attacks_are_seen() {
    let near: Timestamp = "2026-11-25T02:00:00Z".parse().unwrap();
    for (scene, expected) in [
        ("bookworm/sshd-brute-force/auth.log", &["ssh-brute-force", "ssh-login-after-failures"][..]),
        ("trixie/sshd-brute-force/auth.rfc5424.log", &["ssh-brute-force", "ssh-login-after-failures"]),
        ("bookworm/sshd-root-logins/auth.rfc3339.log", &["root-password-login"]),
        ("bookworm/sudo-refused/auth.log", &["sudo-not-in-sudoers"]),
        ("trixie/accounts-groups/auth.log", &["account-added-to-privileged-group"]),
        ("bookworm/accounts-users/auth.rfc5424.log", &["account-added-to-privileged-group", "second-root-account"]),
        ("bookworm/web-nginx/nginx-access.json", &["web-exploit-attempts"]),
        ("bookworm/kernel-seccomp/kern.log", &["kernel-or-lsm-denial"]),
        ("not-recorded/kernel-apparmor/apparmor.not-recorded.rfc3339.log", &["kernel-or-lsm-denial"]),
    ] {
        let mut pipeline = pipeline();
        feed(&mut pipeline, lines(scene, near));
        let raised: BTreeSet<&str> = pipeline.alerts().map(|alert| &*alert.rule.id.name).collect();
        assert_eq!(raised, expected.iter().copied().collect(), "{scene}");
    }
}
