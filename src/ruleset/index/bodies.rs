//! Texts that are looked for in bodies as they are written, before anything decodes them. In: texts of which one must be
//! there. Out: whether one may be.

use aho_corasick::AhoCorasick;
use memchr::memmem::Finder;

use super::condition::Test;
use crate::event::{Body, Event};

/// More texts than that are sought by an automaton, which looks at each byte once.
const SOUGHT: usize = 12;

#[derive(Debug)]
pub(super) enum Parts {
    Few(Box<[Finder<'static>]>),
    Many(AhoCorasick),
}

impl Parts {
    pub fn new(tests: &[Test]) -> Parts {
        let texts: Vec<&str> = tests
            .iter()
            .filter_map(|test| match test {
                Test::Contains(text) => Some(&**text),
                _ => None,
            })
            .collect();
        match texts.len() {
            0..=SOUGHT => Parts::Few(texts.iter().map(|text| Finder::new(text).into_owned()).collect()),
            // It fails for more than 2^31 states only, far beyond what all rules' texts can be.
            _ => Parts::Many(AhoCorasick::new(texts).expect("the texts of all rules are short of 2 GiB")),
        }
    }

    /// Whether one of the texts may stand in a body of the event.
    pub fn may_hold(&self, event: &Event<'_>) -> bool {
        let Some(audit) = event.audit.as_deref() else { return false };
        let bodies = || [&audit.request_object, &audit.response_object].into_iter().flatten();
        bodies().any(|body| self.are_in(body.raw())) || bodies().any(Body::is_spelled)
    }

    fn are_in(&self, raw: &str) -> bool {
        match self {
            Parts::Few(texts) => texts.iter().any(|text| text.find(raw.as_bytes()).is_some()),
            Parts::Many(automaton) => automaton.is_match(raw),
        }
    }

    /// Bytes on the heap, nearly.
    pub fn memory(&self) -> usize {
        size_of::<Parts>()
            + match self {
                Parts::Few(texts) => texts.iter().map(|text| size_of::<Finder<'_>>() + text.needle().len()).sum(),
                Parts::Many(automaton) => automaton.memory_usage(),
            }
    }
}
