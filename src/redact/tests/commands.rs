//! Command lines with a secret in them, in everything that carries command lines: lines of sudo, cron and the kernel's audit,
//! the URI of an exec, a pod's arguments and a shell's script. None may be kept anywhere.

use serde_json::json;

use super::*;

/// What stands for the secret of a command.
const PLANTED: &str = "hunter2X";

/// Words of a command. Those with a blank are in quotes where a shell or sudo writes them.
const COMMANDS: &[&[&str]] = &[
    &["useradd", "-m", "-p", "hunter2X", "bob"],
    &["useradd", "-mp", "hunter2X", "bob"],
    &["usermod", "-p", "$6$saltsalt$hunter2X", "bob"],
    &["usermod", "--password", "hunter2X", "bob"],
    &["groupmod", "-p", "hunter2X", "dev"],
    &["htpasswd", "-b", "/etc/nginx/htpasswd", "bob", "hunter2X"],
    &["htpasswd", "-bB", "-C", "10", "/etc/nginx/htpasswd", "bob", "hunter2X"],
    &["htpasswd", "-nbB", "bob", "hunter2X"],
    &["htpasswd", "-n", "-b", "bob", "hunter2X"],
    &["openssl", "rsa", "-in", "a.key", "-passin", "pass:hunter2X"],
    &["openssl", "pkcs12", "-export", "-passin", "pass:x", "-passout", "pass:hunter2X"],
    &["openssl", "enc", "-aes-256-cbc", "-k", "hunter2X"],
    &["openssl", "passwd", "-6", "-salt", "abc", "hunter2X"],
    &["aws", "configure", "set", "aws_secret_access_key", "hunter2X"],
    &["aws", "configure", "set", "default.aws_session_token", "hunter2X"],
    &["npm", "config", "set", "//registry.example.org/:_authToken", "hunter2X"],
    &["curl", "-b", "session=hunter2X", "http://x/"],
    &["curl", "-sb", "sid=1; session=hunter2X", "http://x/"],
    &["curl", "--cookie", "a=hunter2X", "http://x/"],
    &["curl", "-H", "Cookie: session=hunter2X; b=c", "http://x/"],
    &["curl", "-H", "Authorization: Bearer hunter2X", "http://x/"],
    &["curl", "-H", "Authorization: hunter2X", "http://x/"],
    &["curl", "-H", "X-Forwarded-Access: Bearer hunter2X", "http://x/"],
    &["curl", "-u", "bob:hunter2X", "http://x/"],
    &["curl", "-ubob:hunter2X", "http://x/"],
    &["curl", "-sku", "bob:hunter2X", "http://x/"],
    &["curl", "--oauth2-bearer", "hunter2X", "http://x/"],
    &["wget", "--header=Cookie: a=hunter2X", "http://x/"],
    &["mysql", "-uroot", "-phunter2X", "shop"],
    &["mysql", "-pfirst", "-uroot", "-phunter2X", "shop"],
    &["mysql", "-e", "select 1; select 2", "-phunter2X"],
    &["mysqladmin", "-uroot", "password", "hunter2X"],
    &["sshpass", "-p", "hunter2X", "ssh", "-p", "22", "db"],
    &["sshpass", "-phunter2X", "ssh", "db"],
    &["sshpass", "-p", "first", "mysql", "-phunter2X"],
    &["mongosh", "-u", "a", "-p", "first", "--port", "1", "-p", "hunter2X"],
    &["docker", "login", "-u", "bob", "-p", "hunter2X", "r.io"],
    &["docker", "pull", "bob:hunter2X%40W@registry.example.org/shop/web:1"],
    &["crictl", "pull", "bob:a%40hunter2X@10.0.0.1:5000/web"],
    &["ldapsearch", "-D", "cn=a", "-w", "hunter2X"],
    &["redis-cli", "config", "set", "requirepass", "hunter2X"],
    &["redis-cli", "AUTH", "bob", "hunter2X"],
    &["smbclient", "//h/s", "-U", "bob%hunter2X"],
    &["ipmitool", "-H", "h", "-U", "a", "-P", "hunter2X"],
    &["snmpwalk", "-v2c", "-c", "hunter2X", "h"],
    &["keytool", "-list", "-storepass", "hunter2X"],
    &["rabbitmqctl", "add_user", "bob", "hunter2X"],
    &["sqlplus", "-s", "bob/hunter2X@db"],
    &["sh", "-c", "sshpass -p 'hunter2X' ssh db"],
    &["sh", "-c", "echo hunter2X | passwd --stdin bob"],
    &["sh", "-c", "echo hunter2X | sudo -S id"],
    &["bash", "-c", "true && mysql -uroot -phunter2X < a.sql"],
];

