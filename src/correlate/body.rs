//! The entries of one rule and key. Few of them are packed bytes, sorted, two of the common form without an allocation;
//! many are a `Window` with its indices. The bytes are all that there is to keep: the indices are made of them.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::{
    entry::{Entry, Form, MAX_SIZE},
    plan::{Plan, Selectors},
    stamp::Stamp,
    texts::TextNo,
    window::{Completion, Window},
};

/// Two entries of `Form::Counted`.
const INLINE: usize = 80;
/// More than this get indices. In tests few events are to pass this limit.
pub const FEW: usize = if cfg!(test) { 4 } else { 16 };

#[derive(Debug, Clone)]
pub enum Body {
    Inline { length: u8, bytes: [u8; INLINE] },
    Heap(Box<[u8]>),
    Many(Box<Many>),
}

#[derive(Debug, Clone)]
pub enum Many {
    /// A Match rule needs only to know which events it has reported, and for which selectors.
    Reported(BTreeMap<Stamp, Selectors>),
    Window(Window),
}

impl Default for Body {
    fn default() -> Self {
        Body::Inline { length: 0, bytes: [0; INLINE] }
    }
}

/// How a rule's entries are kept.
#[derive(Debug, Clone, Copy)]
pub struct Layout<'a> {
    /// None for a Match rule.
    pub plan: Option<Plan<'a>>,
    pub form: Form,
}

impl<'a> Layout<'a> {
    pub fn of(plan: Option<Plan<'a>>) -> Layout<'a> {
        let form = match plan {
            None => Form::Reported,
            Some(plan) if plan.counts_values() => Form::Valued,
            Some(_) => Form::Counted,
        };
        Layout { plan, form }
    }
}

impl Body {
    fn bytes(&self) -> &[u8] {
        match self {
            Body::Inline { length, bytes } => &bytes[..usize::from(*length).min(INLINE)],
            Body::Heap(bytes) => bytes,
            Body::Many(_) => &[],
        }
    }

    /// Entries held.
    pub fn len(&self, layout: Layout<'_>) -> usize {
        match self {
            Body::Inline { .. } | Body::Heap(_) => self.bytes().len() / layout.form.size(),
            Body::Many(many) => match &**many {
                Many::Reported(events) => events.len(),
                Many::Window(window) => window.len(),
            },
        }
    }

    /// Event time of the oldest entry, as its source can tell it.
    pub fn oldest(&self, layout: Layout<'_>) -> Option<Timestamp> {
        match self {
            Body::Inline { .. } | Body::Heap(_) => self.few(layout).next().map(|entry| entry.stamp.at),
            Body::Many(many) => match &**many {
                Many::Reported(events) => events.first_key_value().map(|(stamp, _)| stamp.at),
                Many::Window(window) => window.oldest(),
            },
        }
    }

    /// The entries while they are few.
    fn few(&self, layout: Layout<'_>) -> impl Iterator<Item = Entry> {
        self.bytes().chunks_exact(layout.form.size()).map(move |packed| Entry::unpack(layout.form, packed))
    }

    /// Takes one event in. None when that changes nothing: a redelivery, or no selector that takes part. `text` is called
    /// when the event is new.
    pub fn step(&mut self, layout: Layout<'_>, entry: Entry, text: impl FnOnce() -> TextNo) -> Option<Vec<Completion>> {
        let Some(plan) = layout.plan else { return self.report(layout, entry) };
        let entry = Entry { selectors: entry.selectors & plan.selectors(), ..entry };
        if entry.selectors == 0 {
            return None;
        }
        if let Body::Many(many) = self {
            return match &mut **many {
                Many::Window(window) => window.step(plan, entry, text),
                Many::Reported(_) => None,
            };
        }
        let length = self.len(layout);
        let times = |entry: Entry| entry.times as usize;
        // Nothing can be complete yet, and nothing was.
        if length < FEW
            && self.few(layout).map(times).sum::<usize>() + times(entry) < plan.minimum()
            && !self.few(layout).any(|known| known.done)
        {
            return self.put(layout, entry, text).then(Vec::new);
        }
        let mut window = Window::of(plan, self.few(layout));
        let completions = window.step(plan, entry, text)?;
        self.keep(layout, window);
        Some(completions)
    }

    /// Puts an entry at its place among few. False when it is there for all its selectors.
    fn put(&mut self, layout: Layout<'_>, entry: Entry, text: impl FnOnce() -> TextNo) -> bool {
        let size = layout.form.size();
        let place = self.few(layout).take_while(|known| known.stamp < entry.stamp).count();
        let there = self.few(layout).nth(place).filter(|known| known.stamp == entry.stamp);
        let Some(known) = there else {
            self.splice(place * size, 0, &Entry { text: text(), ..entry }.pack()[..size]);
            return true;
        };
        let joined = Entry { selectors: known.selectors | entry.selectors, ..known };
        self.splice(place * size, size, &joined.pack()[..size]);
        joined.selectors != known.selectors
    }

