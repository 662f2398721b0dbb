//! Event + Inventory -> event with its places joined: where the actor runs, and what is acted upon. In: a normalised
//! event and the inventory as of its time. Out: `Event::kubernetes` and `Event::target` filled. What the API server
//! authenticated comes first, addresses last; an empty value never joins.

mod inventory;
mod registry;
mod timeline;

use jiff::Timestamp;

pub use self::inventory::{Holder, Inventory, MAX_NODES, MAX_PODS};
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
pub fn enrich(event: &mut Event, inventory: &Inventory) {
    if let Some(audit) = event.audit.clone() {
        identity(&mut event.kubernetes, &audit.user, inventory, event.created);
        target(&mut event.target, &audit, inventory, event.created);
    }
    by_address(event, inventory);
}

/// What the authenticated user says of where it runs.
fn identity(place: &mut Place, user: &UserInfo, inventory: &Inventory, at: Timestamp) {
    if let Some(node) = user.username.strip_prefix(NODE) {
        place.node = node.to_owned();
    }
    let Some((namespace, name)) = user.username.strip_prefix(SERVICE_ACCOUNT).and_then(|rest| rest.split_once(':'))
    else {
        return;
    };
    place.service_account_namespace = namespace.to_owned();
    place.service_account = name.to_owned();
    // Only a token of a service account names its pod; in another user's `extra` these keys are that authenticator's word.
    let extra = |key: &str| user.extra.get(key).and_then(|values| values.first()).map_or("", String::as_str);
    let (pod_name, pod_uid) = (extra(POD_NAME), extra(POD_UID));
    place.node = extra(NODE_NAME).to_owned();
    if pod_name.is_empty() && pod_uid.is_empty() {
        return;
    }
    place.namespace = namespace.to_owned();
    place.pod_name = pod_name.to_owned();
    place.pod_uid = pod_uid.to_owned();
    let known = match pod_uid {
        "" => inventory.pod_by_name(namespace, pod_name, at),
        uid => inventory.pod_by_uid(uid, at),
    };
    if let Some(pod) = known {
        join(place, pod);
    }
}

/// Fills what `place` does not say yet from the pod that it is.
fn join(place: &mut Place, pod: &PodFacts) {
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
            part.clone_from(known);
        }
    }
    if place.service_account.is_empty() && !pod.service_account.is_empty() {
        place.service_account.clone_from(&pod.service_account);
        place.service_account_namespace.clone_from(&pod.namespace);
    }
    place.labels.clone_from(&pod.labels);
}

/// The last resort: who had the address that the request came from.
fn by_address(event: &mut Event, inventory: &Inventory) {
    let place = &mut event.kubernetes;
    if !place.pod_uid.is_empty() || !place.pod_name.is_empty() || !place.node.is_empty() {
        return;
    }
    let Ok(address) = event.source_ip.parse() else { return };
    match inventory.by_address(address, event.created) {
        Some(Holder::Pod(pod)) => join(place, pod),
        Some(Holder::Node(node)) => {
            place.node.clone_from(&node.name);
            place.ambiguous = true;
        }
        Some(Holder::Several) => place.ambiguous = true,
        None => {}
    }
}

/// The pod or node that a request acts on.
fn target(place: &mut Place, audit: &AuditEvent, inventory: &Inventory, at: Timestamp) {
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
