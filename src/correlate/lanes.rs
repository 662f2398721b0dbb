//! The stamps of a Sequence's window, by which steps they fit: what tells quickly whether a window holds all steps.
//! In: stamps with the set of steps that they can serve, and how often each happened: a line that was repeated serves as
//! often. Out: whether an event completes the sequence.

use std::collections::{BTreeMap, VecDeque};

use jiff::{SignedDuration, Timestamp};

use super::stamp::{Stamp, minus, second_before};

/// A set of steps, bit by bit.
pub type Steps = u32;

/// All stamps that fit exactly the same steps, sorted.
#[derive(Debug, Clone)]
struct Lane {
    steps: Steps,
    /// Each with how often it happened.
    stamps: VecDeque<(Stamp, u32)>,
    /// How often all of them happened.
    times: usize,
}

impl Lane {
    fn from(&self, lower: Timestamp) -> impl Iterator<Item = &(Stamp, u32)> {
        let start = self.stamps.partition_point(|(s, _)| s.at < lower);
        self.stamps.range(start..)
    }

    /// How often something happened at or after `lower` and not after `last` in (time, id). More than `enough` may be less
    /// than it is, so that this looks at no more than so many.
    fn count(&self, lower: Timestamp, last: &Stamp, enough: usize) -> usize {
        let start = self.stamps.partition_point(|(s, _)| s.at < lower);
        let end = self.stamps.partition_point(|(s, _)| s <= last).max(start);
        let stamps = end - start;
        if self.times == self.stamps.len() || stamps >= enough {
            return stamps;
        }
        self.stamps.range(start..end).map(|(_, times)| *times as usize).sum()
    }
}

#[derive(Debug, Clone, Default)]
pub struct Lanes(Vec<Lane>);

impl Lanes {
    pub fn insert(&mut self, stamp: Stamp, steps: Steps, times: u32) {
        let at = self.0.iter().position(|l| l.steps == steps).unwrap_or_else(|| {
            self.0.push(Lane { steps, stamps: VecDeque::new(), times: 0 });
            self.0.len() - 1
        });
        let lane = &mut self.0[at];
        let place = lane.stamps.partition_point(|(s, _)| *s < stamp);
        lane.stamps.insert(place, (stamp, times));
        lane.times += times as usize;
    }

    pub fn remove(&mut self, stamp: &Stamp, steps: Steps) {
        let Some(at) = self.0.iter().position(|l| l.steps == steps) else { return };
        let lane = &mut self.0[at];
        let place = lane.stamps.binary_search_by(|(s, _)| s.cmp(stamp));
        if let Some((_, times)) = place.ok().and_then(|place| lane.stamps.remove(place)) {
            lane.times -= times as usize;
        }
        if lane.stamps.is_empty() {
            self.0.swap_remove(at);
        }
    }

    /// False when no window can hold all steps yet, whatever its place. Cheap.
    pub fn may_hold(&self, counts: &[u32]) -> bool {
        counts.iter().enumerate().all(|(step, count)| {
            let there: usize = self.fitting(step).map(|l| l.times).sum();
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
        let all = counts.iter().map(|count| *count as usize).sum();
        let there: Vec<(Steps, usize)> = self.0.iter().map(|l| (l.steps, l.count(lower, last, all))).collect();
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
        // How often an event has served already.
        let mut used: BTreeMap<Stamp, usize> = BTreeMap::from([(*last, 1)]);
        let left = |(stamp, times): &(Stamp, u32), used: &BTreeMap<Stamp, usize>| {
            let left = (*times as usize).saturating_sub(used.get(stamp).copied().unwrap_or(0));
            (left > 0).then_some((*stamp, left))
        };
        // No event of a later step may certainly precede this time.
        let mut edge = Timestamp::MIN;
        for (step, count) in earlier.iter().enumerate() {
            let count = *count as usize;
            let mut taken: Vec<(Timestamp, Steps, Stamp, usize)> = Vec::new();
            for lane in self.fitting(step) {
                // Among equal times those that the next steps miss least: the sooner a step is served, the more it is missed.
                let serves_later = (lane.steps >> (step + 1)).reverse_bits();
                let fit = lane
                    .from(lower.max(second_before(edge)))
                    .take_while(|(s, _)| s.may_precede(last))
                    .filter(|(s, _)| s.latest() >= edge)
                    .filter_map(|there| left(there, &used));
                taken.extend(fit.take(count).map(|(s, left)| (s.at, serves_later, s, left)));
            }
            taken.sort_unstable();
            let mut missing = count;
            for (at, later, stamp, left) in taken {
                if missing == 0 {
                    break;
                }
                let served = left.min(missing);
                missing -= served;
                edge = edge.max(at);
                if later != 0 {
                    *used.entry(stamp).or_default() += served;
                }
            }
            if missing > 0 {
                return false;
            }
        }
        let others = (*last_count as usize).saturating_sub(1);
        let there: usize = self
            .fitting(earlier.len())
            .map(|lane| {
                lane.from(lower.max(second_before(edge)))
                    .take_while(|(s, _)| s <= last)
                    .filter(|(s, _)| s.latest() >= edge)
                    .filter_map(|there| left(there, &used))
                    .take(others)
                    .map(|(_, left)| left)
                    .sum::<usize>()
            })
            .sum();
        there >= others
    }
}
