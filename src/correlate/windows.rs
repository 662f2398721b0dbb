//! The state of Match, Threshold and Sequence rules, one `Holder` for each rule and key. A million keys with two events
//! each are to fit into 160 MiB: `docs/performance.md` has what they take.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
};

use data_encoding::BASE64;
use hashbrown::HashTable;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Contribution, Finding,
    accounts::{Accounts, Loss, RuleNo},
    body::{Body, Layout},
    entry::{Digest128, Entry, Form, MAX_SIZE, digest},
    holders::{Class, Due, Holder, Holders, NEVER, Slot, class},
    plan::{Plan, indices},
    stamp::{minus, plus},
    state::{Desk, Place, State},
    texts::{TextNo, Texts},
    window::{Arrival, Completion},
};
use crate::{detect::Evidence, ruleset::CompiledRule, shared::Shared};

/// Entries that one call of `expire` drops at most, so that no event waits for a whole flood to expire. It is far more
/// than one event adds.
const EXPIRED_AT_ONCE: u64 = 1024;
/// Deadlines are kept to this part of the time that an entry is kept, and to the second: few queues for many holders.
const DEADLINE_PARTS: i64 = 64;

#[derive(Debug, Default)]
pub struct Windows {
    /// Slots by rule and key.
    slots: HashTable<Slot>,
    /// Hashes are keyed anew in each process: which keys share a bucket can't be aimed at, and shows nowhere.
    hasher: RandomState,
    holders: Holders,
    texts: Texts,
    lateness: SignedDuration,
}

impl State for Windows {
    fn arrive(&mut self, place: Place<'_>, arrival: Arrival, desk: &mut Desk<'_>, findings: &mut Vec<Finding>) {
        let layout = Layout::of(Plan::of(&place.rule.detection));
        self.lateness = desk.limits.lateness.unwrap_or_default();
        let late = |lateness: &SignedDuration| arrival.evidence.at < minus(desk.received, *lateness);
        let late = desk.limits.lateness.filter(|lateness| layout.plan.is_some() && late(lateness));
        desk.accounts.counters.late += u64::from(late.is_some());
        let counted = layout.plan.is_some_and(Plan::counts_values);
        let value = match &arrival.distinct {
            Some(value) if counted => digest([&**value]),
            None if counted => {
                desk.accounts.counters.repeated += 1;
                return;
            }
            Some(_) | None => [0; 16],
        };
        let key = digest(place.key.iter().map(|value| &**value));
        let slot = self.slot(place.number, key, desk.accounts);
        let Some(holder) = self.holders.get_mut(slot) else { return };
        let before = holder.body.len(layout);
        let texts = &mut self.texts;
        let keep = || texts.keep(place.number, place.rule.severity, &arrival.evidence, desk.limits.max_text_bytes);
        let entry = Entry::new(&arrival.evidence, arrival.selectors, value);
        match holder.body.step(layout, entry, keep) {
            Some(completions) => self.tell(place, &arrival, completions, findings),
            None => desk.accounts.counters.repeated += 1,
        }
        self.bound(slot, before, layout, desk);
        // What comes after an outage comes all at once, and stays until the rest of it may be here.
        let stays = late.map(|lateness| plus(desk.received, lateness)).unwrap_or(Timestamp::MIN);
        self.settle(slot, class(before), before == 0, (layout, stays), desk.accounts);
        self.count_words(desk.accounts);
    }

    fn expire(&mut self, desk: &mut Desk<'_>) {
        let Some(lateness) = desk.limits.lateness else { return };
        let mut dropped = 0;
        while let Some((due, class, slot)) = self.holders.soonest() {
            if dropped >= EXPIRED_AT_ONCE || due == NEVER || Timestamp::constant(i64::from(due), 0) >= desk.received {
                break;
            }
            let Some(Holder { rule, body, .. }) = self.holders.get_mut(slot) else { break };
            let (number, Some(rule)) = (*rule, desk.accounts.rule(*rule).cloned()) else { break };
            let layout = Layout::of(Plan::of(&rule.detection));
            let before = dropped;
            let horizon = minus(minus(desk.received, lateness), within(layout));
            while body.oldest(layout).is_some_and(|at| at < horizon) {
                let Some(text) = body.drop_oldest(layout) else { break };
                self.texts.release(number, text);
                desk.accounts.lost(number, 1, Loss::Expired);
                dropped += 1;
            }
            self.settle(slot, class, false, (layout, Timestamp::MIN), desk.accounts);
            if dropped == before {
                break; // what is due has something to drop; else this would not end
            }
        }
        self.count_words(desk.accounts);
    }

