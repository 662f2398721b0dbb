//! Compiled regular expressions, and what a search with one may cost. In: a pattern in RE2's syntax. Out: the engine of the
//! regex crate, and how many steps 64 bytes of text cost it at worst.
//!
//! That engine is linear in the text, but by two factors. It builds the states of a DFA as the text asks for them: where
//! these are few, as nearly always, a byte takes a nanosecond. Where they are too many it simulates the NFA, and a byte
//! takes as many times ten nanoseconds as the NFA has states: a hostile pattern of 500 states searches 10 KB in 50 ms. So
//! each pattern is tried: one whose DFA is small is charged by the byte, any other by its states.

use std::collections::HashSet;

use regex::{Regex, RegexBuilder};
use regex_automata::{
    Input,
    hybrid::dfa::{Config, DFA},
    nfa::thompson::{Compiler, NFA, WhichCaptures},
    util::syntax,
};

use super::{re2, tree::Search};

/// Longest pattern in bytes, and the most memory that a compiled one may take.
pub(super) const PATTERN: usize = 1024;
const REGEX_SIZE: usize = 256 << 10;

/// Most states of a DFA that counts as small: a quarter of what the engine keeps before it starts to forget.
const DFA_STATES: usize = 256;

/// What may be spent to find that out, in bytes of states that are looked at, once for each class of bytes: 6 to 20 ns each.
/// A pattern that needs more counts as large, as do those that come when the patterns before them have used all.
pub(in crate::ruleset) struct Effort {
    bytes: usize,
    /// Unicode classes that patterns may still have.
    classes: usize,
}

/// Most Unicode classes (`\\p`, `\\P`) of all patterns of an expression. Each may be hundreds of ranges of characters to unite and,
/// without case, to fold: half a millisecond. The engine bounds what comes of them, and not the work.
pub(super) const CLASSES: usize = 32;

/// What a state of a DFA takes at least, in bytes, beside its transitions.
const ENTRY: usize = 40;

/// Of one pattern: some 8 ms at worst; people's patterns take a tenth of it.
const OF_A_PATTERN: usize = 1 << 18;

impl Effort {
    /// For all patterns of an expression together, some 16 ms at worst.
    pub fn of_an_expression() -> Effort {
        Effort { bytes: 1 << 19, classes: CLASSES }
    }

    /// For a pattern that is compiled at each evaluation.
    pub fn none() -> Effort {
        Effort { bytes: 0, classes: CLASSES / 4 }
    }
}

/// A pattern that is ready to search.
pub(in crate::ruleset) struct Pattern {
    pub regex: Regex,
    /// Steps that a search takes for 64 bytes of text, at least 1.
    pub weight: u64,
}

impl Pattern {
    /// Compiles a pattern within the limits; the error says why not.
    pub(super) fn new(pattern: &str, search: Search, effort: &mut Effort) -> Result<Pattern, String> {
        if pattern.len() > PATTERN {
            return Err(format!("pattern longer than {PATTERN} bytes"));
        }
        let classes = classes(pattern);
        effort.classes = effort.classes.checked_sub(classes).ok_or_else(|| {
            let left = effort.classes;
            format!("pattern with {classes} Unicode classes (\\p, \\P), where an expression has room for {left} more")
        })?;
        let translated = re2::translate(pattern)?;
        let built = RegexBuilder::new(&translated).size_limit(REGEX_SIZE).dfa_size_limit(REGEX_SIZE).build();
        let regex = built.map_err(|error| match error {
            regex::Error::CompiledTooBig(limit) => format!("pattern needs more than {limit} bytes when compiled"),
            // The last line says what is wrong; those before repeat the pattern.
            other => other.to_string().lines().last().unwrap_or_default().trim_start_matches("error: ").to_owned(),
        })?;
        Ok(Pattern { regex, weight: weight(&translated, search, effort) })
    }
}

/// How many Unicode classes are named in a pattern, at most.
pub(super) fn classes(pattern: &str) -> usize {
    let mut rest = pattern.bytes();
    let mut count = 0;
    while let Some(byte) = rest.next() {
        count += usize::from(byte == b'\\' && matches!(rest.next(), Some(b'p' | b'P')));
    }
    count
}

fn weight(translated: &str, search: Search, effort: &mut Effort) -> u64 {
    let Some(forwards) = nfa(translated, false) else { return REGEX_SIZE as u64 };
    // Where a match begins is found by searching backwards from its end.
    let tame = is_tame(&forwards, effort)
        && match search {
            Search::Matches => true,
            Search::Find | Search::FindAll => nfa(translated, true).is_some_and(|nfa| is_tame(&nfa, effort)),
        };
    // A step is half a microsecond: 64 bytes of some 25 ns for each state.
    if tame { 1 } else { (forwards.states().len() as u64).saturating_mul(3) }
}

