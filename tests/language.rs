//! The rule language against the reference implementation: the CEL specification's cases.

mod conformance;
mod oracle;
mod values;