    fn evict(&mut self, rule: RuleNo, accounts: &mut Accounts) -> bool {
        let Some(slot) = self.holders.cheapest(rule) else { return false };
        let Some(of) = accounts.rule(rule).cloned() else { return false };
        let layout = Layout::of(Plan::of(&of.detection));
        let Some(holder) = self.holders.get_mut(slot) else { return false };
        let before = class(holder.body.len(layout));
        let Some(text) = holder.body.drop_oldest(layout) else { return false };
        self.texts.release(rule, text);
        accounts.lost(rule, 1, Loss::Evicted);
        self.settle(slot, before, false, (layout, Timestamp::MIN), accounts);
        self.count_words(accounts);
        true
    }

    fn forget(&mut self, rule: RuleNo, accounts: &mut Accounts) {
        let Some(of) = accounts.rule(rule).cloned() else { return };
        let layout = Layout::of(Plan::of(&of.detection));
        for (class, slot) in self.holders.of_rule(rule) {
            let entries = self.holders.get(slot).map_or(0, |holder| holder.body.len(layout) as u64);
            accounts.lost(rule, entries, Loss::Forgotten);
            self.holders.dequeue(slot, class);
            self.remove(slot, accounts);
        }
        self.texts.forget_rule(rule);
        self.count_words(accounts);
    }
}

/// Windows as they stood at one moment.
#[derive(Debug)]
pub struct KeptWindows {
    places: Shared<Holder>,
    texts: Texts,
    lateness: SignedDuration,
}

/// The window of one rule and key as it is written down: packed, in Base64.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct WindowPart {
    key: String,
    /// Entries with their texts, which are empty when they were forgotten.
    entries: Vec<(String, String)>,
    /// Second since 1970 until which it stays, where that does not follow from its oldest entry: what came late stays
    /// from its receipt on. Builds before this one neither wrote nor asked for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    due: Option<Due>,
}

impl KeptWindows {
    pub fn holders(&self) -> impl Iterator<Item = &Holder> {
        self.places.iter()
    }

    /// None for a holder that holds nothing.
    pub fn part(&self, holder: &Holder, rule: &CompiledRule) -> Option<WindowPart> {
        let layout = Layout::of(Plan::of(&rule.detection));
        let entries = holder.body.entries(layout);
        let regular = holder.body.oldest(layout).map(|oldest| due(oldest, Timestamp::MIN, kept(layout, self.lateness)));
        let due = Some(holder.due).filter(|due| Some(*due) != regular);
        let entry = |entry: &Entry| {
            let text = self.texts.packed(holder.rule, entry).unwrap_or_default();
            // The number of the text is that of this process.
            let entry = Entry { text: TextNo::NONE, ..*entry };
            (BASE64.encode(&entry.pack()), BASE64.encode(text))
        };
        (!entries.is_empty()).then(|| WindowPart {
            key: BASE64.encode(&holder.key),
            entries: entries.iter().map(entry).collect(),
            due,
        })
    }
}

impl Windows {
    /// All of it as it is now.
    pub fn keep(&self) -> KeptWindows {
        KeptWindows { places: self.holders.places().clone(), texts: self.texts.clone(), lateness: self.lateness }
    }

    /// Takes in the window of a rule. None when it is not one.
    pub fn put(&mut self, number: RuleNo, rule: &CompiledRule, part: &WindowPart, desk: &mut Desk<'_>) -> Option<()> {
        let layout = Layout::of(Plan::of(&rule.detection));
        self.lateness = desk.limits.lateness.unwrap_or_default();
        let key: Digest128 = BASE64.decode(part.key.as_bytes()).ok()?.try_into().ok()?;
        let mut entries = Vec::with_capacity(part.entries.len());
        for (packed, text) in &part.entries {
            let packed = BASE64.decode(packed.as_bytes()).ok().filter(|packed| packed.len() == MAX_SIZE)?;
            let text = BASE64.decode(text.as_bytes()).ok()?;
            let text = match text.is_empty() {
                true => TextNo::NONE,
                false => self.texts.put(number, rule.severity, text.into(), desk.limits.max_text_bytes),
            };
            entries.push(Entry { text, ..Entry::unpack(Form::Valued, &packed) });
        }
        entries.sort_unstable_by_key(|entry| entry.stamp);
        let slot = self.slot(number, key, desk.accounts);
        (0..entries.len()).for_each(|_| desk.accounts.kept(number));
        let holder = self.holders.get_mut(slot)?;
        holder.body = Body::of(layout, entries);
        holder.due = part.due.unwrap_or_default();
        self.settle(slot, 0, true, (layout, Timestamp::MIN), desk.accounts);
        Some(())
    }

