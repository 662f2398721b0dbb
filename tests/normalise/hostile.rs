//! Text that an attacker chose never moves another field. Recorded lines get hostile text in the place of what a stranger
//! could choose, escaped as the daemon does it, and must read as with harmless text but for the field that holds it.
//!
//! `KUBEWITNESS_SEED=N` begins with the texts of seed N, which is what a failure names; `make soak` sets it.

use std::{collections::BTreeMap, fs};

use fastrand::Rng;
use kubewitness::api::rule::Source;

use super::scenes::{Reader, Seen, seen};
use crate::{soak, support::repository};

/// Texts that each form is tried with in a round.
const TEXTS: u64 = 120;

/// How a daemon writes a text that it did not choose.
#[derive(Clone, Copy)]
enum Escape {
    /// OpenSSH: `strnvis` with VIS_CSTYLE, VIS_NL, VIS_TAB and VIS_OCTAL (log.c), once or, before the login, twice.
    Vis,
    VisTwice,
    /// rsyslog: control characters as `#ooo` (`$EscapeControlCharactersOnReceive`).
    Rsyslog,
    /// nginx: `\xHH` for control characters, quotes, backslashes and all above ASCII.
    Nginx,
    /// nginx with `escape=json`: `\"`, `\\`, `\n` and its like, `\u00XX` for other control characters (`ngx_escape_json`).
    NginxJson,
    /// Apache: `\"`, `\\`, and `\xhh` for the rest.
    Apache,
    /// The kernel: in quotes, or as hexadecimal digits.
    Kernel,
    /// sudo of 1.9.13: an argument in single quotes when it has a blank, with `\` before quotes and backslashes.
    SudoArgument,
}

fn escape(how: Escape, text: &str) -> String {
    let each = |write: &dyn Fn(u8) -> String| -> String {
        let bytes: Vec<u8> = text.bytes().flat_map(|byte| write(byte).into_bytes()).collect();
        String::from_utf8(bytes).unwrap()
    };
    // What is above ASCII and stays must stay whole.
    let each_char = |write: &dyn Fn(char) -> String| -> String { text.chars().map(write).collect() };
    let rsyslog = |text: &str| -> String {
        let one = |c: char| if c.is_ascii_control() { format!("#{:03o}", c as u32) } else { c.to_string() };
        text.chars().map(one).collect()
    };
    match how {
        Escape::Vis => each(&|byte| match byte {
            b'\\' => r"\\".to_owned(),
            b'\n' => r"\n".to_owned(),
            b'\t' => r"\t".to_owned(),
            b'\r' => r"\r".to_owned(),
            b' '..=b'~' => char::from(byte).to_string(),
            _ => format!(r"\{byte:03o}"),
        }),
        Escape::VisTwice => escape(Escape::Vis, &escape(Escape::Vis, text)),
        Escape::Rsyslog => rsyslog(text),
        Escape::Nginx => each(&|byte| match byte {
            b'"' | b'\\' | 0..=31 | 127.. => format!(r"\x{byte:02X}"),
            _ => char::from(byte).to_string(),
        }),
        Escape::NginxJson => each_char(&|c| match c {
            '"' => r#"\""#.to_owned(),
            '\\' => r"\\".to_owned(),
            '\n' => r"\n".to_owned(),
            '\t' => r"\t".to_owned(),
            '\0'..='\x1f' => format!(r"\u{:04X}", c as u32),
            _ => c.to_string(),
        }),
        Escape::Apache => each(&|byte| match byte {
            b'"' => r#"\""#.to_owned(),
            b'\\' => r"\\".to_owned(),
            b'\n' => r"\n".to_owned(),
            b'\t' => r"\t".to_owned(),
            0..=31 | 127.. => format!(r"\x{byte:02x}"),
            _ => char::from(byte).to_string(),
        }),
        Escape::Kernel => {
            let plain = text.bytes().all(|byte| matches!(byte, b'!' | b'#'..=b'~'));
            let digits = || text.bytes().map(|byte| format!("{byte:02X}")).collect::<String>();
            if plain { format!("\"{text}\"") } else { digits() }
        }
        Escape::SudoArgument => {
            let inner = text.replace('\\', r"\\").replace('\'', r"\'");
            rsyslog(&if text.contains(' ') { format!("'{inner}'") } else { inner })
        }
    }
}

