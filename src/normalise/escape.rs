//! Bytes that daemons write as escapes. In: text as it stands in a log. Out: what was meant, borrowed when nothing was
//! escaped. Bytes that are no UTF-8 become U+FFFD. Each is exact for the daemon that it names, because that escapes its
//! escape character, too.

use std::borrow::Cow;

use crate::event::Text;

/// Of access logs: `\xHH` (`ngx_http_log_escape`, nginx src/http/modules/ngx_http_log_module.c), and besides it `\"`,
/// `\\`, `\n`, `\t` … of Apache (`ap_escape_logitem`, httpd server/util.c).
pub fn access(text: &str) -> Text<'_> {
    decode(text, |rest| match *rest {
        [b'x', high, low, ..] => Some((hex(high)? * 16 + hex(low)?, 3)),
        [byte, ..] => Some((letter(byte)?, 1)),
        [] => None,
    })
}

/// Of OpenSSH's log (`strnvis` with VIS_CSTYLE and VIS_OCTAL, openbsd-compat/vis.c): `\ooo`, `\n`, `\\` …
pub fn vis(text: &str) -> Text<'_> {
    decode(text, |rest| match *rest {
        [a @ b'0'..=b'3', b @ b'0'..=b'7', c @ b'0'..=b'7', ..] => {
            Some(((a - b'0') * 64 + (b - b'0') * 8 + (c - b'0'), 3))
        }
        [b'0', ..] => Some((0, 1)),
        [b's', ..] => Some((b' ', 1)),
        [byte, ..] => Some((letter(byte)?, 1)),
        [] => None,
    })
}

/// Of Go's `strconv.Quote` (klog, logfmt) and JSON, as far as one byte goes: `\"`, `\\`, `\n`, `\xHH`.
pub fn quoted(text: &str) -> Text<'_> {
    access(text)
}

/// `%HH`, once, as browsers and servers read a path (RFC 3986 section 2.1). `+` stays.
pub fn percent(text: &str) -> Text<'_> {
    match percent_encoding::percent_decode_str(text).decode_utf8_lossy() {
        Cow::Borrowed(text) => text.into(),
        Cow::Owned(text) => text.into(),
    }
}

/// Of the kernel's audit (`audit_log_n_untrustedstring`, kernel/audit.c): a text with blanks, quotes or control characters is
/// written as hexadecimal digits without quotes.
pub fn audit_hex(text: &str) -> Option<String> {
    let digits: Option<Vec<u8>> = text.bytes().map(hex).collect();
    let digits = digits.filter(|d| d.len() >= 2 && d.len().is_multiple_of(2))?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte * 16 + digit)).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

fn letter(byte: u8) -> Option<u8> {
    Some(match byte {
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'a' => 7,
        b'b' => 8,
        b'v' => 11,
        b'f' => 12,
        b'e' => 27,
        b'\\' | b'"' | b'\'' => byte,
        _ => return None,
    })
}

/// `read` gets what follows a backslash, and gives the byte that was meant and how much it read.
fn decode(text: &str, read: impl Fn(&[u8]) -> Option<(u8, usize)>) -> Text<'_> {
    if !text.contains('\\') {
        return text.into();
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, after @ ..] = rest {
        match (*first == b'\\').then(|| read(after)).flatten() {
            Some((byte, length)) => {
                bytes.push(byte);
                rest = after.get(length..).unwrap_or_default();
            }
            None => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_what_was_meant() {
        assert_eq!(access(r#"a \x22b\x22 \x5Cn \xC3\xBC"#), "a \"b\" \\n ü");
        assert_eq!(access(r#"a \"b\" \\n\t \xfc \q \"#), "a \"b\" \\n\t \u{fffd} \\q \\");
        assert_eq!(vis(r"\303\274ber\n\\303 \033[31m\a"), "über\n\\303 \u{1b}[31m\u{7}");
        assert_eq!(percent("/..%2f..%252f%zz+"), "/../..%2f%zz+");
        assert_eq!(audit_hex("2F746D70202F61"), Some("/tmp /a".to_owned()));
        assert_eq!(audit_hex("abc"), None);
        assert_eq!(audit_hex(""), None);
    }
}
