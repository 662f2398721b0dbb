//! Record -> Event, one format a file. In: a redacted record. Out: the one normalised event that rules see.
//! Never joins anything (that is `enrich`), never judges: what a field means is the same for every event.

mod access;
mod accounts;
pub mod address;
pub mod audit;
mod audit_line;
mod cri;
mod cron;
mod draft;
mod escape;
mod kernel;
mod klog;
pub mod line;
mod logind;
mod pairs;
mod pam;
mod programs;
mod sshd;
mod stamp;
mod su;
mod sudo;
mod syslog;
pub mod text;
mod web_error;

use ipnet::IpNet;

use crate::{
    event::Event,
    record::{Payload, Record, RecordId},
};

/// Why a record that should be an event is none.
#[derive(Debug, thiserror::Error)]
pub enum NormaliseError {
    #[error("record {0}: no audit event")]
    NotAudit(RecordId),
    #[error("record {0}: an audit event without origin")]
    NoOrigin(RecordId),
    /// Redaction promises that its output reads as an audit event, so such a record was not written by it.
    #[error("record {id}: the stored audit event can't be read: {source}")]
    Unreadable { id: RecordId, source: serde_json::Error },
}

/// Turns records into events. What it needs to know of the installation is in it.
#[derive(Clone, Debug, Default)]
pub struct Normaliser {
    /// Proxies and load balancers before the API server: their addresses are passed over when an event's source is sought.
    pub proxies: Vec<IpNet>,
    /// A line's time is that of its receipt, whatever its stamp says: for tests of rules, which give the time themselves.
    pub dates_lines_by_receipt: bool,
}

impl Normaliser {
    /// The event of a record; `None` for what is no event (inventory, rules, quarantine) and for a record whose event
    /// can't be read, which `audit` explains.
    pub fn event<'a>(&self, record: &'a Record) -> Option<Event<'a>> {
        match &record.payload {
            Payload::Audit(_) => self.audit(record).ok(),
            Payload::Line(line) => self.line(record, line),
            Payload::Quarantined(_) | Payload::Inventory(_) | Payload::Rule(_) | Payload::Triage(_) | Payload::Tick => {
                None
            }
        }
    }
}

/// As `Normaliser::event`, without proxies.
pub fn event(record: &Record) -> Option<Event<'_>> {
    Normaliser::default().event(record)
}
