//! What alerts show in words of the events in windows: packed, and within a budget of bytes of its own. When that is full,
//! the rule whose texts take most for its weight forgets its oldest one; the event still counts, and an alert that shows it
//! has its time and record id, and says where the text is.

use std::collections::BTreeMap;

use super::{accounts::RuleNo, entry::Entry, shares::Shares};
use crate::{
    api::{
        alert::{Entity, EntityKind},
        rule::Severity,
    },
    detect::Evidence,
    shared::Shared,
};

/// Stands for the message of an event whose text was forgotten.
pub const FORGOTTEN: &str = "(no longer in memory: the record has the text)";

/// Names a text of one rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TextNo(pub u32);

impl TextNo {
    pub const NONE: TextNo = TextNo(u32::MAX);
}

/// Bytes of the record's id before a text.
const ID: usize = 4;
/// Bytes that a text costs beside its own: its place in the shelf, and what the allocator adds.
const OVERHEAD: u64 = 32;

/// The texts of one rule, oldest first.
#[derive(Debug, Clone, Default)]
struct Shelf {
    /// Number of the first one.
    first: u32,
    texts: Shared<Option<Box<[u8]>>>,
}

#[derive(Debug, Clone, Default)]
pub struct Texts {
    shelves: BTreeMap<RuleNo, Shelf>,
    bytes: Shares,
    /// Texts dropped because the budget was full.
    pub forgotten: u64,
}

impl Texts {
    /// Bytes held.
    pub fn bytes(&self) -> u64 {
        self.bytes.total()
    }

    /// Keeps what `evidence` says, within `budget` bytes for all.
    pub fn keep(&mut self, rule: RuleNo, severity: Severity, evidence: &Evidence, budget: u64) -> TextNo {
        self.put(rule, severity, pack(evidence), budget)
    }

    /// Keeps a packed text.
    pub fn put(&mut self, rule: RuleNo, severity: Severity, packed: Box<[u8]>, budget: u64) -> TextNo {
        self.bytes.add(rule, severity, packed.len() as u64 + OVERHEAD);
        let shelf = self.shelves.entry(rule).or_default();
        if shelf.next() == TextNo::NONE {
            shelf.texts.push(None);
            self.bytes.add(rule, severity, OVERHEAD);
        }
        let number = shelf.next();
        shelf.texts.push(Some(packed));
        while self.bytes() > budget && self.forget_one() {}
        number
    }

    /// Forgets the oldest text of the rule that holds most for its weight. False when there is none.
    fn forget_one(&mut self) -> bool {
        let Some(rule) = self.bytes.heaviest() else { return false };
        let Some(oldest) = self.shelves.get_mut(&rule).and_then(Shelf::pop) else { return false };
        self.forgotten += u64::from(oldest.is_some());
        self.bytes.take(rule, cost(oldest.as_deref()));
        true
    }

    /// The text is no longer needed.
    pub fn release(&mut self, rule: RuleNo, text: TextNo) {
        let Some(shelf) = self.shelves.get_mut(&rule) else { return };
        let Some(place) = shelf.place(text) else { return };
        let gone = shelf.texts.get_mut(place).and_then(Option::take);
        self.bytes.take(rule, gone.map_or(0, |text| text.len() as u64));
        while shelf.texts.get(0).is_some_and(Option::is_none) {
            shelf.pop();
            self.bytes.take(rule, OVERHEAD);
        }
    }

    /// All texts of a rule are no longer needed.
    pub fn forget_rule(&mut self, rule: RuleNo) {
        self.shelves.remove(&rule);
        self.bytes.take(rule, u64::MAX);
    }

    /// What is known of the entry: all, or all but its words.
    pub fn evidence(&self, rule: RuleNo, entry: &Entry) -> Evidence {
        let mut evidence = Evidence {
            id: entry.stamp.id,
            seq: entry.seq,
            times: entry.times,
            at: entry.at,
            precision: entry.stamp.precision,
            source: entry.source,
            host: String::new(),
            message: FORGOTTEN.to_owned(),
            entities: Vec::new(),
            captures: Vec::new(),
        };
        if let Some(text) = self.packed(rule, entry) {
            unpack(&text[ID..], &mut evidence);
        }
        evidence
    }

