//! The attacks, each under an identity that may do little. `expected` says what must be found of them.

use anyhow::Result;

use crate::{
    cast::{Cast, allowed, may, refused},
    expected::PROBED,
    node::{self, Node},
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

/// What happens on the node, in lines that real daemons wrote; then what its guest does with what lies there.
pub fn attack_node(cast: &Cast, node: &mut Node, story: &mut Story) -> Result<()> {
    story.step("nginx: ordinary requests, and one address that looks for /etc/passwd")?;
    node.happens(&node::WEB)?;
    story.step("sudo: bob and erin, who are not in sudoers, try all the same")?;
    node.happens(&node::SUDO)?;
    story.step("accounts: some join groups that are as good as root")?;
    node.happens(&node::ACCOUNTS)?;
    story.step("kernel: programs make system calls that their seccomp filter forbids")?;
    node.happens(&node::SECCOMP)?;
    story.step("sshd: two addresses guess passwords; one of them is let in")?;
    node.happens(&node::GUESSES)?;
    story.step("from the node, kate's credential lists the secrets of all namespaces")?;
    may(&cast.kate, "list secrets -A")?;
    // As raw as that, so that kubectl asks for nothing else from there.
    node.request(&cast.kate, "get --raw /api/v1/secrets")
}
