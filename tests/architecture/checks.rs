//! Each check on small texts: it finds what is wrong, at the right line, and lets pass what is right.

use super::*;

/// The module at `path` with that text, as `reachable` would read it.
fn unit(path: &str, text: &str) -> Unit {
    let name = path.strip_prefix("src/").unwrap().strip_suffix(".rs").unwrap();
    let module: Vec<String> = name.split('/').map(str::to_owned).collect();
    let source = Source::read(text, &module, false);
    Unit { path: path.to_owned(), module, source }
}

fn printed(violations: Vec<Violation>) -> Vec<String> {
    violations.iter().map(ToString::to_string).collect()
}

fn files(pairs: &[(&str, &str)]) -> Files {
    pairs.iter().map(|&(path, text)| (path.to_owned(), text.to_owned())).collect()
}

#[test]
fn an_import_that_points_up_or_sideways_is_found_wherever_it_stands() {
    for (case, path, text, line, target) in [
        ("use", "src/detect.rs", "\nuse crate::store::Log;", 2, "store::Log"),
        (
            "nested braces",
            "src/detect.rs",
            "use crate::{\n  event::{Event},\n  store::{self, Log as L},\n};",
            3,
            "store",
        ),
        ("in a body", "src/event.rs", "fn f() {\n crate::detect::run();\n}", 2, "detect::run"),
        ("in a macro", "src/event.rs", "fn f() {\n assert!(true, \"{}\", crate::alert::name());\n}", 2, "alert::name"),
        ("in a type argument", "src/record.rs", "type A = Vec<crate::event::Event>;", 1, "event::Event"),
        ("in an attribute", "src/record.rs", "#[serde(with = crate::store::hex)]\nstruct A;", 1, "store::hex"),
        ("super leads out", "src/ruleset/expr.rs", "use super::super::detect::Match;", 1, "detect::Match"),
        (
            "super from a test",
            "src/api.rs",
            "#[cfg(test)]\nmod tests {\n use super::super::detect::Match;\n}",
            3,
            "detect::Match",
        ),
        ("glob of the crate", "src/detect.rs", "use crate::*;", 1, "*"),
        ("renamed crate", "src/detect.rs", "use crate as everything;", 1, "as"),
        ("renamed in braces", "src/detect.rs", "use crate::{self as everything};", 1, "as"),
        ("function of the stage before", "src/correlate.rs", "use crate::detect::run;", 1, "detect::run"),
        ("module of the stage before", "src/correlate.rs", "use crate::detect;", 1, "detect"),
        (
            "stage that is not before",
            "src/detect.rs",
            "use crate::normalise::audit::Thing;",
            1,
            "normalise::audit::Thing",
        ),
        ("edge to unlisted edge", "src/ingest/http.rs", "use crate::cluster::Watch;", 1, "cluster::Watch"),
        ("edge to unlisted stage", "src/store.rs", "use crate::detect::Match;", 1, "detect::Match"),
        ("root to root", "src/offline.rs", "use crate::controller::Controller;", 1, "controller::Controller"),
        (
            "fixture outside of tests",
            "src/alert.rs",
            "use crate::correlate::fixture::rule;",
            1,
            "correlate::fixture::rule",
        ),
        ("own name of the crate", "src/record.rs", "use kubewitness::store::Log;", 1, "store::Log"),
    ] {
        let name = path.strip_prefix("src/").unwrap().split(['/', '.']).next().unwrap();
        let found = imports(&unit(path, text));
        assert!(
            found.iter().any(|v| v.line == line
                && v.what.starts_with(&format!("{name} (rank "))
                && v.what.ends_with(&format!("may not import crate::{target}"))),
            "{case}: {:?}",
            printed(found)
        );
    }
}

