//! What is known of tokens, by their hash, and how many unknown ones may be asked about. Bounded in every direction:
//! strangers can neither push out a token that is good nor make us hammer the API server.

use std::{collections::HashMap, sync::Arc, time::Duration};

use tokio::time::Instant;

use super::collectors::Denial;

/// How long an answer of the API server holds. A token that is revoked is taken this much longer, at most.
const GOOD_FOR: Duration = Duration::from_secs(60);
const BAD_FOR: Duration = Duration::from_secs(5);
/// 5,000 nodes, Kubernetes' own limit, with a fresh token beside an old one now and then: 100 bytes each.
const MOST_GOOD: usize = 8192;
/// More than are refused in `BAD_FOR`.
const MOST_BAD: usize = 1024;
/// Questions about tokens that were never good: so many at once, and then so many a second.
const BURST: f64 = 100.0;
const A_SECOND: f64 = 20.0;

pub(super) type TokenHash = [u8; 32];

/// What is known of a token.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Known {
    Node(Arc<str>),
    Denied(Denial),
    /// The API server must be asked.
    Ask,
}

pub(super) struct Gate {
    /// Kept beyond their time: one that was good may be asked about again at any time.
    good: HashMap<TokenHash, (Arc<str>, Instant)>,
    bad: HashMap<TokenHash, (Denial, Instant)>,
    allowance: f64,
    counted_at: Instant,
}

impl Gate {
    pub(super) fn new(now: Instant) -> Gate {
        Gate { good: HashMap::new(), bad: HashMap::new(), allowance: BURST, counted_at: now }
    }

    /// What is known without a question.
    pub(super) fn known(&self, hash: &TokenHash, now: Instant) -> Known {
        match (self.good.get(hash), self.bad.get(hash)) {
            (Some((node, until)), _) if *until > now => Known::Node(node.clone()),
            (_, Some((denial, until))) if *until > now => Known::Denied(*denial),
            (Some(_) | None, Some(_) | None) => Known::Ask,
        }
    }

    /// The same; a question about a stranger is paid for, and denied when there were too many.
    pub(super) fn enter(&mut self, hash: &TokenHash, now: Instant) -> Known {
        let known = self.known(hash, now);
        if known != Known::Ask || self.good.contains_key(hash) {
            return known;
        }
        let passed = now.saturating_duration_since(self.counted_at).as_secs_f64();
        self.allowance = (self.allowance + passed * A_SECOND).min(BURST);
        self.counted_at = now;
        if self.allowance < 1.0 {
            return Known::Denied(Denial::TooMany);
        }
        self.allowance -= 1.0;
        Known::Ask
    }

    pub(super) fn learn_good(&mut self, hash: TokenHash, node: Arc<str>, now: Instant) {
        if self.good.len() >= MOST_GOOD && !self.good.contains_key(&hash) {
            let oldest = self.good.iter().min_by_key(|(_, (_, until))| *until).map(|(hash, _)| *hash);
            oldest.and_then(|oldest| self.good.remove(&oldest));
        }
        self.good.insert(hash, (node, now + GOOD_FOR));
    }

    pub(super) fn learn_bad(&mut self, hash: TokenHash, denial: Denial, now: Instant) {
        self.good.remove(&hash);
        if self.bad.len() >= MOST_BAD {
            self.bad.retain(|_, (_, until)| *until > now);
        }
        if self.bad.len() < MOST_BAD {
            self.bad.insert(hash, (denial, now + BAD_FOR));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hash(n: u32) -> TokenHash {
        let mut hash = [0; 32];
        hash[..4].copy_from_slice(&n.to_le_bytes());
        hash
    }

    #[test]
    fn strangers_are_asked_about_within_bounds_and_never_in_place_of_the_known() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        gate.learn_good(hash(0), "node".into(), start);
        let asked = (1..1000).filter(|n| gate.enter(&hash(*n), start) == Known::Ask).count();
        assert_eq!(asked, BURST as usize);
        assert_eq!(gate.enter(&hash(1000), start), Known::Denied(Denial::TooMany));
        let later = start + GOOD_FOR;
        assert_eq!(gate.enter(&hash(0), start), Known::Node("node".into()));
        (1001..1200).for_each(|n| drop(gate.enter(&hash(n), later)));
        assert_eq!(gate.enter(&hash(1200), later), Known::Denied(Denial::TooMany));
        assert_eq!(gate.enter(&hash(0), later), Known::Ask, "its time is over, and it was good before");
        assert_eq!(gate.enter(&hash(1200), later + Duration::from_secs(1)), Known::Ask);
    }

    #[test]
    fn what_was_learnt_holds_for_its_time_and_is_bounded() {
        let start = Instant::now();
        let mut gate = Gate::new(start);
        gate.learn_bad(hash(1), Denial::Expired, start);
        assert_eq!(gate.enter(&hash(1), start), Known::Denied(Denial::Expired));
        assert_eq!(gate.enter(&hash(1), start + BAD_FOR), Known::Ask);
        for n in 0..MOST_GOOD as u32 + 10 {
            gate.learn_good(hash(n), "node".into(), start + Duration::from_millis(n.into()));
            gate.learn_bad(hash(n + 100_000), Denial::Expired, start);
        }
        assert_eq!((gate.good.len(), gate.bad.len()), (MOST_GOOD, MOST_BAD));
        assert!(!gate.good.contains_key(&hash(0)) && gate.good.contains_key(&hash(10)), "the oldest goes");
        gate.learn_bad(hash(10), Denial::Expired, start + BAD_FOR);
        assert_eq!(gate.known(&hash(10), start + BAD_FOR), Known::Denied(Denial::Expired), "revoked");
    }
}
