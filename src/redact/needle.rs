//! Which strings of a document the patterns have to look at. In: the text and its strings. Out: flags on them; keys are left
//! to `key`. Each pattern of `pattern` needs one of the needles here, or an escape or character that flags the string anyway;
//! what follows a needle tells most of the harmless ones. It may flag a string without secrets, and never leaves out one with.

use std::sync::LazyLock;

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
    ("cookie", Around::Name),
    ("sess", Around::Anything),
    // Of what reads a password from a pipe.
    ("stdin", Around::Anything),
    ("sudo -s", Around::Anything),
    ("kinit", Around::Anything),
    ("cryptsetup", Around::Anything),
    // Programs of `command`.
    ("mysql", Around::Program),
    ("mariadb", Around::Program),
    ("redis-cli", Around::Program),
    ("sshpass", Around::Program),
    ("mongo", Around::Program),
    ("ldap", Around::Program),
    ("login", Around::Program),
    ("useradd", Around::Program),
    ("usermod", Around::Program),
    ("groupadd", Around::Program),
    ("groupmod", Around::Program),
    ("htpasswd", Around::Program),
    ("openssl", Around::Program),
    ("keytool", Around::Program),
    ("jarsigner", Around::Program),
    ("curl", Around::Program),
    ("configure", Around::Program),
    ("npm", Around::Program),
    ("yarn", Around::Program),
    ("smb", Around::Program),
    ("rpcclient", Around::Program),
    ("ipmitool", Around::Program),
    ("sqlcmd", Around::Program),
    ("snmp", Around::Program),
    ("plink", Around::Program),
    ("pscp", Around::Program),
    ("psftp", Around::Program),
    ("kadmin", Around::Program),
    ("lftp", Around::Program),
    ("sqlplus", Around::Program),
    ("rabbitmqctl", Around::Program),
    ("wpa_passphrase", Around::Program),
    ("-user", Around::Program),
    ("-u ", Around::Flag),
    ("-u=", Around::Flag),
    ("-u\\", Around::Flag),
];

/// The needles by how they begin. A text has few of their beginnings, so that nearly all its bytes cost one look into a small
/// table, six at a time; a search for all needles at once by `aho_corasick`'s packed search took over five times as long, for
/// it is made for fewer.
struct Beginnings {
    /// A bit for each hash of a beginning.
    table: Box<[u8; TABLE / 8]>,
    /// (beginning, needle), sorted.
    needles: Vec<(u32, usize)>,
}

/// Hashes.
const TABLE: usize = 1 << 15;

static BEGINNINGS: LazyLock<Beginnings> = LazyLock::new(|| {
    let mut beginnings = Beginnings { table: Box::new([0; TABLE / 8]), needles: Vec::new() };
    for (number, (needle, _)) in NEEDLES.iter().enumerate() {
        let mut eight = [0; 8];
        eight.iter_mut().zip(needle.bytes().take(LENGTH)).for_each(|(to, byte)| *to = byte);
        let (byte, bit) = place(hashes(eight));
        beginnings.table[byte] |= 1 << bit;
        beginnings.needles.push((beginning(&eight), number));
    }
    beginnings.needles.sort_unstable();
    beginnings
});

/// Bytes of a beginning.
const LENGTH: usize = 3;

/// The first three bytes, with letters of either case as one.
fn beginning(text: &[u8]) -> u32 {
    text.iter().take(LENGTH).fold(0, |beginning, byte| beginning << 8 | u32::from(byte | 0x20))
}

/// The hash of the first three bytes in the low bits, that of the three from the second on eight bits higher, and so on for
/// six beginnings. Letters of either case are one.
fn hashes(eight: [u8; 8]) -> u64 {
    let folded = u64::from_le_bytes(eight) | 0x2020_2020_2020_2020;
    // The low fifteen bits are of no byte beyond the third, of which five bits matter.
    folded ^ folded >> 3 ^ folded >> 6
}

fn place(hash: u64) -> (usize, u32) {
    ((hash >> 3) as usize % (TABLE / 8), (hash & 7) as u32)
}

