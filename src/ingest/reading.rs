//! Reads a body within its deadlines and hands its decoded bytes on, piece by piece.

use std::{future::Future, time::Duration};

use axum::body::{Body, Bytes};
use http_body_util::BodyExt;
use tokio::time::{Instant, timeout};

use super::{IngestLimits, Metrics, answer::Answer, body::Decoder, split::Broken};

/// Takes the decoded bytes of a body.
pub(super) trait Take: Send {
    fn take(&mut self, bytes: &[u8]) -> impl Future<Output = Result<(), Answer>> + Send;

    /// Whether what came is broken already, so that reading on is in vain.
    fn broken(&self) -> Option<Broken>;
}

/// A body that is being read.
pub(super) struct Reading<'b> {
    body: &'b mut Body,
    decoder: Decoder,
    pause: Duration,
    deadline: Instant,
}

impl<'b> Reading<'b> {
    /// The deadline of the whole body counts from here.
    pub(super) fn begin(body: &'b mut Body, decoder: Decoder, limits: &IngestLimits) -> Reading<'b> {
        Reading { body, decoder, pause: limits.body_pause, deadline: Instant::now() + limits.body_total }
    }

    /// Feeds the whole body to `intake`; an error says why it stopped before the end.
    pub(super) async fn feed(&mut self, intake: &mut impl Take, metrics: &Metrics) -> Result<(), Answer> {
        let mut plain = Vec::new();
        let read = self.feed_pieces(intake, metrics, &mut plain).await;
        if let Err(Answer::StoreBusy | Answer::Internal) = read {
            return read;
        }
        let (rest, end) = self.decoder.finish(&mut plain);
        intake.take(rest).await?;
        read.and(end)
    }

    async fn feed_pieces(
        &mut self,
        intake: &mut impl Take,
        metrics: &Metrics,
        plain: &mut Vec<u8>,
    ) -> Result<(), Answer> {
        while let Some(bytes) = self.next().await? {
            metrics.body_bytes.inc_by(bytes.len() as u64);
            for piece in bytes.chunks(self.decoder.piece()) {
                intake.take(self.decoder.decode(piece, plain)?).await?;
                if let Some(broken) = intake.broken() {
                    return Err(Answer::NoList(broken));
                }
            }
        }
        Ok(())
    }

    /// The next bytes; `None` at the end of the body.
    async fn next(&mut self) -> Result<Option<Bytes>, Answer> {
        loop {
            let left = self.deadline.saturating_duration_since(Instant::now());
            match timeout(self.pause.min(left), self.body.frame()).await {
                Err(_) => return Err(Answer::TooSlow),
                Ok(None) => return Ok(None),
                Ok(Some(Err(_))) => return Err(Answer::BrokenOff),
                Ok(Some(Ok(frame))) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}
