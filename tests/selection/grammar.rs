//! Random rules and events over small pools of values, so that they often meet.

use kubewitness::{api::RuleSpec, record::RuleId, ruleset::compile::RuleSource};
use proptest::prelude::*;
use serde_json::{Value, json};

const VERBS: &[&str] = &["get", "list", "create", "watch", ""];
const USERS: &[&str] = &[
    "jane",
    "Jane",
    "system:anonymous",
    "system:node:n1",
    "system:serviceaccount:shop:app",
    "system:serviceaccount:a:b",
    "",
];
const GROUPS: &[&str] = &["system:masters", "system:authenticated", "system:nodes", "dev"];
const RESOURCES: &[&str] = &["pods", "secrets", "namespaces", "nodes", ""];
const NAMESPACES: &[&str] = &["shop", "shop-test", "a", ""];
const ADDRESSES: &[&str] = &["10.0.0.1", "10.0.1.9", "192.168.1.1", "2001:db8::1", "not an address", ""];
const AGENTS: &[&str] = &["kubectl/v1.34", "curl/8.1", "CURL/9", "pod curl/ pod", ""];
const URIS: &[&str] = &["/api/v1/pods", "/api/v1/secrets?dryRun=All", "/readyz", "/apis/apps/v1", ""];

/// Text fields of the schema, with values that they may have.
const TEXTS: &[(&str, &[&str])] = &[
    ("audit.verb", VERBS),
    ("user.name", USERS),
    ("user.effective.name", USERS),
    ("audit.objectRef.resource", RESOURCES),
    ("audit.objectRef.namespace", NAMESPACES),
    ("audit.objectRef.name", NAMESPACES),
    ("audit.objectRef.subresource", &["exec", "status", ""]),
    ("source.ip", ADDRESSES),
    ("user_agent.original", AGENTS),
    ("audit.requestURI", URIS),
    ("kubernetes.node.name", &["n1", ""]),
    ("audit.?objectRef.?name.orValue(\"\")", NAMESPACES),
];
const LISTS: &[(&str, &[&str])] = &[
    ("audit.user.groups", GROUPS),
    ("audit.sourceIPs", ADDRESSES),
    ("event.category", &["api", "iam", "process"]),
    ("event.type", &["access", "creation", "allowed", "denied"]),
    ("event.incomplete", &["Oversize", "TruncatedBySender"]),
];
const NETWORKS: &[&str] = &["10.0.0.0/8", "10.0.0.0/24", "10.0.0.9/31", "192.168.0.0/16", "0.0.0.0/0", "2001:db8::/32"];
const CODES: &[i64] = &[0, 200, 201, 401, 403, 404, 500];
const PATTERNS: &[&str] = &[
    "^system:",
    "curl|kubectl",
    "^(pod|/api)",
    "secrets$",
    "^/(readyz|livez)([?].*)?$",
    "a*",
    "(?i)^CURL",
    "[0-9]+[.]",
    "^$",
];
/// Over bodies; what is missing is an error.
const BODIES: &[&str] = &[
    "audit.requestObject.spec.hostNetwork",
    "audit.requestObject.spec.hostNetwork == true",
    "audit.requestObject.?spec.?hostNetwork.orValue(false)",
    "audit.requestObject.metadata.name == \"x\"",
    "has(audit.requestObject.spec)",
    "audit.requestObject.spec.containers.exists(c, c.privileged == true && audit.verb == \"create\")",
    "audit.requestObject.?spec.?containers.orValue([]).all(c, c.?privileged.orValue(false))",
    "audit.requestObject.spec.containers.exists(c, c.?securityContext.?privileged.orValue(false) == true)",
    "!audit.requestObject.?spec.?containers.orValue([]).all(c, c.?privileged.orValue(true) == true)",
    "has(audit.requestObject.metadata.labels.team)",
    "audit.requestObject.?metadata.?labels[?\"team\"].orValue(\"none\") in [\"none\", \"dev\"]",
    "audit.requestObject.?metadata.?labels[?\"team\"].orValue(\"\") in [\"payments\", \"dev\"]",
    "\"payments\" == audit.requestObject.metadata.labels[\"team\"]",
    "audit.requestObject.?metadata.?labels.?team.orValue(\"none\").startsWith(\"pay\")",
    "audit.requestObject.?metadata.?labels.?team.orValue(\"none\").matches(\"^(none|pay.*)$\")",
    "audit.requestObject.?metadata.?labels.?team.orValue(\"none\").matches(\"^pay.*$\")",
    "[dyn(audit.requestObject.?metadata.?labels.orValue({}))].exists(m, type(m) == map && m.exists(k, k == \"team\"))",
    "type(audit.requestObject) == list ? audit.requestObject.exists(o, o.?op.orValue(\"\") == \"replace\") : audit.requestObject.?spec.?hostNetwork.orValue(false) == true",
    "cel.bind(s, dyn(type(audit.requestObject) == list ? dyn({}) : dyn(audit.requestObject)).?spec.orValue({}), ((s.?hostNetwork.orValue(false) == true ? \"hostNetwork \" : \"\") + (s.?hostPID.orValue(false) == true ? \"hostPID \" : \"\")).trim()) != \"\"",
    "[audit.requestObject.?spec.?containers.orValue([]), audit.requestObject.?spec.?initContainers.orValue([])].filter(l, type(l) == list).exists(l, l.filter(c, type(c) == map).map(c, c.?image.orValue(\"none\")).filter(i, type(i) == string).exists(i, i.contains(\"miner\")))",
    "[audit.requestObject.?spec.?containers.orValue([])].map(l, l.map(c, c.?image.orValue(\"none\"))).exists(l, l.exists(i, string(i) != \"none\"))",
    "([\"a\"] + audit.requestObject.?spec.?containers.orValue([]).map(c, string(c.?image.orValue(\"b\")))).exists(i, i == \"b\" || i.endsWith(\"miner\"))",
    "audit.annotations[\"decision\"] == \"allow\"",
    "audit.annotations[?\"decision\"].orValue(\"forbid\") != \"allow\"",
    "1 / audit.responseStatus.code == 0",
];
const WHOLE: &[&str] = &[
    "has(audit.requestObject)",
    "has(audit.objectRef)",
    "has(audit.objectRef.name)",
    "has(audit.responseStatus.code)",
    "event.clamped",
    "event.clamped == false",
    "event.outcome == \"success\"",
    "event.outcome in [\"failure\", \"unknown\"]",
    "user.name == audit.objectRef.name",
    "user.name != user.effective.name",
    "size(audit.user.groups) > 1",
    "true",
    "false",
    "variables.first",
    "!variables.first",
    "variables.second",
    "user.name in variables.names",
    "variables.names.exists(n, user.name.startsWith(n))",
    "variables.names.all(n, !user.name.endsWith(n))",
    "sets.intersects(audit.user.groups, [\"dev\", \"system:masters\"])",
];

