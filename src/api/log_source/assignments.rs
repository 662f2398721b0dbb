//! The LogSources of a cluster resolved for its nodes. In: checked sources, labels of nodes. Out: what a node's collector
//! is told to read and, from the same snapshot, whether a file that it names is one of those.

use std::{collections::BTreeMap, sync::Arc};

use jiff::tz::TimeZoneDatabase;

use super::{AssignedSource, Assignment, LogSourceSpec};
use crate::api::{
    path_pattern::{BadPath, PathPattern},
    rule::Source,
};

/// Labels of a node.
pub type Labels = BTreeMap<String, String>;

/// Why a LogSource can't be used. Nothing of it is read then.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BadSource {
    #[error("spec.paths[{at}]: {problem}")]
    Path { at: usize, problem: BadPath },
    #[error("spec.timeZone: {0:?} is no IANA time zone, such as Europe/Berlin")]
    TimeZone(String),
    #[error("spec: {0}")]
    Shape(String),
    #[error("there are {limit} log sources already, which is the most that are used: delete another")]
    TooMany { limit: usize },
}

/// A LogSource whose paths and time zone are good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckedSource {
    assigned: AssignedSource,
    patterns: Vec<PathPattern>,
    node_selector: Labels,
}

impl CheckedSource {
    pub fn check(name: &str, spec: &LogSourceSpec) -> Result<CheckedSource, BadSource> {
        let pattern =
            |(at, path): (usize, &String)| PathPattern::parse(path).map_err(|problem| BadSource::Path { at, problem });
        let patterns = spec.paths.iter().enumerate().map(pattern).collect::<Result<_, _>>()?;
        if let Some(zone) = &spec.time_zone
            && TimeZoneDatabase::bundled().get(zone).is_err()
        {
            return Err(BadSource::TimeZone(zone.clone()));
        }
        let assigned = AssignedSource {
            name: name.to_owned(),
            source: spec.source,
            paths: spec.paths.clone(),
            format: spec.format,
            time_zone: spec.time_zone.clone(),
            start: spec.start,
        };
        Ok(CheckedSource { assigned, patterns, node_selector: spec.node_selector.clone() })
    }

    pub fn name(&self) -> &str {
        &self.assigned.name
    }

    /// True when a node with these labels is selected.
    pub fn selects(&self, labels: &Labels) -> bool {
        self.node_selector.iter().all(|(key, value)| labels.get(key) == Some(value))
    }
}

/// One snapshot: what collectors are told and what is taken from them never differ.
#[derive(Clone, Debug, Default)]
pub struct Assignments {
    /// Sorted by name, so that the first one that names a file is always the same.
    pub sources: BTreeMap<String, Arc<CheckedSource>>,
    pub nodes: BTreeMap<String, Arc<Labels>>,
}

impl Assignments {
    /// The sources of a node; none for a node that is not known.
    pub fn of(&self, node: &str) -> NodeSources {
        let labels = self.nodes.get(node);
        let sources = self.sources.values().filter(|source| labels.is_some_and(|labels| source.selects(labels)));
        NodeSources { node: node.to_owned(), sources: sources.cloned().collect() }
    }

    /// How many nodes a source selects.
    pub fn nodes_of(&self, source: &CheckedSource) -> usize {
        self.nodes.values().filter(|labels| source.selects(labels)).count()
    }
}

/// What one node's collector may read and send.
#[derive(Clone, Debug, Default)]
pub struct NodeSources {
    node: String,
    sources: Vec<Arc<CheckedSource>>,
}

impl NodeSources {
    pub fn assignment(&self) -> Assignment {
        Assignment {
            node: self.node.clone(),
            sources: self.sources.iter().map(|source| source.assigned.clone()).collect(),
        }
    }

    /// The source that names this file as one of its kind.
    pub fn source_of(&self, kind: Source, file: &str) -> Option<&AssignedSource> {
        let names = |source: &CheckedSource| {
            source.assigned.source == kind && source.patterns.iter().any(|pattern| pattern.matches(file))
        };
        self.sources.iter().find(|source| names(source)).map(|source| &source.assigned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::log_source::{LineFormat, Start};

    fn spec(source: Source, paths: &[&str], selector: &[(&str, &str)]) -> LogSourceSpec {
        LogSourceSpec {
            source,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
            format: LineFormat::Auto,
            time_zone: None,
            start: Start::Beginning,
            node_selector: labels(selector),
        }
    }

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn a_node_gets_the_sources_that_select_it_and_no_other_file_is_in_scope() {
        let specs = [
            ("auth", spec(Source::Node, &["/var/log/auth.log"], &[])),
            ("audit", spec(Source::Audit, &["/var/log/audit/*.log"], &[("role", "control-plane")])),
        ];
        let checked = specs.map(|(name, spec)| (name.to_owned(), Arc::new(CheckedSource::check(name, &spec).unwrap())));
        let nodes = [("cp", labels(&[("role", "control-plane"), ("a", "b")])), ("worker", labels(&[("role", "x")]))];
        let assignments = Assignments {
            sources: checked.into(),
            nodes: nodes.map(|(name, labels)| (name.to_owned(), Arc::new(labels))).into(),
        };
        let names = |node: &str| -> Vec<String> {
            assignments.of(node).assignment().sources.into_iter().map(|source| source.name).collect()
        };
        assert_eq!(
            (names("cp"), names("worker"), names("nobody")),
            (vec!["audit".to_owned(), "auth".to_owned()], vec!["auth".to_owned()], vec![])
        );
        assert_eq!(assignments.nodes_of(&assignments.sources["audit"]), 1);
        let (cp, worker) = (assignments.of("cp"), assignments.of("worker"));
        assert_eq!(cp.source_of(Source::Audit, "/var/log/audit/audit.log").unwrap().name, "audit");
        for (kind, file) in [
            (Source::Audit, "/var/log/audit/audit.log"),
            (Source::Web, "/var/log/auth.log"),
            (Source::Node, "/var/log/../log/auth.log"),
            (Source::Node, "/etc/shadow"),
        ] {
            assert_eq!(worker.source_of(kind, file), None, "{kind:?} {file}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_source_names_its_place() {
        let mut zone = spec(Source::Node, &["/a"], &[]);
        zone.time_zone = Some("Europe/Atlantis".into());
        let path = spec(Source::Node, &["/var/log/a", "/var/**/b"], &[]);
        for (spec, place) in [(zone, "spec.timeZone: \"Europe/Atlantis\""), (path, "spec.paths[1]: /var/**/b")] {
            let message = CheckedSource::check("s", &spec).unwrap_err().to_string();
            assert!(message.contains(place), "{message}");
        }
    }
}
