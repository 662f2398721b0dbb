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

    /// Triage that names no episode speaks of the one that was current when it was first seen (`before`, if it was): else
    /// an old acknowledgement would silence every later episode.
    pub(super) fn attribute_triage(&mut self, before: Option<&Triage>) {
        let current = self.status.as_ref().and_then(|s| s.episodes.first()).map(|episode| episode.start);
        if let Some(triage) = self.triage.as_mut().filter(|t| t.episode.is_none()) {
            let said_before = before.filter(|before| Triage { episode: None, ..(*before).clone() } == *triage);
            triage.episode = said_before.map_or(current, |before| before.episode);
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

/// False when there was nothing to delete any more.
pub(super) async fn delete(client: &Client, key: &ObjectKey) -> Result<bool, ClusterError> {
    let alerts: Api<SecurityAlert> = Api::namespaced(client.clone(), &key.0);
    match call(alerts.delete(&key.1, &DeleteParams::default())).await {
        Ok(_) => Ok(true),
        Err(error) if is_status(&error, 404) => Ok(false),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{alert::Episode, rule::Severity};

    fn existing(episode: i64, triage: Option<Triage>) -> Existing {
        let start = Timestamp::constant(episode, 0);
        let status = SecurityAlertStatus {
            state: AlertState::Open,
            severity: Severity::Low,
            summary: String::new(),
            subject: String::new(),
            count: 1,
            first_seen: start,
            last_seen: start,
            attack: Vec::new(),
            entities: Vec::new(),
            evidence: Vec::new(),
            episodes: vec![Episode { start, end: start, count: 1, severity: Severity::Low }],
            timeline: Vec::new(),
            conditions: Vec::new(),
        };
        Existing { status: Some(status), triage, created: None }
    }

    #[test]
    fn old_acknowledgement_does_not_speak_of_a_later_episode() {
        let said = Triage { acknowledged: true, ..Triage::default() };
        let mut first = existing(100, Some(said.clone()));
        first.attribute_triage(None);
        let seen = first.triage.unwrap();
        assert_eq!(seen.episode, Some(Timestamp::constant(100, 0)));
        let mut later = existing(900, Some(said.clone()));
        later.attribute_triage(Some(&seen));
        assert_eq!(later.triage.unwrap(), seen, "nothing new was said");
        let new = Triage { note: Some("again".to_owned()), ..said };
        let mut said_anew = existing(900, Some(new));
        said_anew.attribute_triage(Some(&seen));
        assert_eq!(said_anew.triage.unwrap().episode, Some(Timestamp::constant(900, 0)));
    }
}
