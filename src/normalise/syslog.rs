//! The header of a syslog line. In: a line as a daemon of the node wrote it. Out: its stamp, host, program and pid, and the
//! message behind them. RFC 3164 (with and without `<PRI>`), RFC 5424, either with the RFC 3339 stamp of rsyslog; a line
//! without header is a message on its own. Never looks into the message.

use super::stamp::{self, Stamp};

/// A line, cut into its header and message.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Framed<'a> {
    pub stamp: Option<Stamp>,
    /// What the line calls its host; the node is known better by who sent it.
    pub host: &'a str,
    /// Tag (RFC 3164) or APP-NAME (RFC 5424).
    pub program: &'a str,
    pub pid: i64,
    /// RFC 3164 section 4.1.1: facility * 8 + severity.
    pub priority: Option<u8>,
    /// RFC 5424 MSGID.
    pub message_id: &'a str,
    /// RFC 5424 STRUCTURED-DATA as written, with its brackets.
    pub structured: &'a str,
    pub message: &'a str,
}

/// Cuts `line`. Never fails: what has no header is message.
pub fn frame(line: &str) -> Framed<'_> {
    let line = line.strip_prefix('\u{feff}').unwrap_or(line);
    let (priority, rest) = match priority(line) {
        Some((priority, rest)) => (Some(priority), rest),
        None => (None, line),
    };
    if priority.is_some()
        && let Some(framed) = rest.strip_prefix("1 ").and_then(rfc5424)
    {
        return Framed { priority, ..framed };
    }
    let stamped = stamp::rfc3164(rest).or_else(|| {
        let (token, after) = rest.split_once(' ')?;
        Some((stamp::rfc3339(token)?, after))
    });
    let mut framed = match stamped {
        Some((stamp, after)) => Framed { stamp: Some(stamp), ..named(after) },
        None => tagged(rest, priority.is_none()),
    };
    framed.priority = priority;
    framed
}

/// `<13>` and what follows.
fn priority(line: &str) -> Option<(u8, &str)> {
    let (digits, rest) = line.strip_prefix('<')?.split_once('>')?;
    let priority = stamp::number::<u8>(digits).filter(|p| *p <= 191 && digits.len() <= 3)?;
    Some((priority, rest))
}

/// `host program[pid]: message`; some relays leave the host out.
fn named(rest: &str) -> Framed<'_> {
    let Some((host, after)) = rest.split_once(' ') else { return tagged(rest, false) };
    if host.ends_with(':') || host.is_empty() { tagged(rest, false) } else { Framed { host, ..tagged(after, false) } }
}

/// `program[pid]: message`. A `bare` line may as well be text that only looks so: `error: no space` names no program.
fn tagged(rest: &str, bare: bool) -> Framed<'_> {
    let whole = Framed { message: rest, ..Framed::default() };
    let (token, message) = rest.split_once(' ').unwrap_or((rest, ""));
    let Some(tag) = token.strip_suffix(':') else { return whole };
    let (program, pid) = match tag.strip_suffix(']').and_then(|tag| tag.rsplit_once('[')) {
        Some((program, pid)) => match stamp::number::<i64>(pid) {
            Some(pid) => (program, pid),
            None => return whole,
        },
        None => (tag, 0),
    };
    let is_name = !program.is_empty() && program.len() <= 128 && !program.contains(['"', '\'', '{', '=']);
    if !is_name || (bare && pid == 0 && super::programs::label(program) == super::programs::OTHER) {
        return whole;
    }
    Framed { program, pid, message, ..Framed::default() }
}

/// What follows `<PRI>1 `: `TIMESTAMP HOSTNAME APP-NAME PROCID MSGID STRUCTURED-DATA [MSG]` (RFC 5424 section 6).
fn rfc5424(rest: &str) -> Option<Framed<'_>> {
    let (stamp, rest) = rest.split_once(' ')?;
    let (host, rest) = rest.split_once(' ')?;
    let (program, rest) = rest.split_once(' ')?;
    let (pid, rest) = rest.split_once(' ')?;
    let (message_id, rest) = rest.split_once(' ')?;
    let stamp = if stamp == "-" { None } else { Some(stamp::rfc3339(stamp)?) };
    let length = structured_length(rest)?;
    let (structured, message) = rest.split_at_checked(length)?;
    let message = message.strip_prefix(' ').unwrap_or(message);
    let message = message.strip_prefix('\u{feff}').unwrap_or(message);
    let nil = |text| if text == "-" { "" } else { text };
    Some(Framed {
        stamp,
        host: nil(host),
        program: nil(program),
        pid: stamp::number(pid).unwrap_or(0),
        priority: None,
        message_id: nil(message_id),
        structured: nil(structured),
        // rsyslog keeps the blank behind the tag of the RFC 3164 message that it converts.
        message: message.strip_prefix(' ').unwrap_or(message),
    })
}

