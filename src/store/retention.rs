//! Keeps the log within its size on disk. In: the partitions. Out: fewer of them, oldest first and always whole.
//! Never drops what a reader has not read without counting it, and never the partition that is written.

use std::path::PathBuf;

use tracing::{info, warn};

use super::{
    Shared, StoreError, locked,
    partition::{self, Partition},
};
use crate::record::Seq;

impl Shared {
    /// Drops the oldest partitions until `retain_bytes` also have room for the snapshots and for a full current partition of
    /// `partition_bytes`, twice, since what is in its write-ahead log may be in its file too.
    /// Returns the bytes of the closed partitions that are left.
    pub(super) fn enforce_retention(&self, partition_bytes: u64) -> Result<u64, StoreError> {
        let partitions: Vec<(Seq, PathBuf)> =
            locked(&self.partitions).iter().map(|(first_seq, path)| (*first_seq, path.clone())).collect();
        let (current, closed) = match partitions.split_last() {
            Some((current, closed)) => (current, closed),
            None => return Ok(0),
        };
        let mut total: u64 = closed.iter().map(|(_, path)| partition::disk_bytes(path)).sum();
        let nexts = closed.iter().skip(1).chain([current]).map(|(first_seq, _)| *first_seq);
        for ((first_seq, path), next) in closed.iter().zip(nexts) {
            if total + self.snapshot_bytes() + 2 * partition_bytes <= self.retain_bytes {
                break;
            }
            total = total.saturating_sub(partition::disk_bytes(path));
            self.drop_partition(*first_seq, next - 1, path.clone())?;
        }
        self.measure_age();
        Ok(total)
    }

    fn drop_partition(&self, first_seq: Seq, last_seq: Seq, path: PathBuf) -> Result<(), StoreError> {
        let read_to = locked(&self.state).offset_range()?.map_or(0, |(slowest, _)| slowest);
        let unread = last_seq.saturating_sub(read_to.max(first_seq.saturating_sub(1)));
        // Out of the list first, so that no reader goes for a file that is half gone.
        locked(&self.partitions).remove(&first_seq);
        locked(&self.reader).take_if(|reader| reader.first_seq == first_seq);
        partition::remove(&path)?;
        self.metrics.partitions_dropped.inc();
        self.metrics.records_dropped_unread.inc_by(unread);
        if unread > 0 {
            warn!(
                first_seq,
                last_seq, unread, "retention dropped records that were not read yet: raise --retain-bytes"
            );
        } else {
            info!(first_seq, last_seq, "retention dropped a partition");
        }
        Ok(())
    }

    fn measure_age(&self) {
        let oldest = locked(&self.partitions).values().next().cloned();
        let opened = oldest.and_then(|path| Partition::open_reading(&path, false).ok()?.opened_at().ok());
        self.metrics.oldest_record_timestamp.set(opened.map_or(0.0, |at| at.as_second() as f64));
    }
}
