//! What goes on in any cluster: administrators, a developer, a pipeline, load balancers. None of it may raise an alert,
//! although much of it looks like an attack from a little further away.

use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;

use crate::{
    cast::{Cast, allowed, refused},
    support::Kubectl,
};

const WORKLOADS: &str = include_str!("workloads.yaml");
/// A role, its binding and a pod under it, by an administrator: who may do everything gains nothing by a role.
const BY_ADMIN: [&str; 4] = [
    "create role config-reader --verb=get --resource=configmaps -n shop",
    "create rolebinding config-readers --role=config-reader --serviceaccount=shop:frontend -n shop",
    "run one-off --image=registry.example/one-off:1 -n shop",
    // Nothing comes of a dry run.
    "create clusterrolebinding try --clusterrole=cluster-admin --user=dana --dry-run=server",
];

/// Before the attacks: what each identity does now and then.
pub fn day(cast: &Cast) -> Result<()> {
    apply(&cast.deployer, WORKLOADS)?;
    for command in BY_ADMIN {
        allowed(&cast.admin, command)?;
    }
    allowed(&cast.admin, "get configmaps,events,leases,clusterroles,customresourcedefinitions -A")?;
    // The namespace controller lists what is in it, secrets too.
    allowed(&cast.admin, "delete namespace scratch --wait=false")?;
    // A developer tries three things that she may not.
    for command in ["get nodes", "get pods -n payments", "get secrets -n shop"] {
        refused(&cast.dana, command)?;
    }
    for path in ["/livez", "/readyz?verbose", "/healthz", "/version"] {
        cast.nobody.get(path, 200)?;
    }
    cast.nobody.get("/api/v1/namespaces/shop/secrets", 403)
}

/// Beside the attacks, round after round until `end`.
pub fn meanwhile(cast: &Cast, end: &AtomicBool) -> Result<u32> {
    let mut rounds = 0;
    while !end.load(Ordering::Relaxed) {
        rounds += 1;
        for path in ["/livez", "/readyz"] {
            cast.nobody.get(path, 200)?;
        }
        cast.nobody.get("/", 403)?; // the probe of a load balancer that knows no better
        allowed(&cast.dana, "get deployments,replicasets,pods,services,configmaps -n shop")?;
        allowed(&cast.dana, "get secret dana-registry -n shop")?;
        apply(&cast.deployer, &WORKLOADS.replace("web:1", &format!("web:{}", rounds + 1)))?;
        allowed(&cast.admin, "get nodes,namespaces,pods,deployments,roles,rolebindings -A")?;
    }
    Ok(rounds)
}

fn apply(kubectl: &Kubectl, manifest: &str) -> Result<()> {
    allowed(&kubectl.stdin(manifest), "apply -f -")
}