    /// Puts `packed` in the place of `removed` bytes at `at`.
    fn splice(&mut self, at: usize, removed: usize, packed: &[u8]) {
        let old = self.bytes();
        let (head, tail) = (&old[..at], &old[at + removed..]);
        let length = head.len() + packed.len() + tail.len();
        *self = if length <= INLINE {
            let mut bytes = [0; INLINE];
            bytes[..at].copy_from_slice(head);
            bytes[at..at + packed.len()].copy_from_slice(packed);
            bytes[at + packed.len()..length].copy_from_slice(tail);
            Body::Inline { length: length as u8, bytes }
        } else {
            Body::Heap([head, packed, tail].concat().into_boxed_slice())
        };
    }

    /// Keeps the entries of a window that was made for one step.
    fn keep(&mut self, layout: Layout<'_>, window: Window) {
        if window.len() > FEW {
            *self = Body::Many(Box::new(Many::Window(window)));
        } else {
            self.pack(layout, window.entries());
        }
    }

    fn pack(&mut self, layout: Layout<'_>, entries: impl Iterator<Item = Entry>) {
        let size = layout.form.size();
        let mut bytes = [0; FEW * MAX_SIZE];
        let mut length = 0;
        for (place, entry) in bytes.chunks_exact_mut(size).zip(entries) {
            place.copy_from_slice(&entry.pack()[..size]);
            length += size;
        }
        *self = Body::default();
        self.splice(0, 0, &bytes[..length]);
    }

    /// Of a Match rule.
    fn report(&mut self, layout: Layout<'_>, entry: Entry) -> Option<Vec<Completion>> {
        let known = match self {
            Body::Many(many) => {
                let Many::Reported(events) = &mut **many else { return None };
                let reported = events.entry(entry.stamp).or_default();
                std::mem::replace(reported, *reported | entry.selectors)
            }
            Body::Inline { .. } | Body::Heap(_) => {
                let known =
                    self.few(layout).find(|known| known.stamp == entry.stamp).map_or(0, |known| known.selectors);
                if self.put(layout, entry, || TextNo::NONE) && self.len(layout) > FEW {
                    let events = self.few(layout).map(|entry| (entry.stamp, entry.selectors)).collect();
                    *self = Body::Many(Box::new(Many::Reported(events)));
                }
                known
            }
        };
        let added = entry.selectors & !known;
        let contributing = vec![(entry, added)];
        (added != 0).then(|| vec![Completion { completing: entry, new: known == 0, contributing }])
    }

    /// The entries, in order.
    pub fn entries(&self, layout: Layout<'_>) -> Vec<Entry> {
        match self {
            Body::Inline { .. } | Body::Heap(_) => self.few(layout).collect(),
            Body::Many(many) => match &**many {
                Many::Reported(events) => events.iter().map(|(stamp, s)| Entry::reported(*stamp, *s)).collect(),
                Many::Window(window) => window.entries().collect(),
            },
        }
    }

    /// The body of entries that are in order.
    pub fn of(layout: Layout<'_>, entries: Vec<Entry>) -> Body {
        let mut body = Body::default();
        match layout.plan {
            Some(plan) => body.keep(layout, Window::of(plan, entries.into_iter())),
            None if entries.len() > FEW => {
                let events = entries.into_iter().map(|entry| (entry.stamp, entry.selectors)).collect();
                body = Body::Many(Box::new(Many::Reported(events)));
            }
            None => body.pack(layout, entries.into_iter()),
        }
        body
    }

    /// Forgets the oldest entry, and gives its text back. None when there is none.
    pub fn drop_oldest(&mut self, layout: Layout<'_>) -> Option<TextNo> {
        let Body::Many(many) = self else {
            let oldest = self.few(layout).next()?;
            self.splice(0, layout.form.size(), &[]);
            return Some(oldest.text);
        };
        match (&mut **many, layout.plan) {
            (Many::Window(window), Some(plan)) => {
                let oldest = window.drop_oldest(plan)?;
                if window.len() <= FEW / 2 {
                    let window = std::mem::take(window);
                    self.keep(layout, window);
                }
                Some(oldest.text)
            }
            (Many::Reported(events), _) => {
                events.pop_first()?;
                if events.len() <= FEW / 2 {
                    let few: Vec<Entry> = events.iter().map(|(stamp, s)| Entry::reported(*stamp, *s)).collect();
                    self.pack(layout, few.into_iter());
                }
                Some(TextNo::NONE)
            }
            (Many::Window(_), None) => None,
        }
    }
}
