//! What requests share: the store behind the door, and the room that bodies may take.
//! In: records of a group. Out: how many are on stable storage now, or the answer that stops the request.

use std::sync::Arc;

use tokio::sync::Semaphore;

use super::{
    IngestLimits, Metrics,
    answer::Answer,
    collectors::Collectors,
    credentials::{CertificateName, Source},
    intake::{self, Keeper, Kept},
    live::Live,
    redactions::Redactions,
    room::Room,
    split::Element,
};
use crate::{
    record::{IdKey, Origin, Record},
    store::{AppendError, Appended, Appender},
    telemetry,
};

pub(super) struct Desk {
    pub live: Arc<Live>,
    pub collectors: Collectors,
    appender: Appender,
    pub key: IdKey,
    pub metrics: Metrics,
    pub limits: IngestLimits,
    /// Bodies of the audit webhook that may be worked on: it bounds memory.
    pub bodies: Semaphore,
    /// The same of collectors; apart, so that no number of nodes keeps an API server out.
    pub record_bodies: Room,
    pub redactions: Redactions,
}

impl Desk {
    pub(super) fn new(
        live: Arc<Live>,
        collectors: Collectors,
        appender: Appender,
        key: IdKey,
        metrics: Metrics,
        limits: IngestLimits,
    ) -> Desk {
        Desk {
            live,
            collectors,
            appender,
            key,
            metrics,
            limits,
            bodies: Semaphore::new(limits.bodies),
            record_bodies: Room::new(limits.record_bodies),
            redactions: Redactions::new(),
        }
    }

    /// Returns once all of it is on stable storage.
    pub(super) async fn append(&self, records: Vec<Record>) -> Result<Appended, Answer> {
        self.appender.append(records).await.map_err(|error| match error {
            AppendError::Busy | AppendError::Slow | AppendError::Closed => Answer::StoreBusy,
            AppendError::Failed { reason } => {
                tracing::error!(%reason, "the store refused a batch; the sender keeps it");
                Answer::StoreBusy
            }
        })
    }
}

impl Keeper for Desk {
    fn limits(&self) -> &IngestLimits {
        &self.limits
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn bodies(&self) -> &Semaphore {
        &self.bodies
    }

    fn admit(
        &self,
        source: &Source,
        authorization: Option<&[u8]>,
        certificate: Option<&CertificateName>,
    ) -> Result<(), Answer> {
        self.metrics.admitted(self.live.credentials.load().admit(source, authorization, certificate))
    }

    fn ready(&self, _length: u64) -> Result<(), Answer> {
        Ok(())
    }

    async fn keep(&self, group: Vec<Element>, origin: &Arc<Origin>) -> Result<Kept, Answer> {
        let (origin, key, now) = (origin.clone(), self.key.clone(), telemetry::now());
        let work = move || group.into_iter().map(|element| intake::record(element, &origin, now, &key)).collect();
        let records: Vec<(Record, _)> = self.redactions.run(work).await?;
        let quarantined = records.iter().filter_map(|(_, reason)| *reason).collect();
        let appended = self.append(records.into_iter().map(|(record, _)| record).collect()).await?;
        Ok(Kept { stored: appended.stored, duplicates: appended.duplicates, quarantined })
    }
}
