//! The pipeline over files, without a cluster: rule tests, replay, what events look like, and why a rule matches.

mod crew;
pub mod eval;
pub mod explain;
mod input;
mod inventory_file;
pub mod normalise;
pub mod replay;
pub mod rule_files;
mod schema;
pub mod test;