/// A place in a recorded line that a stranger fills.
struct Form {
    /// Under the recordings; `auth.log` stands for all three headers of rsyslog.
    file: &'static str,
    /// The line's first part that is unique to its kind, up to the text, and what follows the text.
    before: &'static str,
    after: &'static str,
    escape: Escape,
    /// Most bytes of the text as sent.
    most: usize,
    /// Fields that hold the text, or are made of it.
    free: &'static [&'static str],
    /// The format itself can't tell: what is then free as well, in an event that says so.
    if_ambiguous: &'static [&'static str],
}

const NAME: &[&str] = &["user.name"];
const REQUEST: &[&str] = &["url.original", "url.path", "url.query"];

fn form(
    file: &'static str,
    before: &'static str,
    after: &'static str,
    escape: Escape,
    free: &'static [&'static str],
) -> Form {
    Form { file, before, after, escape, most: 400, free, if_ambiguous: &[] }
}

fn forms() -> Vec<Form> {
    use Escape::{Apache, Kernel, Nginx, Rsyslog, SudoArgument, Vis, VisTwice};
    let old = "bookworm/sshd-passwords/auth.log";
    let new = "trixie/sshd-passwords/auth.log";
    let name = |file, before, after, escape| Form { most: 100, ..form(file, before, after, escape, NAME) };
    let (nginx, apache) = ("bookworm/web-nginx/nginx-access.log", "bookworm/web-apache/apache-access.log");
    let mut forms = Vec::new();
    for file in [old, new] {
        forms.extend([
            name(file, "Failed password for invalid user ", " from ", Vis),
            name(file, " Invalid user ", " from ", Vis),
            name(file, "Connection closed by invalid user ", " 203.0.113.", VisTwice),
            form(file, ":11: ", "", Vis, &["event.reason"]),
        ]);
    }
    forms.extend([
        form(
            "bookworm/sudo-commands/auth.log",
            "PWD=/var/log ; USER=root ; COMMAND=/usr/bin/ls ",
            "",
            SudoArgument,
            &["process.command_line"],
        ),
        form("bookworm/cron-jobs/syslog", ") CMD (", ")", Rsyslog, &["process.command_line"]),
        form(
            "bookworm/sshd-passwords/auth.log",
            "ruser=",
            " rhost=",
            Rsyslog,
            &["user.name", "user.effective.name", "user.id"],
        ),
        form("bookworm/kernel-seccomp/kern.log", " comm=", " exe=", Kernel, &["process.name"]),
        form("bookworm/kernel-seccomp/kern.log", " exe=", " sig=", Kernel, &["process.executable"]),
        form(
            "not-recorded/kernel-apparmor/apparmor.not-recorded.log",
            " comm=",
            " requested_mask=",
            Kernel,
            &["process.name"],
        ),
        form(
            "not-recorded/kernel-apparmor/apparmor.not-recorded.log",
            "profile=\"docker-default\" name=",
            " pid=",
            Kernel,
            &["file.path"],
        ),
        form(nginx, "] \"GET ", " HTTP/1.1\" 200", Nginx, REQUEST),
        form(
            nginx,
            "203.0.113.114 - - [25/Nov/2026:02:04:25 +0000] \"GET / HTTP/1.1\" 200 280 \"",
            "\" \"",
            Nginx,
            &["http.request.referrer"],
        ),
        form(nginx, "\"GET / HTTP/1.1\" 200 280 \"-\" \"", "\"", Nginx, &["user_agent.original"]),
        form(nginx, "198.51.100.23 - ", " [", Nginx, NAME),
        form(apache, "] \"GET ", " HTTP/1.1\" 200", Apache, REQUEST),
        form(apache, "\"GET / HTTP/1.1\" 200 532 \"-\" \"", "\"", Apache, &["user_agent.original"]),
        form(apache, "198.51.100.23 - ", " [", Apache, NAME),
        form(
            apache,
            "198.51.100.11 - - [25/Nov/2026:02:04:31 +0000] \"GET /index.html HTTP/1.1\" 200 532 \"",
            "\" \"",
            Apache,
            &["http.request.referrer"],
        ),
        form("bookworm/web-apache/apache-common.log", "] \"GET ", " HTTP/1.1\" 200", Apache, REQUEST),
    ]);
    forms.extend(of_json());
    forms.extend(of_accounts());
    // nginx writes names and paths as they are, before the client's address and behind it.
    let error = "bookworm/web-nginx/nginx-error.log";
    let (reason, request): (&[&str], &[&str]) = (&["event.reason"], &["fields.request"]);
    for (before, after, free) in
        [("user \"", "\": password mismatch", reason), ("request: \"GET ", " HTTP/1.1\"", request)]
    {
        let form = form(error, before, after, Rsyslog, free);
        forms.push(Form { if_ambiguous: &["source.ip", "event.reason", "fields.request"], ..form });
    }
    // sudo writes the directory, and what is put into the environment, as they are: they may say all that follows them.
    let target: &[&str] =
        &["user.effective.name", "process.command_line", "process.executable", "fields.group", "fields.environment"];
    for (file, before) in [
        ("bookworm/sudo-commands/auth.log", "ann : TTY=pts/1 ; PWD=/"),
        ("bookworm/sudo-refused/auth.log", "user NOT in sudoers ; TTY=pts/1 ; PWD=/"),
    ] {
        let form = form(file, before, " ; USER=", Rsyslog, &["process.working_directory"]);
        forms.push(Form { if_ambiguous: target, ..form });
    }
    let environment =
        form("bookworm/sudo-commands/auth.log", "ENV=FOO=", " ; COMMAND=", Rsyslog, &["fields.environment"]);
    forms.push(Form { if_ambiguous: target, ..environment });
    // A remote host has a name without blanks; were it otherwise, it could say it is another.
    let host =
        form("bookworm/sshd-passwords/auth.log", "ruser= rhost=", "  user=", Rsyslog, &["source.ip", "fields.rhost"]);
    forms.push(Form { if_ambiguous: NAME, ..host });
    forms
}

