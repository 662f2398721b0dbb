//! `kubewitness eval`: what it takes, how each type prints, and its exit codes.

use std::fs;

use super::{run, text};

/// Standard output without its newline, standard error, and the exit code.
fn eval(arguments: &[&str]) -> (String, String, Option<i32>) {
    let dir = tempfile::tempdir().unwrap();
    let arguments: Vec<&str> = ["eval"].iter().chain(arguments).copied().collect();
    let output = run(dir.path(), &arguments, "");
    let printed = text(&output.stdout);
    (printed.strip_suffix('\n').unwrap_or(&printed).to_owned(), text(&output.stderr), output.status.code())
}

#[test]
fn each_type_prints_as_json() {
    let cases = [
        ("true", "true"),
        ("1 + 1", "2"),
        ("-9223372036854775808", "-9223372036854775808"),
        ("18446744073709551615u", "18446744073709551615"),
        ("1.5", "1.5"),
        ("1.0", "1.0"),
        ("0.0 / 0.0", "\"NaN\""),
        ("1.0 / 0.0", "\"Infinity\""),
        ("-1.0 / 0.0", "\"-Infinity\""),
        ("'tab\\t \"quoted\" é'", "\"tab\\t \\\"quoted\\\" é\""),
        ("b'\\000\\377abc'", "\"AP9hYmM=\""),
        ("null", "null"),
        ("timestamp('2026-03-01T23:15:04.120+01:00')", "\"2026-03-01T22:15:04.12Z\""),
        ("timestamp(0)", "\"1970-01-01T00:00:00Z\""),
        ("duration('1500ms')", "\"1.5s\""),
        ("duration('-90m')", "\"-5400s\""),
        ("duration('0s')", "\"0s\""),
        ("duration('-0.000000001s')", "\"-0.000000001s\""),
        ("duration('2562047h47m16.854775807s')", "\"9223372036.854775807s\""),
        ("[1, 'a', [2.0], b'a']", "[1,\"a\",[2.0],\"YQ==\"]"),
        ("{'b': 1}", "{\"b\":1}"),
        ("{1: 'a'}", "{\"1\":\"a\"}"),
        ("{2u: 'a'}", "{\"2\":\"a\"}"),
        ("{true: duration('1s')}", "{\"true\":\"1s\"}"),
        ("[0.0 / 0.0]", "[\"NaN\"]"),
        ("type(1)", "\"int\""),
        ("type(1u)", "\"uint\""),
        ("type(1.0)", "\"double\""),
        ("type('')", "\"string\""),
        ("type(b'')", "\"bytes\""),
        ("type(true)", "\"bool\""),
        ("type(null)", "\"null_type\""),
        ("type([])", "\"list\""),
        ("type({})", "\"map\""),
        ("type(type(1))", "\"type\""),
        ("type(timestamp(0))", "\"google.protobuf.Timestamp\""),
        ("type(duration('1s'))", "\"google.protobuf.Duration\""),
        ("[type(1), string]", "[\"int\",\"string\"]"),
        ("optional.none()", "null"),
        ("optional.of(1)", "1"),
    ];
    for (expression, value) in cases {
        assert_eq!(eval(&["--expression", expression]), (value.to_owned(), String::new(), Some(0)), "{expression}");
    }
}

