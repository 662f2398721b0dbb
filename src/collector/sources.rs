//! What this node is to read: asked of the controller every few seconds. The last good answer is kept on disk and used
//! while the controller is away.

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{
    args::CollectorLimits,
    door::{Asked, Denied, Door},
    metrics::Metrics,
};
use crate::{admin::Check, api::log_source::Assignment};

pub struct Sources {
    pub door: Arc<Door>,
    /// Where the last answer is kept.
    pub file: PathBuf,
    pub limits: CollectorLimits,
    pub metrics: Metrics,
    pub assignments: watch::Sender<Option<Arc<Assignment>>>,
    /// True once it is known what is to be read.
    pub known: Check,
}

impl Sources {
    pub async fn run(self, shutdown: CancellationToken) {
        match load(&self.file) {
            Ok(assignment) => self.take(assignment),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => tracing::warn!(path = %self.file.display(), %error, "the last assignment can't be read"),
        }
        let mut etag = None;
        let mut failures = 0;
        loop {
            // Until the first answer nothing is read: ask more often.
            let mut pause = self.limits.ask;
            match self.door.sources(etag.as_deref()).await {
                Ok(Asked::Unchanged) => failures = 0,
                Ok(Asked::New { assignment, etag: new }) => {
                    failures = 0;
                    etag = new;
                    self.keep(&assignment);
                    self.take(assignment);
                }
                Err(Denied::Later { reason, after, detail }) => {
                    failures += 1;
                    self.metrics.retry(reason);
                    tracing::warn!(reason = reason.as_str(), detail, "what is to be read is asked again");
                    let backoff = self.limits.backoff_min * 2u32.saturating_pow(failures).min(64);
                    pause = after.unwrap_or(backoff).min(self.limits.backoff_max);
                }
                Err(Denied::Body(status)) => {
                    tracing::warn!(%status, "the controller does not understand the question for sources");
                }
            }
            if shutdown.run_until_cancelled(tokio::time::sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    fn take(&self, assignment: Assignment) {
        self.known.set(true);
        self.assignments.send_if_modified(|current| {
            let differs = current.as_deref() != Some(&assignment);
            if differs {
                *current = Some(Arc::new(assignment));
            }
            differs
        });
    }

    fn keep(&self, assignment: &Assignment) {
        if let Err(error) = store(&self.file, assignment) {
            tracing::warn!(path = %self.file.display(), %error, "the assignment can't be kept");
        }
    }
}

fn load(path: &Path) -> io::Result<Assignment> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}

fn store(path: &Path, assignment: &Assignment) -> io::Result<()> {
    let new = path.with_extension("new");
    let mut file = File::create(&new)?;
    file.write_all(&serde_json::to_vec(assignment)?)?;
    file.sync_all()?;
    fs::rename(new, path)
}