#[derive(Clone, Debug)]
pub struct Rule {
    conditions: Vec<String>,
    variables: [String; 2],
    stages: Vec<&'static str>,
    tenant: Option<&'static str>,
    suspended: bool,
}

impl Rule {
    pub fn source(&self, number: usize) -> RuleSource {
        let selector = |(n, condition): (usize, &String)| json!({"name": format!("s{n}"), "source": "Audit", "where": condition, "stages": self.stages});
        let spec = json!({
            "title": "t",
            "severity": "Low",
            "suspend": self.suspended,
            "variables": [
                {"name": "names", "expression": r#"["jane", "system:node:", "app"]"#},
                {"name": "first", "expression": self.variables[0]},
                {"name": "second", "expression": format!("variables.first || {}", self.variables[1])},
            ],
            "selectors": self.conditions.iter().enumerate().map(selector).collect::<Vec<Value>>(),
            "groupBy": [{"name": "who", "value": "user.name"}],
            "alert": {"summary": "{key.who}"},
        });
        let spec: RuleSpec = serde_json::from_value(spec).unwrap();
        let id = match self.tenant {
            Some(namespace) => RuleId::namespaced(namespace, &format!("r{number}")),
            None => RuleId::cluster(&format!("r{number}")),
        };
        RuleSource { id, generation: 1, spec }
    }
}

pub fn rule() -> impl Strategy<Value = Rule> {
    let stages = prop_oneof![
        3 => Just(Vec::new()),
        1 => Just(vec!["ResponseStarted"]),
        1 => Just(vec!["RequestReceived", "ResponseComplete"]),
    ];
    let tenant = prop_oneof![4 => Just(None), 1 => Just(Some("shop")), 1 => Just(Some("a"))];
    let plain = |depth| expression(depth, false);
    (prop::collection::vec(expression(3, true), 1..4), [plain(1), plain(1)], stages, tenant, prop::bool::weighted(0.1))
        .prop_map(|(conditions, variables, stages, tenant, suspended)| Rule {
            conditions,
            variables,
            stages,
            tenant,
            suspended,
        })
}

fn pick(of: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    prop::sample::select(of)
}

/// Part of a value, or all of it.
fn part(text: &'static str) -> impl Strategy<Value = String> {
    (0..=text.len(), 0..=text.len()).prop_map(move |(a, b)| text.get(a.min(b)..a.max(b)).unwrap_or(text).to_owned())
}

/// A test of the text that `subject` is.
fn test(subject: String, values: &'static [&'static str]) -> BoxedStrategy<String> {
    let s = subject;
    let of = move |build: fn(&str, &str) -> String| {
        let s = s.clone();
        move |value: String| build(&s, &value)
    };
    let whole = || pick(values).prop_map(str::to_owned);
    let some = || pick(values).prop_flat_map(part);
    prop_oneof![
        3 => whole().prop_map(of.clone()(|s, v| format!("{s} == {v:?}"))),
        1 => whole().prop_map(of.clone()(|s, v| format!("{v:?} != {s}"))),
        1 => whole().prop_map(of.clone()(|s, v| format!("{s}.lowerAscii() == {v:?}"))),
        1 => some().prop_map(of.clone()(|s, v| format!("{s}.lowerAscii().contains({v:?})"))),
        2 => prop::collection::vec(pick(values), 0..4).prop_map(|l| format!("{l:?}")).prop_map(of.clone()(|s, v| format!("{s} in {v}"))),
        2 => some().prop_map(of.clone()(|s, v| format!("{s}.startsWith({v:?})"))),
        1 => some().prop_map(of.clone()(|s, v| format!("{s}.endsWith({v:?})"))),
        1 => some().prop_map(of.clone()(|s, v| format!("{s}.contains({v:?})"))),
        1 => pick(PATTERNS).prop_map(str::to_owned).prop_map(of.clone()(|s, v| format!("{s}.matches({v:?})"))),
        1 => pick(NETWORKS).prop_map(str::to_owned).prop_map(of.clone()(|s, v| format!("cidr({v:?}).containsIP({s})"))),
        1 => pick(NETWORKS).prop_map(str::to_owned).prop_map(of(|s, v| format!("cidr({v:?}).containsIP(ip({s}))"))),
    ]
    .boxed()
}