fn nfa(translated: &str, backwards: bool) -> Option<NFA> {
    let parsed = syntax::parse(translated).ok()?;
    let config =
        NFA::config().nfa_size_limit(Some(2 * REGEX_SIZE)).which_captures(WhichCaptures::None).reverse(backwards);
    Compiler::new().configure(config).build_from_hir(&parsed).ok()
}

/// True when every text keeps the DFA within `DFA_STATES`.
fn is_tame(nfa: &NFA, effort: &mut Effort) -> bool {
    let most = effort.bytes.min(OF_A_PATTERN);
    let mut left = most;
    let tame = try_states(nfa, &mut left).unwrap_or(false);
    effort.bytes -= most - left;
    tame
}

/// `None` when the states can't be told.
fn try_states(nfa: &NFA, left: &mut usize) -> Option<bool> {
    // Room for more states than are counted, so that none is forgotten and met again under another id.
    let config = Config::new().cache_capacity(64 << 20);
    let dfa = DFA::builder().configure(config).build_from_nfa(nfa.clone()).ok()?;
    let mut cache = dfa.create_cache();
    let bytes: Vec<u8> = dfa.byte_classes().representatives(0..=255).filter_map(|unit| unit.as_u8()).collect();
    let transitions = dfa.byte_classes().alphabet_len().next_power_of_two() * size_of::<u32>();
    let start = dfa.start_state_forward(&mut cache, &Input::new("")).ok()?;
    let (mut seen, mut open) = (HashSet::from([start]), vec![(start, nfa.states().len())]);
    while let Some((state, size)) = open.pop() {
        for byte in &bytes {
            *left = left.saturating_sub(size);
            if *left == 0 {
                return Some(false);
            }
            let before = cache.memory_usage();
            let next = dfa.next_state(&mut cache, state, *byte).ok()?;
            if !next.is_dead() && seen.insert(next) {
                // What a state takes beside its transitions grows with the states of the NFA that it stands for.
                open.push((next, cache.memory_usage().saturating_sub(before + transitions + ENTRY).max(4)));
            }
            if seen.len() > DFA_STATES {
                return Some(false);
            }
        }
    }
    Some(true)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn weigh(pattern: &str, search: Search) -> u64 {
        Pattern::new(pattern, search, &mut Effort::of_an_expression()).unwrap().weight
    }

    #[test]
    fn what_people_write_costs_no_more_than_reading() {
        for pattern in [
            "^get$",
            "(?i)(php|expect|phar)(:|%3a)(/|%2f){2}|allow_url_include|auto_prepend_file|eval-stdin\\.php",
            "(?i)(;|\\||&&|`|\\$\\(|%3b|%7c)(\\+|%20| )*(/(usr/)?bin/)?(wget|curl|bash|sh|nc|cat|python3?)(\\+|%20| )+(-|/|[0-9])",
            "^[^?]*[?]([^&]*&)*dryRun=All(&|$)",
            "[a-z0-9]{1,30}\\.example$",
            "^system:serviceaccount:[^:]+:[^:]+$",
        ] {
            assert_eq!(weigh(pattern, Search::Matches), 1, "{pattern}");
        }
    }

    #[test]
    fn unicode_classes_are_bounded_over_all_patterns_of_an_expression() {
        let mut effort = Effort::of_an_expression();
        let mut taken =
            |count: usize| Pattern::new(&format!("(?i)[{}]", r"\PL".repeat(count)), Search::Matches, &mut effort);
        assert!(taken(20).is_ok() && taken(12).is_ok());
        let why = taken(1).err().unwrap();
        assert!(why.contains("1 Unicode classes") && why.contains("room for 0 more"), "{why}");
        assert!(Pattern::new(r"\\pL", Search::Matches, &mut effort).is_ok(), "a backslash and two letters");
        assert!(Pattern::new(r"\PL\PL\PL\PL\PL\PL\PL\PL\PL", Search::Matches, &mut Effort::none()).is_err());
    }

    #[test]
    fn pattern_whose_states_a_text_can_multiply_is_charged_by_them() {
        for (pattern, least) in [("[ab]*a[ab]{15}c", 20), ("[ab]*a[ab]{500}c", 500), ("(?:a?){400}a{400}", 400)] {
            let weight = weigh(pattern, Search::Matches);
            assert!(weight >= least, "{pattern}: {weight}");
        }
        // Only the way back has many states.
        let backwards = "c[ab]{15}a[ab]*";
        assert_eq!(weigh(backwards, Search::Matches), 1);
        assert!(weigh(backwards, Search::Find) > 20);
    }
}