/// nginx's log in JSON. The URL stands twice in it, of which one is read.
fn of_json() -> Vec<Form> {
    let json =
        |before, after, free| form("bookworm/web-nginx/nginx-access.json", before, after, Escape::NginxJson, free);
    vec![
        json("\"request\":\"GET ", " HTTP/1.1\"", REQUEST),
        json("\"uri\":\"", "\",\"status\"", &[]),
        json("\"referer\":\"", "\",\"agent\"", &["http.request.referrer"]),
        json("\"agent\":\"", "\",\"host\"", &["user_agent.original"]),
        json("\"host\":\"", "\",\"seconds\"", &["url.domain"]),
        json("\"remote_user\":\"", "\",\"request\"", NAME),
    ]
}

/// su and the programs that keep accounts, which anyone may run who has sudo.
fn of_accounts() -> Vec<Form> {
    let rsyslog = |file, before, after, free| form(file, before, after, Escape::Rsyslog, free);
    let su = "bookworm/sudo-su/auth.log";
    let users = "bookworm/accounts-users/auth.log";
    let mut forms = vec![
        rsyslog(su, " (to ", ") ann on pts/", &["user.effective.name"]),
        rsyslog(su, "FAILED SU (to ", ") bob on pts/", &["user.effective.name"]),
        rsyslog(su, "pam_unix(su:session): session closed for user ", "", NAME),
    ];
    // Home and shell are any text; of two that hold each other's names only what stands around both is certain.
    let either: &[&str] = &["fields.home", "fields.shell"];
    for (before, after, free) in
        [(", home=", ", shell=", &["fields.home"][..]), (", shell=", ", from=", &["fields.shell"])]
    {
        forms.push(Form { if_ambiguous: either, ..rsyslog(users, before, after, free) });
    }
    // Under --badname a name is any text, too, and may hold all that follows it.
    let name = rsyslog(users, "new user: name=", ", UID=", &["user.target.name"]);
    forms.push(Form { if_ambiguous: &["user.target.id", "group.id", "fields.home", "fields.shell"], ..name });
    forms
}

