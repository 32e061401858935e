//! The store: what is true survives here.
//!
//! Its contract: one [`Commit`] writes the state (compare-and-swap on its version), votes, audit entries and
//! outbox rows in one transaction, or nothing; it answers after the transaction is durable. Reads see only
//! what is committed. Times are UTC in whole milliseconds. Expiry is enforced by those who read, never by a row.

mod audit;
mod commit;
mod cooldowns;
mod digests;
mod earlier;
mod history;
mod interactions;
mod issue;
mod lanes;
mod living;
mod lookup;
mod observed;
mod open;
mod outbox;
mod places;
mod read;
mod reviews;
mod rows;
mod script;
mod sqlite;
mod states;
mod step_up;
#[cfg(test)]
mod tests;
mod workspaces;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use sqlx::SqlitePool;
use thiserror::Error;
use tokio::sync::watch;

pub use audit::{Chained, Head};
pub use commit::{Change, Commit, Outcome};
pub use cooldowns::{CooldownKey, CoolingDown};
pub use digests::{Digest, Joined, Room};
pub use history::{History, Recorded, Verdict};
pub use interactions::Once;
pub use issue::{Issue, Issued};
pub use lanes::{Attempt, Claimed};
pub use observed::observations;
pub use outbox::{About, Class, DeadLetter, Delivery};
pub use places::{Control, HomeOf, Notice, Place};
pub use read::{Button, Standing};
pub use reviews::ReviewButton;
pub use step_up::{Stage, StepUpKey, StepUpMove, StepUpRow};

use crate::domain::Timestamp;
use crate::domain::ids::HookName;
use lookup::Lookup;
use writer::{Writer, Writing};

/// A call that the authorization server names (`webhook-id`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HookCall {
    /// The hook.
    pub hook: HookName,
    /// The identifier that the server gave the call.
    pub id: String,
    /// SHA-256 in hexadecimal of its body.
    pub body_hash: String,
}

/// What went wrong in the store. Nothing was written, unless the text says that this is not known.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum StoreError {
    /// The database did not do it; trying again may help.
    #[error("the database did not answer: {0}")]
    Database(String),
    /// The disk is full, or the file may not be written.
    #[error("the database cannot be written: {0}")]
    CannotWrite(String),
    /// The disk itself failed: after that nothing that is cached can be trusted, so the process must end.
    #[error("the disk failed: {0}")]
    Disk(String),
    /// What was read cannot be right.
    #[error("the database is damaged: {0}")]
    Corrupt(String),
    /// Rows that form no legal value.
    #[error("the row {key} of {table} cannot be right: {why}")]
    Inconsistent {
        /// The table.
        table: &'static str,
        /// The row's key.
        key: String,
        /// What is wrong.
        why: String,
    },
    /// The database cannot be used at all.
    #[error("the database cannot be used: {0}")]
    Unusable(String),
    /// The same call identifier came with another body before.
    #[error("this call identifier was used for another body before")]
    OtherBody,
    /// The store is stopping or has stopped.
    #[error("the store has stopped")]
    Stopped,
}

impl StoreError {
    fn inconsistent(table: &'static str, key: &str, why: &dyn std::fmt::Display) -> Self {
        Self::Inconsistent { table, key: key.to_owned(), why: why.to_string() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        // The primary result code is the low byte of SQLite's extended one.
        let code = error.as_database_error().and_then(|e| e.code()?.parse::<u32>().ok()).map(|code| code & 0xff);
        let text = error.to_string();
        match code {
            Some(10) => Self::Disk(text),
            Some(8 | 13) => Self::CannotWrite(text),
            Some(11 | 26) => Self::Corrupt(text),
            Some(_) | None => Self::Database(text),
        }
    }
}

/// How the writer is doing.
#[derive(Clone)]
pub struct Health(Arc<watch::Sender<Option<StoreError>>>);

impl Default for Health {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(None)))
    }
}

