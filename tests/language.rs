//! The rule language against the reference implementation: the CEL specification's cases, generated expressions,
//! `kubewitness eval`, and hostile sources.

mod conformance;
mod oracle;
mod values;
