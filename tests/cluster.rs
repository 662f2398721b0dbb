//! Tests against a real kube-apiserver.

mod audit;
mod fixture;
mod prerequisites;