fn spoken(words: &[&str]) -> String {
    let quoted =
        |word: &&str| if word.contains(' ') { format!("'{}'", word.replace('\'', "\"")) } else { (*word).to_owned() };
    words.iter().map(quoted).collect::<Vec<_>>().join(" ")
}

fn hex(text: &str) -> String {
    text.bytes().map(|byte| format!("{byte:02X}")).collect()
}

/// As the kernel's audit writes an argument.
fn untrusted(text: &str) -> String {
    let is_plain = text.bytes().all(|byte| (0x21..0x7f).contains(&byte) && byte != b'"');
    if is_plain { format!("\"{text}\"") } else { hex(text) }
}

fn lines(words: &[&str]) -> Vec<String> {
    let (spoken, joined) = (spoken(words), words.join(" "));
    let argv: Vec<String> = words.iter().enumerate().map(|(at, word)| format!("a{at}={}", untrusted(word))).collect();
    let stamp = "Nov 24 20:24:22 node-1";
    vec![
        format!("{stamp} sudo:  bob : TTY=pts/0 ; PWD=/root ; USER=root ; COMMAND=/usr/bin/{spoken}"),
        format!("{stamp} CRON[812]: (root) CMD ({spoken})"),
        format!("{stamp} CRON[812]: (root) CMD (test -x /a && /usr/bin/{spoken} >/dev/null 2>&1)"),
        format!("type=EXECVE msg=audit(1774000000.123:7): argc={} {}", words.len(), argv.join(" ")),
        format!("{stamp} kernel: [ 1.2] audit: type=1309 audit(1774000000.123:7): argc=9 {}", argv.join(" ")),
        format!("type=PROCTITLE msg=audit(1.2:3): proctitle={}", hex(&words.join("\0"))),
        format!(
            "type=USER_CMD msg=audit(1.2:3): pid=1 uid=0 msg='cwd=\"/\" cmd={} terminal=pts/0 res=success'",
            hex(&joined)
        ),
        format!("I1124 20:24:22.013859       1 run.go:7] \"Exec\" cmd={}", json!(words)),
        json!({"level": "info", "msg": format!("running {spoken}"), "argv": words}).to_string(),
    ]
}

fn events(words: &[&str]) -> Vec<Value> {
    let encode =
        |text: &str| percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string();
    let query: Vec<String> = words.iter().map(|word| format!("command={}", encode(word))).collect();
    let script = spoken(words);
    vec![
        with("requestURI", json!(format!("/api/v1/namespaces/a/pods/b/exec?container=c&{}", query.join("&")))),
        with(
            "requestURI",
            json!(format!("/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command={}", encode(&script))),
        ),
        with("requestObject", json!({"spec": {"containers": [{"name": "a", "command": words}]}})),
        with("requestObject", json!({"spec": {"containers": [{"name": "a", "command": ["sh", "-ec", script]}]}})),
        with(
            "requestObject",
            json!({"spec": {"containers": [{"lifecycle": {"postStart": {"exec": {"command": words}}}}]}}),
        ),
    ]
}

#[test]
fn no_command_line_keeps_its_secret() {
    let mut survivors = Vec::new();
    for words in COMMANDS {
        assert!(words.iter().any(|word| word.contains(PLANTED)), "{words:?}: nothing is planted");
        for text in lines(words) {
            let (once, facts) = line(text.as_bytes());
            let kept = format!("{once} {facts:?}");
            if kept.contains(PLANTED) || kept.contains(&hex(PLANTED)) {
                survivors.push(kept);
            }
            assert_eq!(line(once.as_bytes()).0, once, "again: {text}");
        }
        for event in events(words) {
            let once = redact_value(&event);
            let kept = format!("{} {:?}", once.canonical.get(), once.facts);
            if kept.contains(PLANTED) {
                survivors.push(kept);
            }
            let twice = redact_bytes(once.canonical.get().as_bytes()).unwrap();
            assert_eq!(once.canonical.get(), twice.canonical.get(), "{words:?}: again");
        }
    }
    assert!(survivors.is_empty(), "{} survive:\n{}", survivors.len(), survivors.join("\n"));
}

