//! The pipeline over files, without a cluster: rule tests, replay, and why a rule matches.

pub mod eval;
pub mod explain;
pub mod replay;
pub mod rule_files;
pub mod test;
