//! The clock of the edges. Everything pure takes the time as an argument.

/// The wall clock, the only place that reads it.
#[allow(clippy::disallowed_methods)]
pub fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}
