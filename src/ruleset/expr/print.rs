//! Values as text, exactly as CEL's `string()` gives it in the reference implementation.

use jiff::{SignedDuration, Timestamp};

use super::value::Val;

/// The text of a value that `string()` takes; `None` for null, lists, maps and other values without one.
pub(super) fn text(value: &Val<'_>) -> Option<String> {
    Some(match value {
        Val::Bool(b) => b.to_string(),
        Val::Int(i) => i.to_string(),
        Val::Uint(u) => u.to_string(),
        Val::Double(d) => double(*d),
        Val::Str(text) => text.as_str().to_owned(),
        Val::Bytes(bytes) => std::str::from_utf8(bytes).ok()?.to_owned(),
        Val::Timestamp(t) => timestamp(*t),
        Val::Duration(d) => duration(*d),
        Val::Ip(ip) => ip.to_string(),
        Val::Cidr(cidr) => cidr.to_string(),
        Val::Type(name) => (*name).to_owned(),
        Val::Null | Val::List(_) | Val::Map(_) | Val::Optional(_) | Val::Url(_) => return None,
    })
}

/// RFC 3339 in UTC with as many fractional digits as needed.
pub(super) fn timestamp(t: Timestamp) -> String {
    t.to_string()
}

/// Seconds with as many fractional digits as needed: `1.5s`. Of years the last digits are lost, as in cel-go, which prints
/// a double.
pub(super) fn duration(d: SignedDuration) -> String {
    format!("{}s", d.as_secs() as f64 + f64::from(d.subsec_nanos()) / 1e9)
}

/// The same to the last nanosecond.
pub(super) fn exact_duration(d: SignedDuration) -> String {
    let (sign, nanos) = (if d.is_negative() { "-" } else { "" }, d.as_nanos().unsigned_abs());
    let (seconds, rest) = (nanos / 1_000_000_000, nanos % 1_000_000_000);
    let fraction = if rest == 0 { String::new() } else { format!(".{rest:09}") };
    format!("{sign}{seconds}{}s", fraction.trim_end_matches('0'))
}

/// Go's `%g`: the shortest digits that read back the same, with an exponent below 1e-4 and from 1e6 on (strconv.FormatFloat).
pub(super) fn double(d: f64) -> String {
    if d.is_nan() {
        return "NaN".into();
    }
    if d.is_infinite() {
        return if d > 0.0 { "+Inf" } else { "-Inf" }.into();
    }
    let scientific = format!("{d:e}");
    let (digits, exponent) = scientific.split_once('e').unwrap_or((scientific.as_str(), "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if d != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{digits}e{sign}{:02}", exponent.unsigned_abs());
    }
    format!("{d}")
}
