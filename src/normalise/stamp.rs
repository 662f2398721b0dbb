//! Time stamps of log lines. In: the text of a stamp, the zone of stamps that name none, and when the line was received.
//! Out: when the line was written. The year that RFC 3164 leaves out comes from the time of receipt, never from a clock.

use std::str::FromStr;

use jiff::{
    SignedDuration, Timestamp,
    civil::{Date, DateTime, Time},
    tz::{TimeZone, TimeZoneDatabase},
};

use crate::event::Precision;

/// A stamp without a year that lies further ahead of receipt than this is one of the year before. A day, so that a zone
/// that nobody named and a clock that is ahead don't make it so.
const MAX_YEARLESS_AHEAD: SignedDuration = SignedDuration::from_hours(24);

/// A stamp as it was written.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stamp {
    /// It names its offset from UTC.
    Exact(Timestamp, Precision),
    /// A date with a year in the zone of the source (nginx's error log).
    Local(DateTime, Precision),
    /// Without a year (RFC 3164, klog).
    Yearless { month: i8, day: i8, time: Time, precision: Precision },
}

/// When a line was written, as far as it says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Written {
    pub at: Timestamp,
    pub precision: Precision,
    /// The zone's clock showed this time twice, or never: the first of the two, or as if it had not been put forward.
    pub ambiguous: bool,
}

impl Stamp {
    /// The time, in `zone` where the stamp names none. A stamp without a year gets the latest year that puts it no more
    /// than a day after `received`: a December line received in January is one of the old year, a 29 February of the last
    /// leap year.
    pub fn resolve(&self, zone: &TimeZone, received: Timestamp) -> Option<Written> {
        match *self {
            Stamp::Exact(at, precision) => Some(Written { at, precision, ambiguous: false }),
            Stamp::Local(local, precision) => in_zone(local, zone, precision),
            Stamp::Yearless { .. } => {
                let latest = received.saturating_add(MAX_YEARLESS_AHEAD).unwrap_or(received);
                self.years(zone, received).find(|written| written.at <= latest)
            }
        }
    }

    /// As `resolve`, for a line of which nobody knows when it was received: a stamp without a year gets the one that
    /// brings it nearest to `near`, and no more than a day after `now`, when it is read.
    pub fn resolve_near(&self, zone: &TimeZone, near: Timestamp, now: Timestamp) -> Option<Written> {
        match self {
            Stamp::Yearless { .. } => {
                let latest = now.saturating_add(MAX_YEARLESS_AHEAD).unwrap_or(now);
                let by_then = self.years(zone, near).filter(|written| written.at <= latest);
                by_then.min_by_key(|written| written.at.duration_since(near).abs())
            }
            _ => self.resolve(zone, now),
        }
    }

    /// True for a 29 February without a year: the year is one of few.
    pub fn is_leap_day(&self) -> bool {
        matches!(self, Stamp::Yearless { month: 2, day: 29, .. })
    }

    /// The stamp in each of the years around `near`, the latest first. Eight, because 1900 and its like are no leap years.
    fn years<'a>(&self, zone: &'a TimeZone, near: Timestamp) -> impl Iterator<Item = Written> + use<'a> {
        let parts = match *self {
            Stamp::Yearless { month, day, time, precision } => Some((month, day, time, precision)),
            _ => None,
        };
        let year = zone.to_datetime(near).year();
        (0..=9_i16).filter_map(move |back| {
            let (month, day, time, precision) = parts?;
            let date = Date::new(year.checked_add(1)?.checked_sub(back)?, month, day).ok()?;
            in_zone(date.to_datetime(time), zone, precision)
        })
    }
}

/// In a fold the earlier of the two; in a gap the time by the offset that held before it.
fn in_zone(local: DateTime, zone: &TimeZone, precision: Precision) -> Option<Written> {
    let ambiguous = zone.to_ambiguous_timestamp(local);
    let twice = ambiguous.is_ambiguous();
    Some(Written { at: ambiguous.compatible().ok()?, precision, ambiguous: twice })
}