impl Health {
    fn written(&self) {
        self.0.send_if_modified(|now| now.take().is_some());
    }

    fn writing_failed(&self, error: &StoreError) {
        tracing::error!(%error, "a group of writes was rolled back");
        self.0.send_replace(Some(error.clone()));
    }

    /// What the last group of writes failed with, if it did.
    pub fn failure(&self) -> Option<StoreError> {
        self.0.borrow().clone()
    }

    /// Comes back when the disk failed: the process must end then, and be started anew.
    pub async fn disk_failed(&self) {
        let mut changes = self.0.subscribe();
        let _ = changes.wait_for(|now| matches!(now, Some(StoreError::Disk(_)))).await;
    }
}

/// The store. Cheap to clone; the last clone closes nothing: call [`Store::close`].
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    lookup: Lookup,
    writer: Writer,
    health: Health,
    latest: Timestamp,
    _lock: Arc<File>,
}

impl Store {
    /// Opens a SQLite file, making it if it is not there, and checks it before anything is answered from it.
    ///
    /// After an unclean stop the whole file is checked first; otherwise [`Store::check_in_background`] does it later.
    ///
    /// # Errors
    /// [`StoreError::Unusable`] or [`StoreError::Corrupt`]: the service must not start.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        let mut opened = sqlite::open(path).await?;
        if opened.was_unclean {
            tracing::warn!("the last stop was not a clean one; the whole database is checked");
            sqlite::integrity(&opened.readers, sqlite::Check::Full).await?;
        }
        let (head, latest) = audit::head(&mut opened.writer).await?;
        let health = Health::default();
        let writer = Writer::start(opened.writer, head, health.clone());
        let (readers, lookup) = (opened.readers.clone(), Lookup::start(opened.readers));
        Ok(Self { readers, lookup, writer, health, latest, _lock: Arc::new(opened.lock) })
    }

    /// Looks the file over while the service already answers.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] when something is wrong: the service must stop.
    pub async fn check_in_background(&self) -> Result<(), StoreError> {
        sqlite::integrity(&self.readers, sqlite::Check::Quick).await
    }

    /// Writes what waits and closes the file so that the next start need not check it.
    pub async fn close(&self) {
        self.writer.stop().await;
        self.readers.close().await;
    }

    /// When the last thing that was written down before this start happened: time is not before that.
    pub fn latest(&self) -> Timestamp {
        self.latest
    }

    /// How many writes were asked for since the start: whether it goes up says whether the writer has a quiet moment.
    pub fn written(&self) -> u64 {
        self.writer.asked_for()
    }

    /// How the writer is doing.
    pub fn health(&self) -> &Health {
        &self.health
    }

    /// Writes something real, to learn whether writing works.
    ///
    /// # Errors
    /// What keeps it from working.
    pub async fn probe(&self, now: Timestamp) -> Result<(), StoreError> {
        let at = now.timestamp_millis().to_string();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO facts (name, value) VALUES ('probed_at', $1) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Records a token issuance and answers after it is durable.
    ///
    /// # Errors
    /// When the database does not answer: then nothing may be issued.
    pub async fn issue(&self, issue: Issue) -> Result<Issued, StoreError> {
        self.writer.issue(issue).await.map_err(|e| self.because(e))
    }

    async fn commit_written(&self, written: commit::Written) -> Result<(), StoreError> {
        self.writer.commit(written).await.map_err(|e| self.because(e))
    }

    fn readers(&self) -> &SqlitePool {
        &self.readers
    }

    async fn write<T, F>(&self, piece: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, StoreError>> + Send + 'static,
    {
        self.writer.write(piece).await.map_err(|e| self.because(e))
    }

    /// A caller that was dropped with its group learns what the group failed with.
    fn because(&self, error: StoreError) -> StoreError {
        if error == StoreError::Stopped { self.health.failure().unwrap_or(error) } else { error }
    }
}
