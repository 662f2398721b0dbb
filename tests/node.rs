//! kubewitness on a real node: kubelet, containerd and the charts, as people install it. `make test-node`.
//!
//! One test, since a node is dear: installed with Helm on an empty cluster, attacked, broken in every way that a cluster breaks,
//! and each scene goes on where the last one ended. It needs root and a Debian host, and fails without.
#![cfg(test)]
#![allow(clippy::unwrap_used)] // all of it is tests

#[allow(dead_code, reason = "here the node runs already, and nobody asks when an act was done")]
#[path = "cluster/live_node/driver.rs"]
mod driver;
mod node_live;
#[allow(dead_code, reason = "a node has more of its own to be asked")]
#[path = "cluster/seen.rs"]
mod seen;
#[allow(dead_code, reason = "here only what needs a node is run")]
#[path = "docs/page.rs"]
mod page;
mod support;