    /// The slot of a rule and key; a new one is in no queue yet.
    fn slot(&mut self, rule: RuleNo, key: Digest128, accounts: &mut Accounts) -> Slot {
        let hash = self.hasher.hash_one((rule, key));
        let same = |slot: &Slot| self.holders.get(*slot).is_some_and(|h| h.rule == rule && h.key == key);
        if let Some(slot) = self.slots.find(hash, same) {
            return *slot;
        }
        let slot = self.holders.add(rule, key);
        accounts.counters.keys += 1;
        let (holders, hasher) = (&self.holders, &self.hasher);
        let hash_of = |slot: &Slot| holders.get(*slot).map_or(0, |h| hasher.hash_one((h.rule, h.key)));
        self.slots.insert_unique(hash, slot, hash_of);
        slot
    }

    /// Removes a holder that is in no queue.
    fn remove(&mut self, slot: Slot, accounts: &mut Accounts) {
        let Some(holder) = self.holders.get(slot) else { return };
        let hash = self.hasher.hash_one((holder.rule, holder.key));
        if let Ok(found) = self.slots.find_entry(hash, |s| *s == slot) {
            found.remove();
        }
        self.holders.free(slot);
        accounts.counters.keys -= 1;
    }

    /// Books what came to a holder, and keeps it within the limit of a key.
    fn bound(&mut self, slot: Slot, before: usize, layout: Layout<'_>, desk: &mut Desk<'_>) {
        let Some(holder) = self.holders.get_mut(slot) else { return };
        if holder.body.len(layout) > before {
            desk.accounts.kept(holder.rule);
        }
        while holder.body.len(layout) > desk.limits.max_entries_per_key.max(1) {
            let Some(text) = holder.body.drop_oldest(layout) else { return };
            self.texts.release(holder.rule, text);
            desk.accounts.lost(holder.rule, 1, Loss::FullKey);
        }
    }

    /// Brings the queue of a holder up to date, and removes it when nothing is left in it. What it holds stays until `stays`
    /// at least, and no shorter than it was to stay before.
    fn settle(
        &mut self,
        slot: Slot,
        before: Class,
        is_new: bool,
        (layout, stays): (Layout<'_>, Timestamp),
        accounts: &mut Accounts,
    ) {
        let Some(holder) = self.holders.get(slot) else { return };
        let (now, known) = (class(holder.body.len(layout)), holder.due);
        let due = holder.body.oldest(layout).map(|at| due(at, stays, kept(layout, self.lateness)).max(known));
        if !is_new && due == Some(known) && now == before {
            return;
        }
        if !is_new {
            self.holders.dequeue(slot, before);
        }
        match due {
            Some(due) => self.holders.enqueue(slot, now, due),
            None => self.remove(slot, accounts),
        }
    }

    /// Puts completions into words.
    fn tell(&mut self, place: Place<'_>, arrival: &Arrival, completions: Vec<Completion>, findings: &mut Vec<Finding>) {
        let mut used: Vec<TextNo> = Vec::new();
        for completion in completions {
            let mut contributing = Vec::with_capacity(completion.contributing.len());
            let completing = self.words(place.number, arrival, &completion.completing);
            for (entry, selectors) in completion.contributing {
                let evidence = if entry.stamp == completion.completing.stamp {
                    completing.clone()
                } else {
                    self.words(place.number, arrival, &entry)
                };
                used.push(entry.text);
                contributing
                    .extend(indices(selectors).map(|selector| Contribution { selector, evidence: evidence.clone() }));
            }
            findings.push(Finding {
                rule: Arc::clone(place.rule),
                key: place.key.clone(),
                completing,
                new: completion.new,
                contributing,
            });
        }
        used.into_iter().for_each(|text| self.texts.release(place.number, text));
    }

    fn count_words(&self, accounts: &mut Accounts) {
        accounts.counters.texts_forgotten = self.texts.forgotten;
        accounts.counters.text_bytes = self.texts.bytes();
    }

    fn words(&self, rule: RuleNo, arrival: &Arrival, entry: &Entry) -> Arc<Evidence> {
        if entry.stamp.id == arrival.evidence.id && entry.at == arrival.evidence.at {
            arrival.evidence.clone()
        } else {
            Arc::new(self.texts.evidence(rule, entry))
        }
    }
}

fn within(layout: Layout<'_>) -> SignedDuration {
    layout.plan.map_or(SignedDuration::ZERO, Plan::within)
}

/// How long entries are kept.
fn kept(layout: Layout<'_>, lateness: SignedDuration) -> SignedDuration {
    within(layout).saturating_add(lateness)
}

/// The deadline of what is kept so long from `oldest` on, and until `stays` at least; rounded up.
fn due(oldest: Timestamp, stays: Timestamp, kept: SignedDuration) -> Due {
    let part = (kept.as_secs() / DEADLINE_PARTS).max(1);
    let second = plus(oldest, kept).max(stays).as_second().saturating_add(1);
    let rounded = second.saturating_add((-second).rem_euclid(part));
    Due::try_from(rounded.max(0)).unwrap_or(NEVER)
}

// A million of these are most of what a million keys take.
const _: () = assert!(size_of::<Holder>() == 120);
