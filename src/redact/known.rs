//! Parts of bodies that came before. In: a text and where an object or array of it begins. Out: how long it is, if the very same
//! bytes were read before and `copy::body` had nothing to look at in them. What API servers write is full of such parts: who
//! manages which field is the same for all objects that one client makes of one kind, and so are limits, probes and contexts.
//!
//! A part is compared whole, so that it can't be mistaken; it ends by its own bracket, so that it can't be the beginning of
//! another.

use super::key::{mixed, word_at};

/// Bytes of a part that is remembered.
const LENGTHS: std::ops::RangeInclusive<usize> = 32..=4096;
const BUCKETS: usize = 128;
/// Parts of a bucket: at most 1,024 in all, which are 4 MiB a thread.
const WAYS: usize = 8;
/// What has come once.
const ONCE: usize = 4096;

#[derive(Clone, Default)]
struct Part {
    text: Box<[u8]>,
    height: usize,
}

#[derive(Clone, Default)]
struct Bucket {
    parts: [Part; WAYS],
    /// Which of them the next new one replaces.
    next: usize,
}

pub struct Known {
    buckets: Vec<Bucket>,
    /// Hashes of parts that came once, each in its place; only what comes again soon is remembered.
    once: Vec<u64>,
}

impl Default for Known {
    fn default() -> Known {
        Known { buckets: vec![Bucket::default(); BUCKETS], once: vec![0; ONCE] }
    }
}

/// Of the bytes that every part has.
fn beginning(text: &[u8], at: usize) -> u64 {
    mixed([word_at(text, at), word_at(text, at + 8), word_at(text, at + 16), word_at(text, at + 24)])
}

impl Known {
    /// The length of the part that begins at `at`, and the levels of containers below its own.
    pub fn find(&self, text: &[u8], at: usize) -> Option<(usize, usize)> {
        let rest = text.get(at..)?;
        let bucket = self.buckets.get(beginning(text, at) as usize % BUCKETS)?;
        let same = |part: &&Part| !part.text.is_empty() && rest.starts_with(&part.text);
        bucket.parts.iter().find(same).map(|part| (part.text.len(), part.height))
    }

    /// Takes a part that holds nothing to look at.
    pub fn add(&mut self, text: &[u8], start: usize, end: usize, height: usize) {
        let length = end - start;
        if !LENGTHS.contains(&length) {
            return;
        }
        let beginning = beginning(text, start);
        let last =
            mixed([word_at(text, end - 16), word_at(text, end - 8), word_at(text, start + length / 2), length as u64]);
        let hash = beginning ^ last;
        let Some(once) = self.once.get_mut(hash as usize % ONCE) else { return };
        if *once != hash {
            *once = hash;
            return;
        }
        let (bucket, part) = (self.buckets.get_mut(beginning as usize % BUCKETS), text.get(start..end));
        if let (Some(bucket), Some(part)) = (bucket, part)
            && let Some(place) = bucket.parts.get_mut(bucket.next)
        {
            *place = Part { text: part.into(), height };
            bucket.next = (bucket.next + 1) % WAYS;
        }
    }
}
