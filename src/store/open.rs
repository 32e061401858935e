//! What is open, and where its cards stand.

use sqlx::Row;

use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::ids::{RequestId, SlackChannelId};

impl Store {
    /// The access requests that people still decide about or whose grant is live.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_requests(&self, now: Timestamp) -> Result<Vec<RequestId>, StoreError> {
        let found = sqlx::query(
            "SELECT id FROM access_requests WHERE state = 'pending' AND decide_by > $1
             UNION SELECT request_id FROM grants WHERE state = 'live' AND expires_at > $1 AND request_id IS NOT NULL
             ORDER BY 1",
        )
        .bind(now.timestamp_millis())
        .fetch_all(self.readers())
        .await?;
        found.iter().map(id_of).collect()
    }

    /// Those of them whose card stands in a channel.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn requests_in(&self, channel: &SlackChannelId, now: Timestamp) -> Result<Vec<RequestId>, StoreError> {
        let found = sqlx::query(
            "SELECT request_id FROM cards WHERE channel = $1 UNION
             SELECT r.request_id FROM digests AS d JOIN digest_requests AS r ON r.digest_id = d.id WHERE d.channel = $1",
        )
        .bind(channel.as_str())
        .fetch_all(self.readers())
        .await?;
        let there = found.iter().map(id_of).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        let open = self.open_requests(now).await?;
        Ok(open.into_iter().filter(|request| there.contains(request)).collect())
    }

    /// Slack gave a channel another id: the messages of these access requests are there from now on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn move_cards(
        &self,
        requests: &[RequestId],
        old: &SlackChannelId,
        new: &SlackChannelId,
    ) -> Result<(), StoreError> {
        let (requests, old, new) = (rows::json(&requests)?, old.to_string(), new.to_string());
        self.write(move |w| {
            Box::pin(async move {
                for moved in [
                    "UPDATE OR IGNORE cards SET channel = $1
                     WHERE channel = $2 AND request_id IN (SELECT value FROM json_each($3))",
                    "UPDATE OR IGNORE digest_cards SET channel = $1 WHERE channel = $2 AND digest_id IN (
                       SELECT digest_id FROM digest_requests WHERE request_id IN (SELECT value FROM json_each($3)))",
                    "UPDATE digests SET channel = $1 WHERE channel = $2 AND id IN (
                       SELECT digest_id FROM digest_requests WHERE request_id IN (SELECT value FROM json_each($3)))",
                ] {
                    sqlx::query(moved).bind(&new).bind(&old).bind(&requests).execute(&mut w.conn).await?;
                }
                Ok(())
            })
        })
        .await
    }
}

fn id_of(row: &sqlx::sqlite::SqliteRow) -> Result<RequestId, StoreError> {
    let id: String = row.try_get(0)?;
    RequestId::parse(id.clone()).map_err(|e| StoreError::inconsistent("access_requests", &id, &e))
}
