//! Secrets in command lines that say so only by their program: `mysql -pX`, `htpasswd -b FILE USER X`, `curl -b a=X`. In: a
//! text, or the elements of an argument list. Out: where the secrets stand. Flags that say it by their own name
//! (`--password X`) are for `pattern` and [`is_secret_flag`].

use std::{collections::BTreeSet, ops::Range, sync::LazyLock};

use regex::Regex;

use super::pattern::{MAX_MATCHES, NAME, REDACTED};

/// Before a flag.
const B: &str = r#"(?:^|[\s"',])"#;
/// Between a flag or word and a value: space, or a comma in a list in quotes.
const S: &str = r#"(?:\s+|\\*["']\s*,\s*\\*)"#;
/// The same before a word.
const T: &str = r#"(?:\s+["']?|\\*["']\s*,\s*\\*["']?)"#;
/// A word.
const W: &str = r#"[^\s"']+"#;
/// A value: in quotes, or up to a space or quote.
const V: &str = r#"(?:"[^"]*"|'[^']*'|["']?[^\s"']+)"#;
/// A value right behind its flag; a comma in quotes is one of a list, whose flag has none.
const A: &str = r#"(?:"[^",][^"]*"|'[^',][^']*'|[^\s"']+)"#;
/// Flags of curl that take nothing and may stand before another in one word.
const CURL: &str = "[afgGiIjJkLlMnNOpqRsSvZ0-46#]*";

/// Bytes behind a program that are looked at for its first secret, so that a text made of its name costs no square of its length.
const WINDOW: usize = 4096;

/// Which of the matches behind a program count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    /// All up to the end of the statement.
    All,
    /// The first: what follows is another program's.
    First,
}

struct Command {
    program: Regex,
    secret: Regex,
    takes: Takes,
}

