//! What a client had before: for cards, which say what is unusual. No decision rests on it.

use sqlx::Row;

use super::{Store, StoreError, rows};
use crate::domain::access_request::{Earlier, History};
use crate::domain::ids::HookName;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::TokenRequest;

impl Store {
    /// What this client had for this subject until now, compared with what it asks for. Its last grant is looked for
    /// at these hooks only: the card shows it.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn history(
        &self,
        asked: &TokenRequest,
        scopes: ScopeSet,
        hooks: &[HookName],
    ) -> Result<History, StoreError> {
        let first = self.first_times(asked).await?;
        let new = scopes.iter().filter(|scope| first.contains(scope)).cloned().collect();
        let last = sqlx::query(
            "SELECT id, scopes, granted_at, expires_at FROM grants
             WHERE client = $1 AND subject_kind = $2 AND subject = $3 AND request_id IS NOT NULL
               AND hook IN (SELECT value FROM json_each($4))
             ORDER BY granted_at DESC LIMIT 1",
        )
        .bind(&asked.client.id)
        .bind(asked.subject.kind.as_str())
        .bind(&asked.subject.id)
        .bind(rows::json(&hooks)?)
        .fetch_optional(self.readers())
        .await?;
        let earlier = |row: sqlx::sqlite::SqliteRow| -> Result<Earlier, StoreError> {
            let id: String = row.try_get("id")?;
            let (granted, expires): (i64, i64) = (row.try_get("granted_at")?, row.try_get("expires_at")?);
            Ok(Earlier {
                scopes: rows::parse("grants", &id, row.try_get("scopes")?)?,
                at: rows::time("grants", &id, granted)?,
                duration: u64::try_from((expires - granted) / 1_000).unwrap_or(0),
            })
        };
        Ok(History { known: true, new, last: last.map(earlier).transpose()? })
    }
}