#[test]
fn an_import_along_an_arrow_passes() {
    for (case, path, text) in [
        ("lower rank", "src/detect.rs", "use crate::{event::Event, ruleset::{self, Ruleset}};"),
        ("own module", "src/store/log.rs", "use super::{Block, index::Index}; use crate::store::Block;"),
        ("listed noun", "src/record.rs", "use crate::api::RuleSpec;"),
        ("type of the stage before", "src/correlate.rs", "use crate::detect::{Match, Captured};"),
        ("listed part of a stage", "src/alert/wording.rs", "use crate::normalise::text::clip;"),
        ("pipeline", "src/pipeline.rs", "fn f() { crate::detect::run() }"),
        ("listed edge", "src/ingest.rs", "use crate::{store::Log, redact::redact, record::Record, telemetry};"),
        (
            "fixture of the same rank",
            "src/alert.rs",
            "#[cfg(test)]\nmod tests { use crate::correlate::fixture::rule; }",
        ),
        ("root", "src/controller.rs", "use crate::{ingest, store, pipeline};"),
        ("visibility", "src/event/body.rs", "pub(crate) struct A; pub(super) struct B; pub(in crate::event) struct C;"),
        (
            "comment and string",
            "src/event.rs",
            "//! `crate::store`\n// crate::store\nconst A: &str = \"crate::store\";",
        ),
        ("another crate", "src/detect.rs", "use cel::store::Thing;"),
    ] {
        assert_eq!(printed(imports(&unit(path, text))), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn a_module_without_a_rank_is_found() {
    let found = printed(imports(&unit("src/helpers.rs", "")));
    assert_eq!(
        found,
        ["src/helpers.rs:1: module helpers has no rank: add it to MODULES in tests/architecture/rules.rs"]
    );
}

#[test]
fn every_rank_holds_only_what_its_arrows_name() {
    for from in MODULES {
        for arrow in from.arrows {
            let (Arrow::To(path) | Arrow::TypesOf(path) | Arrow::Below(path)) = *arrow;
            let to = module_of(path.split("::").next().unwrap()).expect("arrows lead to modules");
            assert!(to.rank <= from.rank, "{} may import {path}, which stands above it", from.name);
        }
    }
}

#[test]
fn an_impure_name_is_found() {
    for (case, text, line) in [
        ("async fn", "pub async fn run() {}", 1),
        ("await", "fn f() {\n g().await;\n}", 2),
        ("tokio", "use tokio::sync::mpsc;", 1),
        ("tokio in a macro", "fn f() {\n x!(tokio::spawn(y));\n}", 2),
        ("client", "use kube::{CustomResource, Client};", 1),
        ("api", "fn f(a: &kube::Api<Pod>) {}", 1),
        ("client by its module", "use kube::client::Body;", 1),
        ("files", "use std::{fmt,\n fs};", 2),
        ("files by path", "fn f() { let a = std::fs::read(\"a\"); }", 1),
        ("environment", "use std::env::var;", 1),
        ("threads", "use std::{sync::Arc, thread::{self, spawn}};", 1),
        ("system time", "use std::time::SystemTime as T;", 1),
        ("instant", "fn f() { let a = std::time::Instant::now(); }", 1),
        ("clock", "fn f() { let a = jiff::Timestamp::now(); }", 1),
        ("after a test module", "#[cfg(test)]\nmod tests { }\nuse std::fs;", 3),
        ("beside a test function", "#[cfg(test)]\nfn a() { }\nuse std::fs;", 3),
        ("under another cfg", "#[cfg(not(test))]\nuse std::fs;", 2),
    ] {
        for path in ["src/api/rule.rs", "src/ruleset/expr.rs", "src/detect.rs"] {
            let found = impurities(&unit(path, text));
            assert!(found.iter().any(|v| v.line == line), "{case}: {:?}", printed(found));
        }
    }
    let thread = "fn f() { std::thread::spawn(|| ()); }";
    assert_eq!(
        printed(impurities(&unit("src/ruleset/expr.rs", thread))),
        ["src/ruleset/expr.rs:1: std::thread in rank 1: stages start no threads"]
    );
}

#[test]
fn what_is_pure_or_a_test_or_an_edge_passes() {
    for (case, path, text) in [
        ("test module", "src/detect.rs", "#[cfg(test)]\nmod tests {\n use std::fs; fn f() { Timestamp::now(); }\n}"),
        ("test import", "src/detect.rs", "#[cfg(test)]\nuse std::{fs, thread};"),
        ("test file", "src/detect.rs", "#![cfg(test)]\nuse std::fs;"),
        ("test function", "src/detect.rs", "#[cfg(test)]\npub(crate) fn f() { std::env::var(\"A\"); }"),
        ("edge", "src/store.rs", "use std::{fs, thread}; use tokio::sync::mpsc; async fn f() {}"),
        ("parser thread", "src/ruleset/expr/parse.rs", "fn f() { std::thread::Builder::new(); }"),
        ("derive", "src/api/rule.rs", "use kube::{CustomResource, KubeSchema, Resource};"),
        ("words", "src/detect.rs", "// async tokio std::fs\nconst A: &str = \"tokio std::fs Instant\"; fn now() {}"),
        ("env macro", "src/detect.rs", "const A: &str = env!(\"CARGO_PKG_VERSION\");"),
    ] {
        assert_eq!(printed(impurities(&unit(path, text))), Vec::<String>::new(), "{case}");
    }
}

#[test]
fn an_orphan_file_is_found() {
    let (units, violations) = reachable(&files(&[
        ("src/lib.rs", "pub mod event;\nmod gone;"),
        ("src/main.rs", "fn main() {}"),
        ("src/event.rs", "pub mod body;\n#[cfg(test)]\nmod tests;\nmod inline { mod deep; }"),
        ("src/event/body.rs", ""),
        ("src/event/tests.rs", "use std::fs;"),
        ("src/event/inline/deep.rs", "mod deeper;"),
        ("src/event/inline/deep/deeper.rs", ""),
        ("src/event/dead.rs", ""),
        ("src/event/body/mod.rs", ""),
    ]));
    assert_eq!(
        printed(violations),
        [
            "src/lib.rs:2: declares a module that is not at src/gone.rs",
            "src/event/body/mod.rs:1: no `mod` line leads to this file",
            "src/event/dead.rs:1: no `mod` line leads to this file",
            "src/event/inline/deep/deeper.rs:1: lies more than 2 directories below src",
        ]
    );
    let impure: Vec<_> = units.iter().flat_map(impurities).collect();
    assert_eq!(printed(impure), Vec::<String>::new(), "tests.rs is declared below #[cfg(test)]");
}

#[test]
fn a_test_file_that_never_runs_is_found() {
    let tests = files(&[
        ("tests/it.rs", "mod ingest; // mod dead;"),
        ("tests/ingest.rs", ""),
        ("tests/ingest/bodies.rs", ""),
        ("tests/node.rs", "mod node_live;"),
        ("tests/node_live.rs", ""),
        ("tests/dead.rs", ""),
    ]);
    assert_eq!(printed(left_out(&tests)), ["tests/dead.rs:1: no `mod` line in tests/it.rs or node.rs"]);
}

#[test]
fn a_long_file_is_found_and_its_tests_are_not_counted() {
    let code = "const A: u8 = 1;\n".repeat(MAX_FILE_LINES);
    let comments = "// why\n\n/* more\n   of it */\n".repeat(100);
    let tests = format!("#[cfg(test)]\nmod tests {{\n{code}}}\n");
    assert_eq!(long_file("src/a.rs", &format!("{code}{comments}{tests}")), None);
    let found = long_file("src/a.rs", &format!("{code}{comments}const B: u8 = 2;\n{tests}")).unwrap();
    assert_eq!(found.to_string(), "src/a.rs:1: 501 code lines; a file has at most 500");
}

#[test]
fn a_long_function_is_found() {
    // With the line of its name and the brace that ends it.
    let function = |inner: usize| format!("\nfn long() {{\n{}\n// why\n}}\n", "    f();\n".repeat(inner));
    let text = function(MAX_FUNCTION_LINES - 2);
    assert_eq!(printed(long_functions(&unit("src/detect.rs", &text), &text)), Vec::<String>::new());
    let text = function(MAX_FUNCTION_LINES - 1);
    assert_eq!(
        printed(long_functions(&unit("src/detect.rs", &text), &text)),
        ["src/detect.rs:2: fn long has 61 code lines; a function has at most 60"]
    );
    let test = format!("#[cfg(test)]\nmod tests {{ {text} }}");
    assert_eq!(printed(long_functions(&unit("src/detect.rs", &test), &test)), Vec::<String>::new());
}