fn atom() -> BoxedStrategy<String> {
    let texts = prop::sample::select(TEXTS).prop_flat_map(|(path, values)| test(path.to_owned(), values));
    let quantified = prop::sample::select(LISTS).prop_flat_map(|(path, values)| {
        let body = prop_oneof![
            3 => test("e".into(), values),
            1 => (test("e".into(), values), test("e".into(), values)).prop_map(|(a, b)| format!("({a} && {b})")),
            1 => (test("e".into(), values), test("e".into(), values)).prop_map(|(a, b)| format!("({a} || !({b}))")),
            1 => test("e".into(), values).prop_map(|a| format!("({a} && user.name != \"jane\")")),
            1 => test("e".into(), values).prop_map(|a| format!("({a} || !(\"dev\" in audit.user.groups))")),
        ];
        (pick(&["exists", "all", "exists_one"]), body).prop_map(move |(kind, body)| format!("{path}.{kind}(e, {body})"))
    });
    let member = prop::sample::select(LISTS)
        .prop_flat_map(|(path, values)| pick(values).prop_map(move |value| format!("{value:?} in {path}")));
    let code = (pick(&["==", "!=", "<", "<=", ">", ">="]), prop::sample::select(CODES), any::<bool>()).prop_map(
        |(op, code, turned)| {
            if turned {
                format!("{code} {op} audit.responseStatus.code")
            } else {
                format!("audit.responseStatus.code {op} {code}")
            }
        },
    );
    let codes = prop::collection::vec(prop::sample::select(CODES), 0..3)
        .prop_map(|l| format!("audit.responseStatus.code in {l:?}"));
    prop_oneof![6 => texts, 3 => quantified, 2 => member, 2 => code, 1 => codes, 2 => pick(BODIES).prop_map(str::to_owned), 3 => pick(WHOLE).prop_map(str::to_owned)]
        .boxed()
}

