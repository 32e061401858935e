//! What is refused without asking: its rows, how often it was denied before, and lifting it.

use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::script::Script;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::{Cooldown, Denials, audiences};
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::TokenRequest;

/// What cools down: the row's key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct CooldownKey {
    /// The hook.
    pub hook: String,
    /// The client.
    pub client: String,
    /// The subject's kind, `user` or `client`.
    pub subject_kind: String,
    /// The subject.
    pub subject: String,
    /// The audience; empty where none was named.
    pub audience: String,
    /// The scope; empty where none was named.
    pub scope: String,
}

/// Something that is refused for a while.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CoolingDown {
    /// What.
    #[serde(flatten)]
    pub key: CooldownKey,
    /// Until when.
    pub until: Timestamp,
    /// Why: `denied` or `revoked`.
    pub cause: String,
    /// How often it was denied in a row.
    pub denials: u32,
}

pub(super) fn write(script: &mut Script, cooldown: &Cooldown) {
    let denied_until = (cooldown.denials > 0).then(|| cooldown.until.timestamp_millis());
    script
        .run(
            "INSERT INTO cooldowns (hook, client, subject_kind, subject, audience, scope, until, cause, denials, denied_until)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
             ON CONFLICT (hook, client, subject_kind, subject, audience, scope)
             DO UPDATE SET until = max(until, excluded.until), cause = excluded.cause,
               denials = CASE WHEN excluded.denials > 0 THEN excluded.denials ELSE denials END,
               denied_until = coalesce(excluded.denied_until, denied_until)",
        )
        .bind(cooldown.hook.as_str())
        .bind(cooldown.client.as_str())
        .bind(cooldown.subject_kind.as_str())
        .bind(cooldown.subject.as_str())
        .bind(cooldown.audience.as_str())
        .bind(cooldown.scope.as_str())
        .bind(cooldown.until.timestamp_millis())
        .bind(cooldown.cause)
        .bind(i64::from(cooldown.denials))
        .bind(denied_until);
}

pub(super) fn lift(script: &mut Script, key: &CooldownKey) {
    script
        .run(
            "DELETE FROM cooldowns WHERE hook = ? AND client = ? AND subject_kind = ? AND subject = ? AND audience = ? AND scope = ?",
        )
        .bind(key.hook.as_str())
        .bind(key.client.as_str())
        .bind(key.subject_kind.as_str())
        .bind(key.subject.as_str())
        .bind(key.audience.as_str())
        .bind(key.scope.as_str());
}

impl Store {
    /// How often each of these scopes was denied in a row, by audience and scope; what never was is left out.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn denials(
        &self,
        asked: &TokenRequest,
        scopes: &ScopeSet,
    ) -> Result<Vec<(String, String, Denials)>, StoreError> {
        let found = sqlx::query(
            "SELECT audience, scope, denials, denied_until FROM cooldowns WHERE hook = $1 AND client = $2
               AND subject_kind = $3 AND subject = $4 AND audience IN (SELECT value FROM json_each($5))
               AND scope IN (SELECT value FROM json_each($6)) AND denials > 0 AND denied_until IS NOT NULL",
        )
        .bind(asked.hook.as_str())
        .bind(&asked.client.id)
        .bind(asked.subject.kind.as_str())
        .bind(&asked.subject.id)
        .bind(rows::json(&audiences(asked))?)
        .bind(rows::json(&scopes.judged())?)
        .fetch_all(self.readers())
        .await?;
        let read = |row: &SqliteRow| {
            let times = u32::try_from(row.try_get::<i64, _>("denials")?).unwrap_or(u32::MAX);
            let until = rows::time("cooldowns", "", row.try_get("denied_until")?)?;
            Ok((row.try_get("audience")?, row.try_get("scope")?, Denials { times, until }))
        };
        found.iter().map(read).collect()
    }

    /// What cools down at `now`, the longest first.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cooling_down(&self, now: Timestamp, most: u32) -> Result<Vec<CoolingDown>, StoreError> {
        let found = sqlx::query("SELECT * FROM cooldowns WHERE until > $1 ORDER BY until DESC LIMIT $2")
            .bind(now.timestamp_millis())
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        let read = |row: &SqliteRow| {
            Ok(CoolingDown {
                key: CooldownKey {
                    hook: row.try_get("hook")?,
                    client: row.try_get("client")?,
                    subject_kind: row.try_get("subject_kind")?,
                    subject: row.try_get("subject")?,
                    audience: row.try_get("audience")?,
                    scope: row.try_get("scope")?,
                },
                until: rows::time("cooldowns", "", row.try_get("until")?)?,
                cause: row.try_get("cause")?,
                denials: u32::try_from(row.try_get::<i64, _>("denials")?).unwrap_or(u32::MAX),
            })
        };
        found.iter().map(read).collect()
    }
}
