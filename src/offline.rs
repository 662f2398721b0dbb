//! The pipeline over files, without a cluster: rule tests, replay, what events look like, and why a rule matches.

pub mod eval;
pub mod explain;
mod hint;
mod input;
mod inventory_file;
pub mod normalise;
pub mod replay;
pub mod rule_files;
pub mod test;
