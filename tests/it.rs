//! The integration tests, in one binary: one link, one fixture.
#![cfg(test)]

mod cluster;
mod support;
