//! What a reader of an offline command's output should know of its input: lines that no format recognises, and lines that look
//! like those of another source than they were said to be. In: records as they are read. Out: sentences for standard error.

use super::input::LineSource;
use crate::{
    normalise::{self, line::is_parsed},
    record::Record,
};

/// Records that are looked at: enough to tell, and few beside what a replay costs.
pub const LOOKED_AT: u64 = 1000;

/// Of the first lines of an input, what they look like.
#[derive(Debug, Default)]
pub struct Hint {
    said: Option<LineSource>,
    looked_at: u64,
    unknown: u64,
    web: u64,
}

impl Hint {
    /// `said` is what `--lines` says of the input; without it, nothing is looked at.
    pub fn new(said: Option<LineSource>) -> Hint {
        Hint { said, ..Hint::default() }
    }

    pub fn look(&mut self, record: &Record) {
        if self.said.is_none() || self.looked_at >= LOOKED_AT {
            return;
        }
        let Some(event) = normalise::event(record) else { return };
        self.looked_at += 1;
        self.unknown += u64::from(!is_parsed(&event));
        self.web += u64::from(is_parsed(&event) && event.category.contains(&"web"));
    }

    /// One sentence for each thing that is odd.
    pub fn say(&self) -> Vec<String> {
        let Some(said) = self.said else { return Vec::new() };
        let (all, known) = (self.looked_at, self.looked_at - self.unknown);
        let first = if all == LOOKED_AT { "the first " } else { "" };
        let mut sentences = Vec::new();
        if self.unknown > 0 {
            sentences.push(format!(
                "no format knew {} of {first}{all} lines: they are events with their text alone",
                self.unknown
            ));
        }
        let (seems, count) = match said {
            LineSource::Node => ("web", self.web),
            LineSource::Web => ("node", known - self.web),
            LineSource::Container => return sentences,
        };
        if count * 2 > known {
            let said = if said == LineSource::Node { "node" } else { "web" };
            sentences.push(format!(
                "{count} of {first}{all} lines look like those of --lines {seems}, and were read as --lines {said}: rules for \
                 the other source do not see them"
            ));
        }
        sentences
    }

    /// Says it on standard error.
    pub fn tell(&self) {
        for sentence in self.say() {
            eprintln!("kubewitness: {sentence}");
        }
    }
}