/// `variables`: the rule's variables may be named.
fn expression(depth: u32, variables: bool) -> BoxedStrategy<String> {
    let leaf =
        atom().prop_map(
            move |atom| if variables || !atom.contains("variables.") { atom } else { "audit.verb == \"get\"".into() },
        );
    leaf.prop_recursive(depth, 12, 3, |inner| {
        let many = prop::collection::vec(inner.clone(), 2..4);
        prop_oneof![
            4 => many.clone().prop_map(|terms| format!("({})", terms.join(" && "))),
            3 => many.prop_map(|terms| format!("({})", terms.join(" || "))),
            2 => inner.clone().prop_map(|term| format!("!({term})")),
            1 => (inner.clone(), inner.clone(), inner).prop_map(|(c, t, e)| format!("({c} ? {t} : {e})")),
        ]
    })
    .boxed()
}

pub fn event() -> impl Strategy<Value = Value> {
    let object = (pick(RESOURCES), pick(NAMESPACES), pick(NAMESPACES), pick(&["exec", "status", ""]))
        .prop_map(|(resource, namespace, name, sub)| json!({"resource": resource, "namespace": namespace, "name": name, "subresource": sub}));
    let body = prop::sample::select(vec![
        json!({"spec": {"hostNetwork": true}, "metadata": {"name": "x"}}),
        json!({"spec": {"hostNetwork": "yes", "containers": [{"privileged": true}, {"privileged": false}]}}),
        json!({"spec": {"containers": [{"privileged": true}]}}),
        json!({"spec": {"containers": [{"securityContext": {"privileged": true}, "image": "x/miner"}, {}], "hostPID": true}}),
        json!({"spec": {"initContainers": [{"image": "a/miner:1"}], "containers": null}, "metadata": {"labels": {"team": "payments"}}}),
        json!({"spec": {"containers": [{"image": 3}, "b"]}, "metadata": {"labels": {"team": "none"}}}),
        json!({"metadata": {"labels": null}}),
        json!({"spec": "hostNetwork", "metadata": {"labels": {"tea\u{6d}": "\u{1b}"}}}),
        json!("spec"),
        json!([{"op": "replace"}, "replace"]),
        json!([{"op": "add"}]),
    ]);
    let who = (pick(USERS), prop::collection::vec(pick(GROUPS), 0..4), prop::option::weighted(0.2, pick(USERS)));
    let how = (
        pick(&["RequestReceived", "ResponseStarted", "ResponseComplete", "ResponseComplete", "Panic"]),
        pick(VERBS),
        prop::sample::select(CODES),
    );
    let from = (prop::collection::vec(pick(ADDRESSES), 0..3), pick(AGENTS), pick(URIS));
    (who, how, from, prop::option::weighted(0.8, object), prop::option::weighted(0.4, body), prop::option::weighted(0.3, pick(&["allow", "forbid"]))).prop_map(
        |((user, groups, impersonated), (stage, verb, code), (addresses, agent, uri), object, body, decision)| {
            let mut event = json!({
                "level": "Request", "stage": stage, "requestURI": uri, "verb": verb,
                "user": {"username": user, "groups": groups}, "sourceIPs": addresses, "userAgent": agent,
                "responseStatus": {"code": code}, "stageTimestamp": "2026-01-01T00:00:00.000000Z",
            });
            let parts = [
                ("objectRef", object),
                ("requestObject", body),
                ("impersonatedUser", impersonated.map(|name| json!({"username": name}))),
                ("annotations", decision.map(|decision| json!({"decision": decision, "audit.k8s.io/truncated": if decision == "allow" { "true" } else { "false" }}))),
            ];
            for (name, part) in parts {
                if let Some(part) = part {
                    event[name] = part;
                }
            }
            event
        },
    )
}
