//! Expressions over one event: their values, their errors and the places of those.

use serde_json::json;

use super::*;
use crate::{
    api::rule::Source,
    event::{AuditEvent, Http, Outcome, Place, Url, User},
    record::{IdKey, Origin, Provenance, RecordId},
};

/// Events of tests borrow from what lives as long as the test's process.
fn event(audit: serde_json::Value) -> Event<'static> {
    let text: &'static str = audit.to_string().leak();
    let audit: AuditEvent<'static> = serde_json::from_str(text).expect("an audit event");
    let origin = Origin { cluster: "prod".into(), reporter: "cp-1".into(), provenance: Provenance::AuditWebhook };
    let labels = [("app".to_owned(), "web".to_owned())].into();
    let received = "2026-03-01T23:30:06Z".parse().expect("a time");
    Event {
        created: "2026-03-01T23:30:05.25Z".parse().expect("a time"),
        incomplete: vec!["Clipped"],
        category: vec!["api", "iam"],
        type_: vec!["creation"],
        action: audit.verb.clone(),
        outcome: Outcome::Failure,
        code: "403".into(),
        provider: "kubernetes-audit",
        user: User { name: "jane".into(), id: "u1".into(), ..User::default() },
        source_ip: "203.0.113.9".into(),
        user_agent: "kubectl/v1.34".into(),
        http: Http { status_code: 403, ..Http::default() },
        url: Url { original: audit.request_uri.clone(), ..Url::default() },
        target: Place { labels: Some(Box::leak(Box::new(labels))), ..Place::default() },
        wording: |_| "jane create pods".into(),
        audit: Some(Box::new(audit)),
        ..Event::blank(RecordId::of(&IdKey::OFFLINE, &[b"test"]), Source::Audit, received, Box::leak(Box::new(origin)))
    }
}

pub(super) fn sample() -> Event<'static> {
    event(json!({
        "level": "RequestResponse", "auditID": "a-1", "stage": "ResponseComplete", "requestURI": "/api/v1/pods", "verb": "create",
        "user": {"username": "jane", "groups": ["dev", "system:authenticated"], "extra": {"k": ["v1", "v2"]}},
        "sourceIPs": ["10.0.0.7", "203.0.113.9"], "userAgent": "kubectl/v1.34",
        "objectRef": {"resource": "pods", "namespace": "web", "name": "p"},
        "responseStatus": {"code": 403, "reason": "Forbidden"},
        "requestReceivedTimestamp": "2026-03-01T23:30:05.25Z",
        "annotations": {"authorization.k8s.io/decision": "forbid"},
        "requestObject": {"kind": "Pod", "spec": {"hostNetwork": true, "nodeName": null, "priority": 5, "weight": 1.5,
            "containers": [
                {"name": "a", "image": "nginx", "securityContext": {"privileged": true}},
                {"name": "b", "image": "busybox:1"}]}}
    }))
}

fn value(source: &str) -> Result<serde_json::Value, String> {
    let program = Program::compile(source, Expected::Any, &Variables::default()).map_err(|e| e.to_string())?;
    program.eval(&sample(), &mut Steps::default()).map(|v| v.to_json()).map_err(|e| format!("eval: {e}"))
}

