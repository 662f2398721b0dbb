//! SecurityAlert objects: what the API server has of them, and the calls that change them.

use jiff::Timestamp;
use kube::{
    Api, Client, ResourceExt,
    api::{DeleteParams, Patch, PatchParams},
    core::DeserializeGuard,
};
use serde_json::json;

use super::{
    super::{ClusterError, FIELD_MANAGER, call, is_status},
    Worth,
};
use crate::{
    alert::Alert,
    api::{
        GROUP, SecurityAlert, SecurityAlertSpec, SecurityAlertStatus, VERSION,
        alert::{AlertState, Triage},
    },
};

/// (namespace, name) of an object.
pub(super) type ObjectKey = (String, String);

/// What the API server has of an alert.
#[derive(Debug, Clone)]
pub(super) struct Existing {
    pub(super) status: Option<SecurityAlertStatus>,
    pub(super) triage: Option<Triage>,
    pub(super) created: Option<Timestamp>,
}

impl Existing {
    /// An object that has not our shape (any more) has no status and so is written anew.
    pub(super) fn of(object: DeserializeGuard<SecurityAlert>) -> Existing {
        let created = object.creation_timestamp().map(|time| time.0);
        match object.0 {
            Ok(alert) => Existing { status: alert.status, triage: alert.spec.triage, created },
            Err(_) => Existing { status: None, triage: None, created },
        }
    }

    pub(super) fn worth(&self) -> Worth {
        let status = self.status.as_ref();
        let open = status.is_none_or(|s| s.state != AlertState::Resolved);
        (open, status.map(|s| s.severity), status.map(|s| s.last_seen))
    }
}

pub(super) fn object_key(object: &DeserializeGuard<SecurityAlert>) -> ObjectKey {
    (object.namespace().unwrap_or_default(), object.name_any())
}

/// A count never goes backwards: what the object says of this episode stands when the record has forgotten its beginning.
pub(super) fn merged(mut status: SecurityAlertStatus, existing: Option<&Existing>) -> SecurityAlertStatus {
    if let Some(before) = existing.and_then(|e| e.status.as_ref())
        && before.first_seen <= status.first_seen
        && status.first_seen <= before.last_seen
        && before.count > status.count
    {
        status.count = before.count;
        status.first_seen = before.first_seen;
        status.severity = status.severity.max(before.severity);
    }
    status
}

/// Writes facts as status; `create` holds what people had said when the object has to be made (again).
pub(super) async fn write(
    client: &Client,
    key: &ObjectKey,
    alert: &Alert,
    create: Option<Option<&Triage>>,
    status: &SecurityAlertStatus,
) -> Result<(), ClusterError> {
    let (namespace, name) = key;
    let alerts: Api<SecurityAlert> = Api::namespaced(client.clone(), namespace);
    let parameters = PatchParams::apply(FIELD_MANAGER).force();
    let header = json!({"apiVersion": format!("{GROUP}/{VERSION}"), "kind": "SecurityAlert"});
    let body = |part: &str, value: serde_json::Value| {
        let mut body = header.clone();
        body["metadata"] = json!({"name": name, "namespace": namespace});
        body[part] = value;
        body
    };
    if let Some(triage) = create {
        // `triage` is people's: only an object that is written again gets back what they had said.
        let spec = SecurityAlertSpec { triage: triage.cloned(), ..alert.spec() };
        call(alerts.patch(name, &parameters, &Patch::Apply(body("spec", json!(spec))))).await?;
    }
    call(alerts.patch_status(name, &parameters, &Patch::Apply(body("status", json!(status))))).await.map(drop)
}

/// An object that is gone already is deleted too.
pub(super) async fn delete(client: &Client, key: &ObjectKey) -> Result<(), ClusterError> {
    let alerts: Api<SecurityAlert> = Api::namespaced(client.clone(), &key.0);
    match call(alerts.delete(&key.1, &DeleteParams::default())).await {
        Err(error) if !is_status(&error, 404) => Err(error),
        _ => Ok(()),
    }
}
