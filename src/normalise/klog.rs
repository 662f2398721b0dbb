//! Messages of Kubernetes' own programs: klog (`I1125 02:02:57.123456    1234 server.go:12] "text" key="value"`) and logfmt
//! (containerd: `time="…" level=info msg="…"`). In: a message. Out: its level and text. Says nothing of what they mean.

use super::{
    draft::Draft,
    escape,
    pairs::{pair, pairs, value},
    stamp::{self, Stamp},
};
use crate::event::Outcome;

/// Reads klog (`formatHeader`, klog/v2/internal/buffer/buffer.go).
pub fn read<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    let Some((head, message)) = text.split_once("] ") else { return false };
    let mut words = head.split_ascii_whitespace();
    let (Some(first), Some(time), Some(thread), Some(place), None) =
        (words.next(), words.next(), words.next(), words.next(), words.next())
    else {
        return false;
    };
    let Some((letter, date)) = first.split_at_checked(1) else { return false };
    let level = match letter {
        "I" => "info",
        "W" => "warning",
        "E" => "error",
        "F" => "fatal",
        _ => return false,
    };
    let Some((month, day)) = date.split_at_checked(2).filter(|(_, day)| day.len() == 2) else { return false };
    let (Some(month), Some(day), Some((time, precision))) =
        (stamp::number(month), stamp::number(day), stamp::clock(time))
    else {
        return false;
    };
    if stamp::number::<u64>(thread).is_none() || !place.contains(':') {
        return false;
    }
    mark(draft, "klog", level);
    // Behind a header of syslog, that one's stamp has the better claim: it names its zone or comes from the same clock.
    draft.stamp = draft.stamp.or(Some(Stamp::Yearless { month, day, time, precision }));
    draft.note("caller", place);
    draft.event.line = match message.strip_prefix('"').and_then(|rest| rest.split_once("\" ")) {
        Some((_, rest)) => {
            let error = pairs(rest, true).iter().find(|pair| pair.key == "err").map(|pair| escape::quoted(pair.value));
            draft.event.reason = error.unwrap_or_default();
            message.into()
        }
        None => message.into(),
    };
    true
}

/// Reads logfmt that has `level` and `msg`.
pub fn read_logfmt<'a>(draft: &mut Draft<'a>, text: &'a str) -> bool {
    if !text.starts_with("time=") && !text.starts_with("level=") && !text.starts_with("ts=") {
        return false;
    }
    let found = pairs(text, true);
    let (level, Some(message)) = (value(&found, "level"), pair(&found, "msg")) else { return false };
    if level.is_empty() {
        return false;
    }
    mark(draft, "logfmt", level);
    let time = value(&found, "time");
    let stamped = stamp::rfc3339(if time.is_empty() { value(&found, "ts") } else { time });
    draft.stamp = draft.stamp.or(stamped);
    draft.event.line = escape::quoted(message.value);
    draft.event.reason = pair(&found, "error").map(|error| escape::quoted(error.value)).unwrap_or_default();
    true
}

fn mark<'a>(draft: &mut Draft<'a>, provider: &'static str, level: &'a str) {
    let is_error = matches!(level, "error" | "fatal" | "panic");
    draft.mark(provider, "log", &["process"], &[if is_error { "error" } else { "info" }], Outcome::Unknown);
    draft.note("level", level);
}
