//! The reference page of event fields. In: the schema. Out: Markdown, a table for each group, with values that events of each
//! source really have.

use std::{collections::BTreeMap, fmt::Write as _};

use super::examples::{answer, line, record};
use crate::{
    api::rule::{AuditLevel, Source},
    event::{
        actions::{AUDIT, OF_ANY_LINE, OTHER_SERVICES, PARSERS, PROGRAMS, Parser, RENAMED, VERBS},
        schema::{FIELDS, Field},
    },
    record::Record,
};

const NEVER_FAILS: &str = "writing to a String does not fail";

const INTRODUCTION: &str = "# Event fields

What expressions of a rule can name; [the rule language](rule-language.md) tells how. An unset string is `\"\"`, a number `0`, a list
or map empty, and `has()` tells whether a field is set. Below a `dyn` field a missing key is an error, and so no match.

- **from**: **ECS** names and types are those of the [Elastic Common Schema](https://www.elastic.co/docs/reference/ecs); **audit** ones
  are those of the Kubernetes audit event, under their own names; **ours** are beyond both.
- **sources** set the field; for all others it is always empty, and a rule that reads it there gets a warning.
- **level** is the lowest level of the [audit policy](../../manifests/audit/policy.yaml) at which an Audit event has it; where
  none is named, Metadata is enough.
- **example** is what an event of the first source that sets it holds, as `kubewitness eval` prints it.
";

/// Groups with what they are about, in the order of the schema.
const GROUPS: &[(&str, &str)] = &[
    (
        "audit",
        "The audit event itself. The most useful of them are also there under ECS names, for rules on several sources.",
    ),
    ("cluster", ""),
    ("event", "What kind of event it is, how it ended, and how far it can be trusted."),
    ("fields", ""),
    ("file", ""),
    ("group", "A group that is acted upon."),
    ("host", ""),
    ("http", "The request, in events of web servers and of the API server."),
    (
        "kubernetes",
        "Who acted, as far as the inventory tells: the pod, its node, workload and service account, as of the event's time. Below \
                    `target`, what is acted upon. Empty when nobody in the cluster fits; offline commands know no more of it than the event itself and `--inventory FILE` tell.",
    ),
    ("log", ""),
    ("message", ""),
    ("process", "What ran."),
    ("service", ""),
    ("source", "Where a request came from."),
    ("url", ""),
    ("user", "Who did it; below `target`, the account that is acted upon."),
    ("user_agent", ""),
];

/// Fields beyond ECS in groups that it has.
const OURS: &[&str] = &[
    "event.clamped",
    "event.incomplete",
    "event.provenance",
    "event.redacted",
    "process.tty",
    "source.claimed_ips",
    "source.node.name",
];

/// What only a cluster's inventory or an uncommon event fills in.
#[rustfmt::skip] // a table reads best as one
const ELSEWHERE: &[(&str, &str)] = &[
    ("audit.impersonatedUser.extra", r#"{"reason":["ticket 4711"]}"#),
    ("audit.impersonatedUser.groups", r#"["system:masters"]"#),
    ("audit.impersonatedUser.uid", r#""5d3e0c9a""#),
    ("audit.impersonatedUser.username", r#""system:admin""#),
    ("audit.objectRef.apiGroup", r#""apps""#),
    ("audit.objectRef.resourceVersion", r#""4711""#),
    ("audit.objectRef.subresource", r#""exec""#),
    ("audit.objectRef.uid", r#""0b7e0c9e-1d0c-4a53-8f2b-0f5f3f8d1a11""#),
    ("audit.responseObject", r#"{"kind":"RoleBinding","metadata":{"name":"viewers"}}"#),
    ("audit.responseStatus.message", r#""pods is forbidden: User \"eve\" cannot list resource \"pods\"""#),
    ("audit.responseStatus.reason", r#""Forbidden""#),
    ("audit.responseStatus.status", r#""Failure""#),
    ("audit.user.extra", r#"{"authentication.kubernetes.io/pod-name":["web-0"]}"#),
    ("audit.user.uid", r#""5d3e0c9a""#),
    ("cluster.name", r#""prod-1""#),
    ("event.incomplete", r#"["Oversize"]"#),
    ("event.reason", r#""Forbidden""#),
    ("event.redacted", r#"["requestObject.data.password"]"#),
    ("fields", r#"{"shell":"/bin/bash"}"#),
    ("host.name", r#""node-1""#),
    ("file.path", r#""/etc/shadow""#),
    ("kubernetes.container.name", r#""web""#),
    ("kubernetes.labels", r#"{"app":"web"}"#),
    ("kubernetes.namespace", r#""shop""#),
    ("kubernetes.node.name", r#""node-1""#),
    ("kubernetes.pod.name", r#""web-0""#),
    ("kubernetes.pod.uid", r#""0b7e0c9e-1d0c-4a53-8f2b-0f5f3f8d1a11""#),
    ("kubernetes.service_account.name", r#""web""#),
    ("kubernetes.service_account.namespace", r#""shop""#),
    ("kubernetes.workload.kind", r#""StatefulSet""#),
    ("kubernetes.workload.name", r#""web""#),
    ("process.executable", r#""/usr/bin/bash""#),
    ("source.node.name", r#""node-1""#),
    ("user.effective.name", r#""root""#),
    ("user.id", r#""1000""#),
];

/// Lines whose events show what the other sources hold.
fn records() -> Vec<Record> {
    let node = |text| line(Source::Node, "/var/log/auth.log", text);
    let web = |text| line(Source::Web, "/var/log/nginx/access.log", text);
    vec![
        record(),
        node("sshd[812]: Accepted password for root from 203.0.113.9 port 4712 ssh2"),
        node("sudo:      eve : TTY=pts/0 ; PWD=/home/eve ; USER=root ; COMMAND=/usr/bin/cat /etc/shadow"),
        node(
            "useradd[901]: new user: name=mallory, UID=1002, GID=1002, home=/home/mallory, shell=/bin/bash, from=/dev/pts/0",
        ),
        node("groupadd[902]: new group: name=wheel2, GID=1003"),
        web(
            "shop.example.com 203.0.113.9 - - [01/Mar/2026:22:15:04 +0000] \"GET /login?next=%2Fcart HTTP/1.1\" 200 512 \
             \"https://example.com/\" \"curl/8.5.0\"",
        ),
        web("203.0.113.9 - - [01/Mar/2026:22:15:04 +0000] \"GET /login?next=%2Fcart HTTP/1.1\" 200 512 \
             \"https://example.com/\" \"curl/8.5.0\""),
    ]
}

/// A value that an event has, else one that an uncommon event would have; the same below `kubernetes.target`.
fn example(field: &Field, records: &[Record]) -> String {
    let unset =
        |text: &String| matches!(text.as_str(), "\"\"" | "0" | "[]" | "{}" | "null") || text.starts_with("error");
    let path = field.path.replace("kubernetes.target.", "kubernetes.");
    let known: BTreeMap<&str, &str> = ELSEWHERE.iter().copied().collect();
    if let Some(known) = known.get(path.as_str()) {
        return (*known).to_owned();
    }
    let mut values = records.iter().map(|record| answer(field.path, record));
    let value = values.find(|text| !unset(text)).or_else(|| Some(answer(field.path, records.first()?)));
    value.unwrap_or_default()
}

fn origin(field: &Field, group: &str) -> &'static str {
    match group {
        "audit" => "audit",
        "cluster" | "fields" | "kubernetes" => "ours",
        _ if OURS.contains(&field.path) => "ours",
        _ => "ECS",
    }
}

/// The whole page, without the header of generated files.
pub fn page() -> String {
    let records = records();
    let mut text = INTRODUCTION.to_owned();
    for (group, about) in GROUPS {
        let about = if about.is_empty() { String::new() } else { format!("{about}\n\n") };
        write!(
            text,
            "\n## {group}\n\n{about}| field | type | from | sources | level | meaning | example |\n|---|---|---|---|---|---|---|\n"
        )
        .expect(NEVER_FAILS);
        for field in FIELDS.iter().filter(|field| group_of(field) == *group) {
            text.push_str(&row(field, group, &records));
        }
    }
    text.push_str(&actions());
    text
}

/// What parsers make of lines.
fn actions() -> String {
    let ticked = |names: &[&str]| match names {
        [] => String::new(),
        names => format!("`{}`", names.join("`, `")),
    };
    let mut text = format!(
        "\n## Actions of lines, and their fields\n\nWhat `event.provider` and `event.action` are for events of sources Node, \
         Container and Web, and which keys each parser sets below `fields`. A comparison of `event.action` with any other value \
         gets a warning. A line that no parser knows has neither, but its text as `message`. The action of an Audit event is its \
         verb: {}, or another HTTP method in lower case.\n\nAny line may have {} below `fields`.\n\n\
         | provider | of | actions | fields |\n|---|---|---|---|\n",
        ticked(VERBS),
        ticked(OF_ANY_LINE)
    );
    for Parser { provider, meaning, actions, fields, .. } in PARSERS {
        writeln!(text, "| `{provider}` | {meaning} | {} | {} |", ticked(actions), ticked(fields)).expect(NEVER_FAILS);
    }
    write!(
        text,
        "\n## Categories, types and services\n\nWhat is in `event.category` and `event.type`, by `event.provider`. Both are lists: ask \
         `\"authentication\" in event.category`. Any other value gets a warning.\n\n| provider | categories | types |\n|---|---|---|\n"
    )
    .expect(NEVER_FAILS);
    for Parser { provider, categories, types, .. } in [&AUDIT].into_iter().chain(PARSERS) {
        writeln!(text, "| `{provider}` | {} | {} |", ticked(categories), ticked(types)).expect(NEVER_FAILS);
    }
    let renamed: Vec<String> = RENAMED.iter().map(|(program, service)| format!("`{program}` is `{service}`")).collect();
    write!(
        text,
        "\n`service.name` is what a program calls itself, without its path, but {}. The ones that are counted by name are {}; \
         {} stand where a line names no program.\n",
        renamed.join(", "),
        ticked(PROGRAMS),
        ticked(OTHER_SERVICES)
    )
    .expect(NEVER_FAILS);
    text
}

fn group_of(field: &Field) -> &'static str {
    field.path.split('.').next().unwrap_or(field.path)
}

fn row(field: &Field, group: &str, records: &[Record]) -> String {
    let sources: Vec<_> = field.sources.iter().map(|s| s.as_str()).collect();
    let sources = if sources.len() == Source::ALL.len() { "all".to_owned() } else { sources.join(", ") };
    let level = if field.audit_level == AuditLevel::Metadata { "" } else { field.audit_level.as_str() };
    let values =
        if field.values.len() < 2 { String::new() } else { format!(" One of `{}`.", field.values.join("`, `")) };
    let example: String = example(field, records).chars().take(80).collect::<String>().replace('|', "\\|");
    format!(
        "| `{}` | {} | {} | {sources} | {level} | {}{values} | `{example}` |\n",
        field.path,
        field.type_.as_str(),
        origin(field, group),
        field.meaning.replace('|', "\\|"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_stands_in_a_group_once() {
        let page = page();
        for field in FIELDS {
            assert_eq!(page.matches(&format!("\n| `{}` |", field.path)).count(), 1, "{}", field.path);
        }
        for (group, _) in GROUPS {
            assert!(FIELDS.iter().any(|field| group_of(field) == *group), "no field is in {group}");
        }
        for path in OURS.iter().chain(ELSEWHERE.iter().map(|(path, _)| path)) {
            assert!(crate::event::schema::lookup(path).is_some(), "{path} is no field");
        }
    }

    #[test]
    fn every_field_has_an_example_that_is_set_or_a_flag_or_a_count() {
        let records = records();
        for field in FIELDS {
            let example = example(field, &records);
            assert!(
                !matches!(example.as_str(), "\"\"" | "[]" | "{}" | "null") && !example.starts_with("error"),
                "{}: {example}",
                field.path
            );
        }
    }
}