/// What formats are made of, and what redaction looks for.
const FRAGMENTS: &[&str] = &[
    " ",
    "  ",
    "\"",
    "'",
    "\\",
    "\n",
    "\t",
    ";",
    ",",
    ":",
    "=",
    "(",
    ")",
    "[",
    "]",
    "] ",
    " - ",
    "#012",
    "\\x22",
    "%20",
    "ü",
    "名",
    " from ",
    " from 1.2.3.4 port 22",
    " from 1.2.3.4 port 22 ssh2",
    " 1.2.3.4 port 22 [preauth]",
    " port ",
    " ssh2",
    "invalid user ",
    " ; ",
    " ; USER=root",
    " ; USER=root ; COMMAND=/bin/sh",
    " ; COMMAND=/bin/id",
    " ; TTY=pts/9 ; PWD=/",
    "PWD=/ ; ",
    "user NOT in sudoers ; ",
    "  user=root",
    " user=root",
    " rhost=192.0.2.66",
    " ruser=root",
    " rhost=192.0.2.66  user=root",
    "logname=x uid=0",
    "\" 200 5 \"-\" \"x\"",
    "\" 500 1",
    " HTTP/1.1",
    " HTTP/1.1\" 200 1",
    "GET / HTTP/1.0",
    "[01/Jan/2026:00:00:00 +0000] \"GET /forged",
    " pid=1 comm=\"init\"",
    " sig=9 code=0x0",
    "\" exe=\"/sbin/init\"",
    "apparmor=\"ALLOWED\"",
    "audit(1.0:1): ",
    ", client: 192.0.2.66, server: x, request: \"",
    ") CMD (x",
    " by root(uid=0)",
    "(uid=0)",
    "(to root) ",
    ") root on pts/9",
    "FAILED SU (to root) ",
    ", UID=0",
    ", UID=0, GID=0, home=/root",
    ", home=/",
    ", shell=/bin/sh",
    ", from=none",
    ", from=/dev/pts/9",
    "'",
    "' to group 'sudo'",
    "\",\"status\":500,\"remote_addr\":\"192.0.2.66\"",
    "2026-01-01T00:00:00.0Z stderr P ",
    " stdout F ",
    "message repeated 5 times: [ ",
    "error: ",
    "fatal: ",
    "password=",
    "password=x",
    "password: ",
    "token=",
    "PWD=/x",
    "Authorization: Bearer ",
    "authorization=",
    "-----BEGIN RSA PRIVATE KEY-----",
    "chpasswd: ",
    "error found in #10 byte of ",
    "https://u:p@",
    "mysql -p",
    " -u a:",
    "\"auth\":",
    "eyJhbGciOiJub25l",
    "?token=x&",
    "bearer 0123456789abcdef0",
    "Nov 25 02:04:28 node-1 sshd[145]: Accepted password for root from 192.0.2.66 port 22 ssh2",
    "2026-01-01T00:00:00+00:00 evil sudo: root : TTY=pts/0 ; PWD=/ ; USER=root ; COMMAND=/bin/sh",
    "<86>1 2026-01-01T00:00:00Z evil sshd 1 - - Accepted password for root from 192.0.2.66 port 22 ssh2",
    "192.0.2.66 - - [01/Jan/2026:00:00:00 +0000] \"GET / HTTP/1.1\" 200 1 \"-\" \"-\"",
    "type=1326 audit(1.0:1): pid=1 comm=\"x\" syscall=1 code=0x0",
    "root",
    "a",
    "b",
    "/",
    "..",
    "127.0.0.1",
    "::1",
    "-",
    "0",
    "x y",
];

fn hostile(random: &mut Rng, form: &Form) -> String {
    let count = random.usize(1..6);
    let mut text: String = (0..count).map(|_| FRAGMENTS[random.usize(..FRAGMENTS.len())]).collect();
    while text.len() > form.most {
        text.pop();
    }
    text
}

/// A recorded line, cut at the text: file, all before it, all after it.
type Place = (String, String, String);

/// The recorded lines that a form is of.
fn places(form: &Form) -> Vec<Place> {
    let headers: &[&str] = if form.file.contains("/web-") { &[""] } else { &["", ".rfc3339", ".rfc5424"] };
    let cut = |header: &&str| {
        let file = match form.file.strip_suffix(".log") {
            Some(name) => format!("{name}{header}.log"),
            None => format!("{}{header}", form.file),
        };
        let bytes = fs::read(repository("tests/node/recordings").join(&file)).unwrap();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let found = text.lines().find_map(|line| {
            let (head, rest) = line.split_once(form.before)?;
            let length = if form.after.is_empty() { rest.len() } else { rest.find(form.after)? };
            Some((file.clone(), format!("{head}{}", form.before), rest.get(length..).unwrap().to_owned()))
        });
        found.unwrap_or_else(|| panic!("{file} has no line with {:?} and {:?}", form.before, form.after))
    };
    headers.iter().map(cut).collect()
}

/// What no text may change: all but what holds it, and what tells of it.
fn fixed(seen: &Seen, free: &[&[&str]]) -> BTreeMap<String, String> {
    let told = [
        "event.redacted",
        "event.incomplete",
        "kubernetes.secret_like_values",
        "message",
        "fields.ambiguous",
        "fields.malformed",
    ];
    let is_free = |path: &str| {
        told.contains(&path) || free.iter().any(|list| list.contains(&path)) || path.starts_with("event.original")
    };
    seen.fields.iter().filter(|(path, _)| !is_free(path)).map(|(path, value)| (path.clone(), value.clone())).collect()
}

fn is_flagged(seen: &Seen) -> bool {
    seen.get("fields.ambiguous") == "true" && seen.get("event.incomplete").split(',').any(|why| why == "Ambiguous")
}

