//! The audit chain: each entry's hash covers the entry and the hash before it.

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqliteConnection};

use super::StoreError;
use super::script::Script;
use crate::domain::Timestamp;
use crate::domain::audit::{AuditEntry, CHAIN_START, Kind, chain_hash};
use crate::domain::ids::{GrantId, RequestId};

/// The end of the chain.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    /// The number of the last entry; 0 before the first.
    pub seq: i64,
    /// Its hash.
    pub hash: String,
}

/// An entry with its place in the chain.
#[derive(Debug, Clone, PartialEq)]
pub struct Chained {
    /// Its number, from 1, without gaps.
    pub seq: i64,
    /// The entry.
    pub entry: AuditEntry,
    /// The hash of the entry before it.
    pub previous: String,
    /// Its own.
    pub hash: String,
    /// The text that was hashed: what is verified is what was stored, not what could be read of it.
    body: String,
}

/// An entry as it will be stored; its place in the chain is still to come.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    pub at: i64,
    pub kind: Kind,
    pub request: Option<RequestId>,
    pub grant: Option<GrantId>,
    pub body: String,
}

impl Entry {
    pub(super) fn new(entry: AuditEntry) -> Self {
        let body = entry.canonical();
        let AuditEntry { at, kind, request_id, grant_id, .. } = entry;
        Self { at: at.timestamp_millis(), kind, request: request_id, grant: grant_id, body }
    }
}

impl Head {
    /// Gives the next entry its place.
    pub(super) fn append(&mut self, body: &str) -> Link {
        self.seq += 1;
        let hash = chain_hash(self.seq, body, &self.hash);
        Link { seq: self.seq, previous: std::mem::replace(&mut self.hash, hash.clone()), hash }
    }
}

/// The place of one entry.
pub(super) struct Link {
    pub seq: i64,
    pub previous: String,
    pub hash: String,
}

/// Reads the end of the chain, and when its last entry was written, and checks that entry against its hash.
pub(super) async fn head(conn: &mut SqliteConnection) -> Result<(Head, Timestamp), StoreError> {
    let row = sqlx::query("SELECT seq, body, previous, hash FROM audit ORDER BY seq DESC LIMIT 1")
        .fetch_optional(conn)
        .await?;
    match row {
        None => Ok((Head { seq: 0, hash: CHAIN_START.to_owned() }, Timestamp::UNIX_EPOCH)),
        Some(row) => {
            let last = chained(&row)?;
            check(&last, &last.previous)?;
            Ok((Head { seq: last.seq, hash: last.hash }, last.entry.at))
        }
    }
}

/// Whether an entry is what its hash says, and follows `previous`.
pub(super) fn check(entry: &Chained, previous: &str) -> Result<(), StoreError> {
    if entry.previous == previous && chain_hash(entry.seq, &entry.body, &entry.previous) == entry.hash {
        Ok(())
    } else {
        Err(StoreError::Corrupt(format!("audit entry {} is not what its hash says", entry.seq)))
    }
}

/// Writes an entry down at its place.
pub(super) fn append(script: &mut Script, head: &mut Head, entry: Entry) {
    let link = head.append(&entry.body);
    script
        .run(
            "INSERT INTO audit (seq, at, kind, request_id, grant_id, body, previous, hash)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(link.seq)
        .bind(entry.at)
        .bind(entry.kind.as_str())
        .bind(entry.request.as_ref().map(|id| id.as_str()))
        .bind(entry.grant.as_ref().map(|id| id.as_str()))
        .bind(entry.body)
        .bind(link.previous)
        .bind(link.hash);
}

pub(super) fn chained(row: &SqliteRow) -> Result<Chained, StoreError> {
    let body: String = row.try_get("body")?;
    let seq = row.try_get("seq")?;
    let entry = serde_json::from_str(&body).map_err(|e| StoreError::inconsistent("audit", &format!("{seq}"), &e))?;
    Ok(Chained { seq, entry, previous: row.try_get("previous")?, hash: row.try_get("hash")?, body })
}
