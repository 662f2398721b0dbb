//! One match that is kept: plain values, so that the state can be packed, written out and read back. What an alert shows
//! of it in words is in `texts`, and may be forgotten before it.

use jiff::Timestamp;
use sha2::{Digest, Sha256};

use super::{plan::Selectors, stamp::Stamp, texts::TextNo};
use crate::{
    api::rule::Source,
    detect::Evidence,
    event::{MAX_TIMES, Precision},
    record::{RecordId, Seq},
};

/// 128 bits of a hash over length-prefixed parts: stands for a key, or for a value whose distinct ones are counted.
pub type Digest128 = [u8; 16];

/// Equal for equal parts. Unkeyed SHA-256, so that it is the same after a restart, and nobody can aim at two parts that
/// share one.
pub fn digest<'a>(parts: impl IntoIterator<Item = &'a str>) -> Digest128 {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part.as_bytes());
    }
    let mut digest = [0; 16];
    digest.copy_from_slice(&hash.finalize()[..16]);
    digest
}

/// A match in a window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Entry {
    pub stamp: Stamp,
    /// Event time as it was stamped; `stamp` may be coarser.
    pub at: Timestamp,
    pub seq: Seq,
    /// How often it happened, 1 to [`MAX_TIMES`]: it counts for so many matches.
    pub times: u32,
    pub source: Source,
    pub selectors: Selectors,
    /// Selectors for which a finding has named it as contributing.
    pub told: Selectors,
    /// It completed and was reported.
    pub done: bool,
    pub text: TextNo,
    /// The value that a Threshold counts; zero for all others.
    pub value: Digest128,
}

impl Entry {
    pub fn new(evidence: &Evidence, selectors: Selectors, value: Digest128) -> Entry {
        Entry {
            stamp: Stamp::of(evidence),
            at: evidence.at,
            seq: evidence.seq,
            times: evidence.times.clamp(1, MAX_TIMES),
            source: evidence.source,
            selectors,
            told: 0,
            done: false,
            text: TextNo::NONE,
            value,
        }
    }

    /// Of a Match rule.
    pub fn reported(stamp: Stamp, selectors: Selectors) -> Entry {
        Entry {
            stamp,
            at: stamp.at,
            seq: 0,
            times: 1,
            source: Source::Audit,
            selectors,
            told: 0,
            done: false,
            text: TextNo::NONE,
            value: [0; 16],
        }
    }
}

/// How entries are packed: only what their rule needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Which event and selectors.
    Reported,
    /// And what a window needs.
    Counted,
    /// And the value that is counted.
    Valued,
}

/// Bytes of the longest form.
pub const MAX_SIZE: usize = 56;

impl Form {
    /// Bytes of one entry.
    pub const fn size(self) -> usize {
        match self {
            Form::Reported => 28,
            Form::Counted => 40,
            Form::Valued => MAX_SIZE,
        }
    }
}

const COARSE: u8 = 1;
const DONE: u8 = 2;
/// Above the flags stands the place in `SOURCES`.
const SOURCE_SHIFT: u8 = 2;
/// In seven bytes stand the place in the log and, above these bits, how often it happened, less one. At 100,000 records a
/// second the log comes to 2^46 in 22 years.
const SEQ_BITS: u32 = 46;
const _: () = assert!(MAX_TIMES <= 1 << (56 - SEQ_BITS));
const SOURCES: [Source; 4] = [Source::Audit, Source::Node, Source::Container, Source::Web];

impl Entry {
    /// All forms; the first `Form::size` bytes are the one asked for. Microseconds (8), nanoseconds beyond them (2), id (16),
    /// selectors (1), flags (1); told (1), seq and times (7), text (4); value (16). Selectors are at most 8.
    pub fn pack(&self) -> [u8; MAX_SIZE] {
        let nanos = self.at.as_nanosecond();
        let micros = i64::try_from(nanos.div_euclid(1000)).unwrap_or(i64::MAX);
        let beyond = u16::try_from(nanos.rem_euclid(1000)).unwrap_or(0);
        let source = SOURCES.iter().position(|s| *s == self.source).unwrap_or(0) as u8;
        let coarse = if self.stamp.precision == Precision::Second { COARSE } else { 0 };
        let done = if self.done { DONE } else { 0 };
        let mut packed = [0; MAX_SIZE];
        packed[..8].copy_from_slice(&micros.to_le_bytes());
        packed[8..10].copy_from_slice(&beyond.to_le_bytes());
        packed[10..26].copy_from_slice(&self.stamp.id.0);
        packed[26] = self.selectors as u8;
        packed[27] = coarse | done | (source << SOURCE_SHIFT);
        packed[28] = self.told as u8;
        let seq = self.seq & ((1 << SEQ_BITS) - 1) | u64::from(self.times.saturating_sub(1)) << SEQ_BITS;
        packed[29..36].copy_from_slice(&seq.to_le_bytes()[..7]);
        packed[36..40].copy_from_slice(&self.text.0.to_le_bytes());
        packed[40..].copy_from_slice(&self.value);
        packed
    }

    /// What `pack` packed; what the form leaves out is empty.
    pub fn unpack(form: Form, packed: &[u8]) -> Entry {
        let mut whole = [0; MAX_SIZE];
        let size = form.size().min(packed.len());
        whole[..size].copy_from_slice(&packed[..size]);
        let mut rest = &whole[..];
        let nanos = i128::from(i64::from_le_bytes(take(&mut rest))) * 1000;
        let beyond = i128::from(u16::from_le_bytes(take(&mut rest)));
        let at = Timestamp::from_nanosecond(nanos + beyond).unwrap_or(Timestamp::MIN);
        let id = RecordId(take(&mut rest));
        let [selectors, flags, told] = take(&mut rest);
        let seq: [u8; 7] = take(&mut rest);
        let mut whole_seq = [0; 8];
        whole_seq[..7].copy_from_slice(&seq);
        let seq = u64::from_le_bytes(whole_seq);
        let text = match form {
            Form::Reported => TextNo::NONE,
            Form::Counted | Form::Valued => TextNo(u32::from_le_bytes(take(&mut rest))),
        };
        let value = match form {
            Form::Reported | Form::Counted => [0; 16],
            Form::Valued => take(&mut rest),
        };
        let precision = if flags & COARSE == 0 { Precision::Micros } else { Precision::Second };
        Entry {
            stamp: Stamp::new(at, id, precision),
            at,
            seq: seq & ((1 << SEQ_BITS) - 1),
            times: (seq >> SEQ_BITS) as u32 + 1,
            source: SOURCES[usize::from(flags >> SOURCE_SHIFT) % SOURCES.len()],
            selectors: Selectors::from(selectors),
            told: Selectors::from(told),
            done: flags & DONE != 0,
            text,
            value,
        }
    }
}

fn take<const N: usize>(bytes: &mut &[u8]) -> [u8; N] {
    let Some((head, rest)) = bytes.split_first_chunk() else { return [0; N] };
    *bytes = rest;
    *head
}
