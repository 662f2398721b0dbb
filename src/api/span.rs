//! A length of time as users write it: `90s`, `10m`, `1h30m`, `7d`.

use std::{fmt, str::FromStr, time::Duration};

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// A non-negative length of time with millisecond resolution, at most 366 days.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Span(Duration);

/// The longest span that a rule may name.
pub const MAX_SPAN: Duration = Duration::from_secs(366 * 24 * 3600);

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SpanError {
    #[error("duration {0:?} must be a sequence of numbers with units d, h, m, s or ms, like 10m or 1h30m")]
    Malformed(String),
    #[error("duration {0:?} is longer than 366d")]
    TooLong(String),
}

impl Span {
    /// `seconds` must be at most 366 days; larger values are cut to that.
    pub fn from_secs(seconds: u64) -> Self {
        Span(Duration::from_secs(seconds).min(MAX_SPAN))
    }

    pub fn as_duration(self) -> Duration {
        self.0
    }

    /// As the signed duration that time stamps are computed with.
    pub fn as_signed(self) -> jiff::SignedDuration {
        jiff::SignedDuration::try_from(self.0).expect("MAX_SPAN fits: the constructor and the parser hold to it")
    }

    pub fn is_zero(&self) -> bool {
        self.0.is_zero()
    }
}

impl FromStr for Span {
    type Err = SpanError;

    fn from_str(text: &str) -> Result<Self, SpanError> {
        let malformed = || SpanError::Malformed(text.chars().take(64).collect());
        let too_long = || SpanError::TooLong(text.chars().take(64).collect());
        if text.is_empty() || text.len() > 32 {
            return Err(malformed());
        }
        let mut millis: u64 = 0;
        let mut rest = text;
        while !rest.is_empty() {
            let digits = rest.find(|c: char| !c.is_ascii_digit()).ok_or_else(malformed)?;
            let (number, tail) = rest.split_at(digits);
            let unit_len = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
            let (unit, tail) = tail.split_at(unit_len);
            let factor = match unit {
                "ms" => 1,
                "s" => 1_000,
                "m" => 60_000,
                "h" => 3_600_000,
                "d" => 86_400_000,
                _ => return Err(malformed()),
            };
            let number: u64 = number.parse().map_err(|_| malformed())?;
            millis = number.checked_mul(factor).and_then(|m| millis.checked_add(m)).ok_or_else(too_long)?;
            rest = tail;
        }
        let length = Duration::from_millis(millis);
        if length > MAX_SPAN { Err(too_long()) } else { Ok(Span(length)) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut millis = self.0.as_millis();
        if millis == 0 {
            return f.write_str("0s");
        }
        for (unit, factor) in [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)] {
            if millis >= factor {
                write!(f, "{}{unit}", millis / factor)?;
                millis %= factor;
            }
        }
        Ok(())
    }
}

impl Serialize for Span {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Span {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl JsonSchema for Span {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Span".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "maxLength": 32, "pattern": "^([0-9]+(ms|s|m|h|d))+$"})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_read_and_print() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("1h30m", 5_400), ("7d", 604_800), ("0s", 0)] {
            let span: Span = text.parse().unwrap();
            assert_eq!(span.as_duration().as_secs(), seconds, "{text}");
            assert_eq!(span.to_string().parse::<Span>().unwrap(), span, "{text}");
        }
        assert_eq!("1500ms".parse::<Span>().unwrap().to_string(), "1s500ms");
    }

    #[test]
    fn spans_that_mean_nothing_are_refused() {
        for text in ["", "10", "m", "10 m", "-5m", "5w", "1.5h", "99999999999999999999d", "367d", "10mx"] {
            assert!(text.parse::<Span>().is_err(), "{text}");
        }
    }
}
