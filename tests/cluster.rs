//! Tests against a real kube-apiserver.

mod fixture;
