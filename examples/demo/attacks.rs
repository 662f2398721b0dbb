//! The attacks, each under an identity that may do little. `expected` says what must be found of them.

use anyhow::Result;

use crate::{
    cast::{Cast, allowed, may, refused},
    expected::PROBED,
    story::Story,
};

const PODS: &str = include_str!("pods.yaml");

pub fn attack(cast: &Cast, story: &mut Story) -> Result<()> {
    story.step(&format!("frontend's token was stolen, and asks for {} kinds of objects: all refused", PROBED.len()))?;
    refused(&cast.frontend, &format!("get {} -A", PROBED.join(",")))?;

    story.step("backup, a service account, lists the secrets of its namespace, twice")?;
    for _ in 0..2 {
        allowed(&cast.backup, "get secrets -n shop -o name")?;
    }

    story.step("somebody without credentials reads config maps, which a binding allows")?;
    cast.nobody.get("/api/v1/namespaces/shop/configmaps", 200)?;
    cast.nobody.get("/api/v1/namespaces/shop/configmaps/status-page", 200)?;

    story.step("eve, who may run pods, runs a privileged one, and one that mounts the node's disk")?;
    allowed(&cast.eve.stdin(PODS), "create -f -")?;

    story.step("oscar, who may edit roles, writes one that reads secrets, takes it, and reads a secret")?;
    allowed(&cast.oscar, "create role viewer --verb=get,list --resource=secrets -n payments")?;
    allowed(&cast.oscar, "create rolebinding viewers --role=viewer --user=oscar -n payments")?;
    may(&cast.oscar, "get secrets -n payments")?;
    allowed(&cast.oscar, "get secret card-processor -n payments")?;

    story.step("mallory, who may bind roles, makes frontend cluster-admin")?;
    let grant = "create clusterrolebinding shop-frontend --clusterrole=cluster-admin --serviceaccount=shop:frontend";
    allowed(&cast.mallory, grant)?;

    story.step("frontend's token asks again, for the secrets of all namespaces: allowed")?;
    may(&cast.frontend, "list secrets -A")?;
    allowed(&cast.frontend, "get secrets -A -o name")
}