/// Where a container's runtime keeps what it writes, and what stands before each line of it (Kubernetes CRI logging).
const POD_FILE: &str = "pods/shop_web-1_0f-1e/nginx/0.log";
const CRI: &str = "2026-11-25T02:04:25.123456789Z stdout F ";

/// The lines of web servers are read from files and from the output of containers.
fn moved(form: &Form, places: &[Place], text: &str) -> Vec<String> {
    let ways: &[(Source, &str, &str)] = match form.file.contains("/web-") {
        true => &[(Source::Web, "file", ""), (Source::Container, POD_FILE, CRI)],
        false => &[(Source::Node, "file", "")],
    };
    ways.iter().flat_map(|way| moved_in(form, places, text, *way)).collect()
}

fn reader(source: Source) -> Reader<'static> {
    Reader { source, zone: Some("UTC"), received: "2026-11-25T03:00:00Z".parse().unwrap() }
}

fn moved_in(form: &Form, places: &[Place], text: &str, (source, log, before): (Source, &str, &str)) -> Vec<String> {
    let reader = reader(source);
    let mut wrong = Vec::new();
    for (file, head, tail) in places {
        let line = |text: &str| format!("{before}{head}{}{tail}", escape(form.escape, text));
        let (harmless, written) = (line("harmless"), line(text));
        let read = |line: &str| seen(&reader.record(log, 0, line.as_bytes()));
        let (expected, found) = (read(&harmless), read(&written));
        assert!(!expected.get("event.provider").is_empty(), "{file}: {harmless} is not read");
        let free: &[&[&str]] = if is_flagged(&found) { &[form.free, form.if_ambiguous] } else { &[form.free] };
        let (expected, found) = (fixed(&expected, free), fixed(&found, free));
        if expected != found || (!free[0].is_empty() && found.is_empty()) {
            let differs = |(path, value): &(&String, &String)| expected.get(*path) != Some(*value);
            let now: Vec<_> = found.iter().filter(differs).collect();
            let lost: Vec<_> = expected.keys().filter(|path| !found.contains_key(*path)).collect();
            wrong.push(format!("{file}: {written}\n    now {now:?}\n    lost {lost:?}"));
        }
    }
    wrong
}

#[test]
fn hostile_text_moves_no_other_field() {
    let forms: Vec<(Form, Vec<Place>)> = forms()
        .into_iter()
        .map(|form| {
            let places = places(&form);
            (form, places)
        })
        .collect();
    for seed in soak::rounds(TEXTS) {
        let mut wrong = Vec::new();
        for (form, places) in &forms {
            let first = (seed..seed.saturating_add(TEXTS)).find_map(|seed| {
                let text = hostile(&mut Rng::with_seed(seed), form);
                let moved = moved(form, places, &text).into_iter().next()?;
                Some(format!("KUBEWITNESS_SEED={seed} {text:?}\n  {moved}"))
            });
            wrong.extend(first);
        }
        assert!(wrong.is_empty(), "{} of {} forms:\n{}", wrong.len(), forms.len(), wrong.join("\n"));
    }
}

/// A container writes what it likes, also what looks like another's line; its pod, its stream and its time are the runtime's.
#[test]
fn no_output_moves_its_container() {
    let reader = reader(Source::Container);
    let anything = form("", "", "", Escape::Rsyslog, &[]);
    let of_runtime = |seen: &Seen| {
        let is_told = |path: &str| {
            path.starts_with("kubernetes.")
                || ["@timestamp", "fields.stream", "log.file.path", "host.name"].contains(&path)
        };
        let told: BTreeMap<String, String> = seen
            .fields
            .iter()
            .filter(|(path, _)| is_told(path) && *path != "kubernetes.secret_like_values")
            .map(|(p, v)| (p.clone(), v.clone()))
            .collect();
        (seen.created, told)
    };
    let read = |text: &str| seen(&reader.record(POD_FILE, 0, format!("{CRI}{text}").as_bytes()));
    let expected = of_runtime(&read("harmless"));
    assert_eq!(expected.0.to_string(), "2026-11-25T02:04:25.123456789Z");
    assert!(expected.1.contains_key("kubernetes.pod.name") && expected.1.contains_key("fields.stream"), "{expected:?}");
    for seed in soak::rounds(TEXTS) {
        for seed in seed..seed.saturating_add(TEXTS) {
            let text = escape(Escape::Rsyslog, &hostile(&mut Rng::with_seed(seed), &anything));
            assert_eq!(of_runtime(&read(&text)), expected, "KUBEWITNESS_SEED={seed} {text:?}");
        }
    }
}
