//! Tests against a real kube-apiserver.

mod alerts;
mod audit;
mod fixture;
mod ingest_live;
mod prerequisites;
mod prometheus;
mod rights;
mod secrets;
mod seen;
