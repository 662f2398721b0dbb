//! The deterministic budget of an evaluation: the same expression and event always cost the same, on any machine.

use super::error::EvalError;

/// Default limit of one evaluation.
pub const STEP_LIMIT: u64 = 100_000;
/// Bytes of text that cost one step to read or write.
const BYTES_PER_STEP: usize = 64;

/// Steps that evaluations may spend: about one per node visited, per element iterated, per 64 bytes of text. It bounds
/// memory too: what is built is charged before it is built.
#[derive(Clone, Debug)]
pub struct Steps {
    used: u64,
    limit: u64,
}

impl Default for Steps {
    fn default() -> Self {
        Steps::new(STEP_LIMIT)
    }
}

impl Steps {
    pub fn new(limit: u64) -> Steps {
        Steps { used: 0, limit }
    }

    pub fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn charge(&mut self, steps: u64) -> Result<(), EvalError> {
        self.used = self.used.saturating_add(steps);
        if self.used > self.limit { Err(EvalError::OverBudget) } else { Ok(()) }
    }

    pub(super) fn charge_bytes(&mut self, bytes: usize) -> Result<(), EvalError> {
        self.charge((bytes / BYTES_PER_STEP) as u64)
    }
}
