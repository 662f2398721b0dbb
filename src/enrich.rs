//! Event + Inventory -> event with its places joined: where the actor runs, and what is acted upon. In: a normalised
//! event and the inventory as of its time. Out: `Event::kubernetes` and `Event::target` filled. What the API server
//! authenticated comes first, addresses last; an empty value never joins.

mod inventory;
mod registry;
mod timeline;

use jiff::Timestamp;

pub use self::inventory::{Holder, Inventory, InventoryPart, KeptInventory, MAX_NODES, MAX_PODS};
use crate::{
    event::{AuditEvent, Event, Place, audit::UserInfo},
    record::PodFacts,
};

const SERVICE_ACCOUNT: &str = "system:serviceaccount:";
const NODE: &str = "system:node:";
const POD_NAME: &str = "authentication.kubernetes.io/pod-name";
const POD_UID: &str = "authentication.kubernetes.io/pod-uid";
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Fills the places of `event`.
pub fn enrich<'a>(event: &mut Event<'a>, inventory: &'a Inventory) {
    let at = event.created;
    let holder = event.source_ip.parse().ok().and_then(|address| inventory.by_address(address, at));
    if let Some(Holder::Node(node)) = holder {
        event.source_node = (&node.name).into();
    }
    match event.audit.as_deref() {
        Some(audit) => {
            identity(&mut event.kubernetes, &audit.user, inventory, at);
            target(&mut event.target, audit, inventory, at);
        }
        None => output_of(event, inventory),
    }
    by_address(&mut event.kubernetes, holder);
    on_host_network(event, inventory);
}

/// The pod that wrote a line to its output, as the kubelet named the file after it.
fn output_of<'a>(event: &mut Event<'a>, inventory: &'a Inventory) {
    let place = &mut event.kubernetes;
    if place.pod_name.is_empty() {
        return;
    }
    let known = match place.pod_uid.as_str() {
        "" => inventory.pod_by_name(&place.namespace, &place.pod_name, event.created),
        // The uid in the path of a static pod is the hash of its manifest, which its mirror pod does not have.
        uid => inventory
            .pod_by_uid(uid, event.created)
            .or_else(|| inventory.pod_by_name(&place.namespace, &place.pod_name, event.created)),
    };
    let reporter = &*event.origin.reporter;
    match known {
        Some(pod) if pod.node == reporter || pod.node.is_empty() => join(place, pod),
        // A node can't speak for a pod that runs elsewhere.
        Some(_) => *place = Place { node: reporter.into(), ambiguous: true, ..Place::default() },
        None => place.node = reporter.into(),
    }
}

/// Whether the service account has a pod in the network of the node that the request came from.
fn on_host_network<'a>(event: &mut Event<'a>, inventory: &'a Inventory) {
    let place = &mut event.kubernetes;
    let unknown = !place.host_network && place.labels.is_none() && !place.service_account.is_empty();
    let node = if event.source_node.is_empty() { &place.node } else { &event.source_node };
    if unknown && !node.is_empty() {
        let (namespace, account) = (&place.service_account_namespace, &place.service_account);
        place.host_network = inventory.has_host_pod(node, namespace, account, event.created);
    }
}

/// What the authenticated user says of where it runs.
fn identity<'a>(place: &mut Place<'a>, user: &UserInfo<'a>, inventory: &'a Inventory, at: Timestamp) {
    if let Some(node) = user.username.strip_prefix(NODE) {
        place.node = node.to_owned().into();
    }
    let Some((namespace, name)) = user.username.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'))
    else {
        return;
    };
    place.service_account_namespace = namespace.to_owned().into();
    place.service_account = name.to_owned().into();
    // Only a token of a service account names its pod; in another user's `extra` these keys are that authenticator's word.
    let extra = |key: &str| user.extra.get(key).and_then(|values| values.first()).cloned().unwrap_or_default();
    let (pod_name, pod_uid) = (extra(POD_NAME), extra(POD_UID));
    place.node = extra(NODE_NAME);
    if pod_name.is_empty() && pod_uid.is_empty() {
        return;
    }
    place.namespace = namespace.to_owned().into();
    let known = match pod_uid.as_str() {
        "" => inventory.pod_by_name(namespace, &pod_name, at),
        uid => inventory.pod_by_uid(uid, at),
    };
    place.pod_name = pod_name;
    place.pod_uid = pod_uid;
    if let Some(pod) = known {
        join(place, pod);
    }
}

/// Fills what `place` does not say yet from the pod that it is.
fn join<'a>(place: &mut Place<'a>, pod: &'a PodFacts) {
    let parts = [
        (&mut place.namespace, &pod.namespace),
        (&mut place.pod_name, &pod.name),
        (&mut place.pod_uid, &pod.uid),
        (&mut place.node, &pod.node),
        (&mut place.workload_kind, &pod.workload_kind),
        (&mut place.workload_name, &pod.workload_name),
    ];
    for (part, known) in parts {
        if part.is_empty() {
            *part = known.into();
        }
    }
    if place.service_account.is_empty() && !pod.service_account.is_empty() {
        place.service_account = (&pod.service_account).into();
        place.service_account_namespace = (&pod.namespace).into();
    }
    place.host_network = pod.host_network;
    place.labels = Some(&pod.labels);
}

/// The last resort: who had the address that the request came from.
fn by_address<'a>(place: &mut Place<'a>, holder: Option<Holder<'a>>) {
    if !place.pod_uid.is_empty() || !place.pod_name.is_empty() || !place.node.is_empty() {
        return;
    }
    match holder {
        Some(Holder::Pod(pod)) => join(place, pod),
        Some(Holder::Node(node)) => {
            place.node = (&node.name).into();
            place.ambiguous = true;
        }
        Some(Holder::Several) => place.ambiguous = true,
        None => {}
    }
}

/// The pod or node that a request acts on.
fn target<'a>(place: &mut Place<'a>, audit: &AuditEvent<'a>, inventory: &'a Inventory, at: Timestamp) {
    let Some(object) = audit.object_ref.as_ref().filter(|o| o.api_group.is_empty()) else { return };
    match object.resource.as_str() {
        "nodes" => place.node.clone_from(&object.name),
        "pods" => {
            place.namespace.clone_from(&object.namespace);
            place.pod_name.clone_from(&object.name);
            place.pod_uid.clone_from(&object.uid);
            // The pod of a creation does not exist yet; one that still seems to have its name is its predecessor.
            let creates = audit.verb == "create" && object.subresource.is_empty();
            let known = match object.uid.as_str() {
                "" if creates => None,
                "" => inventory.pod_by_name(&object.namespace, &object.name, at),
                uid => inventory.pod_by_uid(uid, at),
            };
            if let Some(pod) = known {
                join(place, pod);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests;
