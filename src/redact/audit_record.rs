//! Redaction of a record of the kernel's audit. In: one line of it. Out: the same without secrets. Its words end at blanks:
//! texts of processes that have one are written as hexadecimal digits (`audit_log_n_untrustedstring`, kernel/audit.c), and
//! are written so again. The arguments of EXECVE stand in words of their own (`a0="mysql" a1="-px"`), those of PROCTITLE
//! end in NUL.

use super::{command::secret_arguments, ledger::Ledger, line::plain, pattern::REDACTED};

pub fn redact(text: &str, ledger: &mut Ledger) -> String {
    let mut words: Vec<String> = text.split(' ').map(|word| of_word(word, ledger)).collect();
    let arguments: Vec<(usize, String, String)> = words
        .iter()
        .enumerate()
        .filter_map(|(at, word)| argument(word).map(|(key, value)| (at, key.to_owned(), value)))
        .collect();
    let values: Vec<&str> = arguments.iter().map(|(.., value)| value.as_str()).collect();
    for index in secret_arguments(&values) {
        if let Some((at, key, value)) = arguments.get(index)
            && value != REDACTED
            && let Some(word) = words.get_mut(*at)
        {
            *word = format!("{key}=\"{REDACTED}\"");
            ledger.note_secret_like(1);
        }
    }
    words.join(" ")
}

/// `a1="-u"` or `a1=2D75`, also of an argument in pieces (`a1[0]=…`): its key, and what it says.
fn argument(word: &str) -> Option<(&str, String)> {
    let (key, value) = word.split_once('=')?;
    let number = key.strip_prefix('a')?;
    let number = number.split_once('[').map_or(number, |(number, _)| number);
    if number.is_empty() || !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let quoted = value.strip_prefix('"').and_then(|value| value.strip_suffix('"'));
    Some((key, quoted.map_or_else(|| digits(value).unwrap_or_else(|| value.to_owned()), str::to_owned)))
}

fn of_word(word: &str, ledger: &mut Ledger) -> String {
    let Some((key, value)) = word.split_once('=') else { return plain(word, ledger) };
    let (value, end) = value.split_at_checked(value.trim_end_matches(['\'', '\n']).len()).unwrap_or((value, ""));
    let Some(meant) = digits(value).filter(|_| is_text(key)) else { return plain(word, ledger) };
    let hidden = match is_command(key) {
        // Its arguments are joined by blanks, and no quotes tell of those within.
        true => of_list(&plain(&meant, ledger), ' ', ledger),
        false => of_list(&meant, '\0', ledger),
    };
    if hidden == meant {
        return word.to_owned();
    }
    let mut kept = format!("{key}=");
    for byte in hidden.bytes() {
        kept.push_str(&format!("{byte:02X}"));
    }
    kept + end
}

/// The arguments of a list, each for itself and by those before it.
fn of_list(text: &str, between: char, ledger: &mut Ledger) -> String {
    let mut arguments: Vec<String> = text.split(between).map(|argument| plain(argument, ledger)).collect();
    for index in secret_arguments(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        if let Some(argument) = arguments.get_mut(index).filter(|argument| *argument != REDACTED) {
            *argument = REDACTED.to_owned();
            ledger.note_secret_like(1);
        }
    }
    arguments.join(&between.to_string())
}

fn is_command(key: &str) -> bool {
    key.trim_start_matches('\'') == "cmd"
}

/// Keys of texts that processes choose and that can hold a command or an address.
fn is_text(key: &str) -> bool {
    matches!(
        key.trim_start_matches(['\'', '"']),
        "cmd" | "proctitle" | "data" | "name" | "exe" | "path" | "comm" | "acct"
    ) || argument_key(key)
}

fn argument_key(key: &str) -> bool {
    key.strip_prefix('a').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// What upper-case hexadecimal digits stand for; bytes that are no UTF-8 become U+FFFD.
fn digits(text: &str) -> Option<String> {
    let value = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'A'..=b'F' => Some(byte - b'A' + 10),
        _ => None,
    };
    if text.len() < 4 || !text.len().is_multiple_of(2) {
        return None;
    }
    let digits: Vec<u8> = text.bytes().map(value).collect::<Option<_>>()?;
    let bytes: Vec<u8> =
        digits.chunks_exact(2).map(|pair| pair.iter().fold(0, |byte, digit| byte << 4 | digit)).collect();
    Some(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(text: &str) -> String {
        text.bytes().map(|byte| format!("{byte:02X}")).collect()
    }

    #[test]
    fn arguments_are_judged_by_those_before_them_and_stay_as_they_were_written() {
        let head = "type=EXECVE msg=audit(1774000000.123:7):";
        for (written, kept) in [
            (
                format!(r#"{head} argc=3 a0="mysql" a1="-uroot" a2="-phunter2X""#),
                format!(r#"{head} argc=3 a0="mysql" a1="-uroot" a2="[redacted]""#),
            ),
            (
                format!(r#"{head} argc=3 a0="x" a1="--password" a2={}"#, hex("hunter2X b")),
                format!(r#"{head} argc=3 a0="x" a1="--password" a2="[redacted]""#),
            ),
            (
                format!(r#"{head} argc=3 a0="sh" a1="-c" a2={}"#, hex("sshpass -p hunter2X ssh db")),
                format!(r#"{head} argc=3 a0="sh" a1="-c" a2={}"#, hex("sshpass -p [redacted] ssh db")),
            ),
            (
                format!("type=PROCTITLE msg=audit(1.2:3): proctitle={}", hex("mysql\0-uroot\0-phunter2X")),
                format!("type=PROCTITLE msg=audit(1.2:3): proctitle={}", hex("mysql\0-uroot\0[redacted]")),
            ),
            (
                format!(
                    "type=USER_CMD msg=audit(1.2:3): pid=1 msg='cwd=\"/\" cmd={} res=success'",
                    hex("mysql -phunter2X a")
                ),
                format!(
                    "type=USER_CMD msg=audit(1.2:3): pid=1 msg='cwd=\"/\" cmd={} res=success'",
                    hex("mysql -p[redacted] a")
                ),
            ),
            (
                format!(r#"{head} argc=2 a0="mkdir" a1="-p" a2={}"#, hex("/a b")),
                format!(r#"{head} argc=2 a0="mkdir" a1="-p" a2={}"#, hex("/a b")),
            ),
        ] {
            let (mut ledger, mut again) = (Ledger::default(), Ledger::default());
            assert_eq!(redact(&written, &mut ledger), kept);
            assert_eq!(ledger.hidden > 0, written != kept, "{written}");
            assert_eq!(redact(&kept, &mut again), kept, "again");
            assert_eq!(again.hidden, 0, "again: {kept}");
        }
    }
}
