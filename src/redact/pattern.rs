//! Secrets that are known by their text: tokens of known makers, private keys, headers, flags, assignments, URLs with a
//! password. In: any text. Out: the text with each such value replaced, and how many. One set of patterns is searched
//! first, so that text without secrets costs one pass.

use std::{borrow::Cow, collections::BTreeSet, sync::LazyLock};

use regex::{Captures, Regex, RegexSet, RegexSetBuilder};

/// What stands where a secret stood.
pub const REDACTED: &str = "[redacted]";

/// Names in free text, case-insensitive. Narrower than `names`: prose must survive.
const NAME: &str = concat!(
    r"(?:[A-Za-z0-9_.-]*(?:password|passwd|passphrase|pwd|secret|token|api[_-]?key|access[_-]?key|private[_-]?key|client[_-]?key[_-]?data|credential)s?",
    // `pass` is a word of its own: not in bypass, not in compass.
    r"|[A-Za-z0-9_.-]*(?:[_.-]|db|smtp|user|root|redis|require|mail|admin|mysql|pg)pass|\bpass",
    r"|(?-i:[A-Za-z0-9_.-]*(?:[a-xz0-9]|[ac-z0-9]y)Pass))",
    r"(?:[_-]?(?:data|value|id|b64|base64|[0-9]+))?",
);

/// A text in quotes, in quotes without escapes, or after a quote that is never closed.
const QUOTED: &str = r#"(?:"(?:[^"\\]|\\[\s\S])*"|"[^"]*"|"[^"\r\n]*|'(?:[^'\\]|\\[\s\S])*'|'[^']*'|'[^'\r\n]*)"#;

/// Text up to a space or quote; a mark that ends a statement stays.
const WORD: &str = r#"[^\s"']*[^\s"',;&]"#;