#[test]
fn command_lines_without_a_secret_stay_as_they_are() {
    for words in [
        &["mysql", "-p", "-uroot", "shop"][..],
        &["docker", "login", "r.io"],
        &["docker", "run", "-p", "80:80", "r.io/web@sha256:0123"],
        &["mkdir", "-p", "/data"],
        &["openssl", "rsa", "-passin", "file:/etc/k", "-in", "a.key"],
        &["curl", "-b", "jar.txt", "-o", "a", "http://x/?a=b&c=d"],
        &["curl", "-fsSL", "https://pkgs.example.org/key.gpg"],
        &["ssh", "bob@host", "ls"],
        &["git", "clone", "git@example.org:a/b"],
        &["useradd", "-m", "-s", "/bin/bash", "bob"],
        &["htpasswd", "-c", "/etc/htpasswd", "bob"],
        &["aws", "configure", "set", "region", "eu-west-1"],
        &["npm", "run", "build"],
        &["sh", "-c", "echo done | tee /tmp/a; passwd --lock bob"],
        &["crictl", "pull", "localhost:5000/a/b:1"],
    ] {
        for text in lines(words) {
            assert_eq!(line(text.as_bytes()), (text.clone(), RedactionFacts::default()));
        }
        for event in events(words) {
            assert_eq!(redact_value(&event).facts, RedactionFacts::default(), "{event}");
        }
    }
}

#[test]
fn the_fields_of_an_access_log_in_json_are_judged_one_by_one() {
    let log = json!({"time": "2026-11-24T20:24:22+00:00", "remote_addr": "203.0.113.9", "status": "200",
        "request": "GET /in?token=hunter2X&file=../../etc/passwd HTTP/1.1",
        "request_uri": "/in?%74oken=hunter2X&file=../../etc/passwd", "args": "sig=hunter2X&file=../../etc/passwd",
        "http_referer": "https://shop.example.org/?code=hunter2X&a=b", "http_cookie": "session=hunter2X; b=c", "cookie_session": "hunter2X",
        "http_authorization": "hunter2X", "arg_token": "hunter2X", "sent_http_set_cookie": "a=hunter2X; Path=/", "http_user_agent": "curl/8"});
    let text = log.to_string();
    for (head, written) in [
        ("", text.clone()),
        ("2026-11-24T20:24:22.013859Z stdout F ", text.clone()),
        ("Nov 24 20:24:22 node-1 nginx[7]: ", text.clone()),
        // Without `escape=json`, and cut.
        ("", text.replace("curl/8", r"curl/8 \x22")),
        ("", text.replace(r#","time":"2026-11-24T20:24:22+00:00"}"#, "")),
    ] {
        let whole = format!("{head}{written}");
        let (kept, facts) = line(whole.as_bytes());
        assert!(!kept.contains(PLANTED), "{kept}");
        assert_eq!(facts.redacted, ["message"], "{kept}");
        for part in [
            head,
            r#""GET /in?token=[redacted]&file=../../etc/passwd HTTP/1.1""#,
            r#""/in?%74oken=[redacted]&file=../../etc/passwd""#,
            r#""sig=[redacted]&file=../../etc/passwd""#,
            "203.0.113.9",
            "curl/8",
        ] {
            assert!(kept.contains(part), "{part} is missing in {kept}");
        }
        assert_eq!(line(kept.as_bytes()), (kept.clone(), RedactionFacts::default()), "again");
    }
    let plain = r#"{"remote_addr":"203.0.113.9","request":"GET /?a=b HTTP/1.1","status":200, "http_cookie":"-","http_authorization":"-"}"#;
    assert_eq!(line(plain.as_bytes()), (plain.to_owned(), RedactionFacts::default()));
}

#[test]
fn a_name_that_looks_like_a_header_hides_no_more_than_itself() {
    for (written, kept) in [
        ("kernel: cookie: x[12]: segfault at 0 ip 1", "kernel: cookie: [redacted] segfault at 0 ip 1"),
        ("app: Cookie: a=hunter2X; b=hunter2X from 10.0.0.1", "app: Cookie: [redacted] from 10.0.0.1"),
        (r#"app: "Set-Cookie: a=hunter2X; Path=/; HttpOnly" sent"#, r#"app: "Set-Cookie: [redacted]; HttpOnly" sent"#),
    ] {
        assert_eq!(line(written.as_bytes()).0, kept);
        assert_eq!(line(kept.as_bytes()).0, kept, "again");
    }
}