/// Flags the strings among `nodes`, which lie in `text`; keys are not looked at.
pub fn flag(text: &[u8], nodes: &mut [Node]) {
    let beginnings = &*BEGINNINGS;
    for node in nodes.iter_mut().filter(|node| node.kind == Kind::String && node.flags & flag::KEY == 0) {
        if let Some(string) = text.get(node.start as usize..node.end as usize) {
            node.flags |= beginnings.flags(string);
        }
    }
}

impl Beginnings {
    fn flags(&self, string: &[u8]) -> u8 {
        let mut flags = if may_name_user(string) { flag::HOT } else { 0 };
        let mut at = 0;
        while at + LENGTH <= string.len() {
            let rest = string.get(at..).unwrap_or_default();
            let eight = rest.first_chunk().copied().unwrap_or_else(|| {
                let mut eight = [0; 8];
                eight.iter_mut().zip(rest).for_each(|(to, byte)| *to = *byte);
                eight
            });
            let hashes = hashes(eight);
            let bit = |place: usize| {
                let (byte, bit) = self::place(hashes >> (8 * place));
                self.table[byte] >> bit & 1
            };
            if bit(0) | bit(1) | bit(2) | bit(3) | bit(4) | bit(5) != 0 {
                let places = (0..6).filter(|place| bit(*place) == 1);
                flags |= places.fold(0, |flags, place| flags | self.found(string, at + place));
            }
            at += 6;
        }
        flags
    }

    /// The flags by the needles that `string` has at `at`.
    fn found(&self, string: &[u8], at: usize) -> u8 {
        let Some((before, rest)) = string.split_at_checked(at).filter(|(_, rest)| rest.len() >= LENGTH) else {
            return 0;
        };
        let beginning = beginning(rest);
        let first = self.needles.partition_point(|(other, _)| *other < beginning);
        let same = self.needles.iter().skip(first).take_while(|(other, _)| *other == beginning);
        let needles = same.filter_map(|(_, number)| NEEDLES.get(*number));
        let flags = needles.filter_map(|(needle, around)| {
            let (found, after) = rest.split_at_checked(needle.len())?;
            found.eq_ignore_ascii_case(needle.as_bytes()).then(|| {
                let program = matches!(around, Around::Program | Around::Flag);
                let program = if program { flag::PROGRAM } else { 0 };
                if matches!(around, Around::Anything) {
                    return flag::HOT;
                }
                let before = before.get(before.len().saturating_sub(NEAR)..).unwrap_or_default();
                let after = after.get(..=NEAR).unwrap_or(after);
                let (mut room, mut more_room) = ([0; NEAR + 1], [0; NEAR + 1]);
                flags(*around, lower(before, &mut room), lower(after, &mut more_room)) | program
            })
        });
        flags.fold(0, |all, some| all | some)
    }
}

fn lower<'r>(text: &[u8], room: &'r mut [u8; NEAR + 1]) -> &'r [u8] {
    let room = room.get_mut(..text.len()).unwrap_or_default();
    room.copy_from_slice(text);
    room.make_ascii_lowercase();
    room
}

/// What a needle between these lower-case texts says. Looks at no more than some bytes around it, or a text made of needles would take the square of its length.
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
            name == NEAR || after.get(name).is_some_and(|next| matches!(next, b' ' | b'\\' | b'=' | b'\''))
        }
    };
    if is_hot { flag::HOT } else { 0 }
}

/// `user:password@registry/image`, which no needle finds.
fn may_name_user(string: &[u8]) -> bool {
    if !string.contains(&b'@') {
        return false;
    }
    let first = |wanted: u8| string.iter().position(|byte| *byte == wanted);
    let last = |wanted: u8| string.iter().rposition(|byte| *byte == wanted);
    first(b':') < last(b'@') && first(b':').is_some() && first(b'@') < last(b'/')
}

/// True when what follows `before` may be a word by itself.
fn begins_a_value(before: &[u8]) -> bool {
    matches!(before, [.., b'\\', _] | [.., b' ' | b':' | b'"' | b'\'' | b'\\'])
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
                // Digits up to where nothing is looked at any more may go on to an end.
                || (digits > 0 && (digits + 8 > NEAR || at_end(after_mark.get(digits..).unwrap_or_default())))
        })
    })
}