/// Each: what may stay is in group `keep` (before) and `tail` (after); the secret is all between.
fn patterns() -> Vec<String> {
    let plain = [
        r"(?s)-----BEGIN [A-Z0-9 ]*PRIVATE KEY.*?(?:-----END [A-Z0-9 ]*PRIVATE KEY(?:-----)?|\z)",
        // The same in base64: "-----BEGIN " then PRIVATE, RSA, EC, OPENSSH, ENCRYPTED or DSA.
        // Wrapped lines follow, and a last short one.
        concat!(
            r"LS0tLS1CRUdJTi(?:BQUkl|BSU0Eg|BFQyBQ|BPUEVO|BFTkNS|BEU0Eg)[A-Za-z0-9+/=_-]+",
            r"(?:(?:\s|\\[nr])+[A-Za-z0-9+/=_-]{32,})*(?:(?:\s|\\[nr])+[A-Za-z0-9+/]+(?:={1,2}|(?P<tail>\s|\z)))?",
        ),
        // JSON Web Token, also one that was cut after its header.
        r"eyJ[A-Za-z0-9_-]{6,}(?:\.[A-Za-z0-9_-]*){1,4}|eyJhbGciOi[A-Za-z0-9_-]{4,}",
        r"(?:AKIA|ASIA)[0-9A-Z]{16}",
        r"gh[pousr]_[A-Za-z0-9]{16,}|github_pat_[A-Za-z0-9_]{16,}|glpat-[A-Za-z0-9_-]{16,}",
        r"xox[abeoprs]-[A-Za-z0-9-]{8,}",
        r"AIza[0-9A-Za-z_-]{35}|[sr]k_live_[0-9A-Za-z]{16,}|hvs\.[A-Za-z0-9_-]{20,}|npm_[A-Za-z0-9]{30,}",
    ];
    let around = [
        // A decoder's error quotes what it could not read.
        r"(?s)(?P<keep>error found in #[0-9]+ byte of ).+".to_owned(),
        // A validator quotes the value that it refuses.
        format!(r#"(?i)(?P<keep>{NAME}[^\s:]*:\s+(?:invalid|unsupported|duplicate) value:\s+)(?:"(?:[^"\\]|\\.)*"|[^\s,;]+)"#),
        r"(?P<keep>hooks\.slack\.com/services/)[A-Za-z0-9/_-]+".to_owned(),
        r"(?i)(?P<keep>discord(?:app)?\.com/api/webhooks/)[A-Za-z0-9/_-]+".to_owned(),
        r#"(?i)(?P<keep>api\.telegram\.org/bot)[^\s/"']+"#.to_owned(),
        r#"(?i)(?P<keep>\bwebhook\.office\.com/)[^\s"']+"#.to_owned(),
        r#"(?i)(?P<keep>[?&](?:sig|signature|x-amz-signature|x-amz-credential|code|jwt)=)[^\s&"']+"#.to_owned(),
        r#"(?i)(?P<keep>[a-z][a-z0-9+.-]*://)[^\s/"']*:[^\s/"']+(?P<tail>@)"#.to_owned(),
        // A password with a slash. Digits before the slash are a port: an image has one, and an `@` before its digest.
        r#"(?i)(?P<keep>[a-z][a-z0-9+.-]*://)[^\s/:@"']*:[0-9]*[^\s/0-9"'][^\s"']*(?P<tail>@)"#.to_owned(),
        r#"(?P<keep>[^\s:@/"']+:)[^\s"']+(?P<tail>@(?:tcp|unix)\()"#.to_owned(),
        r#"(?P<keep>[^\s:"']+:)[^\s|"']+(?P<tail>["']?\s*\|\s*(?:sudo\s+)?chpasswd\b)"#.to_owned(),
        r"(?s)(?P<keep>\bchpasswd:\s).+".to_owned(),
        format!(r#"(?P<keep>\\*["']auth\\*["']\s*:\s*\\*){QUOTED}"#),
        r#"(?i)(?P<keep>[a-z][a-z0-9+.-]*://)[^\s/@:"'\[]{16,}(?P<tail>@)"#.to_owned(),
        r#"(?i)(?P<keep>authorization\\*["']?\s*[:=]\s*\\*["']?(?:(?:bearer|basic|token|digest|negotiate)\s+)?)[^\r\n"'\\]+"#
            .to_owned(),
        r"(?i)(?P<keep>\b(?:bearer|basic)\s+)[A-Za-z0-9._~+/=-]{16,}".to_owned(),
        format!(r#"(?i)(?P<keep>{NAME}\\*["']?\s*[:=]\s*\\*){QUOTED}"#),
        // An entry of an environment in YAML.
        format!(r#"(?i)(?P<keep>\bname:\s*["']?{NAME}["']?\s+(?:value|default):[ \t]+)(?:{QUOTED}|[^\s"'|>][^\r\n]*)"#),
        // A line of YAML.
        format!(r#"(?im)(?P<keep>^[ \t]*(?:-[ \t]+)*["']?{NAME}["']?:[ \t]+)[^\s|>"'][^\r\n]*"#),
        format!(r#"(?i)(?P<keep>{NAME}\\*["']?\s*(?:=\s*|:\s+(?:[|>][-+]?\s+)?))(?:{WORD})"#),
        format!(r#"(?i)(?P<keep>{NAME}\\*["']?\s*(?:=|:)\s*\\*["'])[^\s"'&,;\\]+"#),
        format!(r#"(?i)(?P<keep>--?{NAME}\s+["']?)[^\s"'-][^\s"']*"#),
        // The API server takes no URL with a user, and quotes the user that it refuses.
        r#"(?i)(?P<keep>invalid value:\s+)"[^"]*"(?P<tail>:\s+user information is not permitted)"#.to_owned(),
        r#"(?P<keep>--from-literal[=\s]+["']?[^\s=]+=)[^\s"']+"#.to_owned(),
    ];
    let short = SHORT_FLAGS.iter().map(ToString::to_string);
    plain.iter().map(ToString::to_string).chain(around).chain(short).collect()
}

/// Secrets after flags of one letter, which say so only by their program. Also searched for over the elements of an
/// argument list, joined.
const SHORT_FLAGS: [&str; 6] = [
    r#"(?P<keep>(?:^|\s)(?:-u|--user|--proxy-user)[=\s]+["']?[^\s:"']+:)[^\s"']+"#,
    r#"(?P<keep>\b(?:mysql[a-z]*|mariadb[a-z-]*)\s(?:[^|;&\n]*?\s)??-p["']?)[^\s"']+"#,
    r#"(?P<keep>\bredis-cli\s(?:[^|;&\n]*?\s)??-a\s*["']?)[^\s"']+"#,
    r#"(?P<keep>\b(?:sshpass|mongo[a-z]*)\s(?:[^|;&\n]*?\s)??-p\s*["']?)[^\s"']+"#,
    r#"(?P<keep>\bldap[a-z]+\s(?:[^|;&\n]*?\s)??-w\s*["']?)[^\s"']+"#,
    r#"(?P<keep>\blogin\s(?:[^|;&\n]*?\s)??-p\s*["']?)[^\s"']+"#,
];

static SHORT: LazyLock<Vec<Regex>> =
    LazyLock::new(|| SHORT_FLAGS.iter().map(|p| Regex::new(p).expect("the patterns are fixed and tested")).collect());

/// Which elements of an argument list are, or hold, the secret of a flag of one letter: their positions. All of them in
/// a list of too many matches.
pub fn after_short_flags(arguments: &[&str]) -> BTreeSet<usize> {
    let line = arguments.join("\t");
    let found: Vec<_> = SHORT.iter().flat_map(|pattern| pattern.captures_iter(&line)).take(MAX_MATCHES + 1).collect();
    if found.len() > MAX_MATCHES {
        return (0..arguments.len()).collect();
    }
    let secrets = found.iter().filter_map(|captures| Some(captures.name("keep")?.end()..captures.get(0)?.end()));
    let secrets: Vec<_> = secrets.collect();
    let mut hidden = BTreeSet::new();
    let mut start = 0;
    for (index, argument) in arguments.iter().enumerate() {
        let end = start + argument.len();
        if secrets.iter().any(|secret| start < secret.end && secret.start < end) {
            hidden.insert(index);
        }
        start = end + 1;
    }
    hidden
}

struct Patterns {
    any: RegexSet,
    each: Vec<Regex>,
}

/// Bytes a thread that the set may keep of what it found out of its own states. With the crate's default of 2 MiB it forgets
/// them and finds them out again, text by text: over bodies of a real API server that takes twenty times as long.
const DFA_CACHE: usize = 8 << 20;

static PATTERNS: LazyLock<Patterns> = LazyLock::new(|| Patterns {
    any: RegexSetBuilder::new(patterns()).dfa_size_limit(DFA_CACHE).build().expect("the patterns are fixed and tested"),
    each: patterns().iter().map(|p| Regex::new(p).expect("the patterns are fixed and tested")).collect(),
});

/// Rounds until nothing changes; what one pattern leaves may be another's match.
const ROUNDS: usize = 4;

/// Matches of one pattern in one text. A text with more is hidden whole, so that a body made of nothing but assignments
/// costs no more than any other of its size.
const MAX_MATCHES: usize = 128;

static BLOCK: LazyLock<Regex> = LazyLock::new(|| {
    let head = format!(r#"(?i)^\s*(?:-\s+)*["']?{NAME}["']?:\s*[|>][-+0-9]*\s*(?:#.*)?$"#);
    Regex::new(&head).expect("the patterns are fixed and tested")
});

static MANIFEST: LazyLock<RegexSet> = LazyLock::new(|| {
    let parts = [
        r#"(?i)\bkind\\*["']?\s*:\s*\\*["']?Secret(?:List)?(?:[^A-Za-z0-9]|\z)"#,
        r#"\b(?:data|stringData)\\*["']?\s*:"#,
    ];
    RegexSet::new(parts).expect("the patterns are fixed and tested")
});

static REFUSED: LazyLock<Regex> = LazyLock::new(|| {
    let quoted = r#"(?is)(?P<keep>(?:invalid|unsupported|duplicate) value:\s+)(?:"(?:[^"\\]|\\.)*"|.+)"#;
    Regex::new(quoted).expect("the patterns are fixed and tested")
});

/// A validator's message without the values that it refuses; `None` when it quotes none.
pub fn refused(message: &str) -> Option<String> {
    let mut count = 0;
    let hidden = REFUSED.replace_all(message, |found: &Captures<'_>| replacement(found, &mut count)).into_owned();
    (count > 0).then_some(hidden)
}

/// Hides the lines of block scalars under a secret's name: all that are indented deeper than the name.
fn hide_blocks(text: &str, count: &mut u32) -> Option<String> {
    let before = *count;
    let mut kept = String::new();
    let mut block: Option<(usize, bool)> = None;
    for line in text.split_inclusive('\n') {
        let indent = line.len() - line.trim_start().len();
        if let Some((outer, written)) = &mut block {
            if line.trim().is_empty() || indent > *outer {
                *count = count.saturating_add(u32::from(!line.trim().is_empty() && line.trim() != REDACTED));
                if !*written && !line.trim().is_empty() {
                    *written = true;
                    kept.extend(std::iter::repeat_n(' ', *outer + 2).chain(REDACTED.chars()));
                    kept.push_str(if line.ends_with('\n') { "\n" } else { "" });
                }
                continue;
            }
            block = None;
        }
        if line.contains(['|', '>']) && BLOCK.is_match(line.trim_end()) {
            block = Some((indent, false));
        }
        kept.push_str(line);
    }
    (*count > before).then_some(kept)
}

/// Replaces every secret in `text` that is known by its look; says how many.
pub fn redact(text: &str) -> (Cow<'_, str>, u32) {
    let mut count = 0_u32;
    if text != REDACTED && MANIFEST.matches(text).matched_all() {
        return (Cow::Owned(REDACTED.to_owned()), 1);
    }
    let mut current = match hide_blocks(text, &mut count) {
        Some(hidden) => Cow::Owned(hidden),
        None => Cow::Borrowed(text),
    };
    for _ in 0..ROUNDS {
        let hits = PATTERNS.any.matches(&current);
        let mut next: Option<String> = None;
        for pattern in hits.iter().filter_map(|i| PATTERNS.each.get(i)) {
            let before = next.as_deref().unwrap_or(current.as_ref());
            if pattern.find_iter(before).nth(MAX_MATCHES).is_some() {
                return (Cow::Owned(REDACTED.to_owned()), count.saturating_add(1));
            }
            let replaced = pattern.replace_all(before, |found: &Captures<'_>| replacement(found, &mut count));
            if replaced != before {
                next = Some(replaced.into_owned());
            }
        }
        match next {
            Some(changed) => current = Cow::Owned(changed),
            None => break,
        }
    }
    (current, count)
}

fn replacement(found: &Captures<'_>, count: &mut u32) -> String {
    let part = |name| found.name(name).map_or("", |m| m.as_str());
    let whole = found.get(0).map_or("", |m| m.as_str());
    let (keep, tail) = (part("keep"), part("tail"));
    let secret = whole.strip_prefix(keep).and_then(|rest| rest.strip_suffix(tail)).unwrap_or(whole);
    if secret.trim_matches(['"', '\'']) == REDACTED {
        return whole.to_owned();
    }
    *count = count.saturating_add(1);
    let quote = secret.chars().next().filter(|c| matches!(c, '"' | '\'')).map(String::from).unwrap_or_default();
    format!("{keep}{quote}{REDACTED}{quote}{tail}")
}

/// Whole elements of an argument list: `--password=x` by pattern, and `--password` makes the next element a secret.
pub fn is_secret_flag(argument: &str) -> bool {
    match argument.strip_prefix('-') {
        Some(flag) => !flag.contains(['=', ' ']) && super::names::is_secret(flag),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_pattern_hides_its_secret_and_leaves_the_rest() {
        let cases = [
            ("curl -H 'Authorization: Bearer abc.def' http://x", "curl -H 'Authorization: Bearer [redacted]' http://x"),
            ("mysql --password=hunter2 -h db", "mysql --password=[redacted] -h db"),
            ("mysql --password hunter2 -h db", "mysql --password [redacted] -h db"),
            ("export DB_PASSWORD=hunter2; run", "export DB_PASSWORD=[redacted]; run"),
            ("password: hunter2\nuser: bob", "password: [redacted]\nuser: bob"),
            (r#"x={"token":"a b c"}"#, r#"x={"token":"[redacted]"}"#),
            ("postgres://bob:hunter2@db/x", "postgres://[redacted]@db/x"),
            ("id AKIAIOSFODNN7EXAMPLE end", "id [redacted] end"),
            ("ghp_0123456789abcdef0123456789abcdef0123", "[redacted]"),
            ("xoxb-123456789012-abcdef", "[redacted]"),
            ("t eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.c2ln z", "t [redacted] z"),
            ("a -----BEGIN RSA PRIVATE KEY-----\nMIIE\n-----END RSA PRIVATE KEY----- b", "a [redacted] b"),
            ("spec.password: Invalid value: \"a b\": short", "spec.password: [redacted]"),
            ("json: error found in #10 byte of ...|x|...", "json: error found in #10 byte of [redacted]"),
            ("curl -u bob:hunter2 http://x", "curl -u bob:[redacted] http://x"),
            ("mysqldump -uroot -phunter2 shop", "mysqldump -uroot -p[redacted] shop"),
            ("sshpass -p hunter2 mkdir -p /data", "sshpass -p [redacted] mkdir -p /data"),
            ("redis-cli -h db -a hunter2 ping", "redis-cli -h db -a [redacted] ping"),
            ("sshpass -p hunter2 ssh db", "sshpass -p [redacted] ssh db"),
            ("docker login -u bob -p hunter2 r.io", "docker login -u bob -p [redacted] r.io"),
            (
                "url: Invalid value: \"bob:hunter2\": user information is not permitted in the URL",
                "url: Invalid value: \"[redacted]\": user information is not permitted in the URL",
            ),
            (
                "kubectl create secret generic s --from-literal=a=hunter2",
                "kubectl create secret generic s --from-literal=a=[redacted]",
            ),
        ];
        for (text, expected) in cases {
            let (redacted, count) = redact(text);
            assert_eq!(redacted, expected);
            assert!(count > 0, "{text}");
            assert_eq!(redact(&redacted), (Cow::Borrowed(expected), 0), "again: {text}");
        }
    }

    #[test]
    fn elements_after_short_flags_are_found_by_their_program() {
        for (arguments, hidden) in [
            (&["curl", "-u", "bob:hunter2", "http://x"][..], &[2][..]),
            (&["/usr/bin/mysql", "-uroot", "-phunter2", "shop"], &[2]),
            (&["mysql", "-p", "shop"], &[]),
            (&["redis-cli", "-a", "hunter2", "ping"], &[2]),
            (&["sshpass", "-phunter2", "ssh", "db"], &[1]),
            (&["docker", "run", "-p", "80:80"], &[]),
            (&["mkdir", "-p", "/data"], &[]),
            (&["ps", "-u", "root"], &[]),
            (&[], &[]),
        ] {
            assert_eq!(after_short_flags(arguments), hidden.iter().copied().collect(), "{arguments:?}");
        }
        let many = ["sshpass -p hunter2"; MAX_MATCHES + 1];
        assert_eq!(after_short_flags(&many).len(), many.len());
    }

    #[test]
    fn text_with_too_many_secrets_is_hidden_whole() {
        let some = "a=1 token=x ".repeat(MAX_MATCHES);
        assert_eq!(redact(&some).0, "a=1 token=[redacted] ".repeat(MAX_MATCHES));
        assert_eq!(redact(&"a=1 token=x ".repeat(MAX_MATCHES + 1)).0, REDACTED);
    }

    #[test]
    fn ordinary_text_is_left_alone() {
        for text in [
            r#"RBAC: allowed by RoleBinding "secret-reader/shop" of Role "r" to ServiceAccount "app/shop""#,
            r#"secrets "db-token" is forbidden: User "system:serviceaccount:my-secret:app" cannot list"#,
            "system:serviceaccount:vault-token:app",
            "registry.local/app-token:v1.2",
            "JTI=aff668e2-6af8-4e74-a272-a00dcb0e59d7",
            "X509SHA256=558a353f9d91f99ae2e94ee01e22965e22d40800c8c015345265911d0a7f5def",
            "kubectl/v1.34.4 (linux/amd64) kubernetes/$Format",
            "/var/run/secrets/kubernetes.io/serviceaccount/token",
            "mkdir -p /data; mysql --port 3306 -P 3306; docker run -p 80:80 x",
            "--token-file=/etc/x",
            "-----BEGIN CERTIFICATE-----\nMIIC\n-----END CERTIFICATE-----",
        ] {
            assert_eq!(redact(text), (Cow::Borrowed(text), 0));
        }
    }
}
