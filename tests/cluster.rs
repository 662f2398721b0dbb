//! Tests against a real kube-apiserver.

mod alerts;
mod audit;
mod crash;
mod fixture;
mod ingest_live;
mod prerequisites;
mod prometheus;
mod requests;
mod rights;
mod rules;
mod secrets;
mod seen;
mod steps;
mod tenants;
mod triage;
mod warnings;
