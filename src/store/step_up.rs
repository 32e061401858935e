//! Authentications under way: an approver was sent to the OpenID provider and has not voted yet.

use sqlx::Row;

use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::ids::RequestId;

macro_rules! select {
    ($key:literal) => {
        concat!("SELECT link_hash, request_id, stage, expires_at, body FROM step_ups WHERE ", $key, " = $1")
    };
}

/// Where an authentication stands. It only goes forward.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The approver got a link.
    Opened,
    /// The approver's browser was sent to the provider.
    Sent,
    /// The provider says who it was; the approver has not confirmed.
    Proven,
    /// It was confirmed, and counts no more.
    Used,
}

impl Stage {
    fn as_str(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Sent => "sent",
            Self::Proven => "proven",
            Self::Used => "used",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::Opened, Self::Sent, Self::Proven, Self::Used].into_iter().find(|stage| stage.as_str() == text)
    }
}

/// What an authentication is found by; each is the SHA-256 of what somebody carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepUpKey<'a> {
    /// The link that the approver got.
    Link(&'a str),
    /// `state`, as the provider sends it back.
    State(&'a str),
    /// The token of the confirmation form.
    Csrf(&'a str),
}

/// An authentication under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUpRow {
    /// The hash of its link, which names it.
    pub link_hash: String,
    /// What is being approved.
    pub request: RequestId,
    /// Where it stands.
    pub stage: Stage,
    /// When it is of no use any more.
    pub expires_at: Timestamp,
    /// What the service keeps of it, as JSON.
    pub body: String,
}

/// A move to the next stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepUpMove {
    /// Which one.
    pub link_hash: String,
    /// Where it must stand.
    pub from: Stage,
    /// Where it goes.
    pub to: Stage,
    /// The `state` that it can be found by from now on.
    pub state_hash: Option<String>,
    /// The form's token that it can be found by from now on.
    pub csrf_hash: Option<String>,
    /// What the service keeps of it from now on.
    pub body: String,
}

impl Store {
    /// Writes a new one down.
    ///
    /// # Errors
    /// When the database does not answer: then no link is given out.
    pub async fn open_step_up(&self, row: StepUpRow) -> Result<(), StoreError> {
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO step_ups (link_hash, request_id, stage, expires_at, body) VALUES ($1, $2, $3, $4, $5)",
                )
                .bind(row.link_hash)
                .bind(row.request.to_string())
                .bind(row.stage.as_str())
                .bind(row.expires_at.timestamp_millis())
                .bind(row.body)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Finds one.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn step_up(&self, key: StepUpKey<'_>) -> Result<Option<StepUpRow>, StoreError> {
        let (sql, hash) = match key {
            StepUpKey::Link(hash) => (select!("link_hash"), hash),
            StepUpKey::State(hash) => (select!("state_hash"), hash),
            StepUpKey::Csrf(hash) => (select!("csrf_hash"), hash),
        };
        let Some(row) = sqlx::query(sql).bind(hash).fetch_optional(self.readers()).await? else { return Ok(None) };
        let wrong = |what: &str| StoreError::inconsistent("step_ups", hash, &what);
        let stage: String = row.try_get("stage")?;
        let expires_at: i64 = row.try_get("expires_at")?;
        Ok(Some(StepUpRow {
            link_hash: row.try_get("link_hash")?,
            request: RequestId::parse(row.try_get::<String, _>("request_id")?).map_err(|_| wrong("request_id"))?,
            stage: Stage::parse(&stage).ok_or_else(|| wrong("stage"))?,
            expires_at: rows::time("step_ups", hash, expires_at)?,
            body: row.try_get("body")?,
        }))
    }

    /// Moves one on; false where it does not stand where it must, so that nothing counts twice.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn move_step_up(&self, step: StepUpMove) -> Result<bool, StoreError> {
        self.write(move |w| {
            Box::pin(async move {
                let written = sqlx::query(
                    "UPDATE step_ups SET stage = $1, state_hash = $2, csrf_hash = $3, body = $4
                     WHERE link_hash = $5 AND stage = $6",
                )
                .bind(step.to.as_str())
                .bind(step.state_hash)
                .bind(step.csrf_hash)
                .bind(step.body)
                .bind(step.link_hash)
                .bind(step.from.as_str())
                .execute(&mut w.conn)
                .await?;
                Ok(written.rows_affected() == 1)
            })
        })
        .await
    }

    /// Throws away what ended before `before`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_step_ups(&self, before: Timestamp) -> Result<(), StoreError> {
        let at = before.timestamp_millis();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("DELETE FROM step_ups WHERE expires_at < $1").bind(at).execute(&mut w.conn).await?;
                Ok(())
            })
        })
        .await
    }
}
