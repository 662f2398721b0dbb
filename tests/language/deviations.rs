//! Where the language differs from the reference implementation on purpose: what is listed still differs, and only that.

use super::worlds::Outcome;

/// Whether a difference is a listed one.
pub fn listed(_expression: &str, _ours: &Outcome, _theirs: &Outcome) -> bool {
    false
}
