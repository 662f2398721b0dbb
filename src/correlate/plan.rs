//! A detection in the terms of a window: which selectors take part, which can complete, and how far a window reaches.

use jiff::SignedDuration;

use super::{
    lanes::Steps,
    stamp::{Stamp, minus},
};
use crate::ruleset::{CompiledDetection, CompiledStep};

/// Selectors of a rule, bit by bit. A rule has at most 8.
pub type Selectors = u32;

/// The bit of selector `index`.
pub fn bit(index: usize) -> Selectors {
    u32::try_from(index).ok().and_then(|i| 1u32.checked_shl(i)).unwrap_or(0)
}

/// Indices of the selectors in the set, ascending.
pub fn indices(selectors: Selectors) -> impl Iterator<Item = usize> {
    (0..Selectors::BITS as usize).filter(move |i| selectors & bit(*i) != 0)
}

/// How a window is read: a detection in the terms of this module.
#[derive(Debug, Clone, Copy)]
pub enum Plan<'a> {
    Threshold { selector: usize, count: usize, distinct: bool, within: SignedDuration },
    Sequence { steps: &'a [CompiledStep], ordered: bool, within: SignedDuration },
}

impl<'a> Plan<'a> {
    /// None for a detection that needs no window.
    pub fn of(detection: &'a CompiledDetection) -> Option<Plan<'a>> {
        match detection {
            CompiledDetection::Match | CompiledDetection::Absence { .. } | CompiledDetection::NewValue { .. } => None,
            CompiledDetection::Threshold { selector, count, distinct, within } => Some(Plan::Threshold {
                selector: *selector,
                count: *count as usize,
                distinct: *distinct,
                within: *within,
            }),
            CompiledDetection::Sequence { steps, ordered, within } => {
                Some(Plan::Sequence { steps, ordered: *ordered, within: *within })
            }
        }
    }

    /// Length of its windows.
    pub fn within(self) -> SignedDuration {
        match self {
            Plan::Threshold { within, .. } | Plan::Sequence { within, .. } => within,
        }
    }

    /// With fewer matches than this nothing is complete.
    pub fn minimum(self) -> usize {
        match self {
            Plan::Threshold { count, .. } => count,
            Plan::Sequence { steps, .. } => steps.iter().map(|s| s.count as usize).sum(),
        }
    }

    /// The selectors that take part at all.
    pub fn selectors(self) -> Selectors {
        match self {
            Plan::Threshold { selector, .. } => bit(selector),
            Plan::Sequence { steps, .. } => steps.iter().fold(0, |set, s| set | bit(s.selector)),
        }
    }

    /// True when an event with these selectors can be the one that completes.
    pub fn may_complete(self, selectors: Selectors) -> bool {
        match self {
            Plan::Sequence { steps, ordered: true, .. } => {
                steps.last().is_some_and(|s| selectors & bit(s.selector) != 0)
            }
            Plan::Threshold { .. } | Plan::Sequence { ordered: false, .. } => selectors & self.selectors() != 0,
        }
    }

    /// Distinct values are counted, so that an event without one takes no part.
    pub fn counts_values(self) -> bool {
        matches!(self, Plan::Threshold { distinct: true, .. })
    }

    /// Events tie across sources, so that one with a larger stamp may stand before the completing one.
    pub fn has_ties(self) -> bool {
        matches!(self, Plan::Sequence { ordered: true, .. })
    }

    /// True when the window that ends at `completing` holds `other`.
    pub fn reaches(self, completing: &Stamp, other: &Stamp) -> bool {
        let before = if self.has_ties() { other.may_precede(completing) } else { other <= completing };
        before && other.at >= minus(completing.at, self.within())
    }
}

/// The steps that an event with these selectors can serve.
pub fn steps_of(steps: &[CompiledStep], selectors: Selectors) -> Steps {
    steps.iter().enumerate().filter(|(_, s)| selectors & bit(s.selector) != 0).fold(0, |set, (k, _)| set | 1 << k)
}
