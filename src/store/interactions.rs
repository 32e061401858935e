//! Which clicks and forms have counted, so that the same payload again counts for nothing.

use super::commit::conflict;
use super::script::Script;
use super::{Store, StoreError};
use crate::domain::Timestamp;
use crate::domain::hashing::sha256_hex;

/// A click or a form as Slack tells them apart: the same one comes with the same identifier, however often.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Once(String);

impl Once {
    /// By the identifier that Slack gave it. It is a capability for three seconds, so its hash is kept.
    pub fn of(trigger_id: &str) -> Self {
        Self(sha256_hex(trigger_id.as_bytes()))
    }

    pub(super) fn write(&self, script: &mut Script, now: Timestamp) {
        script
            .run("INSERT INTO interactions (key, at) VALUES (?, ?)")
            .bind(self.0.as_str())
            .bind(now.timestamp_millis())
            .is_first_or(conflict());
    }
}

impl Store {
    /// Whether this click or form has counted before.
    ///
    /// # Errors
    /// When the database does not answer: then it must not be acted upon.
    pub async fn has_counted(&self, once: &Once) -> Result<bool, StoreError> {
        let found = sqlx::query("SELECT 1 FROM interactions WHERE key = $1").bind(&once.0);
        Ok(found.fetch_optional(self.readers()).await?.is_some())
    }
}