    /// The text of the entry as it is kept.
    pub fn packed(&self, rule: RuleNo, entry: &Entry) -> Option<&[u8]> {
        let shelf = self.shelves.get(&rule)?;
        let text = shelf.texts.get(shelf.place(entry.text)?)?.as_deref()?;
        // The numbers of texts come round: what another event says is not taken.
        (text.get(..ID)? == entry.stamp.id.0.get(..ID)?).then_some(text)
    }
}

impl Shelf {
    fn next(&self) -> TextNo {
        TextNo(self.first.wrapping_add(u32::try_from(self.texts.len()).unwrap_or(u32::MAX)))
    }

    fn place(&self, text: TextNo) -> Option<usize> {
        if text == TextNo::NONE {
            return None;
        }
        usize::try_from(text.0.wrapping_sub(self.first)).ok().filter(|place| *place < self.texts.len())
    }

    fn pop(&mut self) -> Option<Option<Box<[u8]>>> {
        let oldest = self.texts.pop()?;
        self.first = self.first.wrapping_add(1);
        Some(oldest)
    }
}

fn cost(text: Option<&[u8]>) -> u64 {
    text.map_or(0, |text| text.len() as u64) + OVERHEAD
}

const KINDS: [EntityKind; 7] = [
    EntityKind::User,
    EntityKind::ServiceAccount,
    EntityKind::Pod,
    EntityKind::Workload,
    EntityKind::Node,
    EntityKind::Address,
    EntityKind::Resource,
];

/// Four bytes of the id, host and message, the number of entities and each of them, then captures to the end. A text has
/// its length before it; numbers take seven bits a byte, the last ones first.
fn pack(evidence: &Evidence) -> Box<[u8]> {
    let mut packed = Vec::with_capacity(256);
    packed.extend_from_slice(&evidence.id.0[..ID]);
    put(&mut packed, &evidence.host);
    put(&mut packed, &evidence.message);
    put_number(&mut packed, evidence.entities.len());
    for entity in &evidence.entities {
        put_number(&mut packed, KINDS.iter().position(|kind| *kind == entity.kind).unwrap_or(0));
        put(&mut packed, &entity.namespace);
        put(&mut packed, &entity.name);
    }
    for (slot, value) in &evidence.captures {
        put_number(&mut packed, *slot);
        put(&mut packed, value);
    }
    packed.into_boxed_slice()
}

fn unpack(mut packed: &[u8], evidence: &mut Evidence) {
    evidence.host = take_text(&mut packed);
    evidence.message = take_text(&mut packed);
    for _ in 0..take_number(&mut packed) {
        let kind = KINDS[take_number(&mut packed) % KINDS.len()];
        let namespace = take_text(&mut packed);
        evidence.entities.push(Entity { kind, namespace, name: take_text(&mut packed) });
    }
    while !packed.is_empty() {
        let slot = take_number(&mut packed);
        evidence.captures.push((slot, take_text(&mut packed)));
    }
}

fn put(packed: &mut Vec<u8>, text: &str) {
    put_number(packed, text.len());
    packed.extend_from_slice(text.as_bytes());
}

fn put_number(packed: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        packed.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    packed.push(number as u8);
}

fn take<'a>(packed: &mut &'a [u8], bytes: usize) -> &'a [u8] {
    let (taken, rest) = packed.split_at(bytes.min(packed.len()));
    *packed = rest;
    taken
}

fn take_number(packed: &mut &[u8]) -> usize {
    let mut number = 0;
    for shift in (0..usize::BITS).step_by(7) {
        let Some(byte) = take(packed, 1).first() else { break };
        number |= usize::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            break;
        }
    }
    number
}

fn take_text(packed: &mut &[u8]) -> String {
    let bytes = take_number(packed);
    String::from_utf8_lossy(take(packed, bytes)).into_owned()
}