#[track_caller]
fn all_true(sources: &[&str]) {
    let wrong: Vec<String> = sources
        .iter()
        .filter_map(|source| match value(source) {
            Ok(serde_json::Value::Bool(true)) => None,
            other => Some(format!("{source}\n    -> {other:?}")),
        })
        .collect();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn fields_have_their_values() {
    all_true(&[
        r#"audit.verb == "create""#,
        r#"audit.verb in ["create", "patch"] && audit.objectRef.resource == "pods""#,
        r#"audit.responseStatus.code >= 400 && event.outcome == "failure""#,
        r#""dev" in audit.user.groups"#,
        r#"audit.user.extra["k"] == ["v1", "v2"] && audit.user.extra.k[1] == "v2""#,
        r#"audit.annotations["authorization.k8s.io/decision"] == "forbid""#,
        r#"audit.objectRef.subresource == "" && kubernetes.pod.name == """#,
        r#"event.category == ["api", "iam"] && "iam" in event.category"#,
        r#"event.created == timestamp("2026-03-01T23:30:05.25Z")"#,
        r#"audit.stageTimestamp == timestamp(0)"#,
        r#"kubernetes.target.labels.app == "web" && !("x" in kubernetes.target.labels)"#,
        r#"audit.requestObject.spec.hostNetwork"#,
        r#"audit.requestObject.spec.containers.exists(c, c.securityContext.privileged)"#,
        r#"audit.requestObject.spec.nodeName == null"#,
        r#"audit.requestObject.spec.priority == 5 && type(audit.requestObject.spec.priority) == int"#,
        r#"audit.requestObject.spec.weight > 1 && type(audit.requestObject.spec.weight) == double"#,
        r#"audit.requestObject["kind"] == "Pod""#,
        r#"user.name.startsWith("ja") && source.ip == "203.0.113.9""#,
        r#"message.contains("pods") && cluster.name == "prod""#,
        r#".audit.verb == "create""#,
    ]);
}

#[test]
fn operators_follow_cel() {
    all_true(&[
        "1 + 2 * 3 == 7 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 3 == -1 && 7u % 4u == 3u",
        "1.5 + 1.0 == 2.5 && -(-2) == 2 && !false",
        "1 < 2u && 2u > 1 && 1 < 1.5 && 2.0 >= 2 && 1u <= 1.5",
        "dyn(1) == 1.0 && dyn(1u) == 1 && dyn(1) != 'a' && dyn(2) == 2u",
        r#""a" + "b" == "ab" && [1] + [2] == [1, 2] && b"a" + b"b" == b"ab""#,
        r#""a" < "b" && b"a" < b"b" && false < true"#,
        r#"{"a": 1} == {"a": 1} && {"a": 1}["a"] == 1 && {1: "x"}[1] == "x" && 1 in {1: "x"}"#,
        "dyn({1: 'x'})[1u] == 'x' && [1, 2][1] == 2 && [1, 'a'][1] == 'a'",
        "[1, 2, 3] != [1, 2] && [[1], [2]] == [[1], [2]]",
        "true ? true : 1 / 0 == 1",
        "9223372036854775807 + 0 == 0x7fffffffffffffff && -9223372036854775808 < 0",
        r#"'\u00e9' == "é" && r"\d" == "\\d" && """a
b""" == "a\nb" && b'\xff' != b'a'"#,
        "null == null && dyn(1) != null && type(null) == null_type && type(1) == int && type(type(1)) == type",
        "0.0 / 0.0 != 0.0 / 0.0 && 1.0 / 0.0 > 1.0",
    ]);
}

#[test]
fn macros_and_optionals_follow_cel() {
    all_true(&[
        "[1, 2, 3].all(x, x > 0) && [].all(x, false) && ![].exists(x, true)",
        "[1, 2, 3].exists(x, x == 2) && [1, 2, 3].exists_one(x, x > 2) && ![1, 2].existsOne(i, x, x > 0)",
        "[1, 2, 3].map(x, x * 2) == [2, 4, 6] && [1, 2, 3].map(x, x > 1, x * 2) == [4, 6]",
        "[1, 2, 3].filter(x, x % 2 == 1) == [1, 3] && {'a': 1, 'b': 2}.all(k, k in ['a', 'b'])",
        "[[1, 2], [3]].exists(l, l.exists(x, x == l.size()))",
        "audit.requestObject.spec.containers.map(c, c.name) == ['a', 'b']",
        "audit.user.groups.map(g, g.size()).sum() == 23",
        "has(audit.objectRef) && has(audit.objectRef.name) && !has(audit.objectRef.uid) && !has(audit.impersonatedUser)",
        "has(audit.requestObject) && !has(audit.responseObject) && has(audit.requestObject.spec) && !has(audit.requestObject.x)",
        "has(audit.requestObject.spec.nodeName) && has(kubernetes.target.labels.app) && !has(kubernetes.target.labels.x)",
        "!has(audit.stageTimestamp) && has(audit.requestReceivedTimestamp) && !has(event.clamped)",
        "audit.requestObject.?spec.?hostNetwork.orValue(false) && !audit.requestObject.?x.?y.hasValue()",
        "audit.requestObject.?spec.hostNetwork.value() && audit.requestObject.spec.containers[?5].?name.orValue('-') == '-'",
        "audit.requestObject.spec.containers[?0].name.value() == 'a'",
        "audit.?objectRef.?name.orValue('-') == 'p' && audit.?objectRef.?uid.orValue('-') == '-'",
        "audit.?objectRef.uid.orValue('-') == '' && audit.?impersonatedUser.username.orValue('-') == '-'",
        "kubernetes.target.labels[?'app'].or(optional.of('x')).value() == 'web' && kubernetes.target.labels.?x.or(optional.of('y')).value() == 'y'",
        "optional.none() == optional.none() && optional.of(1) != optional.of(2) && optional.ofNonZeroValue(0) == optional.none()",
        "optional.of(2).optMap(x, x + 1).value() == 3 && optional.of(2).optFlatMap(x, optional.of(x)).value() == 2",
        "!has(audit.requestObject.kind.x) && !has(audit.requestObject.spec.nodeName.x) && audit.requestObject.?kind.?x == optional.none()",
        "audit.requestObject.kind[?0] == optional.none() && optional.none() != null && dyn(1).orValue(2) == 1 && dyn(dyn(1).or(optional.none())) == 1",
        "[?optional.of(1), ?optional.none(), 3] == [1, 3] && {?'a': optional.none(), 'b': 1} == {'b': 1}",
    ]);
}

#[test]
fn string_functions_count_characters() {
    all_true(&[
        "'tacocat'.contains('cat') && 'tacocat'.startsWith('taco') && 'tacocat'.endsWith('cat') && ''.contains('')",
        r#"'k8s-1.34'.matches('^k8s-[0-9.]+$') && matches('abc', 'b') && 'a1'.matches('a' + '[0-9]')"#,
        "'TacoCÆt'.lowerAscii() == 'tacocÆt' && 'tacocæt'.upperAscii() == 'TACOCæT' && ' a \\t'.trim() == 'a'",
        "'hello hello'.split(' ') == ['hello', 'hello'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && 'a,b'.split(',', 0) == []",
        "'añb'.split('') == ['a', 'ñ', 'b'] && 'a,b'.split(',', -1) == ['a', 'b'] && 'abc'.split('', 2) == ['a', 'bc']",
        "'hello'.replace('l', 'L') == 'heLLo' && 'hello'.replace('l', 'L', 1) == 'heLlo' && 'ab'.replace('', '-') == '-a-b-'",
        "'añb'.size() == 3 && size('añb') == 3 && size(b'añb') == 4 && size([1]) == 1 && {'a': 1}.size() == 1",
        "'tacocat'.indexOf('a') == 1 && 'tacocat'.indexOf('a', 3) == 5 && 'tacocat'.indexOf('x') == -1 && 'ñab'.indexOf('b') == 2",
        "'tacocat'.indexOf('') == 0 && 'tacocat'.lastIndexOf('at') == 5",
        "'tacocat'.lastIndexOf('a', 4) == 1 && 'tacocat'.lastIndexOf('a', 5) == 5 && 'tacocat'.lastIndexOf('') == 7 && 'añañ'.lastIndexOf('ñ', 2) == 1",
        "'tacocat'.substring(4) == 'cat' && 'tacocat'.substring(0, 4) == 'taco' && 'añb'.substring(1, 2) == 'ñ' && 'a'.substring(1) == ''",
        "['a', 'b'].join('-') == 'a-b' && ['a', 'b'].join() == 'ab' && 'abc'.charAt(1) == 'b' && 'abc'.charAt(3) == ''",
        "'abc 123 45'.find('[0-9]+') == '123' && 'abc 123 45'.findAll('[0-9]+') == ['123', '45'] && 'a1b2'.findAll('[0-9]', 1) == ['1'] && 'a1b2'.findAll('[0-9]' + '', 1) == ['1']",
        "'abc'.find('x') == '' && 'abc'.reverse() == 'cba'",
    ]);
}

#[test]
fn conversions_times_lists_and_addresses_follow_the_libraries() {
    all_true(&[
        "int('42') == 42 && int(3.9) == 3 && int(-3.9) == -3 && int(5u) == 5 && int(timestamp('1970-01-01T00:01:00Z')) == 60",
        "uint('7') == 7u && uint(3) == 3u && double('1.5') == 1.5 && double(2) == 2.0 && bool('true') && !bool('0')",
        "string(1) == '1' && string(2u) == '2' && string(1.5) == '1.5' && string(true) == 'true' && string(b'abc') == 'abc'",
        "string(1000000.0) == '1e+06' && string(123456.0) == '123456' && string(0.00001) == '1e-05' && string(-4.5e-3) == '-0.0045'",
        "string(timestamp('2026-01-02T03:04:05.600Z')) == '2026-01-02T03:04:05.6Z' && string(duration('1h30m')) == '5400s'",
        "string(duration('-1.5s')) == '-1.5s' && bytes('é') == b'\\303\\251'",
        "int(duration('1s')) == 1000000000 && -dyn(duration('1s')) == duration('-1s') && duration('1h') + duration('30m') == duration('90m') && duration('1h') > duration('59m')",
        "timestamp('2026-01-01T01:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('1h')",
        "timestamp('2026-01-01T00:00:00+01:00') == timestamp('2025-12-31T23:00:00Z')",
        "event.created + duration('1h') > event.created && event.ingested - event.created < duration('1s')",
        "event.created.getHours() == 23 && event.created.getHours('+01:00') == 0 && event.created.getDayOfWeek() == 0",
        "event.created.getFullYear() == 2026 && event.created.getMonth() == 2 && event.created.getDate() == 1",
        "event.created.getDayOfMonth() == 0 && event.created.getDayOfYear() == 59 && event.created.getMilliseconds() == 250",
        "duration('1h1m1s').getHours() == 1 && duration('1h1m1s').getMinutes() == 61 && duration('61s').getSeconds() == 61",
        "[1, 2, 3].sum() == 6 && [1.5, 2.0].sum() == 3.5 && [].sum() == 0 && [3, 1].min() == 1 && ['a', 'b'].max() == 'b'",
        "[1, 2, 2].isSorted() && ![2, 1].isSorted() && [1, 2, 1].indexOf(1) == 0 && [1, 2, 1].lastIndexOf(1) == 2",
        "sets.contains([1, 2], [2]) && sets.intersects([1], [1, 2]) && sets.equivalent([1, 1, 2], [2, 1]) && !sets.contains([1], [2])",
        "isIP('::1') && !isIP('1.2.3') && !isIP('01.2.3.4') && !isIP('::ffff:1.2.3.4') && ip('::1').family() == 6",
        "cidr('10.0.0.0/8').containsIP('10.1.2.3') && !cidr('10.0.0.0/8').containsIP(ip(source.ip))",
        "cidr('10.0.0.0/8').containsCIDR('10.1.0.0/16') && cidr('10.0.0.7/8').masked() == cidr('10.0.0.0/8') && isCIDR('::/0')",
        "ip('127.0.0.1').isLoopback() && ip('10.0.0.1').isGlobalUnicast() && ip.isCanonical('::1') && string(ip('1.2.3.4')) == '1.2.3.4'",
        "cidr('10.0.0.0/8').prefixLength() == 8 && cidr('10.0.0.7/8').ip() == ip('10.0.0.7') && !isCIDR('10.0.0.0/08')",
    ]);
}

#[test]
fn errors_are_absorbed_as_cel_says() {
    all_true(&[
        "true || 1 / 0 == 1",
        "1 / 0 == 1 || true",
        "!(false && 1 / 0 == 1)",
        "!(1 / 0 == 1 && false)",
        "audit.responseObject.x == 1 || audit.verb == 'create'",
        "[0, 1].exists(x, 1 / x == 1)",
        "![0, 2].all(x, 1 / x == 1)",
        "dyn(1) || true",
        "audit.requestObject.spec.containers.exists(c, c.image == 'nginx' && c.securityContext.privileged)",
    ]);
    let errors = [
        ("1 / 0 == 1 || false", "division by zero"),
        ("1 / 0 == 1 && true", "division by zero"),
        ("[0, 2].exists(x, 1 / x == 1)", "division by zero"),
        ("[0, 1].exists_one(x, 1 / x == 1)", "division by zero"),
        ("[0].map(x, 1 / x)", "division by zero"),
        ("audit.responseObject.spec.x == 1", "no such key `audit.responseObject`"),
        ("audit.requestObject.spec.missing.x == 1", "no such key `audit.requestObject.spec.missing`"),
        ("has(audit.requestObject.missing.x)", "no such key `audit.requestObject.missing`"),
        ("audit.annotations['x'] == 'y'", "no such key `x`"),
        ("audit.user.groups[7] == 'y'", "index 7 is out of range"),
        ("[1][-1]", "index -1 is out of range"),
        ("'tacocat'.indexOf('a', 40)", "index 40 is out of range"),
        ("9223372036854775807 + 1", "int overflows"),
        ("-9223372036854775808 - 1", "int overflows"),
        ("-(-9223372036854775808)", "int overflows"),
        ("-9223372036854775808 / -1", "int overflows"),
        ("9223372036854775807 * 2", "int overflows"),
        ("0u - 1u", "uint overflows"),
        ("1 % 0", "division by zero"),
        ("int(1e99)", "int overflows"),
        ("uint(-1)", "uint overflows"),
        ("int('x')", "\"x\" is no int"),
        ("duration('290000000h' + '')", "is no duration"),
        ("timestamp('2026-01-01' + '')", "is no timestamp"),
        ("timestamp('9999-12-30T00:00:00Z') + duration('48h')", "timestamp overflows"),
        ("audit.requestObject.kind + 1 == 2", "no such overload: +(string, int)"),
        ("audit.requestObject.kind < 1", "no such overload"),
        ("dyn(1) && true", "no such overload"),
        ("dyn('a') ? 1 : 2", "no such overload"),
        ("dyn(1).exists(x, true)", "no such overload"),
        ("audit.requestObject.kind.x", "no such overload: string.x"),
        ("has(audit.requestObject.spec.containers.x)", "no such overload: list.x"),
        ("optional.none().value()", "optional has no value"),
        ("[].max()", "max called on empty list"),
        ("{'a': 1, 'a': 2}", "occurs twice"),
        ("'abc'.substring(2, 1)", "substring from 2 to 1"),
        ("'abc'.substring(4)", "index 4 is out of range"),
        ("'abc'.matches('(' + 'x')", "unclosed group"),
        ("ip('1.2.' + '3')", "is not an IP address"),
        ("event.created.getHours('Mars/' + 'Phobos')", "time zone"),
    ];
    for (source, expected) in errors {
        let error = value(source).expect_err(source);
        assert!(error.starts_with("eval: ") && error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn the_expected_type_is_checked() {
    let compile = |source: &str, expected| Program::compile(source, expected, &Variables::default());
    assert_eq!(
        compile("audit.verb", Expected::Bool).unwrap_err().message,
        "the expression is a string; it must be a bool"
    );
    assert!(compile("audit.requestObject.x", Expected::Bool).is_ok());
    assert!(compile("audit.user.groups", Expected::Text).is_err());
    let event = sample();
    let text = |source: &str| compile(source, Expected::Text).unwrap().text(&event, &mut Steps::default());
    assert_eq!(text("audit.responseStatus.code").unwrap(), "403");
    assert_eq!(text("event.created").unwrap(), "2026-03-01T23:30:05.25Z");
    assert!(text("audit.requestObject.spec.nodeName").is_err(), "null does not print");
    assert!(text("audit.requestObject.spec").is_err(), "a map does not print");
    assert!(text("audit.requestObject.spec.missing").is_err());
    assert_eq!(
        compile("audit.requestObject.kind", Expected::Bool).unwrap().holds(&event, &mut Steps::default()).ok(),
        None
    );
}

#[test]
fn variables_are_typed_and_build_on_earlier_ones() {
    let mut variables = Variables::default();
    variables.define("denied", "audit.responseStatus.code in [401, 403]").unwrap();
    variables.define("writes", "variables.denied && audit.verb in ['create', 'patch']").unwrap();
    let program = Program::compile("variables.writes && user.name != ''", Expected::Bool, &variables).unwrap();
    assert_eq!(program.holds(&sample(), &mut Steps::default()), Ok(true));
    assert_eq!(
        program.fields().iter().copied().collect::<Vec<_>>(),
        ["audit.responseStatus.code", "audit.verb", "user.name"]
    );
    assert!(Program::compile("variables.denied == 1", Expected::Any, &variables).is_err(), "a bool is no int");
    assert!(variables.define("denied", "true").is_err(), "twice");
    assert!(variables.define("a.b", "true").is_err(), "no name");
    let mut double = Variables::default();
    double.define("v0", "[1, 2]").unwrap();
    let error =
        (1..30).find_map(|i| double.define(&format!("v{i}"), &format!("variables.v{0} + variables.v{0}", i - 1)).err());
    assert!(error.is_some_and(|e| e.message.contains("more than 2000 parts")), "doubling is bounded");
}
