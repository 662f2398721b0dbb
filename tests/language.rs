//! The rule language against the reference implementation: the CEL specification's cases, and generated expressions.

mod conformance;
mod deviations;
mod generate;
mod generated;
mod oracle;
mod values;
mod worlds;
