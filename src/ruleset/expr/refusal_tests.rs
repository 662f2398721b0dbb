//! What is refused at compile time, where, and with which hint.

use super::*;

#[test]
fn bad_expressions_are_refused_with_their_place() {
    let table = [
        ("user.nme == 'x'", "1:1: no such field `user.nme`; did you mean `user.name`?"),
        ("true &&\n  audit.verbs == 'x'", "2:3: no such field `audit.verbs`; did you mean `audit.verb`?"),
        (
            "audit.responseStatus.code == \"403\"",
            "1:1: `audit.responseStatus.code` is an int; compared with a string it can never match; compare it with a number, without quotes",
        ),
        (
            "403 == audit.verb",
            "1:8: `audit.verb` is a string; compared with an int it can never match; compare it with a text in quotes",
        ),
        (
            "audit.responseStatus.code == 403.0",
            "1:1: `audit.responseStatus.code` is an int; compared with a double it can never match; convert one with int()",
        ),
        (
            "audit.stage == 'Done'",
            "1:16: `audit.stage` is never \"Done\"; it is one of RequestReceived, ResponseStarted, ResponseComplete, Panic",
        ),
        (
            "event.outcome in ['success', 'ok']",
            "1:30: `event.outcome` is never \"ok\"; it is one of success, failure, unknown",
        ),
        (
            "audit.verb in [1, 2]",
            "1:1: `audit.verb` is a string; in a list(int) it can never match; list values that are a text in quotes",
        ),
        (
            "audit.objectRef == null",
            "1:1: `audit.objectRef` is a group of fields and no value; name a field of it, such as `audit.objectRef.name`, or test it with has(audit.objectRef)",
        ),
        (
            "audit.verb.x == 1",
            "1:1: `audit.verb` is a string and has no field `x`; compare the text itself, or take it apart with split()",
        ),
        (
            "audit.verb && true",
            "1:1: `audit.verb` is a string; && needs a bool; compare it with something: `==`, `in`, `>`",
        ),
        ("audit.user.name == 'x'", "1:1: no such field `audit.user.name`; did you mean `audit.user.username`?"),
        ("verb == 'get'", "1:1: no such field `verb`; did you mean `audit.verb`?"),
        (
            "objectRef.resource == 'x'",
            "1:1: no such field `objectRef.resource`; did you mean `audit.objectRef.resource`?",
        ),
        ("user == 'x'", "1:1: `user` is a group of fields and no value; name a field of it, such as `user.name`"),
        (
            "audit.objectRef.zone == 'x'",
            "1:1: no such field `audit.objectRef.zone`; `audit.objectRef` has apiGroup, apiVersion, name, namespace, resource, resourceVersion, subresource, uid",
        ),
        ("[1].any(x, x > 1)", "1:5: no such function `any`; write list.exists(x, condition)"),
        ("audit.verb.beginsWith('g')", "1:12: no such function `beginsWith`; did you mean `startsWith`?"),
        ("audit.verb == '\u{202e}' + \u{1}", "1:21: syntax error: `\\u{1}` can't stand here; texts stand in quotes"),
        (
            "audit.responseStatus.code >= '400'",
            "1:1: `audit.responseStatus.code` is an int, which has no order with a string; compare it with a number, without quotes",
        ),
        (
            "'2026-01-01' < event.created",
            "1:16: `event.created` is a timestamp, which has no order with a string; compare it with timestamp(\"2026-01-02T03:04:05Z\")",
        ),
        (
            "audit.user.groups.contains('system:masters')",
            "1:19: `contains` does not take list(string).contains(string); ask `x in list` for an element, or list.exists(x, x.contains(…)) for a part of one",
        ),
        (
            "audit.user.groups.startsWith('system:')",
            "1:19: `startsWith` does not take list(string).startsWith(string); of elements ask list.exists(x, x.startsWith(…))",
        ),
        (
            "audit.requestObject.spec.containers[*].image == 'x'",
            "1:37: syntax error: `*` is no index; of all elements ask list.exists(x, condition), or make them another list by list.map(x, value)",
        ),
        ("1.0 < 1e400", "1:7: syntax error: a number beyond the range of a double; a double ends at about 1.8e308"),
        (
            "audit.responseStatus.code < 9223372036854775808",
            "1:29: syntax error: a number beyond the range of an int; an int ends at 9223372036854775807; write a larger number as a double, with `.0` behind it",
        ),
        (
            "1u < 18446744073709551616u",
            "1:6: syntax error: a number beyond the range of a uint; a uint ends at 18446744073709551615u",
        ),
        ("audit.verb.startWith('x')", "1:12: no such function `startWith`; did you mean `startsWith`?"),
        (
            "audit.verb.startsWith(1)",
            "1:12: `startsWith` does not take string.startsWith(int); it takes string.startsWith(string) -> bool",
        ),
        (
            "audit.verb.startsWith()",
            "1:12: `startsWith` does not take string.startsWith(); it takes string.startsWith(string) -> bool",
        ),
        ("startsWith('a', 'b')", "1:1: no such function `startsWith`; call it as string.startsWith(string) -> bool"),
        ("sets.contain([1], [2])", "1:6: no such function `sets.contain`; did you mean `sets.contains`?"),
        (
            "1 + 'a'",
            "1:3: `+` does not take int and string; it takes int + int, uint + uint, double + double, string + string, bytes + bytes, list(A) + list(A), …",
        ),
        (
            "audit.verb.matches('a(')",
            "1:20: bad regex: unclosed group; patterns are RE2's; write them as r\"…\", where a backslash is one",
        ),
        (
            "audit.verb.all(x, true)",
            "1:1: `audit.verb` is a string; all() needs a list or a map; split() a text into a list, or search it with contains() or matches()",
        ),
        (
            "[1].map(x)",
            "1:5: `map` does not take 1 arguments here; write list.map(x, value) or list.map(x, condition, value)",
        ),
        ("[1].all(user, true)", "1:9: `user` already names fields of the event; choose another name for the variable"),
        ("[1].all(x.y, true)", "1:9: a macro's variable must be a simple name; such as `x`"),
        ("[1].exists(x, x)", "1:15: `x` is an int; exists() needs a bool; compare it with something: `==`, `in`, `>`"),
        ("has(audit)", "1:5: has() needs a selection such as has(a.b); such as has(audit.verb)"),
        ("has(audit.verbb)", "1:5: no such field `audit.verbb`; did you mean `audit.verb`?"),
        ("variables.x", "1:1: no such variable `variables.x`; define it in spec.variables, above what uses it"),
        (
            "foo",
            "1:1: no such field `foo`; a text stands in quotes: \"foo\"; fields begin with audit, cluster, event, fields, file, group, host, http, kubernetes, log, message, process, service, source, url, user, user_agent",
        ),
        ("true ? 1 : 'a'", "1:6: the sides of `?:` are an int and a string; convert one, or both with dyn()"),
        (
            "audit.user.groups['a']",
            "1:19: a list is indexed by an int, not a string; look for an element with `in` or exists()",
        ),
        (
            "1[0]",
            "1:2: 1 is an int and has no elements; only lists and maps have; of a text use charAt() or substring()",
        ),
        (
            "audit.verb.orValue('x')",
            "1:1: `audit.verb` is a string and no optional; an optional comes from .? or [?] or optional.of()",
        ),
        (
            "kubernetes.target.labels.?a.orValue(1)",
            "1:37: orValue() needs a string here, not an int; write a text in quotes",
        ),
        ("Foo{a: 1}", "1:1: messages such as `Foo{}` can't be built here; a map is written {\"key\": value}"),
        ("{1.5: 1}", "1:2: a double can't be a map key; a key is a string, an int, a uint or a bool"),
        ("", "1:1: empty expression; the reference page of the rule language has examples"),
        (
            "'abc",
            "1:1: string without an end; end it with the quote that begins it; write a regular expression as r\"…\"",
        ),
        (
            "[1].exists(a, [1].exists(b, [1].exists(c, [1].exists(d, [1].exists(e, true)))))",
            "1:68: macros nested more than 4 deep; flatten() the lists first, or test fewer levels",
        ),
    ];
    let mut wrong = vec![];
    for (source, expected) in table {
        match Program::compile(source, Expected::Any, &Variables::default()) {
            Ok(_) => wrong.push(format!("{source}\n   compiles")),
            Err(error) if error.to_string().lines().next() != Some(expected) => {
                wrong.push(format!("{source}\n   {error}\n   {expected}"))
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    for source in [
        "1 +",
        "a b",
        "(1",
        "1)",
        "x..y",
        "@",
        "1 = 2",
        "for",
        "1 ? 2",
        "[1",
        "{1}",
        "\u{1}",
        "a.`b",
        "9223372036854775808",
        "'\\z'",
    ] {
        let error = Program::compile(source, Expected::Any, &Variables::default()).expect_err(source);
        assert!(error.line == 1 && !error.message.contains('\n') && error.message.len() < 300, "{source}: {error}");
    }
}

#[test]
fn an_error_shows_its_place() {
    let error = Program::compile("true &&\n  user.nme == 'x'", Expected::Bool, &Variables::default()).unwrap_err();
    assert_eq!(error.to_string(), "2:3: no such field `user.nme`; did you mean `user.name`?\n  user.nme == 'x'\n  ^");
    let long = format!("{} user.nme == 'x'", "true && ".repeat(100));
    let error = Program::compile(&long, Expected::Bool, &Variables::default()).unwrap_err();
    let (line, caret) = error.excerpt.split_once('\n').unwrap();
    assert!(line.chars().count() <= 120, "{line}");
    assert_eq!(
        line.char_indices().nth(caret.len() - 1).map(|(at, _)| line.split_at(at).1.starts_with("user.nme")),
        Some(true)
    );
}

/// What rule authors write when they think in another language, and words of the remedy that they must be shown.
const TYPOS: &[(&str, &str)] = &[
    ("audit.verb in 'get'", "in [\"get\"]"),
    ("'x' in user.name", "user.name.contains"),
    ("audit.verb = 'get'", "compare with `==`"),
    ("audit.verb === 'get'", "compare with `==`"),
    ("audit.verb !== 'get'", "use `!=`"),
    ("audit.verb <> 'get'", "use `!=`"),
    ("audit.verb == 'get' and user.name == 'x'", "use `&&`"),
    ("audit.verb == 'get' OR user.name == 'x'", "use `||`"),
    ("audit.verb == 'get' & user.name == 'x'", "use `&&`"),
    ("not audit.verb == 'get'", "write `!(…)`"),
    ("audit.verb not in ['get']", "`!(a in [b, c])`"),
    ("audit.verb !in ['get']", "`!(a in [b, c])`"),
    ("!audit.verb in ['get']", "write !(a == b)"),
    ("!audit.verb == 'get'", "write !(a == b)"),
    ("audit.verb == get", "\"get\""),
    ("audit.verb == 'get' && (user.name == 'x'", "close each bracket"),
    ("audit.verb == 'get')", "closes no bracket"),
    ("audit.verb != 'get' != 'list'", "compare each side by itself"),
    ("400 <= audit.responseStatus.code <= 499", "compare each side by itself"),
    ("audit.verb == 'get' || 'list'", "a in [b, c]"),
    ("audit.verb == ['get', 'list']", "audit.verb in [b, c]"),
    ("audit.verb in ('get', 'list')", "square brackets"),
    ("audit.verb in 'get', 'list'", "square brackets"),
    ("audit.responseStatus.code in 400..499", "a >= 1 && a <= 9"),
    ("contains(user.name, 'x')", "string.contains(string)"),
    ("strings.contains(user.name, 'x')", "text.contains"),
    ("string.contains(user.name, 'x')", "text.contains"),
    ("user.name.startswith('x')", "`startsWith`"),
    ("user.name.startsWith 'x'", "startsWith('x')"),
    ("user.name like 'x%'", ".startsWith"),
    ("user.name =~ 'x'", ".matches"),
    ("user.name ~ 'x'", ".matches"),
    ("user.name matches 'x'", "text.matches("),
    ("user.name == /x/", ".matches"),
    ("user.name.matches('\\d+')", "r\"…\""),
    ("len(audit.user.groups) > 1", "`size`"),
    ("audit.user.groups.length > 1", "`size`"),
    ("user.name.size > 3", "user.name.size("),
    ("max(1, 2) > 1", "math.greatest"),
    ("user.name.substr(0, 3) == 'x'", "`substring`"),
    ("user.name[0:3] == 'x'", "substring"),
    ("has(audit.requestObject['spec'])", "has(audit.requestObject.spec)"),
    ("has('audit.requestObject')", "has(audit.requestObject)"),
    ("exists(audit.requestObject)", "has(a.b)"),
    ("audit.user.groups.exists('x')", "list.exists(x, condition)"),
    ("audit.user.groups.exists(g => g == 'x')", "list.exists(x, condition)"),
    ("audit.requestObject.spec.containers[].image == 'x'", "list.exists(x, condition)"),
    ("event.category == 'authentication'", "\"authentication\" in event.category"),
    ("audit.user.groups == 'x'", "\"x\" in audit.user.groups"),
    ("event.created > '5m'", "duration(\"5m\")"),
    ("event.ingested - event.created > '5m'", "duration(\"5m\")"),
    ("event.ingested - event.created > 5m", "duration(\"5m\")"),
    ("event.created > now()", "event.created"),
    ("event.created.hour > 20", "getHours()"),
    ("timestamp('9999-12-31T23:59:59Z') > event.created", "times end at 9999-12-30T22:00:00"),
    ("user.name == null", "has(a.b)"),
    ("user.name == None", "has(a.b)"),
    ("user.name is null", "has(a.b)"),
    ("audit.verb == 'get' && True", "`true`"),
    ("audit.verb == “get”", "write \" or '"),
    ("audit.verb == `get`", "in quotes"),
    ("request.verb == 'get'", "`audit.verb`"),
    ("object.spec.hostNetwork", "`audit.requestObject`"),
    ("audit['verb'] == 'get'", "`audit.verb`"),
    ("audit.requestObject?.spec == 1", ".?"),
    ("audit.requestObject.?spec.containers == 'x'", "orValue("),
    ("audit.requestObject.metadata.labels.app.kubernetes.io/name == 'x'", "square brackets"),
    ("audit.annotations.authorization.k8s.io == 'x'", "audit.annotations["),
    ("audit.annotations.'a/b' == 'x'", "square brackets"),
    ("cidr('10.0.0.0/33').containsIP(source.ip)", "\"10.0.0.0/8\""),
    ("cidr('10.0.0.0/8').containsIP('10.0.0.300')", "\"10.0.0.1\""),
    ("ip('10.0.0') == ip('::1')", "\"10.0.0.1\""),
    ("event.created.getHours('Berlin') > 20", "Europe/Berlin"),
    ("cidr('10.0.0.0/8').contains(source.ip)", "containsIP"),
    ("source.ip in cidr('10.0.0.0/8')", "containsIP"),
    ("source.ip in '10.0.0.0/8'", "cidr(\"10.0.0.0/8\").containsIP(source.ip)"),
    ("ip(source.ip).isPrivate()", "containsIP"),
    ("user.name == 'x';", "take it out"),
    ("user.name == 'x' # why", "`//`"),
    ("$user.name == 'x'", "`user.name`"),
    ("if audit.verb == 'get' then true", "condition ? value : other"),
    ("audit.verb == 'get' ? true", "value : other"),
    ("user.name == 'x' && && true", "before it is missing"),
    ("{{ user.name }} == 'x'", "without brackets"),
];

#[test]
fn typos_lead_to_their_remedy() {
    let mut wrong = vec![];
    for (source, remedy) in TYPOS {
        match Program::compile(source, Expected::Bool, &Variables::default()) {
            Ok(_) => wrong.push(format!("{source}\n   compiles")),
            Err(error) if !error.on_one_line().contains(remedy) => {
                wrong.push(format!("{source}\n   {}\n   without {remedy}", error.on_one_line()))
            }
            Err(_) => {}
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn keys_in_backticks_are_told_as_they_are_written() {
    let members = serde_json::json!({"a": {"b": 1}, "x-y": 2});
    let bindings = Bindings::from_json(members.as_object().unwrap());
    for (source, words) in [
        ("`x-y` == 2", "backticks are for a key behind a point"),
        ("a[`x-y`]", "backticks are for a key behind a point"),
        ("a.`x!y`", "[\"key\"]"),
        ("a.`x-y", "[\"key\"]"),
    ] {
        let error = Program::compile_over(source, &bindings).expect_err(source);
        assert!(error.on_one_line().contains(words), "{source}: {error}");
    }
    let program = Program::compile_over("a.`x.y`", &bindings).unwrap();
    let error = program.eval_over(&bindings, &mut Steps::default()).unwrap_err();
    assert!(error.to_string().starts_with("no such key `a.`x.y``"), "{error}");
    // Not the field `audit.objectRef.name`.
    assert!(Program::compile("audit.`objectRef.name` == 'x'", Expected::Bool, &Variables::default()).is_err());
}
