//! Which strings of a document the patterns have to look at. In: the text and its strings. Out: flags on them. Each pattern of
//! `pattern` needs one of the needles here, or an escape or character that flags the string anyway; what follows a needle
//! tells most of the harmless ones. It may flag a string without secrets, and never leaves out one with a secret.

use std::sync::LazyLock;

use aho_corasick::packed;

use super::tape::{Kind, Node, flag};

/// Bytes behind a needle that are looked at; with more that tell nothing, a string is flagged.
const NEAR: usize = 128;

/// What must be around a needle for a pattern to match.
#[derive(Clone, Copy)]
enum Around {
    Anything,
    /// `password=`, `token: `, `--secret x`: the name of a secret ends here or soon.
    Name,
    /// The same behind `api`, `access`, `private` or `client`.
    NamedKey,
    /// `auth` in quotes, or a header.
    Auth,
    /// `bearer` and `basic`.
    Space,
    /// `://` of a URL with a user.
    Url,
    /// A program or flag that tells a secret in the same line or list.
    Program,
    /// Such a flag with what separates it from its value.
    Flag,
}

/// In lower case, at least three bytes, and none holds a character that JSON escapes but for the backslash itself.
const NEEDLES: &[(&str, Around)] = &[
    ("private key", Around::Anything),
    ("ls0tls1crudjti", Around::Anything),
    ("eyj", Around::Anything),
    ("akia", Around::Anything),
    ("asia", Around::Anything),
    ("ghp_", Around::Anything),
    ("gho_", Around::Anything),
    ("ghu_", Around::Anything),
    ("ghs_", Around::Anything),
    ("ghr_", Around::Anything),
    ("github_pat_", Around::Anything),
    ("glpat-", Around::Anything),
    ("xox", Around::Anything),
    ("aiza", Around::Anything),
    ("k_live_", Around::Anything),
    ("hvs.", Around::Anything),
    ("npm_", Around::Anything),
    ("error found in #", Around::Anything),
    ("hooks.slack.com", Around::Anything),
    ("/api/webhooks/", Around::Anything),
    ("api.telegram.org", Around::Anything),
    ("webhook.office.com", Around::Anything),
    ("sig=", Around::Anything),
    ("signature=", Around::Anything),
    ("code=", Around::Anything),
    ("jwt=", Around::Anything),
    ("@tcp(", Around::Anything),
    ("@unix(", Around::Anything),
    // A validator quotes what it refuses, somewhere behind a name.
    ("invalid value", Around::Anything),
    ("unsupported value", Around::Anything),
    ("duplicate value", Around::Anything),
    ("chpasswd", Around::Anything),
    ("--from-literal", Around::Anything),
    ("://", Around::Url),
    ("auth", Around::Auth),
    ("bearer", Around::Space),
    ("basic", Around::Space),
    ("pass", Around::Name),
    ("pwd", Around::Name),
    ("secret", Around::Name),
    ("token", Around::Name),
    ("credential", Around::Name),
    ("key", Around::NamedKey),
    ("mysql", Around::Program),
    ("mariadb", Around::Program),
    ("redis-cli", Around::Program),
    ("sshpass", Around::Program),
    ("mongo", Around::Program),
    ("ldap", Around::Program),
    ("login", Around::Program),
    ("-user", Around::Program),
    ("-u ", Around::Flag),
    ("-u=", Around::Flag),
    ("-u\\", Around::Flag),
];

static SEARCHER: LazyLock<Option<packed::Searcher>> =
    LazyLock::new(|| packed::Searcher::new(NEEDLES.iter().map(|(needle, _)| needle)));