/// The zone with this IANA name, from the tables that are built in, so that every machine replays alike; UTC when there
/// is none of that name.
pub fn zone(name: Option<&str>) -> TimeZone {
    name.and_then(|name| TimeZoneDatabase::bundled().get(name).ok()).unwrap_or(TimeZone::UTC)
}

/// The number in `text`, which must be digits alone.
pub fn number<N: FromStr>(text: &str) -> Option<N> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// Three letters of an English month (RFC 3164, access logs) as its number.
pub fn month(text: &str) -> Option<i8> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    (1..).zip(MONTHS).find(|(_, name)| *name == text).map(|(number, _)| number)
}

/// `02:03:04`, with or without a fraction.
pub fn clock(text: &str) -> Option<(Time, Precision)> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let mut parts = whole.split(':').map(number::<i8>);
    let (hour, minute, second) = (parts.next()??, parts.next()??, parts.next()??);
    // A leap second is written as 60; there is no such time of day here.
    let second = second.min(59 + i8::from(second > 60));
    if parts.next().is_some() || (fraction.is_empty() && whole.len() != text.len()) || fraction.len() > 9 {
        return None;
    }
    let nanos = if fraction.is_empty() { 0 } else { number::<i32>(&format!("{fraction:0<9}"))? };
    let precision = if fraction.is_empty() { Precision::Second } else { Precision::Micros };
    Some((Time::new(hour, minute, second, nanos).ok()?, precision))
}

/// RFC 3339, as rsyslog, containerd and nginx (`$time_iso8601`) write it.
pub fn rfc3339(text: &str) -> Option<Stamp> {
    if text.len() < 20 || text.len() > 35 || text.as_bytes().get(10) != Some(&b'T') {
        return None;
    }
    let at = text.parse().ok()?;
    let precision = if text.contains('.') { Precision::Micros } else { Precision::Second };
    Some(Stamp::Exact(at, precision))
}

/// `Nov  5 02:03:04` at the start of `text` (RFC 3164, section 4.1.2), and what follows it.
pub fn rfc3164(text: &str) -> Option<(Stamp, &str)> {
    let (name, rest) = text.split_at_checked(3)?;
    let month = month(name)?;
    let (day, rest) = rest.strip_prefix(' ')?.trim_start_matches(' ').split_once(' ')?;
    let (time, rest) = rest.split_once(' ').unwrap_or((rest, ""));
    let (time, precision) = clock(time)?;
    let day = number(day).filter(|day| (1..=31).contains(day))?;
    Some((Stamp::Yearless { month, day, time, precision }, rest))
}

/// `25/Nov/2026:02:03:04 +0000` (`$time_local` of nginx, `%t` of Apache).
pub fn access(text: &str) -> Option<Stamp> {
    let (date, rest) = text.split_once(':')?;
    let (time, offset) = rest.split_once(' ')?;
    let mut parts = date.split('/');
    let (day, name, year) = (number(parts.next()?)?, month(parts.next()?)?, number(parts.next()?)?);
    let (time, precision) = clock(time)?;
    let local = Date::new(year, name, day).ok()?.to_datetime(time);
    Some(Stamp::Exact(offset_of(offset)?.to_timestamp(local).ok()?, precision))
}

fn offset_of(text: &str) -> Option<jiff::tz::Offset> {
    let (sign, digits) = text.split_at_checked(1)?;
    let (hours, minutes) = digits.split_at_checked(2)?;
    let seconds = (number::<i32>(hours)? * 60 + number::<i32>(minutes)?) * 60;
    let seconds = match sign {
        "+" => seconds,
        "-" => -seconds,
        _ => return None,
    };
    jiff::tz::Offset::from_seconds(seconds).ok()
}

/// `1415925664.123:45` of the kernel's audit (`audit(…)`), and the serial behind the colon.
pub fn audit(text: &str) -> Option<(Stamp, &str)> {
    let (seconds, serial) = text.split_once(':')?;
    let (whole, millis) = seconds.split_once('.')?;
    let nanos = number::<i32>(millis).filter(|_| millis.len() == 3)? * 1_000_000;
    let at = Timestamp::new(number(whole)?, nanos).ok()?;
    Some((Stamp::Exact(at, Precision::Micros), serial))
}

#[cfg(test)]
mod tests;
