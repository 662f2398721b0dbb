//! kubewitness: audit events and node logs of a Kubernetes cluster become SecurityAlerts.
//!
//! ```text
//! kube-apiserver --TLS--> ingest --> store (fsync, then 200) --> pipeline --> cluster --> SecurityAlert
//! pipeline: normalise -> enrich -> detect -> correlate -> alert        (pure: time is an argument)
//! ```
//! Modules stand in the order in which events flow.

// Nouns
pub mod api;
pub mod event;
pub mod record;
// Rules
pub mod ruleset;
// Stages
pub mod alert;
pub mod correlate;
pub mod detect;
pub mod enrich;
pub mod normalise;
pub mod redact;