/// Flags the strings among `nodes`, which lie in `text` in order. `lower` is room to work in. False when there is no way to
/// search, so that no string is known to be harmless.
pub fn flag(text: &[u8], nodes: &mut [Node], lower: &mut Vec<u8>) -> bool {
    let Some(searcher) = &*SEARCHER else { return false };
    lower.clear();
    lower.extend(text.iter().map(u8::to_ascii_lowercase));
    let mut from = 0;
    let mut place = 0;
    // Needles may overlap, so the search goes on within the one that was found.
    while let Some(found) = searcher.find_in(&*lower, (from..lower.len()).into()) {
        from = found.start() + 1;
        let at = found.start() as u32;
        place += nodes.get(place..).unwrap_or_default().partition_point(|node| node.start <= at);
        // The last node that begins at or before the needle is the string that holds it, if any does.
        let Some(node) = nodes.get_mut(place.saturating_sub(1)).filter(|n| n.kind == Kind::String && at < n.end) else {
            continue;
        };
        let string = lower.get(node.start as usize..node.end as usize).unwrap_or_default();
        let Some((_, around)) = NEEDLES.get(found.pattern().as_usize()) else { continue };
        let (before, rest) = string.split_at((at - node.start) as usize);
        node.flags |= flags(*around, before, rest.get(found.len()..).unwrap_or_default());
        if matches!(around, Around::Program | Around::Flag) {
            node.flags |= flag::PROGRAM;
        }
    }
    true
}

/// Looks at no more than some bytes around the needle, or a text made of needles would take the square of its length.
fn flags(around: Around, before: &[u8], after: &[u8]) -> u8 {
    let is_hot = match around {
        Around::Anything | Around::Flag => true,
        // `kind: Secret`, of a manifest within a text, may end in anything.
        Around::Name => ends_a_name(after) || begins_a_value(before),
        Around::NamedKey => {
            let before = before.strip_suffix(b"_").or(before.strip_suffix(b"-")).unwrap_or(before);
            [&b"api"[..], b"access", b"private", b"client"].iter().any(|name| before.ends_with(name))
        }
        Around::Auth => {
            let after = after.strip_prefix(b"orization").unwrap_or(after);
            after.first().is_some_and(|next| is_end(*next))
        }
        // Space as such, or as an escape; a quote with its backslash is none.
        Around::Space => matches!(after, [b' ', ..] | [b'\\', b'n' | b't' | b'r' | b'f', ..]),
        // A user ends in an `@` before any space or quote.
        Around::Url => {
            let url = after.iter().take(NEAR).position(|byte| matches!(byte, b'@' | b' ' | b'\''));
            url.map_or(after.len() > NEAR, |at| after.get(at) == Some(&b'@'))
        }
        Around::Program => {
            let name = after.iter().take(NEAR).take_while(|byte| byte.is_ascii_lowercase() || **byte == b'-').count();
            name == NEAR || after.get(name).is_some_and(|next| matches!(next, b' ' | b'\\' | b'='))
        }
    };
    if is_hot { flag::HOT } else { 0 }
}

/// True when what follows `before` may be a word by itself.
fn begins_a_value(before: &[u8]) -> bool {
    match before {
        [.., b'\\', _] | [.., b' ' | b':' | b'"' | b'\'' | b'\\'] => true,
        _ => false,
    }
}

/// What may follow the name of a secret before its value.
fn is_end(byte: u8) -> bool {
    matches!(byte, b' ' | b'\\' | b'"' | b'\'' | b':' | b'=')
}

/// True when `after` is what is left of a name behind the word that says what it is: `word=`, `s:`, `_data `, `-2=`.
fn ends_a_name(after: &[u8]) -> bool {
    let rest = [&b"word"[..], b"wd", b"phrase"].iter().find_map(|end| after.strip_prefix(*end));
    let at_end = |text: &[u8]| text.first().is_some_and(|next| is_end(*next));
    [Some(after), rest].into_iter().flatten().any(|after| {
        let plural = after.strip_prefix(b"s");
        [Some(after), plural].into_iter().flatten().any(|after| {
            let after_mark = after.strip_prefix(b"_").or(after.strip_prefix(b"-")).unwrap_or(after);
            let ends = [&b"data"[..], b"value", b"id", b"b64", b"base64"];
            let digits = after_mark.iter().take_while(|byte| byte.is_ascii_digit()).count();
            at_end(after)
                || ends.iter().any(|end| after_mark.strip_prefix(*end).is_some_and(at_end))
                || (digits > 0 && at_end(after_mark.get(digits..).unwrap_or_default()))
        })
    })
}