#[test]
fn bindings_are_dynamic_variables() {
    let cases = [
        (r#"{"x": 1}"#, "type(x)", "\"int\""),
        (r#"{"x": -1}"#, "type(x)", "\"int\""),
        (r#"{"x": -0}"#, "x", "0"),
        (r#"{"x":[-0,-0.0,-0e1,1e-0,10],"y":"-0\\\"-0"}"#, "[x, y]", r#"[[0,-0.0,-0.0,1.0,10],"-0\\\"-0"]"#),
        (r#"{"x": 9223372036854775807}"#, "x", "9223372036854775807"),
        (r#"{"x": 9223372036854775808.0, "y": "99999999999999999999"}"#, "x", "9.223372036854776e+18"),
        (r#"{"x": 1.0}"#, "type(x)", "\"double\""),
        (r#"{"x": 1e2}"#, "type(x)", "\"double\""),
        (r#"{"x": 1E2}"#, "x", "100.0"),
        (r#"{"x": 0.5}"#, "x + 0.5", "1.0"),
        (r#"{"x": 2}"#, "x * 3", "6"),
        (r#"{"x": 2}"#, "x == 2.0 && x < 2.5", "true"),
        (r#"{"x": "a"}"#, "x + 'b'", "\"ab\""),
        (r#"{"x": true}"#, "x && !false", "true"),
        (r#"{"x": null}"#, "x == null", "true"),
        (r#"{"x": [1, 2.5, "a"]}"#, "x.map(e, type(e))", "[\"int\",\"double\",\"string\"]"),
        (r#"{"x": {"a": {"b": [3]}}}"#, "x.a.b[0]", "3"),
        (r#"{"x": {"a": 1}}"#, "has(x.a) && !has(x.b) && x.?b.orValue(7) == 7", "true"),
        (r#"{"x": 1, "y": 2}"#, "x + y", "3"),
        ("{}", "1", "1"),
    ];
    for (bindings, expression, value) in cases {
        let found = eval(&["--bindings", bindings, "--expression", expression]);
        assert_eq!(found, (value.to_owned(), String::new(), Some(0)), "{expression} over {bindings}");
    }
}

#[test]
fn what_has_no_value_is_an_error_with_exit_code_1() {
    let cases: [(&[&str], &str); 18] = [
        (&["--expression", "1 +"], "error: 1:4: syntax error"),
        (&["--expression", "nope"], "error: 1:1: "),
        (&["--expression", "1 + 'a'"], "error: 1:3: "),
        (&["--expression", "1 / 0"], "error: 1:3: division by zero; "),
        (&["--expression", "[1][1]"], "error: 1:4: index 1 is out of range; "),
        (&["--expression", "true && x.y == 1", "--bindings", r#"{"x": {}}"#], "error: 1:9: no such key `x.y`; "),
        (
            &["--expression", "user.name"],
            "error: 1:1: no such variable `user`; it names fields of an event: give one with --event",
        ),
        (&["--expression", "x + 1", "--bindings", r#"{"x": "a"}"#], "error: 1:3: no such overload: +(string, int); "),
        (&["--expression", "9223372036854775807 + 1"], "error: 1:21: "),
        // What is absorbed is not at fault.
        (&["--expression", "(1 / 0 == 1 || true) && 2 / 0 == 1"], "error: 1:27: division by zero"),
        (&["--expression", "[1, 0].map(x, 1 / x)"], "error: 1:17: division by zero"),
        (&["--expression", "cel.bind(x, 1 / 0, true && x == 1)"], "error: 1:15: division by zero"),
        (&["--expression", "lists.range(9000).map(i, lists.range(90)).size()"], "error: 1:26: over the budget"),
        (&["--expression", "'a'.matches('a' + '(')"], "error: 1:5: unclosed group; "),
        (&["--expression", "ip('10.0.0.300')"], "error: 1:4: \"10.0.0.300\" is not an IP address"),
        (&["--expression", "ip('10.0.0.' + '300')"], "error: 1:1: \"10.0.0.300\" is not an IP address"),
        (&["--expression", "{1: 1, '1': 2}"], "error: 1:1: a map has two keys that print as \"1\""),
        (&["--expression", "{'a\u{202e}': 1}['\u{202e}']"], "error: 1:10: no such key `\\u{202e}`"),
    ];
    for (arguments, wanted) in cases {
        let (printed, _, code) = eval(arguments);
        assert_eq!(code, Some(1), "{arguments:?}: {printed}");
        assert!(printed.starts_with(wanted) && !printed.contains('\n'), "{arguments:?}: {printed}");
    }
    let (printed, shown, _) = eval(&["--expression", "true &&\n nope == 1", "--bindings", r#"{"nope2": 1}"#]);
    assert!(printed.starts_with("error: 2:2: "), "{printed}");
    assert_eq!(shown, " nope == 1\n ^\n");
    let (printed, shown, _) = eval(&["--expression", "'日本\u{202e}' == '' || 1 / 0 == 1"]);
    assert!(printed.starts_with("error: 1:18: division by zero"), "{printed}");
    assert_eq!(shown, "'日本\u{fffd}' == '' || 1 / 0 == 1\n                   ^\n");
    let (printed, _, _) = eval(&["--expression", "'\u{202e}' + \u{202e}x"]);
    assert!(printed.starts_with("error: 1:7: ") && printed.contains("\\u{202e}"), "{printed}");
    assert!(!printed.contains('\u{202e}'), "{printed}");
}

#[test]
fn what_can_not_be_read_is_told_with_exit_code_2() {
    let cases: [(&[&str], &str); 11] = [
        (
            &["--expression", "1", "--bindings", r#"{"x": 9223372036854775808}"#],
            "9223372036854775808 is beyond the int",
        ),
        (&["--expression", "1", "--bindings", r#"{"x": [-99999999999999999999]}"#], "is beyond the int of 64 bits"),
        (&["--expression", "1", "--bindings", r#"{"x": 1, "x": 2}"#], "the key \"x\" occurs twice"),
        (&["--expression", "1", "--bindings", r#"{"x": {"a": 1, "\u0061": 2}}"#], "the key \"a\" occurs twice"),
        (&["--expression", "1", "--bindings", "[1]"], "--bindings takes a JSON object"),
        (&["--expression", "1", "--bindings", "{"], "--bindings takes a JSON object"),
        (&["--expression", "1", "--event", "nope.json"], "nope.json"),
        (&["--expression", "1", "--event", "."], "reading the event"),
        (&["--expression", "1", "--event", "x", "--bindings", "{}"], "cannot be used with"),
        (&["--bindings", "{}"], "--expression"),
        (&["--expression", "1", "--host", "node-1"], "name its file with --event"),
    ];
    for (arguments, wanted) in cases {
        let (printed, said, code) = eval(arguments);
        assert_eq!((printed.as_str(), code), ("", Some(2)), "{arguments:?}: {said}");
        assert!(said.contains(wanted), "{arguments:?}: {said}");
    }
}

#[test]
fn event_is_read_redacted_and_normalised() {
    let dir = tempfile::tempdir().unwrap();
    let event = super::event("1", "create").replace(
        r#""verb":"#,
        r#""requestObject":{"kind":"Secret","data":{"password":"aHVudGVyMg=="}},"objectRef":{"resource":"secrets"},"verb":"#,
    );
    fs::write(dir.path().join("event.json"), &event).unwrap();
    let over = |source: &str, expression: &str| {
        let output = run(dir.path(), &["eval", "--event", source, "--expression", expression], &event);
        (text(&output.stdout).trim_end().to_owned(), output.status.code())
    };
    for source in ["event.json", "-"] {
        assert_eq!(over(source, "user.name + ' ' + event.action"), ("\"alice create\"".into(), Some(0)));
        assert_eq!(over(source, "event.created"), ("\"2026-03-01T10:00:00Z\"".into(), Some(0)));
        assert_eq!(over(source, "event.outcome == 'success'"), ("true".into(), Some(0)));
    }
    let (body, code) = over("event.json", "audit.requestObject");
    assert!(code == Some(0) && !body.contains("aHVudGVyMg==") && body.contains("password"), "{body}");
    assert_eq!(over("event.json", "audit.requestObject.nope").1, Some(1));
    fs::write(dir.path().join("broken.json"), "{\"kind\":").unwrap();
    fs::write(dir.path().join("other.json"), "{\"a\": 1}").unwrap();
    for file in ["broken.json", "other.json"] {
        let output = run(dir.path(), &["eval", "--event", file, "--expression", "1"], "");
        assert_eq!(output.status.code(), Some(2), "{file}");
        assert!(text(&output.stderr).contains(&format!("{file} holds no event")), "{}", text(&output.stderr));
    }
}

#[test]
fn event_of_a_line_is_read_as_replay_reads_it() {
    let dir = tempfile::tempdir().unwrap();
    let line = "2026-03-01T22:15:05+00:00 node-1 sshd[811]: Failed password for root from 10.20.0.9 port 4711 ssh2";
    let envelope = serde_json::json!({"source": "Node", "host": "node-1", "file": "/var/log/auth.log", "log": line});
    let pods = r#"{"pods": [{"namespace": "shop", "name": "web", "addresses": ["10.20.0.9"]}]}"#;
    fs::write(dir.path().join("inventory.json"), pods).unwrap();
    let expression = "[host.name, event.action, source.ip, user.name, kubernetes.pod.name]";
    let arguments = ["eval", "--event", "-", "--expression", expression, "--inventory", "inventory.json"];
    for (input, more) in [(line.to_owned(), &["--lines", "node", "--host", "node-1"][..]), (envelope.to_string(), &[])]
    {
        let output = run(dir.path(), &[&arguments, more].concat(), &input);
        let printed = text(&output.stdout);
        assert_eq!(
            printed.trim_end(),
            r#"["node-1","ssh-login","10.20.0.9","root","web"]"#,
            "{}",
            text(&output.stderr)
        );
    }
}