/// Bytes of `-` or of one or more `[id name="value" …]`. Within a value, `"`, `\` and `]` are escaped by `\`.
fn structured_length(text: &str) -> Option<usize> {
    if text.starts_with('-') {
        return Some(1);
    }
    let (mut quoted, mut escaped, mut open) = (false, false, false);
    for (index, byte) in text.bytes().enumerate() {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if quoted => escaped = true,
            b'"' if open => quoted = !quoted,
            b'[' if !open => open = true,
            b']' if open && !quoted => {
                open = false;
                if text.as_bytes().get(index + 1) != Some(&b'[') {
                    return Some(index + 1);
                }
            }
            _ if !open => return None,
            _ => {}
        }
    }
    None
}

/// What rsyslog makes of equal messages in a row (`$RepeatedMsgReduction on`; `message repeated %d times: [%.800s]` in
/// runtime/ratelimit.c): the message and how often it came.
pub fn repeated(message: &str) -> Option<(&str, u32)> {
    let (count, inner) = message.strip_prefix("message repeated ")?.split_once(" times: [")?;
    Some((inner.strip_suffix(']')?.trim_start(), stamp::number(count)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Line, host, program, pid, message.
    type Case = (&'static str, &'static str, &'static str, i64, &'static str);

    #[test]
    fn headers_are_cut_off() {
        let cases: &[Case] = &[
            ("Nov 25 02:02:32 n1 sshd[488]: Accepted x", "n1", "sshd", 488, "Accepted x"),
            ("<86>Nov  5 02:02:32 n1 sudo:      ann : TTY=x", "n1", "sudo", 0, "     ann : TTY=x"),
            ("2026-11-25T02:02:24.164160+00:00 n1 CRON[1]: (a) CMD (b: c)", "n1", "CRON", 1, "(a) CMD (b: c)"),
            ("<86>1 2026-11-25T02:02:24.1Z n1 groupadd 306 - -  new group", "n1", "groupadd", 306, "new group"),
            ("<86>1 - - - - - -", "", "", 0, ""),
            (r#"<1>1 2026-11-25T02:02:24Z h app - ID [a b="]\"\]"][c] hi"#, "h", "app", 0, "hi"),
            ("Nov 25 02:02:32 sshd[4]: no host", "", "sshd", 4, "no host"),
            ("Nov 25 02:02:32 n1 no tag here", "n1", "", 0, "no tag here"),
            ("Nov 25 02:02:32 n1 kernel: [   12.5] x", "n1", "kernel", 0, "[   12.5] x"),
            ("sshd[811]: Failed", "", "sshd", 811, "Failed"),
            ("sudo: ann : TTY", "", "sudo", 0, "ann : TTY"),
            ("error: no space left", "", "", 0, "error: no space left"),
            ("anything[7]: text", "", "anything", 7, "text"),
            ("a b[1]: c", "", "", 0, "a b[1]: c"),
            ("", "", "", 0, ""),
            ("<999>x", "", "", 0, "<999>x"),
            ("<5>1 not a header", "", "", 0, "1 not a header"),
        ];
        for (line, host, program, pid, message) in cases {
            let framed = frame(line);
            let found = (framed.host, framed.program, framed.pid, framed.message);
            assert_eq!(found, (*host, *program, *pid, *message), "{line}");
        }
        let structured = frame(r#"<1>1 2026-11-25T02:02:24Z h app - ID [a b="]\"\]"][c] hi"#);
        assert_eq!((structured.message_id, structured.structured), ("ID", r#"[a b="]\"\]"][c]"#));
        assert_eq!(structured.priority, Some(1));
    }

    #[test]
    fn repeated_messages_are_unwrapped() {
        assert_eq!(repeated("message repeated 5 times: [ Failed password]"), Some(("Failed password", 5)));
        assert_eq!(repeated("message repeated 2 times: [ a [x]]"), Some(("a [x]", 2)));
        assert_eq!(repeated("message repeated x times: [ a]"), None);
        assert_eq!(repeated("message repeated 2 times: [ cut"), None);
    }
}
