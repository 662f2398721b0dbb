//! Two ways through redaction: by a copy of the text, and by a tree. Where the first gives anything, both give the same.

use super::*;

fn by_tree(bytes: &[u8]) -> Result<Redacted, Rejected> {
    slowly(Input { bytes, oversize: false })
}

/// True when the copy was made; panics when it differs from what the tree gives.
pub fn agree(text: &str) -> bool {
    agree_on(text.as_bytes())
}

fn agree_on(bytes: &[u8]) -> bool {
    // What came before is remembered: parts of bodies from the third time on.
    let copies: Vec<Option<Redacted>> = (0..4).map(|_| copy::event(bytes)).collect();
    let text = String::from_utf8_lossy(bytes);
    let made = copies[0].is_some();
    assert!(copies.iter().all(|copy| copy.is_some() == made), "once copied, once not: {text}");
    if made {
        let slow = by_tree(bytes).unwrap_or_else(|e| panic!("copied, but {}: {text}", e.0.error));
        for copied in copies.into_iter().flatten() {
            assert_eq!(copied.canonical.get(), slow.canonical.get(), "of {text}");
            assert_eq!(copied.facts, slow.facts, "of {text}");
        }
    }
    made
}

/// The text of `value` with the keys of each object turned around.
fn reversed(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let pairs: Vec<String> = map
                .iter()
                .rev()
                .map(|(key, value)| format!("{}:{}", Value::from(key.as_str()), reversed(value)))
                .collect();
            format!("{{{}}}", pairs.join(","))
        }
        Value::Array(items) => format!("[{}]", items.iter().map(reversed).collect::<Vec<_>>().join(",")),
        other => other.to_string(),
    }
}

/// As Go writes JSON: with `<`, `>` and `&` escaped.
fn of_go(text: &str) -> String {
    text.replace('<', "\\u003c").replace('>', "\\u003e").replace('&', "\\u0026")
}

#[test]
fn an_event_of_an_api_server_is_copied() {
    let pod = json!({"kind": "Pod", "spec": {"containers": [{"name": "a", "image": "r/x:1", "args": ["--listen=:80", "-v"],
        "env": [{"name": "A", "value": "B"}, {"name": "C", "valueFrom": {"secretKeyRef": {"name": "c-db", "key": "password"}}}]}]},
        "metadata": {"managedFields": [{"fieldsV1": {"k:{\"name\":\"main\"}": {}}}], "annotations": {"a": "b<c & d"}}});
    let secret = json!({"kind": "Secret", "data": {"password": "eA=="}, "metadata": {"annotations": {"a": "b"}}, "type": "Opaque"});
    let mut of_secret = with("requestObject", secret);
    of_secret["objectRef"]["resource"] = json!("secrets");
    let mut reader = with(
        "annotations",
        json!({"authorization.k8s.io/decision": "allow",
        "authorization.k8s.io/reason": "RBAC: allowed by ClusterRoleBinding \"system:basic-user\" of ClusterRole \"system:basic-user\""}),
    );
    reader["requestURI"] = json!("/api/v1/pods?limit=500&resourceVersion=0&watch=true");
    for event in [mk_event(), with("requestObject", pod), of_secret, reader] {
        assert!(agree(&event.to_string()), "{event}");
        assert!(agree(&reversed(&event)), "{event}");
        assert!(agree(&of_go(&event.to_string())), "{event}");
    }
}

