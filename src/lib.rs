//! kubewitness: audit events of a Kubernetes cluster become SecurityAlerts.
//!
//! ```text
//! kube-apiserver --TLS--> ingest --> store (fsync, then 200) --> pipeline --> cluster --> SecurityAlert
//! pipeline: normalise -> enrich -> detect -> correlate -> alert        (pure: time is an argument)
//! ```
//! Modules stand in the order in which events flow.

// Nouns
pub mod api;
pub mod record;
pub mod event;
pub mod shared;
// Rules
pub mod ruleset;
// Stages
pub mod redact;
pub mod normalise;
pub mod enrich;
pub mod detect;
pub mod correlate;
pub mod alert;
pub mod pipeline;
// Edges
pub mod collector;
pub mod ingest;
pub mod store;
pub mod cluster;
pub mod telemetry;
pub mod admin;
// Roots
pub mod controller;
pub mod offline;
pub mod webhook_config;
pub mod canary;
pub mod generate;
pub mod cli;