/// (programs, which, what stands before the secret within their statement, the secret). `needle` must know each program.
fn table() -> Vec<(&'static str, Takes, String, &'static str)> {
    use Takes::{All, First};
    let user = r#"[^\s:"']+:"#;
    let after_colon = r#"[^\s"']+"#;
    let mut table = vec![
        ("mysql[a-z]*|mariadb[a-z-]*", All, format!("{B}-p"), A),
        ("mysqladmin|mariadb-admin", All, format!("{B}(?:old-)?password{S}"), V),
        ("redis-cli", All, format!("{B}-a(?:{S})?"), V),
        ("redis-cli", All, format!("{B}(?i:auth){T}"), r#"[^\s"']+(?:[\s"',]+[^\s"']+)?"#),
        ("sshpass", First, format!(r#"^(?s:.{{0,256}}?[\s"',])??-p(?:{S})?"#), V),
        ("mongo[a-z]*|login", All, format!("{B}-p(?:{S})?"), V),
        ("ldap[a-z]+", All, format!("{B}-w(?:{S})?"), V),
        // Of the hash of a password, too.
        ("(?:user|group)(?:add|mod)", All, format!("{B}-[aDFlLmMNorU]*p(?:{S})?"), V),
        ("openssl", All, format!(r#"{B}-pass(?:in|out)?(?:{S}|=)["']?pass:"#), after_colon),
        ("openssl", All, format!("{B}-[kK]{S}"), V),
        (
            "openssl",
            First,
            format!("^{T}passwd(?:{T}-salt{T}{W}|{T}-{W})*{S}"),
            r#"(?:"[^"-][^"]*"|'[^'-][^']*'|[^\s"'-][^\s"']*)"#,
        ),
        ("keytool|jarsigner", All, format!("{B}-[a-z]*(?:store|key)pass{S}"), V),
        ("configure", First, format!("(?i)^{T}set{T}[^\\s\"'=]*?{NAME}{S}"), V),
        ("redis-cli|npm|yarn|pnpm", All, format!("(?i){B}config{T}set{T}[^\\s\"'=]*?{NAME}{S}"), V),
        ("smb[a-z]+|rpcclient", All, format!(r#"{B}(?:-U|--user)(?:{S}|=)?["']?[^\s%"']+%"#), after_colon),
        ("ipmitool|sqlcmd", All, format!("{B}-P(?:{S})?"), V),
        ("snmp[a-z]+", All, format!("{B}-[cAX](?:{S})?"), V),
        ("plink|pscp|psftp|kadmin", All, format!("{B}-p?w{S}"), V),
        ("lftp", All, format!(r#"{B}-u(?:{S})?["']?[^\s,"']+,"#), after_colon),
        ("sqlplus", First, format!(r#"^(?:{T}-{W})*{T}[^\s/"'@-][^\s/"'@]*/"#), r#"[^\s@"']+"#),
        ("rabbitmqctl", All, format!("{B}(?:add_user|change_password|authenticate_user){T}{W}{S}"), V),
        ("wpa_passphrase", First, format!(r#"^{S}(?:"[^"]*"|'[^']*'|["']?{W}){S}"#), V),
        ("curl", All, format!(r#"{B}-{CURL}[uU](?:{S})?["']?{user}"#), after_colon),
        ("curl", All, format!(r#"{B}(?:-{CURL}[uU]|--(?:proxy-)?user)(?:{S}|=)?"[^":]+:"#), r#"[^"]+"#),
        ("curl", All, format!(r#"{B}(?:-{CURL}[uU]|--(?:proxy-)?user)(?:{S}|=)?'[^':]+:"#), r#"[^']+"#),
        ("curl", All, format!("{B}--oauth2-bearer(?:{S}|=)"), V),
        ("curl", All, format!(r#"{B}(?:-{CURL}E|--(?:proxy-)?cert)(?:{S}|=)?["']?{user}"#), after_colon),
        // Without `=` it is a file.
        (
            "curl",
            All,
            format!("{B}(?:-{CURL}b|--cookie)(?:{S}|=)?"),
            r#"(?:"[^"=]+=[^"]*"|'[^'=]+=[^']*'|["']?[^\s"'=-][^\s"'=]*=[^\s"']*)"#,
        ),
    ];
    table.extend(htpasswd().map(|keep| ("htpasswd", First, keep, V)));
    table
}

/// `htpasswd -b FILE USER SECRET`; with `-n` it prints, and there is no FILE.
fn htpasswd() -> [String; 3] {
    let any = format!("(?:{T}-[Cr](?:{T})?[0-9]+|{T}-[A-Za-z0-9]+)*");
    let files = format!("(?:{T}-[Cr](?:{T})?[0-9]+|{T}-[A-Zabcd-mo-z0-9]+)*");
    let both = "-[A-Za-z0-9]*(?:n[A-Za-z0-9]*b|b[A-Za-z0-9]*n)[A-Za-z0-9]*";
    [
        format!("^{files}{T}-[A-Zabcd-mo-z0-9]*b[A-Zabcd-mo-z0-9]*{files}{T}{W}{T}{W}{S}"),
        format!("^{any}{T}{both}{any}{T}{W}{S}"),
        format!("^{any}(?:{T}-n{any}{T}-b|{T}-b{any}{T}-n){any}{T}{W}{S}"),
    ]
}

static COMMANDS: LazyLock<Vec<Command>> = LazyLock::new(|| {
    let new = |pattern: &str| Regex::new(pattern).expect("the patterns are fixed and tested");
    let commands = table().into_iter().map(|(programs, takes, keep, secret)| Command {
        program: new(&program(programs)),
        secret: new(&format!("(?P<keep>{keep}){secret}")),
        takes,
    });
    commands.collect()
});

/// A user and password after `-u`, of any program.
static USER: LazyLock<Regex> = LazyLock::new(|| Regex::new(ANY_USER).expect("the pattern is fixed and tested"));

/// For `pattern`, too.
pub const ANY_USER: &str = r#"(?P<keep>(?:^|\s)(?:-u|--user|--proxy-user)[=\s]+["']?[^\s:"']+:)[^\s"']+"#;

fn program(names: &str) -> String {
    format!(r#"\b(?:{names})(?:(?-u:\s)|\\*["']\s*,)"#)
}

/// Finds all texts that name a program of the table before an argument.
pub fn gate() -> String {
    let names: BTreeSet<&str> = table().into_iter().map(|(programs, ..)| programs).collect();
    program(&names.into_iter().collect::<Vec<_>>().join("|"))
}

impl Command {
    /// Adds where the secrets of this command stand in `text`; false when they are too many.
    fn find(&self, text: &str, is_list: bool, found: &mut Vec<Range<usize>>) -> bool {
        let mut at = 0;
        while let Some(program) = self.program.find_at(text, at) {
            // What ends its name is what stands before its first flag.
            let name = program.as_str().find(|c: char| c.is_ascii_whitespace() || matches!(c, '\\' | '"' | '\''));
            let start = program.start() + name.unwrap_or_default();
            let window = match self.takes {
                Takes::All => text,
                Takes::First => text.get(..text.floor_char_boundary(program.end() + WINDOW)).unwrap_or(text),
            };
            let end = if is_list { window.len() } else { statement_end(window, program.end()) };
            let statement = text.get(start..end).unwrap_or_default();
            let before = found.len();
            let most = if self.takes == Takes::First { 1 } else { MAX_MATCHES + 1 };
            found.extend(self.secret.captures_iter(statement).take(most).filter_map(|secret| {
                let (keep, whole) = (secret.name("keep")?, secret.get(0)?);
                Some(start + keep.end()..start + whole.end())
            }));
            if found.len() > MAX_MATCHES {
                return false;
            }
            // Another program of the same name within this statement was looked at with it, unless only the first counts.
            at = match self.takes {
                Takes::All => end.max(program.end()),
                Takes::First => found.get(before).map_or(program.end(), |secret| secret.end),
            };
        }
        true
    }
}

/// Where the statement ends that goes on at `from`: at a line's end or at `;`, `|` or `&` outside quotes and beside a space.
fn statement_end(text: &str, from: usize) -> usize {
    let mut quote = None;
    let mut last = b' ';
    let mut bytes = text.bytes().enumerate().skip(from).peekable();
    while let Some((at, byte)) = bytes.next() {
        let beside_space =
            last.is_ascii_whitespace() || bytes.peek().is_none_or(|(_, next)| next.is_ascii_whitespace());
        match (quote, byte) {
            (_, b'\n') => return at,
            (None, b'"' | b'\'') => quote = Some(byte),
            (Some(open), _) if open == byte => quote = None,
            (None, b';' | b'|' | b'&') if beside_space => return at,
            _ => {}
        }
        last = byte;
    }
    text.len()
}

/// Where secrets of commands stand in `text`, in order, apart from each other; nothing when there are too many.
fn secrets(text: &str, is_list: bool) -> Option<Vec<Range<usize>>> {
    let mut found = Vec::new();
    if !COMMANDS.iter().all(|command| command.find(text, is_list, &mut found)) {
        return None;
    }
    found.sort_unstable_by_key(|range| (range.start, range.end));
    found.dedup_by(|next, before| {
        let overlaps = next.start < before.end;
        if overlaps {
            before.end = before.end.max(next.end);
        }
        overlaps
    });
    Some(found)
}

/// `text` without the secrets of commands, and how many there were; `None` when it holds none.
pub fn hide(text: &str) -> Option<(String, u32)> {
    let Some(found) = secrets(text, false) else { return Some((REDACTED.to_owned(), 1)) };
    let (mut kept, mut at, mut count) = (String::with_capacity(text.len()), 0, 0);
    for range in found {
        let secret = text.get(range.clone())?;
        if is_hidden(secret) {
            continue;
        }
        let quote = secret.chars().next().filter(|c| matches!(c, '"' | '\'')).map(String::from).unwrap_or_default();
        kept.push_str(text.get(at..range.start)?);
        kept.push_str(&format!("{quote}{REDACTED}{quote}"));
        at = range.end;
        count += 1;
    }
    kept.push_str(text.get(at..)?);
    (count > 0).then_some((kept, count))
}

fn is_hidden(secret: &str) -> bool {
    secret.trim_matches(['"', '\'']) == REDACTED
}

/// Which elements of an argument list are, or hold, the secret of a flag that says so only by its program: their positions.
/// All of them in a list of too many matches.
pub fn after_short_flags(arguments: &[&str]) -> BTreeSet<usize> {
    let line = arguments.join("\t");
    let users: Vec<_> = USER.captures_iter(&line).take(MAX_MATCHES + 1).collect();
    let found = secrets(&line, true).filter(|_| users.len() <= MAX_MATCHES);
    let Some(mut found) = found else { return (0..arguments.len()).collect() };
    found.extend(users.iter().filter_map(|user| Some(user.name("keep")?.end()..user.get(0)?.end())));
    found.retain(|secret| !line.get(secret.clone()).is_some_and(is_hidden));
    let mut hidden = BTreeSet::new();
    let mut start = 0;
    for (index, argument) in arguments.iter().enumerate() {
        let end = start + argument.len();
        if found.iter().any(|secret| start < secret.end && secret.start < end) {
            hidden.insert(index);
        }
        start = end + 1;
    }
    hidden
}

/// True for a flag whose next element is a secret by its name: `--password`.
pub fn is_secret_flag(argument: &str) -> bool {
    match argument.strip_prefix('-') {
        Some(flag) => !flag.contains(['=', ' ']) && super::names::is_secret(flag),
        None => false,
    }
}

/// Which elements of an argument list are secrets by the flag or the program before them.
pub fn secret_arguments(arguments: &[&str]) -> BTreeSet<usize> {
    let mut hidden = after_short_flags(arguments);
    let pairs = arguments.iter().zip(arguments.iter().skip(1)).enumerate();
    let follows = |(_, (flag, value)): &(usize, (&&str, &&str))| {
        is_secret_flag(flag) && !value.is_empty() && !value.starts_with("--")
    };
    hidden.extend(pairs.filter(follows).map(|(index, _)| index + 1));
    hidden
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_after_short_flags_are_found_by_their_program() {
        for (arguments, hidden) in [
            (&["curl", "-u", "bob:hunter2", "http://x"][..], &[2][..]),
            (&["/usr/bin/mysql", "-uroot", "-phunter2", "shop"], &[2]),
            (&["mysql", "-e", "select\n1; x", "-pa", "-pb"], &[3, 4]),
            (&["mysql", "-p", "shop"], &[]),
            (&["redis-cli", "-a", "hunter2", "ping"], &[2]),
            (&["sshpass", "-phunter2", "ssh", "-p", "22", "db"], &[1]),
            (&["usermod", "-p", "$6$x", "bob"], &[2]),
            (&["htpasswd", "-bB", "/etc/f", "bob", "hunter2"], &[4]),
            (&["htpasswd", "-nbB", "bob", "hunter2"], &[3]),
            (&["openssl", "rsa", "-passin", "pass:hunter2", "-in", "k"], &[3]),
            (&["openssl", "rsa", "-passin", "file:/k", "-in", "k"], &[]),
            (&["aws", "configure", "set", "aws_secret_access_key", "x"], &[4]),
            (&["aws", "configure", "set", "region", "x"], &[]),
            (&["curl", "-b", "session=x", "-b", "jar.txt"], &[2]),
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
    fn a_statement_ends_outside_quotes() {
        for (text, statement) in [
            ("mysql -e 'a; b' -px; mkdir", "mysql -e 'a; b' -px"),
            ("mysql x&&y | z", "mysql x&&y "),
            ("mysql\nx", "mysql"),
            ("it's; x", "it's; x"),
        ] {
            assert_eq!(text.get(..statement_end(text, 0)), Some(statement));
        }
    }

    #[test]
    fn a_text_of_many_commands_is_hidden_whole_only_for_its_secrets() {
        assert_eq!(hide(&"mysql sshpass configure ".repeat(MAX_MATCHES * 4)), None);
        assert_eq!(hide(&"curl http://x\n".repeat(MAX_MATCHES * 2)), None);
        let (kept, count) = hide(&"mysql -px; ".repeat(MAX_MATCHES)).unwrap();
        assert_eq!((kept, count), ("mysql -p[redacted]; ".repeat(MAX_MATCHES), 128));
        assert_eq!(hide(&"mysql -px; ".repeat(MAX_MATCHES + 1)), Some((REDACTED.to_owned(), 1)));
    }
}
