//! The test bed: a real etcd and kube-apiserver (and kube-controller-manager on request) on free loopback ports.
//!
//! In: `ClusterOptions`. Out: a running `TestCluster`, with kubeconfigs, kubectl and a client. Each cluster lives in
//! one temporary directory and ends with its owner: dropped, panicked or killed, no process and no file is left.
//! Used by the integration tests and by the demo. Never touches a cluster that it did not start.
#![allow(dead_code, unused_imports, reason = "the tests and the demo each use their part")]

// Spelled out, because the demo includes this file by its path, and then submodules are looked for beside it.
#[path = "support/cluster.rs"]
mod cluster;
#[path = "support/commands.rs"]
mod commands;
#[path = "support/forwarder.rs"]
mod forwarder;
#[path = "support/kubeconfig.rs"]
mod kubeconfig;
#[path = "support/kubectl.rs"]
mod kubectl;
#[path = "support/pki.rs"]
mod pki;
#[path = "support/processes.rs"]
mod processes;
#[path = "support/waiting.rs"]
mod waiting;
#[path = "support/watched.rs"]
mod watched;

pub use cluster::{ClusterOptions, TestCluster};
pub use commands::{cert_manager, helm, prometheus_binaries, release};
pub use forwarder::Forwarder;
pub use kubeconfig::AuditWebhook;
pub use kubectl::{Kubectl, Output};
pub use pki::{Authority, Identity};
pub use processes::{Process, is_running};
pub use waiting::{block_on, wait_until, wait_until_async};
pub use watched::{AUDIT_PATH, NAMESPACE, WatchedCluster, free_port, install, kubewitness, repository};
