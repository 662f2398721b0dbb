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

/// An alert as it is now.
pub struct Left {
    pub alert: Alert,
    /// Something was found that the writer has not been told of yet: it is owed to people, however old it is.
    pub is_news: bool,
}

/// What lies in the tray.
#[derive(Default)]
pub struct Contents {
    pub alerts: BTreeMap<AlertId, Left>,
    /// Alerts whose rule is gone with its namespace's owner: nothing of them may be written any more.
    pub forgotten: BTreeSet<AlertId>,
    /// Alerts that found no room.
    pub dropped: u64,
}

impl Tray {
    /// Leaves alerts, each with whether something new was found.
    pub fn put(&self, alerts: impl IntoIterator<Item = (Alert, bool)>) {
        self.change(|contents| {
            for (alert, is_news) in alerts {
                contents.forgotten.remove(&alert.id);
                let before = contents.alerts.get(&alert.id).is_some_and(|left| left.is_news);
                contents.alerts.insert(alert.id.clone(), Left { alert, is_news: is_news || before });
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
        let least = self.alerts.values().min_by_key(|left| (left.alert.severity(), left.alert.last_seen()));
        if let Some(id) = least.map(|left| left.alert.id.clone()) {
            self.alerts.remove(&id);
            self.dropped += 1;
        }
    }
}
