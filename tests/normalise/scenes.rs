//! The recordings of tests/node. In: their directory. Out: each scene's acts, and the events of its lines in each format.
#![allow(dead_code, reason = "the tests of each kind of act use their part")]

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use jiff::Timestamp;
use kubewitness::{
    api::{log_source::LineFormat, rule::Source},
    event::{
        Event,
        schema::{FIELDS, FieldValue},
    },
    normalise,
    record::{IdKey, Line, Origin, Provenance, Record, RedactionFacts},
    redact::{LinePlace, line_record},
};
use serde_json::Value;

/// One thing that was done, as the program that did it wrote down.
#[derive(Debug)]
pub struct Act {
    pub value: Value,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Act {
    /// A text of the act; empty when it has none.
    pub fn text(&self, key: &str) -> &str {
        self.value[key].as_str().unwrap_or_default()
    }

    /// A number of the act as text; empty when it has none.
    pub fn number(&self, key: &str) -> String {
        self.value[key].as_i64().map(|n| n.to_string()).unwrap_or_default()
    }
}

#[derive(Debug)]
pub struct Scene {
    /// `SUITE/SCENE`.
    pub name: String,
    pub from: Timestamp,
    pub to: Timestamp,
    pub zone: String,
    pub acts: Vec<Act>,
    directory: PathBuf,
}

/// Every scene but ordinary life, which has no truth of single acts.
pub fn scenes() -> Vec<Scene> {
    let root = crate::support::repository("tests/node/recordings");
    let mut found = Vec::new();
    for suite in ["bookworm", "trixie", "not-recorded"] {
        for entry in fs::read_dir(root.join(suite)).unwrap() {
            let directory = entry.unwrap().path();
            let scene = directory.file_name().unwrap().to_str().unwrap();
            found.push(read(format!("{suite}/{scene}"), &directory));
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    assert!(found.len() > 40, "the recordings are gone: {}", found.len());
    found
}

fn read(name: String, directory: &Path) -> Scene {
    let truth = fs::read_to_string(directory.join("truth.yaml")).unwrap();
    let key = |key: &str| -> String {
        let line = truth.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).unwrap();
        serde_json::from_str(line).unwrap()
    };
    let time = |text: &str| -> Timestamp { text.parse().unwrap_or_else(|e| panic!("{name}: {text}: {e}")) };
    let acts = truth.lines().filter_map(|line| line.strip_prefix("- ")).map(|line| {
        let value: Value = serde_json::from_str(line).unwrap();
        let at = |key: &str| value[key].as_str().map_or_else(|| time(&scene_time(&truth, key)), time);
        Act { from: at("from"), to: at("to"), value }
    });
    let acts = acts.collect();
    Scene {
        from: time(&key("from")),
        to: time(&key("to")),
        zone: key("zone"),
        acts,
        directory: directory.to_owned(),
        name,
    }
}

fn scene_time(truth: &str, key: &str) -> String {
    let line = truth.lines().find_map(|line| line.strip_prefix(&format!("{key}: "))).unwrap();
    serde_json::from_str(line).unwrap()
}

/// The files of one format of a scene: what was written once, in one of the ways to write it.
#[derive(Debug)]
pub struct Variant {
    pub name: String,
    pub files: Vec<(String, Vec<u8>)>,
}

impl Scene {
    /// What rsyslog wrote in three ways, or a web server in each of its formats.
    pub fn variants(&self) -> Vec<Variant> {
        let mut by_format: BTreeMap<String, Vec<(String, Vec<u8>)>> = BTreeMap::new();
        for entry in fs::read_dir(&self.directory).unwrap() {
            let path = entry.unwrap().path();
            let file = path.file_name().unwrap().to_str().unwrap().to_owned();
            let format = match file.as_str() {
                "truth.yaml" => continue,
                _ if file.contains("rfc3339") => "rfc3339",
                _ if file.contains("rfc5424") => "rfc5424",
                _ if self.is_web() => &file,
                _ => "rfc3164",
            };
            by_format.entry(format.to_owned()).or_default().push((file.clone(), fs::read(&path).unwrap()));
        }
        let variants = by_format.into_iter().map(|(name, mut files)| {
            files.sort();
            Variant { name, files }
        });
        variants.collect()
    }

    pub fn is_web(&self) -> bool {
        self.name.contains("/web-")
    }

    /// The events of a variant, in the order of its lines; files one after the other.
    pub fn events(&self, variant: &Variant) -> Vec<Seen> {
        let source = if self.is_web() { Source::Web } else { Source::Node };
        let reader = Reader { source, zone: Some(&self.zone), received: self.to };
        variant.files.iter().flat_map(|(file, bytes)| reader.events(file, bytes)).collect()
    }
}

/// What stands for the collector: where lines come from.
pub struct Reader<'a> {
    pub source: Source,
    pub zone: Option<&'a str>,
    pub received: Timestamp,
}

/// An event by the paths of the schema, without what is unset.
#[derive(Clone, Debug, PartialEq)]
pub struct Seen {
    pub text: String,
    pub created: Timestamp,
    pub fields: BTreeMap<String, String>,
}

impl Seen {
    /// A field; empty when unset.
    pub fn get(&self, path: &str) -> &str {
        self.fields.get(path).map_or("", String::as_str)
    }
}

impl Reader<'_> {
    fn place(&self, file: &str, at: u64) -> LinePlace {
        let line = Line {
            source: self.source,
            file: format!("/var/log/{file}").into(),
            format: LineFormat::Auto,
            zone: self.zone.map(Into::into),
            text: "".into(),
        };
        LinePlace { line, position: None, at, facts: RedactionFacts::default() }
    }

    /// As a node's line becomes a record.
    pub fn record(&self, file: &str, at: u64, bytes: &[u8]) -> Record {
        let origin = Origin { cluster: "c".into(), reporter: "node-1".into(), provenance: Provenance::File };
        line_record(bytes, self.place(file, at), &origin, self.received, &IdKey::OFFLINE)
    }

    pub fn event(&self, bytes: &[u8]) -> Seen {
        seen(&self.record("file", 0, bytes))
    }

    pub fn events(&self, file: &str, bytes: &[u8]) -> Vec<Seen> {
        let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        (0..).zip(lines).map(|(at, line)| seen(&self.record(file, at, line))).collect()
    }
}

/// The event of a record.
pub fn seen(record: &Record) -> Seen {
    let event = normalise::event(record).unwrap();
    Seen { text: event.line.as_str().to_owned(), created: event.created, fields: fields(&event) }
}

fn fields(event: &Event<'_>) -> BTreeMap<String, String> {
    let mut set = BTreeMap::new();
    for field in FIELDS {
        let value = match (field.get)(event) {
            FieldValue::Str(text) => text.to_owned(),
            FieldValue::Int(0) | FieldValue::Bool(false) | FieldValue::NoTimestamp => continue,
            FieldValue::Int(n) => n.to_string(),
            FieldValue::Bool(b) => b.to_string(),
            FieldValue::Timestamp(at) => at.to_string(),
            FieldValue::StaticStrings(list) => list.join(","),
            FieldValue::OwnedStrings(list) => list.join(","),
            FieldValue::Strings(list) => list.iter().map(|text| text.as_str()).collect::<Vec<_>>().join(","),
            FieldValue::Json(Some(Value::Object(map))) => {
                for (key, value) in map {
                    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                    set.insert(format!("fields.{key}"), text);
                }
                continue;
            }
            _ => continue,
        };
        if !value.is_empty() {
            set.insert(field.path.to_owned(), value);
        }
    }
    set
}
