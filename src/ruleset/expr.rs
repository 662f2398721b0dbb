//! One CEL expression over an event: parsed, type-checked against the schema, compiled, and evaluated with a budget.

/// A compiled expression.
#[derive(Debug, Clone)]
pub struct Program {}