#[test]
fn what_is_kept_is_taken_as_it_is() {
    let event = with("requestObject", json!({"env": {"A": "b"}}));
    let once = redact_value(&event).canonical.to_string();
    assert!(once.contains(r#", "requestObject":{"env":{"A":"[redacted]"}}}"#), "{once}");
    assert_eq!(copy::event(once.as_bytes()).unwrap().canonical.get(), once);
}

#[test]
fn a_text_that_is_not_plain_goes_by_the_tree() {
    for text in [
        r#"{"stage":"Panic","verb":"get","verb":"list"}"#,
        r#"{"stage":"Panic", "verb":"get"}"#,
        r#"{"stage":"Panic","v\u0065rb":"get"}"#,
        r#"{"stage":"Panic","verb":"get","requestObject":{"a":1.50}}"#,
        r#"{"stage":"Panic","verb":"get","requestObject":{"a":"\ud800"}}"#,
        r#"{"stage":"Panic","verb":"get"} x"#,
        "{\"stage\":\"Panic\",\"verb\":\"\u{1}\"}",
    ] {
        assert!(!agree(text) || text.contains(", "), "{text}");
        assert!(by_tree(text.as_bytes()).is_ok() || text.ends_with('x') || text.contains('\u{1}'), "{text}");
    }
}

#[test]
fn every_pattern_has_a_needle() {
    let values = [
        "spec.password[0].x: Invalid value: \"hunter2\": short".to_owned(),
        "echo root:x | chpasswd".to_owned(),
        "kind: Secret\ndata: {a: b}".to_owned(),
        "data: {a: b}, kind: Secret".to_owned(),
        "smtpPass=x".to_owned(),
        "TOKEN_DATA: x".to_owned(),
        format!("SECRET_{}=x", "1".repeat(300)),
        "MY_API-KEY: x".to_owned(),
        "X AUTHORIZATION: x".to_owned(),
        "curl --user a:b".to_owned(),
        "Cookie: a=b".to_owned(),
        "cookies: a".to_owned(),
        "x=a&sessionid=12345678".to_owned(),
        "X: bearer x".to_owned(),
        "bob:x@registry.example.org/web".to_owned(),
        "echo x | passwd --stdin".to_owned(),
        "echo x | sudo -S id".to_owned(),
        "echo x | kinit".to_owned(),
        "echo x | cryptsetup open".to_owned(),
        "['mysql', '-px']".to_owned(),
        r#"["mysql","-px"]"#.to_owned(),
        format!("http://{}:x@h", "u".repeat(300)),
        "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln".to_owned(),
        "https://DISCORD.com/API/webhooks/1/abc".to_owned(),
        "pa\u{17f}\u{17f}word=x".to_owned(),
    ];
    for text in values {
        let event = with("requestObject", json!({"x": text, "l": [text]}));
        assert!(!agree(&event.to_string()), "{text}");
        assert!(!agree(&of_go(&event.to_string())), "{text}");
    }
}

#[test]
fn a_part_that_came_before_is_judged_by_where_it_stands() {
    let part = json!({"first": "a text of some length", "second": ["another", 7], "third": {"fourth": true}});
    let of = |key: &str| with("requestObject", json!({"kind": "Pod", "spec": {key: part, "template": {key: part}}}));
    assert!(agree(&of("resources").to_string()), "it is remembered by now");
    for key in ["password", "env", "extraEnv", "stringData", "template", "data", "value", "metadata", "items", "key"] {
        agree(&of(key).to_string());
        let mut whole =
            with("requestObject", json!({"kind": "Secret", key: part, "metadata": {"annotations": {key: part}}}));
        agree(&whole.to_string());
        whole["objectRef"]["resource"] = json!("secrets");
        agree(&whole.to_string());
        whole["requestObject"]["kind"] = json!("SecretList");
        whole["requestObject"]["items"] = json!([{"resources": part, key: part}, part]);
        agree(&whole.to_string());
    }
    let variables = with("requestObject", json!({"env": {"resources": part, "A": "b"}, "args": [{"resources": part}]}));
    assert!(agree(&variables.to_string()));
    // Below as many levels as the copy reads at most.
    for depth in [40, 95, 96, 97, 98, 99, 100, 101, 102] {
        let text = format!("{}{}{}", r#"{"resources":"#.repeat(depth), part, "}".repeat(depth));
        agree(&mk_event().to_string().replacen('{', &format!(r#"{{"requestObject":{text},"#), 1));
    }
}

#[test]
fn a_text_that_came_before_hides_no_other() {
    // Of the same length, and with the same ends, as the remembered one.
    for middle in ["x=1234567", "password=", "token: ab"] {
        for length in [20, 32, 33, 64, 200] {
            let text = format!("{}{middle}{}", "a".repeat(length), "b".repeat(length));
            agree(&with("requestObject", json!({"x": text, "y": [text]})).to_string());
            agree(&with("userAgent", json!(text)).to_string());
        }
    }
}

#[test]
fn every_needle_has_a_letter_that_is_looked_for() {
    for (needle, _) in needle::NEEDLES.iter().filter(|(needle, _)| *needle != "://") {
        assert!(needle.bytes().any(|byte| matches!(byte, b'g'..=b'z' | b'@')), "{needle}");
    }
}

/// What a stranger does to a text: each by a place, as a part of the whole.
#[derive(Clone, Debug)]
enum Harm {
    /// The character at or behind the place is written as `\uXXXX`, if it stands for itself in a string.
    Escaped,
    /// What a pair looks like stands twice.
    Twice,
    Cut,
    Byte(u8),
    Text(&'static str),
    /// The whole as a text in itself.
    Nested,
}

fn any_harm() -> impl Strategy<Value = Harm> {
    prop_oneof![
        Just(Harm::Escaped),
        Just(Harm::Twice),
        Just(Harm::Cut),
        any::<u8>().prop_map(Harm::Byte),
        prop::sample::select(vec![
            " ",
            "\\",
            "\"",
            "\\/",
            "\\ud83d",
            "\u{17f}",
            "\u{e9}",
            ",",
            "{",
            "}",
            "[]",
            ":",
            "\n",
            "password",
            "token=",
            "\\\"",
            "\"env\":{\"A\":\"b\"},",
            "\"kind\":\"Secret\",",
            "1e5",
            "-0",
            "null",
            "://a:b@c/",
            "\u{212a}ey"
        ])
        .prop_map(Harm::Text),
        Just(Harm::Nested),
    ]
}

fn harmed(mut bytes: Vec<u8>, harm: &Harm, place: f64) -> Vec<u8> {
    let at = (place * bytes.len() as f64) as usize;
    match harm {
        Harm::Escaped => {
            let Some(found) = bytes.iter().skip(at).position(u8::is_ascii_alphanumeric) else { return bytes };
            let at = at + found;
            let escaped = format!("\\u{:04x}", bytes[at]);
            bytes.splice(at..=at, escaped.into_bytes());
        }
        Harm::Twice => {
            let marks: Vec<usize> = (at..bytes.len()).filter(|at| bytes[*at] == b',').take(2).collect();
            if let [first, second] = marks[..] {
                let pair = bytes[first..second].to_vec();
                bytes.splice(first..first, pair);
            }
        }
        Harm::Cut => bytes.truncate(at),
        Harm::Byte(byte) => bytes[at] = *byte,
        Harm::Text(text) => drop(bytes.splice(at..at, text.bytes())),
        Harm::Nested => {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            return with("requestObject", json!({"x": text, "l": [text]})).to_string().into_bytes();
        }
    }
    bytes
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn a_copy_of_a_hostile_text_is_what_the_tree_gives(
        event in any_event(),
        resource in prop::sample::select(vec!["pods", "secrets", "configmaps"]),
        harms in prop::collection::vec((any_harm(), 0.0..0.999_f64), 1..4),
    ) {
        let mut event = event;
        if let Some(object) = event["objectRef"].as_object_mut() {
            object.insert("resource".into(), json!(resource));
        }
        let mut bytes = event.to_string().into_bytes();
        for (harm, place) in harms {
            bytes = harmed(bytes, &harm, place);
            if bytes.is_empty() {
                break;
            }
            agree_on(&bytes);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn a_copy_is_what_the_tree_gives(event in any_event(), resource in prop::sample::select(vec!["pods", "secrets", "configmaps"])) {
        let mut event = event;
        if let Some(object) = event["objectRef"].as_object_mut() {
            object.insert("resource".into(), json!(resource));
        }
        agree(&event.to_string());
        agree(&reversed(&event));
        agree(&of_go(&event.to_string()));
    }

    #[test]
    fn commands_are_read_alike_by_either_way(
        words in prop::collection::vec(prop::sample::select(WORDS.to_vec()), 1..9),
        between in prop::sample::select(vec![" ", "\t", "\n", "", "\",\"", "', '", "="]),
    ) {
        let text = words.join(between);
        agree(&with("requestObject", json!({"x": text, "args": words, "mixed": ["sh", "-c", text]})).to_string());
        agree(&with("userAgent", json!(text)).to_string());
        agree(&with("requestURI", json!(format!("/a?command={}", words.join("&command=")))).to_string());
    }
}

/// What patterns and programs of the redaction are made of.
const WORDS: [&str; 56] = [
    "mysql",
    "mysqladmin",
    "mariadb",
    "redis-cli",
    "sshpass",
    "mongosh",
    "docker",
    "login",
    "ldapsearch",
    "useradd",
    "htpasswd",
    "openssl",
    "passwd",
    "keytool",
    "configure",
    "config",
    "set",
    "npm",
    "smbclient",
    "sqlcmd",
    "snmpget",
    "plink",
    "lftp",
    "sqlplus",
    "rabbitmqctl",
    "wpa_passphrase",
    "curl",
    "kinit",
    "echo",
    "|",
    "sudo -S",
    "--stdin",
    "-p",
    "-px",
    "-nb",
    "-b",
    "-u",
    "-w",
    "-pw",
    "-k",
    "-passin",
    "pass:x",
    "auth",
    "token",
    "cookie:",
    "Bearer",
    "session",
    "12345678",
    "a=b",
    "a:b@c/d",
    "a:b",
    "@",
    "/",
    ":",
    "=",
    "x",
];
