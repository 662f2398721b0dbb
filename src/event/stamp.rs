//! Stamps as API servers write them, read without a parser for all that a stamp may be.

use std::fmt;

use jiff::Timestamp;
use serde::{
    Deserializer,
    de::{Error, Visitor},
};

/// The time of `2026-01-31T23:59:59.123456Z` (k8s.io/apimachinery `MicroTime`); `None` for any other form, and for days that not
/// every month has.
pub fn micro_time(text: &[u8]) -> Option<Timestamp> {
    let text: &[u8; 27] = text.try_into().ok()?;
    let marks = [(4, b'-'), (7, b'-'), (10, b'T'), (13, b':'), (16, b':'), (19, b'.'), (26, b'Z')];
    if marks.iter().any(|(at, mark)| text.get(*at) != Some(mark)) {
        return None;
    }
    let number = |from: usize, digits: usize| {
        text.iter()
            .skip(from)
            .take(digits)
            .try_fold(0_i64, |number, digit| digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0')))
    };
    let within = |from, least, most| number(from, 2).filter(|number| (least..=most).contains(number));
    let year = number(0, 4).filter(|year| (1..=9998).contains(year))?;
    let (month, day) = (within(5, 1, 12)?, within(8, 1, 28)?);
    let (hour, minute, second) = (within(11, 0, 23)?, within(14, 0, 59)?, within(17, 0, 59)?);
    let seconds = ((days(year, month, day) * 24 + hour) * 60 + minute) * 60 + second;
    Timestamp::from_microsecond(seconds * 1_000_000 + number(20, 6)?).ok()
}

/// From 1970 to a day of the Gregorian calendar. Years begin in March, so that leap days come last.
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year / 4 - year / 100 + year / 400 + of_year - 719_468
}

/// For serde: a stamp, or none.
pub(super) fn optional<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Timestamp>, D::Error> {
    struct Stamp;
    impl<'de> Visitor<'de> for Stamp {
        type Value = Option<Timestamp>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a time stamp")
        }

        fn visit_none<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_unit<E: Error>(self) -> Result<Self::Value, E> {
            Ok(None)
        }

        fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
            deserializer.deserialize_str(self)
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
            match micro_time(text.as_bytes()) {
                Some(time) => Ok(Some(time)),
                None => text.parse().map(Some).map_err(E::custom),
            }
        }
    }
    deserializer.deserialize_option(Stamp)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_stamp_is_the_time_that_jiff_reads(
            micros in -62_135_000_000_000_000_i64..253_370_764_800_000_000,
            place in 0..40_usize,
            byte: u8,
        ) {
            let time = Timestamp::from_microsecond(micros).unwrap();
            let text = time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string();
            let read = micro_time(text.as_bytes());
            let day: u32 = time.strftime("%d").to_string().parse().unwrap();
            prop_assert_eq!(read, (day <= 28).then_some(time), "{}", text);
            let mut other = text.into_bytes();
            if let Some(at) = other.get_mut(place) {
                *at = byte;
            }
            if let Some(read) = micro_time(&other) {
                prop_assert_eq!(str::from_utf8(&other).unwrap().parse::<Timestamp>().unwrap(), read);
            }
        }
    }
}
