//! Sets of entries as words of 64: a list of the words that are not zero, or all of them.

/// At most this share of the words is listed.
const SPARSE: usize = 8;

#[derive(Debug)]
pub(super) enum Bits {
    /// (word, bits), sorted; no bits are zero.
    Few(Box<[(u32, u64)]>),
    /// All words, and which of them are not zero.
    Many { words: Box<[u64]>, filled: Box<[u64]> },
}

impl Bits {
    /// Of sorted bits among so many words.
    pub fn of(bits: &[u32], words: usize) -> Bits {
        let mut listed: Vec<(u32, u64)> = Vec::new();
        for bit in bits {
            match listed.last_mut() {
                Some((place, word)) if *place == bit / 64 => *word |= 1 << (bit % 64),
                _ => listed.push((bit / 64, 1 << (bit % 64))),
            }
        }
        if listed.len() <= 2 || listed.len() * SPARSE <= words {
            return Bits::Few(listed.into());
        }
        let mut all = vec![0; words];
        for (place, word) in listed {
            all.get_mut(place as usize).into_iter().for_each(|at| *at = word);
        }
        Bits::Many { filled: filled_words(&all), words: all.into() }
    }

    #[inline]
    pub fn word(&self, place: usize) -> u64 {
        match self {
            Bits::Few(listed) if listed.len() <= 8 => {
                listed.iter().find(|(at, _)| *at as usize == place).map_or(0, |(_, word)| *word)
            }
            Bits::Few(listed) => match listed.binary_search_by_key(&place, |(at, _)| *at as usize) {
                Ok(i) => listed.get(i).map_or(0, |(_, word)| *word),
                Err(_) => 0,
            },
            Bits::Many { words, .. } => words.get(place).copied().unwrap_or_default(),
        }
    }

    /// Adds to `filled`, a bit for each word, the words that are not zero.
    pub fn fill(&self, filled: &mut [u64]) {
        match self {
            Bits::Few(listed) => {
                for (place, _) in listed {
                    if let Some(word) = filled.get_mut(*place as usize / 64) {
                        *word |= 1 << (place % 64);
                    }
                }
            }
            Bits::Many { filled: own, .. } => filled.iter_mut().zip(own).for_each(|(word, own)| *word |= own),
        }
    }

    /// Bytes on the heap.
    pub fn memory(&self) -> usize {
        match self {
            Bits::Few(listed) => size_of_val(&**listed),
            Bits::Many { words, filled } => size_of_val(&**words) + size_of_val(&**filled),
        }
    }
}

/// A bit for each word that is not zero.
pub(super) fn filled_words(words: &[u64]) -> Box<[u64]> {
    let of_chunk = |chunk: &[u64]| (0..).zip(chunk).filter(|(_, word)| **word != 0).fold(0, |all, (i, _)| all | 1 << i);
    words.chunks(64).map(of_chunk).collect()
}

/// The places of the bits that are set.
pub(super) fn ones(mut word: u64) -> impl Iterator<Item = usize> {
    std::iter::from_fn(move || {
        let place = word.trailing_zeros() as usize;
        (word != 0).then(|| {
            word &= word - 1;
            place
        })
    })
}
