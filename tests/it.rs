//! The one integration-test binary.
#![allow(clippy::unwrap_used)] // all of it is tests; clippy.toml's exception sees only #[test] functions

mod architecture;
mod shipped_rules;
