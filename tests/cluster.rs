//! Tests against a real kube-apiserver.

mod alerts;
mod audit;
mod crash;
mod fixture;
mod prerequisites;
mod requests;
mod rules;
mod steps;
mod tenants;
mod triage;
