//! The pipeline over files, without a cluster: rule tests and replay.

pub mod eval;
pub mod replay;
pub mod rule_files;
pub mod test;
