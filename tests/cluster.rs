//! Tests against a real kube-apiserver.

mod alerts;
mod audit;
mod collect;
mod collectors;
mod crash;
mod fixture;
mod ingest_live;
mod live_node;
mod own;
mod prerequisites;
mod prometheus;
mod relay;
mod requests;
mod rights;
mod rules;
mod secrets;
pub mod seen;
mod shipping;
mod size;
mod sources;
pub mod steps;
mod tenants;
mod tls;
mod tokens;
mod triage;
mod warnings;
