//! The thread that reads. In: what is assigned. Out: batches, through a channel that holds one; when it is full, nothing is
//! read, but files are still searched and held open, so that none is rotated away unseen. Each file has its turn.

use std::{sync::Arc, thread, time::Duration};

use tokio::{
    sync::{mpsc, watch},
    time::Instant,
};
use tokio_util::sync::CancellationToken;

use super::{
    args::CollectorLimits,
    batch::Batch,
    census::Census,
    cut::Tail as End,
    metrics::Metrics,
    tail::{Desk, Turn},
};
use crate::api::log_source::Assignment;

/// Between two attempts to hand a batch over.
const FULL: Duration = Duration::from_millis(20);

/// Until a file that can't be read is tried again.
const FAILED: Duration = Duration::from_secs(10);

pub struct Reader {
    pub census: Census,
    pub limits: CollectorLimits,
    pub metrics: Metrics,
    pub assignments: watch::Receiver<Option<Arc<Assignment>>>,
    pub batches: mpsc::Sender<Batch>,
    pub shutdown: CancellationToken,
}

/// What a pass over the files came to.
struct Pass {
    has_read: bool,
    /// A file began anew, or was found to be at its end: the search has to look at once.
    search: bool,
}

impl Reader {
    /// Reads until it is shut down; then hands over what it has read.
    pub fn run(mut self) {
        let mut buffer = Vec::new();
        let mut batch = Batch::new();
        let mut first = 0;
        let mut searched: Option<Instant> = None;
        while !self.shutdown.is_cancelled() {
            if self.take_assignment() || searched.is_none_or(|at| at.elapsed() >= self.limits.search) {
                self.census.search();
                searched = Some(Instant::now());
            }
            if batch.is_full() || (!batch.is_empty() && batch.begun.elapsed() >= self.limits.batch_age) {
                match self.hand_over(batch) {
                    Ok(next) => batch = next,
                    Err(Some(same)) => {
                        batch = same;
                        thread::sleep(FULL);
                        continue;
                    }
                    Err(None) => return,
                }
            }
            let pass = self.pass(&mut first, &mut buffer, &mut batch);
            if pass.search {
                searched = None;
            }
            if !pass.has_read {
                thread::sleep(self.limits.poll);
            }
        }
        if !batch.is_empty()
            && let Err(error) = self.batches.blocking_send(batch)
        {
            // Its lines are read again after the next start: no checkpoint moved.
            tracing::debug!(%error, "the last batch is not sent");
        }
    }

    fn take_assignment(&mut self) -> bool {
        if !self.assignments.has_changed().unwrap_or(false) {
            return false;
        }
        let assignment = self.assignments.borrow_and_update().clone();
        if let Some(assignment) = &assignment {
            self.census.assign(assignment);
        }
        assignment.is_some()
    }

    /// A new batch when this one was taken; the same when the channel is full; none when nobody takes any more.
    fn hand_over(&self, batch: Batch) -> Result<Batch, Option<Batch>> {
        match self.batches.try_send(batch) {
            Ok(()) => Ok(Batch::new()),
            Err(mpsc::error::TrySendError::Full(batch)) => Err(Some(batch)),
            Err(mpsc::error::TrySendError::Closed(_)) => Err(None),
        }
    }

    /// Gives each file a turn, beginning with `first`, until the batch is full.
    fn pass(&mut self, first: &mut usize, buffer: &mut Vec<u8>, batch: &mut Batch) -> Pass {
        self.census.name_new();
        let mut pass = Pass { has_read: false, search: false };
        let count = self.census.tails.len();
        for step in 0..count {
            if batch.is_full() {
                *first = (*first + step) % count;
                return pass;
            }
            let index = (*first + step) % count;
            let Census { key, tails, .. } = &mut self.census;
            let Some(tail) = tails.get_mut(index) else { continue };
            if tail.pause_until.is_some_and(|until| Instant::now() < until) {
                continue;
            }
            if batch.is_empty() {
                batch.begun = Instant::now();
            }
            let end = if tail.ends(self.limits.quiet) { End::Ends } else { End::Waits };
            let mut desk = Desk { buffer, batch, limits: &self.limits, metrics: &self.metrics, key };
            match tail.turn(&mut desk, end) {
                Ok(Turn::Idle) => {}
                Ok(Turn::Read) => pass.has_read = true,
                Ok(Turn::Truncated) => {
                    self.census.truncated(index);
                    pass.search = true;
                }
                Err(error) => {
                    let path = Arc::clone(&tail.path);
                    tail.pause_until = Some(Instant::now() + FAILED);
                    self.census.failed(&path, &error);
                }
            }
        }
        pass
    }
}
