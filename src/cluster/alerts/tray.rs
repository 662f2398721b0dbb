//! Where the pipeline leaves alerts for the writer: the newest state of each, so that a flood costs nothing but its count.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Mutex,
};

use tokio::sync::Notify;

use crate::alert::{Alert, AlertId};

/// Alerts that may wait. The writer empties the tray every second at least, but for calls that hang; an alert has about
/// 10 KiB. Beyond, the least severe and oldest is dropped and counted: the record has it, and so has its next finding.
const MOST: usize = 5_000;

#[derive(Default)]
pub struct Tray {
    contents: Mutex<Contents>,
    filled: Notify,
}

/// What lies in the tray.
#[derive(Default)]
pub struct Contents {
    pub alerts: BTreeMap<AlertId, Alert>,
    /// Alerts whose rule is gone with its namespace's owner: nothing of them may be written any more.
    pub forgotten: BTreeSet<AlertId>,
    /// Alerts that found no room.
    pub dropped: u64,
}

impl Tray {
    pub fn put(&self, alerts: impl IntoIterator<Item = Alert>) {
        self.change(|contents| {
            for alert in alerts {
                contents.forgotten.remove(&alert.id);
                contents.alerts.insert(alert.id.clone(), alert);
                if contents.alerts.len() > MOST {
                    contents.drop_least();
                }
            }
        });
    }

    /// Takes back what was put of these alerts, here and at the writer.
    pub fn forget(&self, alerts: impl IntoIterator<Item = AlertId>) {
        self.change(|contents| {
            for id in alerts {
                contents.alerts.remove(&id);
                contents.forgotten.insert(id);
            }
        });
    }

    fn change(&self, change: impl FnOnce(&mut Contents)) {
        if let Ok(mut contents) = self.contents.lock() {
            change(&mut contents);
        }
        self.filled.notify_one();
    }

    pub(super) fn take(&self) -> Contents {
        self.contents.lock().map(|mut contents| std::mem::take(&mut *contents)).unwrap_or_default()
    }

    pub(super) async fn filled(&self) {
        self.filled.notified().await;
    }
}

impl Contents {
    fn drop_least(&mut self) {
        let least = self.alerts.values().min_by_key(|alert| (alert.severity(), alert.last_seen()));
        if let Some(id) = least.map(|alert| alert.id.clone()) {
            self.alerts.remove(&id);
            self.dropped += 1;
        }
    }
}
