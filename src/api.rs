//! The custom resources, one kind a file. In: what users write with kubectl. Out: typed specs and statuses.
//! Every string, list, map and number is bounded in the schema. Nothing here talks to a cluster or evaluates anything.

pub mod alert;
pub mod condition;
pub mod log_source;
pub mod path_pattern;
pub mod rule;
pub mod rule_test;
pub mod span;

pub use alert::{SecurityAlert, SecurityAlertSpec, SecurityAlertStatus};
pub use condition::{Condition, Reason};
pub use log_source::{LogSource, LogSourceSpec, LogSourceStatus};
pub use rule::{ClusterSecurityRule, RuleSpec, RuleStatus, SecurityRule};
pub use span::Span;

/// API group of every kind of ours.
pub const GROUP: &str = "kubewitness.io";
/// The one served version.
pub const VERSION: &str = "v1alpha1";

/// Marks a list of named objects as a map keyed by `key`, for server-side apply and for the API server's
/// duplicate check (Kubernetes API conventions, `x-kubernetes-list-type`).
pub(crate) fn list_map_by(schema: &mut schemars::Schema, key: &str) {
    schema.insert("x-kubernetes-list-type".into(), "map".into());
    schema.insert("x-kubernetes-list-map-keys".into(), serde_json::json!([key]));
}

pub(crate) fn list_map_by_name(schema: &mut schemars::Schema) {
    list_map_by(schema, "name");
}

pub(crate) fn list_map_by_type(schema: &mut schemars::Schema) {
    list_map_by(schema, "type");
}

/// Marks a list of scalars as a set: duplicates are refused.
pub(crate) fn list_set(schema: &mut schemars::Schema) {
    schema.insert("x-kubernetes-list-type".into(), "set".into());
}

/// Marks a list as atomic: one writer owns the whole.
pub(crate) fn list_atomic(schema: &mut schemars::Schema) {
    schema.insert("x-kubernetes-list-type".into(), "atomic".into());
}
