//! What every kind of detection's state has in common: it is keyed by rule and key, bounded, and gives way when told to.
//! `windows` holds that of Match, Threshold and Sequence. `Correlator` routes to it and decides which rule gives way;
//! the state decides which of that rule's entries is the cheapest to lose.

use std::sync::Arc;

use jiff::Timestamp;

use super::{
    Finding, Limits,
    accounts::{Accounts, RuleNo},
    window::Arrival,
};
use crate::{detect::Key, ruleset::CompiledRule};

/// Where an event goes: one rule and key.
#[derive(Debug, Clone, Copy)]
pub struct Place<'a> {
    pub number: RuleNo,
    pub rule: &'a Arc<CompiledRule>,
    pub key: &'a Key,
}

/// What surrounds a state while it takes something in: the limits, how far receipt has come, and the books.
#[derive(Debug)]
pub struct Desk<'a> {
    pub limits: &'a Limits,
    /// How far receipt has come.
    pub received: Timestamp,
    pub accounts: &'a mut Accounts,
}

/// Every entry that comes or goes is told to `Accounts`, so that what a state holds need not be asked of it.
pub trait State {
    /// Takes in one event. What it proves is added to `findings`.
    fn arrive(&mut self, place: Place<'_>, arrival: Arrival, desk: &mut Desk<'_>, findings: &mut Vec<Finding>);

    /// Drops what only an event later than lateness allows could still join. May leave some of it for the next call.
    fn expire(&mut self, desk: &mut Desk<'_>);

    /// Drops the entry of `rule` that is the cheapest to lose. False when it has none.
    fn evict(&mut self, rule: RuleNo, accounts: &mut Accounts) -> bool;

    /// Drops all of `rule`, which is no longer wanted.
    fn forget(&mut self, rule: RuleNo, accounts: &mut Accounts);
}
