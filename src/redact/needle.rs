//! Which strings of a document the patterns have to look at. In: a string. Out: flags of it; keys are left to `key`. Each pattern of `pattern` needs one of the needles here, or an escape or character that flags the string anyway;
//! what follows a needle tells most of the harmless ones. It may flag a string without secrets, and never leaves out one with.

use std::sync::LazyLock;

use super::{
    key::{Ends, SHORT, word_at},
    tape::flag,
};

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

/// The needles by one part of each that is rare in what API servers write. A text has few of these parts, so that nearly all its
/// bytes cost one look into a small table, six at a time; a search for all needles at once by `aho_corasick`'s packed search
/// took over five times as long, for it is made for fewer.
struct Needles {
    /// A bit for each hash of a part.
    table: Box<[u8; TABLE / 8]>,
    /// By their bucket.
    parts: Vec<Part>,
    /// Where the parts of each bucket begin.
    buckets: [u8; BUCKETS + 1],
}

struct Part {
    /// Its three bytes, folded.
    bytes: u32,
    /// Where in the needle it stands.
    before: usize,
    needle: usize,
}

/// Hashes.
const TABLE: usize = 1 << 15;

/// Words that nearly every event has. Of a needle, the part that occurs here least is sought.
const COMMON: &str = "system:authenticated system:serviceaccounts users groups kube-controller-manager configmaps config containers \
    containerstatuses pods nodes leader logs log-level authorization authentication allowed clusterrolebinding rolebinding security \
    securitycontext basic-user registry monitor conditions initialized ready kubelet generic garbage collector endpoints slices \
    passthrough message deployment replicaset namespace default services persistent volume claims kubernetes linux amd64 nginx \
    events watch update patch create delete status progress observed generation template resources requests limits memory \
    storage network policy ingress metrics server autoscaler image pulled already present on machine successfully assigned";

static NEEDLES_BY_PART: LazyLock<Needles> = LazyLock::new(|| {
    let mut all = Needles { table: Box::new([0; TABLE / 8]), parts: Vec::new(), buckets: [0; BUCKETS + 1] };
    for (number, (needle, _)) in NEEDLES.iter().enumerate() {
        let parts = needle.as_bytes().windows(LENGTH).enumerate();
        let at = |part: &[u8]| place(hashes(word_at(part, 0)));
        // What has the same hash is as bad as the part itself.
        let common = |part: &[u8]| COMMON.as_bytes().windows(LENGTH).filter(|word| at(word) == at(part)).count();
        let Some((before, part)) = parts.min_by_key(|(_, part)| common(part)) else { continue };
        let (byte, bit) = at(part);
        all.table[byte] |= 1 << bit;
        all.parts.push(Part { bytes: folded(part), before, needle: number });
    }
    all.parts.sort_unstable_by_key(|part| bucket(part.bytes));
    for (number, begins) in all.buckets.iter_mut().enumerate() {
        *begins = all.parts.partition_point(|part| bucket(part.bytes) < number) as u8;
    }
    all
});

/// Bytes of a part.
const LENGTH: usize = 3;

/// The first three bytes, with letters of either case as one.
fn folded(text: &[u8]) -> u32 {
    text.iter().take(LENGTH).fold(0, |part, byte| part << 8 | u32::from(byte | 0x20))
}

const BUCKETS: usize = 128;

fn bucket(part: u32) -> usize {
    (part.wrapping_mul(0x9E37_79B1) >> 25) as usize
}

/// The hash of the first three bytes in the low bits, that of the three from the second on eight bits higher, and so on for
/// six parts. Letters of either case are one.
fn hashes(eight: u64) -> u64 {
    let folded = eight | 0x2020_2020_2020_2020;
    // The low fifteen bits are of no byte beyond the third, of which five bits matter.
    folded ^ folded >> 3 ^ folded >> 6
}

fn place(hash: u64) -> (usize, u32) {
    ((hash >> 3) as usize % (TABLE / 8), (hash & 7) as u32)
}

/// Remembers the flags of short strings, which come again and again: names of users, groups, kinds and versions. A string that
/// comes takes the place of one of the same hash.
pub struct Seen {
    needles: &'static Needles,
    slots: Vec<(Ends, u8)>,
}

/// Strings that are remembered.
const SEEN: usize = 4096;

impl Default for Seen {
    fn default() -> Seen {
        Seen { needles: &NEEDLES_BY_PART, slots: vec![(Ends::default(), 0); SEEN] }
    }
}

impl Seen {
    /// The flags of the string from `start` to `end` of `text`.
    pub fn flags(&mut self, text: &[u8], start: usize, end: usize) -> u8 {
        if end - start > SHORT {
            return self.needles.flags(text, start, end);
        }
        let ends = Ends::of(text, start, end);
        let Some((known, flags)) = self.slots.get_mut(ends.hash() as usize % SEEN) else { return flag::HOT };
        if !known.is(&ends) {
            (*known, *flags) = (ends, self.needles.flags(text, start, end));
        }
        *flags
    }
}

impl Needles {
    /// The flags of the string from `start` to `end` of `text`.
    fn flags(&self, text: &[u8], start: usize, end: usize) -> u8 {
        let Some(string) = text.get(start..end) else { return flag::HOT };
        let mut flags = if may_name_user(string) { flag::HOT } else { 0 };
        let mut at = start;
        while at + LENGTH <= end {
            // Bytes behind the string may look like a part, of a needle that is then not there.
            let hashes = hashes(word_at(text, at));
            let bit = |place: usize| {
                let (byte, bit) = self::place(hashes >> (8 * place));
                self.table[byte] >> bit & 1
            };
            if bit(0) | bit(1) | bit(2) | bit(3) | bit(4) | bit(5) != 0 {
                let places = (0..6).filter(|place| bit(*place) == 1);
                flags |= places.fold(0, |flags, place| flags | self.found(string, at - start + place));
            }
            at += 6;
        }
        flags
    }

    /// The flags by the needles whose part `string` has at `at`.
    fn found(&self, string: &[u8], at: usize) -> u8 {
        let Some(here) = string.get(at..).filter(|rest| rest.len() >= LENGTH) else { return 0 };
        let bytes = folded(here);
        let bucket = bucket(bytes);
        let (first, last) = (self.buckets.get(bucket), self.buckets.get(bucket + 1));
        let parts = first.zip(last).and_then(|(first, last)| self.parts.get(usize::from(*first)..usize::from(*last)));
        let same = parts.unwrap_or_default().iter().filter(|part| part.bytes == bytes);
        let flags = same.filter_map(|part| {
            let (needle, around) = NEEDLES.get(part.needle)?;
            let (before, rest) = string.split_at_checked(at.checked_sub(part.before)?)?;
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
