//! The rule language against the reference implementation: the CEL specification's cases, and generated expressions. And
//! against those who would break it.

mod conformance;
mod deviations;
mod generate;
mod generated;
mod hostile;
mod oracle;
mod values;
mod worlds;
