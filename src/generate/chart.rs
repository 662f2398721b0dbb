//! What the Helm charts have from elsewhere: copies of CRDs, roles, rules and log sources, since a chart must hold all that it
//! renders; and their README.md, whose tables are made from the comments in values.yaml.

use std::{fs, path::Path};

use super::{GenerateError, GeneratedFile, chart_readme};

/// Of generated files: directory, and where the chart has it.
const MADE: [(&str, &str); 2] =
    [("crds/", "charts/kubewitness/files/crds/"), ("manifests/rbac/", "charts/kubewitness/files/rbac/")];

/// Of files that people write: directory, and where the chart has it.
const WRITTEN: [(&str, &str); 4] = [
    ("manifests/rules/audit", "charts/kubewitness-rules/files/audit"),
    ("manifests/rules/node", "charts/kubewitness-rules/files/node"),
    ("manifests/rules/joint", "charts/kubewitness-rules/files/joint"),
    ("manifests/log-sources", "charts/kubewitness-rules/files/log-sources"),
];

/// Name and introduction of each chart.
const CHARTS: [(&str, &str); 2] = [
    ("kubewitness", include_str!("charts/kubewitness.md")),
    ("kubewitness-rules", include_str!("charts/kubewitness-rules.md")),
];

/// The files of both charts that are made. `root` is the top of the repository, `made` what was generated so far.
pub fn files(root: &Path, made: &[GeneratedFile]) -> Result<Vec<GeneratedFile>, GenerateError> {
    let mut files = Vec::new();
    for (from, to) in MADE {
        let inside = made.iter().filter_map(|file| Some((file.path.strip_prefix(from)?, &file.text)));
        files.extend(inside.map(|(name, text)| GeneratedFile { path: format!("{to}{name}"), text: text.clone() }));
    }
    for (from, to) in WRITTEN {
        files.extend(copies(root, from, to)?);
    }
    for (chart, introduction) in CHARTS {
        let path = format!("charts/{chart}/values.yaml");
        let values = read(&root.join(&path), &path)?;
        let text = chart_readme::page(introduction, &values).map_err(|(line, message)| GenerateError::Values {
            path,
            line,
            message,
        })?;
        files.push(GeneratedFile { path: format!("charts/{chart}/README.md"), text });
    }
    Ok(files)
}

fn copies(root: &Path, from: &str, to: &str) -> Result<Vec<GeneratedFile>, GenerateError> {
    let failed = |source| GenerateError::Read { path: from.to_owned(), source };
    let mut names = Vec::new();
    for entry in fs::read_dir(root.join(from)).map_err(failed)? {
        names.push(entry.map_err(failed)?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    let copy = |name: String| {
        let text = read(&root.join(from).join(&name), &format!("{from}/{name}"))?;
        let text = format!("# Copied by `make generate` from {from}/{name}. Do not edit.\n{text}");
        Ok(GeneratedFile { path: format!("{to}/{name}"), text })
    };
    names.into_iter().filter(|name| name.ends_with(".yaml")).map(copy).collect()
}

fn read(path: &Path, name: &str) -> Result<String, GenerateError> {
    fs::read_to_string(path).map_err(|source| GenerateError::Read { path: name.to_owned(), source })
}
