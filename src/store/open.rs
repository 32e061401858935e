//! What is open, and where its cards stand.

use sqlx::Row;

use super::{Store, StoreError};
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
        let found = sqlx::query("SELECT DISTINCT request_id FROM cards WHERE channel = $1")
            .bind(channel.as_str())
            .fetch_all(self.readers())
            .await?;
        let there = found.iter().map(id_of).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        let open = self.open_requests(now).await?;
        Ok(open.into_iter().filter(|request| there.contains(request)).collect())
    }

    /// Slack gave a channel another id: its messages are there from now on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn move_cards(&self, old: &SlackChannelId, new: &SlackChannelId) -> Result<(), StoreError> {
        let (old, new) = (old.to_string(), new.to_string());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("UPDATE OR IGNORE cards SET channel = $1 WHERE channel = $2")
                    .bind(new)
                    .bind(old)
                    .execute(&mut w.conn)
                    .await?;
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
