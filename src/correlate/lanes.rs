//! The stamps of a Sequence's window, by which steps they fit: what tells quickly whether a window holds all steps.
//! In: stamps with the set of steps that they can serve. Out: whether an event completes the sequence.

use std::collections::{BTreeSet, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::stamp::{Stamp, minus, second_before};

/// A set of steps, bit by bit.
pub type Steps = u32;

/// All stamps that fit exactly the same steps, sorted.
#[derive(Debug, Clone)]
struct Lane {
    steps: Steps,
    stamps: VecDeque<Stamp>,
}

impl Lane {
    fn from(&self, lower: Timestamp) -> impl Iterator<Item = &Stamp> {
        let start = self.stamps.partition_point(|s| s.at < lower);
        self.stamps.range(start..)
    }

    /// How many stamps are at or after `lower` and not after `last` in (time, id).
    fn count(&self, lower: Timestamp, last: &Stamp) -> usize {
        let start = self.stamps.partition_point(|s| s.at < lower);
        self.stamps.partition_point(|s| s <= last).saturating_sub(start)
    }
}

#[derive(Debug, Clone, Default)]
pub struct Lanes(Vec<Lane>);

impl Lanes {
    pub fn insert(&mut self, stamp: Stamp, steps: Steps) {
        let at = self.0.iter().position(|l| l.steps == steps).unwrap_or_else(|| {
            self.0.push(Lane { steps, stamps: VecDeque::new() });
            self.0.len() - 1
        });
        let stamps = &mut self.0[at].stamps;
        let place = stamps.partition_point(|s| *s < stamp);
        stamps.insert(place, stamp);
    }

    pub fn remove(&mut self, stamp: &Stamp, steps: Steps) {
        let Some(at) = self.0.iter().position(|l| l.steps == steps) else { return };
        let stamps = &mut self.0[at].stamps;
        if let Ok(place) = stamps.binary_search(stamp) {
            stamps.remove(place);
        }
        if stamps.is_empty() {
            self.0.swap_remove(at);
        }
    }

    /// False when no window can hold all steps yet, whatever its place. Cheap.
    pub fn may_hold(&self, counts: &[u32]) -> bool {
        counts.iter().enumerate().all(|(step, count)| {
            let there: usize = self.fitting(step).map(|l| l.stamps.len()).sum();
            there >= *count as usize
        })
    }

    fn fitting(&self, step: usize) -> impl Iterator<Item = &Lane> {
        self.0.iter().filter(move |l| l.steps & (1 << step) != 0)
    }

    /// True when the window of `within` up to `last` holds every step's count with no event used twice (Hall's theorem:
    /// exactly when every set of steps finds enough events that fit any of them).
    pub fn hold_all(&self, counts: &[u32], within: SignedDuration, last: &Stamp) -> bool {
        let lower = minus(last.at, within);
        let there: Vec<(Steps, usize)> = self.0.iter().map(|l| (l.steps, l.count(lower, last))).collect();
        let overlap = there.iter().any(|(steps, _)| steps.count_ones() > 1);
        let enough = |set: Steps| {
            let have: usize = there.iter().filter(|(steps, _)| steps & set != 0).map(|(_, n)| n).sum();
            let want: usize =
                counts.iter().enumerate().filter(|(k, _)| set & (1 << k) != 0).map(|(_, c)| *c as usize).sum();
            have >= want
        };
        match overlap {
            false => (0..counts.len()).all(|k| enough(1 << k)),
            true => (1..(1u32 << counts.len())).all(enough),
        }
    }

    /// True when the window of `within` up to `last` holds the steps in order and `last` completes the last of them.
    ///
    /// Each step takes the earliest events that it can, among equal times those that serve no later step. An event that
    /// fits several steps is so taken by the earliest: more events in the window never undo a completed sequence.
    pub fn hold_in_order(&self, counts: &[u32], within: SignedDuration, last: &Stamp) -> bool {
        let Some((last_count, earlier)) = counts.split_last() else { return false };
        let lower = minus(last.at, within);
        let mut used: BTreeSet<Stamp> = BTreeSet::from([*last]);
        // No event of a later step may certainly precede this time.
        let mut edge = Timestamp::MIN;
        for (step, count) in earlier.iter().enumerate() {
            let count = *count as usize;
            let mut taken: Vec<(Timestamp, Steps, Stamp)> = Vec::new();
            for lane in self.fitting(step) {
                // Among equal times those that the next steps miss least: the sooner a step is served, the more it is missed.
                let serves_later = (lane.steps >> (step + 1)).reverse_bits();
                let fit = lane
                    .from(lower.max(second_before(edge)))
                    .take_while(|s| s.may_precede(last))
                    .filter(|s| s.latest() >= edge && !used.contains(s));
                taken.extend(fit.take(count).map(|s| (s.at, serves_later, *s)));
            }
            taken.sort_unstable();
            taken.truncate(count);
            let Some((end, ..)) = taken.last().filter(|_| taken.len() == count) else { return false };
            edge = edge.max(*end);
            used.extend(taken.iter().filter(|(_, later, _)| *later != 0).map(|(.., s)| *s));
        }
        let others = (*last_count as usize).saturating_sub(1);
        let there: usize = self
            .fitting(earlier.len())
            .map(|lane| {
                lane.from(lower.max(second_before(edge)))
                    .take_while(|s| *s < last)
                    .filter(|s| s.latest() >= edge && !used.contains(s))
                    .take(others)
                    .count()
            })
            .sum();
        there >= others
    }
}
