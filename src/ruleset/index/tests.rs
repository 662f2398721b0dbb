//! What is derived from expressions.

use super::{
    condition::{Alternatives, Subject, Term, Test},
    derive::necessary,
};
use crate::ruleset::expr::{Expected, Program, Variables};

fn derived(expression: &str) -> Alternatives {
    let mut variables = Variables::default();
    variables.define("system", r#"user.name.startsWith("system:")"#).unwrap();
    variables.define("names", r#"["a", "b"]"#).unwrap();
    necessary(Program::compile(expression, Expected::Bool, &variables).unwrap().tree())
}

fn any(path: &'static str, tests: &[Test]) -> Term {
    Term::any(Subject::Field(path), tests.to_vec())
}

fn none(path: &'static str, tests: &[Test]) -> Term {
    Term::none(Subject::Field(path), tests.to_vec())
}

#[test]
fn an_expression_gives_what_it_can_not_match_without() {
    let equal = |text: &str| Test::Equal(text.into());
    let prefix = |text: &str| Test::Prefix(text.into());
    let (verb, user, groups, code) = ("audit.verb", "user.name", "audit.user.groups", "audit.responseStatus.code");
    let keys = ["roleRef".into(), "name".into()].into();
    let in_body = Term::any(Subject::Body("audit.responseObject", keys), vec![equal("x")]);
    let network = Test::Within("10.0.0.0/8".parse().unwrap());
    let cases: Vec<(&str, Vec<Vec<Term>>)> = vec![
        (r#"audit.verb == "get""#, vec![vec![any(verb, &[equal("get")])]]),
        (r#""get" != audit.verb"#, vec![vec![none(verb, &[equal("get")])]]),
        (r#"audit.verb in ["get", "list"]"#, vec![vec![any(verb, &[equal("get"), equal("list")])]]),
        (r#"audit.verb == "get" || audit.verb == "list""#, vec![vec![any(verb, &[equal("get"), equal("list")])]]),
        (r#"!(audit.verb == "get" || audit.verb == "list")"#, vec![vec![none(verb, &[equal("get"), equal("list")])]]),
        (r#"user.name in variables.names"#, vec![vec![any(user, &[equal("a"), equal("b")])]]),
        (r#"!variables.system && user.name != "a""#, vec![vec![none(user, &[prefix("system:"), equal("a")])]]),
        (r#"["a", "b"].exists(p, user.name.startsWith(p))"#, vec![vec![any(user, &[prefix("a"), prefix("b")])]]),
        (r#"user.name.lowerAscii() == "a""#, vec![vec![Term::any(Subject::Lower(user), vec![equal("a")])]]),
        (r#"audit.responseStatus.code >= 400"#, vec![vec![any(code, &[Test::Range(400, i64::MAX)])]]),
        (r#"!(400 <= audit.responseStatus.code)"#, vec![vec![any(code, &[Test::Range(i64::MIN, 399)])]]),
        (r#""a" in audit.user.groups"#, vec![vec![any(groups, &[equal("a")])]]),
        (r#"audit.user.groups.exists(g, g != "a" && g.startsWith("b"))"#, vec![vec![any(groups, &[prefix("b")])]]),
        (r#"audit.user.groups.exists(g, g != "a")"#, vec![vec![]]),
        (r#"!audit.user.groups.exists(g, g == "a")"#, vec![vec![none(groups, &[equal("a")])]]),
        (r#"audit.user.groups.all(g, g != "a")"#, vec![vec![none(groups, &[equal("a")])]]),
        (r#"audit.user.groups.all(g, g == "a")"#, vec![vec![]]),
        (r#"cidr("10.0.0.0/8").containsIP(source.ip)"#, vec![vec![any("source.ip", std::slice::from_ref(&network))]]),
        (r#"!cidr("10.0.0.0/8").containsIP(ip(source.ip))"#, vec![vec![none("source.ip", &[network])]]),
        (r#"has(audit.objectRef.name)"#, vec![vec![none("audit.objectRef.name", &[equal("")])]]),
        (
            r#"audit.verb == "get" || user.name == "a""#,
            vec![vec![any(verb, &[equal("get")])], vec![any(user, &[equal("a")])]],
        ),
        (r#"audit.verb == "get" || audit.requestObject.spec.x == 1"#, vec![vec![]]),
        (r#"audit.requestObject.spec.x == 1 && audit.verb == "get""#, vec![vec![any(verb, &[equal("get")])]]),
        (r#"true ? audit.verb == "get" : user.name == "a""#, vec![vec![any(verb, &[equal("get")])]]),
        (r#"audit.verb == "get" && false"#, vec![]),
        (r#"user.name == audit.objectRef.name"#, vec![vec![]]),
        (r#"audit.responseObject.?roleRef.?name.orValue("") == "x""#, vec![vec![in_body]]),
        (r#"audit.responseObject.?roleRef.?name.orValue("x") == "x""#, vec![vec![]]),
        (r#"audit.responseObject.?roleRef.?name.orValue("") != "x""#, vec![vec![]]),
    ];
    for (expression, expected) in cases {
        assert_eq!(derived(expression), Alternatives(expected), "{expression}");
    }
}

#[test]
fn many_alternatives_fold_into_what_they_share() {
    let branch = |i: usize| format!(r#"(audit.verb == "v{i}" && user.name == "u{i}" && source.ip != "a{i}")"#);
    let expression = (0..12).map(branch).collect::<Vec<_>>().join(" || ");
    let Alternatives(folded) = derived(&expression);
    assert!(folded.len() <= 8, "{folded:?}");
    let verbs = |conjunction: &Vec<Term>| {
        conjunction.iter().filter(|t| t.subject == Subject::Field("audit.verb")).map(|t| t.any.len()).sum::<usize>()
    };
    assert_eq!(folded.iter().map(verbs).sum::<usize>(), 12, "{folded:?}");
}
