//! The integration tests, in one binary: one link, one fixture.
#![cfg(test)]
#![allow(clippy::unwrap_used)] // all of it is tests; clippy.toml's exception sees only #[test] functions

mod architecture;
mod attacks;
mod benign;
mod charts;
mod cluster;
mod collector;
mod demo;
mod docs;
mod generated;
mod guarantees;
mod image;
mod ingest;
mod interleaving;
mod language;
mod normalise;
mod offline;
mod prometheus_rules;
mod quiet;
mod records;
mod scenarios;
mod selection;
mod shipped_rules;
mod soak;
mod support;
