//! What each detection means, read from docs/reference/rule-language.md's words and not from the engine: the whole sorted
//! history of one key, looked at anew for each event. In: that history. Out: which events complete, and what took part.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use kubewitness::{
    record::RecordId,
    ruleset::{CompiledDetection, CompiledStep},
};

const REST_OF_A_SECOND: SignedDuration = SignedDuration::from_nanos(999_999_999);

/// An event as one rule and key sees it. Ordered by time, then id.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Seen {
    pub at: Timestamp,
    pub id: RecordId,
    /// Of an event that was repeated, which one of it.
    pub nth: u32,
    /// Stamped in whole seconds.
    pub coarse: bool,
    pub selectors: Vec<usize>,
    /// What is told apart by; empty where the rule asks for none.
    pub value: String,
}

impl Seen {
    /// The latest moment at which it may have happened.
    fn latest(&self) -> Timestamp {
        if self.coarse { self.at + REST_OF_A_SECOND } else { self.at }
    }

    /// The same event, happening `times` times at once.
    pub fn repeated(self, times: u32) -> impl Iterator<Item = Seen> {
        (0..times).map(move |nth| Seen { nth, ..self.clone() })
    }

    fn is(&self, other: &Seen) -> bool {
        (self.id, self.nth) == (other.id, other.nth)
    }

    fn fits(&self, selector: usize) -> bool {
        self.selectors.contains(&selector)
    }
}

/// Completing events, with all that took part.
pub type Found = BTreeMap<RecordId, BTreeSet<RecordId>>;

/// What was repeated stands in the history as often, and is found once.
pub fn found(detection: &CompiledDetection, history: &[Seen]) -> Found {
    let mut history = history.to_vec();
    history.sort();
    let whole = |event: &Seen| BTreeSet::from([event.id]);
    let with = |event: &Seen, window: &[&Seen], taking: &dyn Fn(&Seen) -> bool| {
        (event.id, window.iter().filter(|e| taking(e)).map(|e| e.id).collect())
    };
    let upto = |event: &Seen, within: SignedDuration| -> Vec<&Seen> {
        history.iter().filter(|e| e.at >= event.at - within && *e <= event).collect()
    };
    let of = |event: &Seen| match detection {
        CompiledDetection::Match => Some((event.id, whole(event))),
        CompiledDetection::Threshold { selector, count, distinct, within } => {
            let mut window = upto(event, *within);
            window.retain(|e| e.fits(*selector));
            let values: BTreeSet<&str> = window.iter().map(|e| e.value.as_str()).collect();
            let have = if *distinct { values.len() } else { window.len() };
            (event.fits(*selector) && have >= *count as usize).then(|| with(event, &window, &|_| true))
        }
        CompiledDetection::Sequence { steps, ordered: false, within } => {
            let (window, needed) = (upto(event, *within), slots(steps));
            let takes_part = |e: &Seen| needed.iter().any(|selector| e.fits(*selector));
            (takes_part(event) && all_filled(&needed, &window)).then(|| with(event, &window, &takes_part))
        }
        CompiledDetection::Sequence { steps, ordered: true, within } => {
            let in_time = |e: &&Seen| e.at >= event.at - *within && e.at <= event.latest();
            let (window, needed) = (history.iter().filter(in_time).collect::<Vec<_>>(), slots(steps));
            let takes_part = |e: &Seen| needed.iter().any(|selector| e.fits(*selector));
            let complete = event.fits(*needed.last()?) && in_order(steps, &window, event, &mut Vec::new());
            complete.then(|| with(event, &window, &takes_part))
        }
        CompiledDetection::Absence { selector, after, within } => {
            let answers = |e: &Seen| {
                let follows = match after {
                    Some(_) => e.id != event.id && event.at <= e.latest(),
                    None => e > event,
                };
                e.fits(*selector) && follows && e.at <= event.latest() + *within
            };
            let asks = event.fits(after.unwrap_or(*selector));
            (asks && !history.iter().any(answers)).then(|| (event.id, whole(event)))
        }
        CompiledDetection::NewValue { learn_for, forget_after } => {
            let before: Vec<&Seen> = history.iter().filter(|e| *e < event).collect();
            let is_known = before.iter().any(|e| e.value == event.value && e.at >= event.at - *forget_after);
            // Learned since the first event behind the last gap in which the key was forgotten.
            let since = before
                .iter()
                .rev()
                .try_fold(event.at, |since, e| if e.at < since - *forget_after { Err(since) } else { Ok(e.at) });
            let (Ok(since) | Err(since)) = since;
            (!is_known && event.at >= since + *learn_for).then(|| (event.id, whole(event)))
        }
    };
    let mut found = Found::new();
    for (id, parts) in history.iter().filter_map(of) {
        found.entry(id).or_default().extend(parts);
    }
    found
}

/// One selector for each event that the steps need.
fn slots(steps: &[CompiledStep]) -> Vec<usize> {
    steps.iter().flat_map(|step| std::iter::repeat_n(step.selector, step.count as usize)).collect()
}

/// Tries every choice: an event of one step at a time, none twice, each no later than those behind it, `last` the last.
fn in_order<'a>(steps: &[CompiledStep], window: &[&'a Seen], last: &'a Seen, chosen: &mut Vec<&'a Seen>) -> bool {
    let step_of = |place: usize| {
        let ends = steps.iter().scan(0, |sum, step| {
            *sum += step.count as usize;
            Some(*sum)
        });
        ends.take_while(|end| *end <= place).count()
    };
    let (place, needed) = (chosen.len(), slots(steps));
    let fits = |event: &Seen, chosen: &[&Seen]| {
        let mut before = chosen.iter().enumerate();
        event.fits(needed[place])
            && before.all(|(other, e)| {
                let one_step = step_of(other) == step_of(place);
                !e.is(event) && if one_step { *e < event } else { e.at <= event.latest() }
            })
    };
    if place + 1 == needed.len() {
        return fits(last, chosen);
    }
    window.iter().filter(|event| !event.is(last)).any(|event| {
        fits(event, chosen) && {
            chosen.push(event);
            let complete = in_order(steps, window, last, chosen);
            chosen.pop();
            complete
        }
    })
}

/// Whether each slot can have an event of its own: augmenting paths (Kuhn).
fn all_filled(slots: &[usize], window: &[&Seen]) -> bool {
    fn place(slot: usize, slots: &[usize], window: &[&Seen], tried: &mut [bool], held: &mut [Option<usize>]) -> bool {
        (0..window.len()).any(|event| {
            let is_open = !tried[event] && window[event].fits(slots[slot]);
            tried[event] |= is_open;
            is_open && held[event].is_none_or(|other| place(other, slots, window, tried, held)) && {
                held[event] = Some(slot);
                true
            }
        })
    }
    let mut held = vec![None; window.len()];
    (0..slots.len()).all(|slot| place(slot, slots, window, &mut vec![false; window.len()], &mut held))
}
