//! Which Slack workspace the rows belong to that name none: they are from when there was only one.

use super::{Store, StoreError};
use crate::domain::ids::SlackTeamId;

/// Under which name that workspace is remembered.
pub(super) const FACT: &str = "workspace";

impl Store {
    /// The workspace of what names none: `first`, the first time that this is asked, and the same from then on. What is
    /// looked up by its workspace gets it now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn workspace_of_earlier_rows(&self, first: &SlackTeamId) -> Result<SlackTeamId, StoreError> {
        let first = first.to_string();
        let team: String = self
            .write(move |w| {
                Box::pin(async move {
                    sqlx::query("INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT DO NOTHING")
                        .bind(FACT)
                        .bind(first)
                        .execute(&mut w.conn)
                        .await?;
                    let find = sqlx::query_scalar("SELECT value FROM facts WHERE name = $1").bind(FACT);
                    let team: String = find.fetch_one(&mut w.conn).await?;
                    for sql in [
                        "UPDATE outbox SET lane = $1 || '/' || lane WHERE instr(lane, '/') = 0",
                        "UPDATE homes SET workspace = $1 WHERE workspace = ''",
                        "UPDATE controls SET workspace = $1 WHERE workspace = ''",
                    ] {
                        sqlx::query(sql).bind(&team).execute(&mut w.conn).await?;
                    }
                    Ok(team)
                })
            })
            .await?;
        SlackTeamId::parse(team).map_err(|e| StoreError::inconsistent("facts", FACT, &e))
    }
}
