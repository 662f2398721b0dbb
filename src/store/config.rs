//! Where the store lives and how much it may take. In: flags. Out: plain limits.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use bytesize::ByteSize;

/// Limits of a store. `StoreConfig::at` gives the defaults.
#[derive(Debug, Clone)]
pub struct StoreConfig {
    pub dir: PathBuf,
    /// A partition is closed at this size. At least 64 KiB, at most a quarter of `retain_bytes`, so that retention has
    /// something to choose from.
    pub partition_bytes: u64,
    /// A partition is closed at this age.
    pub partition_age: Duration,
    /// The size on disk of the log and of the snapshots beside it, above which the oldest partitions are dropped. A snapshot
    /// takes an eighth of it at most: there are two, and a third while it is written.
    pub retain_bytes: u64,
    /// Bytes that may wait for their commit.
    pub queue_bytes: usize,
    /// Appends that may wait for their commit.
    pub queue_len: usize,
    /// How long an append waits for its commit.
    pub deadline: Duration,
}

impl StoreConfig {
    pub fn at(dir: impl AsRef<Path>) -> StoreConfig {
        StoreConfig {
            dir: dir.as_ref().into(),
            partition_bytes: 64 << 20,
            partition_age: Duration::from_secs(24 * 3600),
            retain_bytes: 10 << 30,
            // An eighth of the 256 MiB that the process may take. At the 10 MiB/s of JSON that a slow disk commits,
            // what waits here is written within the deadline; more would only be answered too late.
            queue_bytes: 32 << 20,
            // As many appends as 32 MiB hold of 32 KiB, a small batch of an API server: bytes decide before this does.
            queue_len: 1024,
            // API servers give up on a webhook after 10 s by default (30 s when configured): answer well before.
            deadline: Duration::from_secs(5),
        }
    }

    pub(super) fn clamped(mut self) -> StoreConfig {
        self.partition_bytes = self.partition_bytes.min(self.retain_bytes / 4).max(64 << 10);
        self
    }
}

/// Flags of the store.
#[derive(clap::Args, Debug, Clone)]
pub struct StoreArgs {
    /// Directory of the record store; one process at a time
    #[arg(long, env = "KUBEWITNESS_DATA_DIR", default_value = "/var/lib/kubewitness", value_name = "DIR")]
    pub data_dir: PathBuf,
    /// Size of the record, with the snapshots of the rules' state, above which the oldest parts are dropped, such as 10GiB
    #[arg(long, env = "KUBEWITNESS_RETAIN_BYTES", default_value = "10GiB", value_name = "SIZE", value_parser = retain_bytes)]
    pub retain_bytes: ByteSize,
}

impl StoreArgs {
    pub fn config(&self) -> StoreConfig {
        StoreConfig { retain_bytes: self.retain_bytes.as_u64(), ..StoreConfig::at(&self.data_dir) }
    }
}

fn retain_bytes(text: &str) -> Result<ByteSize, String> {
    let size: ByteSize = text.parse().map_err(|_| "expected a size such as 10GiB or 500MB".to_string())?;
    if size < ByteSize::mib(1) { Err("at least 1MiB is needed".into()) } else { Ok(size) }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Cli {
        #[command(flatten)]
        store: StoreArgs,
    }

    #[test]
    fn retain_bytes_takes_units() {
        let cases =
            [("10GiB", Some(10 << 30)), ("500MB", Some(500_000_000)), ("2097152", Some(2 << 20)), ("1KiB", None)];
        for (text, expected) in cases.into_iter().chain([("-1GiB", None), ("many", None), ("", None)]) {
            let parsed = Cli::try_parse_from(["kubewitness", &format!("--retain-bytes={text}")]);
            assert_eq!(parsed.map(|cli| cli.store.config().retain_bytes).ok(), expected, "{text:?}");
        }
    }
}
