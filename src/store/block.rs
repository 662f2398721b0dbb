//! One immutable block of the log. In: lines (records as JSON) and the hash of the block before. Out: a sealed block,
//! and back. A block that was changed after it was sealed is never read as if it were whole.

use sha2::{Digest, Sha256};

use super::append::Line;
use crate::record::{Record, Seq};

/// Uncompressed size at which a block is closed: large enough for zstd to find the repetition between audit events,
/// small enough to decompress in a few milliseconds. A single longer record gets a block of its own.
pub(super) const RAW_TARGET: usize = 1 << 20;
/// Longest record, as JSON, and so the most that a block ever unpacks to (etcd refuses objects over 1.5 MiB, and
/// larger audit events are cut before they come here).
pub(super) const RAW_LIMIT: usize = 16 << 20;
/// The only codec of format version 1.
const ZSTD: &str = "zstd";
/// zstd's own default; 1 is hardly faster on records, 9 is 4 times slower for a tenth less.
const LEVEL: i32 = 3;

pub(super) type Hash = [u8; 32];

/// A row of a partition's `block` table.
#[derive(Debug, Clone)]
pub(super) struct Block {
    pub first_seq: Seq,
    pub last_seq: Seq,
    pub count: u64,
    /// How many of them are standing records, so that the standing state is found without unpacking the rest.
    pub standing: u64,
    pub raw_bytes: usize,
    pub codec: String,
    pub prev_hash: Hash,
    pub hash: Hash,
    /// The 16 bytes of each record's id, concatenated: what deduplication loads at start. Follows from `data`.
    pub ids: Vec<u8>,
    pub data: Vec<u8>,
}

/// Why a block can't be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum Flaw {
    #[error("its hash does not match its content: it was changed after it was written")]
    Hash,
    #[error("codec {0:?} is unknown to this build")]
    Codec(String),
    #[error("zstd: {0}")]
    Zstd(std::io::Error),
    #[error("it holds {found} records instead of {expected}")]
    Count { found: usize, expected: u64 },
    #[error("record {seq} is not readable: {category:?} at column {column}")]
    Record { seq: Seq, category: serde_json::error::Category, column: usize },
    #[error("SQLite: {0}")]
    Sqlite(rusqlite::Error),
}

/// What was in a block: its readable records, and the flaws of the others.
#[derive(Default)]
pub(super) struct Content {
    pub records: Vec<(Seq, Record)>,
    pub flaws: Vec<Flaw>,
}

impl Block {
    /// Packs `lines` as the records from `first_seq` on.
    pub fn seal(first_seq: Seq, prev_hash: Hash, lines: &[&Line]) -> std::io::Result<Block> {
        let mut raw = Vec::with_capacity(lines.iter().map(|line| line.json.len() + 1).sum());
        let mut ids = Vec::with_capacity(lines.len() * 16);
        for line in lines {
            raw.extend_from_slice(&line.json);
            raw.push(b'\n');
            ids.extend_from_slice(&line.id.0);
        }
        let count = lines.len() as u64;
        let mut block = Block {
            first_seq,
            last_seq: first_seq + count.saturating_sub(1),
            count,
            standing: lines.iter().filter(|line| line.change.is_some()).count() as u64,
            raw_bytes: raw.len(),
            codec: ZSTD.into(),
            prev_hash,
            hash: [0; 32],
            ids,
            data: zstd::bulk::compress(&raw, LEVEL)?,
        };
        block.hash = block.expected_hash();
        Ok(block)
    }

    /// SHA-256 over the hash of the block before, first seq, last seq, count (64 bits each, little-endian) and data.
    pub fn expected_hash(&self) -> Hash {
        let mut hasher = Sha256::new();
        hasher.update(self.prev_hash);
        for number in [self.first_seq, self.last_seq, self.count] {
            hasher.update(number.to_le_bytes());
        }
        hasher.update(&self.data);
        hasher.finalize().into()
    }

    /// Checks the block and unpacks its records.
    pub fn unseal(&self) -> Result<Content, Flaw> {
        if self.hash != self.expected_hash() {
            return Err(Flaw::Hash);
        }
        if self.codec != ZSTD {
            return Err(Flaw::Codec(self.codec.clone()));
        }
        // `raw_bytes` is outside the hash, so it is only trusted up to what a block can be.
        let raw = zstd::bulk::decompress(&self.data, self.raw_bytes.min(RAW_LIMIT + RAW_TARGET)).map_err(Flaw::Zstd)?;
        let lines: Vec<&[u8]> = raw.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).collect();
        if lines.len() as u64 != self.count {
            return Err(Flaw::Count { found: lines.len(), expected: self.count });
        }
        let mut content = Content { records: Vec::with_capacity(lines.len()), flaws: Vec::new() };
        for (seq, line) in (self.first_seq..).zip(lines) {
            match serde_json::from_slice(line) {
                Ok(record) => content.records.push((seq, record)),
                // Where and what kind only: serde's own message may quote the record.
                Err(error) => {
                    content.flaws.push(Flaw::Record { seq, category: error.classify(), column: error.column() });
                }
            }
        }
        Ok(content)
    }
}

/// Packs all of `lines` into chained blocks of about `RAW_TARGET` each.
pub(super) fn seal_all(first_seq: Seq, prev_hash: Hash, lines: &[&Line]) -> std::io::Result<Vec<Block>> {
    let mut blocks: Vec<Block> = Vec::new();
    let mut rest = lines;
    while !rest.is_empty() {
        let mut raw = 0;
        let fitting = rest.iter().take_while(|line| {
            raw += line.json.len() + 1;
            raw <= RAW_TARGET
        });
        let (lines, after) = rest.split_at(fitting.count().max(1));
        let (first_seq, prev_hash) =
            blocks.last().map_or((first_seq, prev_hash), |last| (last.last_seq + 1, last.hash));
        blocks.push(Block::seal(first_seq, prev_hash, lines)?);
        rest = after;
    }
    Ok(blocks)
}
