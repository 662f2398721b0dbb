//! Tests against a real kube-apiserver.

mod alerts;
mod audit;
mod fixture;
mod prerequisites;
