//! The recorded clock: while a rule waits for time to pass and nothing else is recorded, the log gets a tick, so that what
//! stays away is found, and a replay finds it at the same place. In: whether a rule waits. Out: records of the log, at
//! most one each `TICK`.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use tokio::{sync::watch, time::MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::{
    cluster::Journal,
    correlate::TICK,
    record::{Payload, Seq},
};

pub struct Ticks<J> {
    journal: J,
    committed: watch::Receiver<Seq>,
    /// Some rule at work waits.
    waits: Arc<AtomicBool>,
    /// The log's end when it was last looked at.
    seen: Seq,
}

impl<J: Journal> Ticks<J> {
    pub fn new(journal: J, committed: watch::Receiver<Seq>, waits: Arc<AtomicBool>) -> Ticks<J> {
        let seen = *committed.borrow();
        Ticks { journal, committed, waits, seen }
    }

    pub async fn run(mut self, shutdown: CancellationToken) {
        let mut interval = tokio::time::interval(Duration::from_secs(TICK.as_secs().unsigned_abs()));
        interval.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.cancelled() => return,
                _ = interval.tick() => self.look().await,
            }
        }
    }

    /// Writes a tick when it is needed. What was recorded since the last look tells the time as well.
    async fn look(&mut self) {
        let end = *self.committed.borrow();
        if end == self.seen && self.waits.load(Ordering::Relaxed) {
            if let Err(error) = self.journal.append(vec![Payload::Tick]).await {
                tracing::warn!(%error, "the clock is not recorded: rules that wait for time will wait longer");
            }
        }
        self.seen = *self.committed.borrow();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        controller::StoreJournal,
        record::InventoryChange,
        store::{Metrics, Store, StoreConfig},
    };

    #[tokio::test]
    async fn the_clock_is_recorded_only_while_a_rule_waits_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let metrics = Metrics::register(&prometheus::Registry::new()).unwrap();
        let (store, appender, writer) = Store::open(StoreConfig::at(dir.path()), metrics).unwrap();
        let writer = std::thread::spawn(move || writer.run());
        let journal = StoreJournal { appender, key: store.id_key().clone() };
        let waits = Arc::new(AtomicBool::new(false));
        let mut ticks = Ticks::new(journal.clone(), store.committed(), Arc::clone(&waits));
        let kinds = || {
            let kind = |payload: &Payload| if matches!(payload, Payload::Tick) { 't' } else { 'o' };
            store.read(1, 1 << 20).unwrap().iter().map(|(_, record)| kind(&record.payload)).collect::<String>()
        };
        ticks.look().await;
        assert_eq!(kinds(), "", "no rule waits");
        waits.store(true, Ordering::Relaxed);
        ticks.look().await;
        ticks.look().await;
        assert_eq!(kinds(), "tt");
        let gone = InventoryChange::NodeGone { name: "node-1".into() };
        journal.append(vec![Payload::Inventory(gone)]).await.unwrap();
        ticks.look().await;
        assert_eq!(kinds(), "tto", "another record tells the time as well");
        ticks.look().await;
        assert_eq!(kinds(), "ttot");
        drop((ticks, journal));
        writer.join().unwrap();
    }
}
