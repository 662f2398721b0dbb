//! Rules from YAML files and directories: what `kubewitness test` and `replay` read.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::Deserialize;

use super::schema;
use crate::{
    api::{GROUP, RuleSpec, VERSION, alert::RuleKind},
    record::RuleId,
    ruleset::compile::RuleSource,
};

/// Larger files hold no rules.
const MAX_FILE: u64 = 16 * 1024 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum RuleFileError {
    #[error("{}: {source}", path.display())]
    Io { path: PathBuf, source: io::Error },
    #[error("{}: {source}", path.display())]
    Yaml { path: PathBuf, source: Box<serde_saphyr::Error> },
    #[error("{}: document {document}: {source}", path.display())]
    Document { path: PathBuf, document: usize, source: serde_json::Error },
    #[error("{}: rule {name}: apiVersion must be {GROUP}/{VERSION}, not {found:?}", path.display())]
    ApiVersion { path: PathBuf, name: String, found: String },
    #[error("{}: {kind} {name} is refused as the API server would:\n{}", path.display(), problems.join("\n"))]
    Schema { path: PathBuf, kind: String, name: String, problems: Vec<String> },
    #[error("{}: larger than 16 MiB: that is no rule file", path.display())]
    TooLarge { path: PathBuf },
    #[error("{}: holds no ClusterSecurityRule or SecurityRule", path.display())]
    NoRules { path: PathBuf },
}

/// A rule and the file it came from.
#[derive(Debug, Clone)]
pub struct RuleFile {
    pub path: PathBuf,
    pub source: RuleSource,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Header {
    api_version: String,
    kind: String,
    metadata: serde_json::Value,
    spec: serde_json::Value,
}

#[derive(Deserialize)]
struct RuleDocument {
    kind: String,
    metadata: Metadata,
    spec: RuleSpec,
}

#[derive(Deserialize)]
struct Metadata {
    name: String,
    #[serde(default)]
    namespace: Option<String>,
}

/// Reads every rule in `path`: a file, or every `*.yaml` and `*.yml` below a directory, in the order of their paths. Other
/// kinds are left alone; finding no rule at all is an error. One file's error does not hide another's.
pub fn read(path: &Path) -> (Vec<RuleFile>, Vec<RuleFileError>) {
    let mut rules = Vec::new();
    let mut errors = Vec::new();
    let mut files = Vec::new();
    if let Err(source) = list(path, &mut files) {
        errors.push(RuleFileError::Io { path: path.to_owned(), source });
    }
    files.sort();
    for file in files {
        match read_file(&file) {
            Ok(found) => rules.extend(found),
            Err(error) => errors.push(error),
        }
    }
    if rules.is_empty() && errors.is_empty() {
        errors.push(RuleFileError::NoRules { path: path.to_owned() });
    }
    (rules, errors)
}

fn list(path: &Path, files: &mut Vec<PathBuf>) -> io::Result<()> {
    if !fs::metadata(path)?.is_dir() {
        files.push(path.to_owned());
        return Ok(());
    }
    for entry in fs::read_dir(path)? {
        let entry = entry?.path();
        if entry.is_dir() {
            list(&entry, files)?;
        } else if entry.extension().is_some_and(|e| e == "yaml" || e == "yml") {
            files.push(entry);
        }
    }
    Ok(())
}

fn is_rule(kind: &str) -> bool {
    matches!(kind, "ClusterSecurityRule" | "SecurityRule")
}

fn read_file(path: &Path) -> Result<Vec<RuleFile>, RuleFileError> {
    let io = |source| RuleFileError::Io { path: path.to_owned(), source };
    let yaml = |source| RuleFileError::Yaml { path: path.to_owned(), source: Box::new(source) };
    if fs::metadata(path).map_err(io)?.len() > MAX_FILE {
        return Err(RuleFileError::TooLarge { path: path.to_owned() });
    }
    let text = fs::read_to_string(path).map_err(io)?;
    let headers: Vec<Header> = serde_saphyr::from_multiple(&text).map_err(yaml)?;
    headers.iter().filter(|header| is_rule(&header.kind)).try_for_each(|header| accepted(path, header))?;
    let documents: Vec<RuleDocument> = if headers.iter().all(|h| is_rule(&h.kind)) {
        serde_saphyr::from_multiple(&text).map_err(yaml)? // keeps line and column of what is wrong
    } else {
        let values: Vec<serde_json::Value> = serde_saphyr::from_multiple(&text).map_err(yaml)?;
        let rules = values.into_iter().zip(&headers).enumerate().filter(|(_, (_, header))| is_rule(&header.kind));
        let parse = |(index, (value, _))| {
            serde_json::from_value(value).map_err(|source| RuleFileError::Document {
                path: path.to_owned(),
                document: index + 1,
                source,
            })
        };
        rules.map(parse).collect::<Result<_, _>>()?
    };
    Ok(documents.into_iter().map(|document| rule_file(path, document)).collect())
}

/// Refuses what the API server would, in its words where they help.
fn accepted(path: &Path, header: &Header) -> Result<(), RuleFileError> {
    let (path, kind) = (path.to_owned(), header.kind.clone());
    let name = header.metadata.get("name").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned();
    if header.api_version != format!("{GROUP}/{VERSION}") {
        return Err(RuleFileError::ApiVersion { path, name, found: header.api_version.clone() });
    }
    let of = if kind == "SecurityRule" { RuleKind::SecurityRule } else { RuleKind::ClusterSecurityRule };
    let problems = schema::problems(of, &header.spec);
    if problems.is_empty() { Ok(()) } else { Err(RuleFileError::Schema { path, kind, name, problems }) }
}

fn rule_file(path: &Path, document: RuleDocument) -> RuleFile {
    let name = document.metadata.name;
    let id = match document.kind.as_str() {
        "SecurityRule" => {
            let namespace = document.metadata.namespace.as_deref().filter(|namespace| !namespace.is_empty());
            if namespace.is_none() {
                eprintln!(
                    "kubewitness: {}: SecurityRule {name} names no metadata.namespace, and is read as one of `default`: it sees \
                     events of that namespace alone",
                    path.display()
                );
            }
            RuleId::namespaced(namespace.unwrap_or("default"), &name)
        }
        _ => RuleId::cluster(&name),
    };
    RuleFile { path: path.to_owned(), source: RuleSource { id, generation: 1, spec: document.spec } }
}
