//! Reviews of broken glasses: their rows, their cards and their buttons.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::commit::{Change, conflict};
use super::script::Script;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::MessageRef;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{GrantId, RequestId, SlackChannelId, SlackTeamId};
use crate::domain::review::{Review, ReviewState};

/// What a button of a review card was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReviewButton {
    /// The hash of its value.
    pub hash: String,
    /// The channel that it was sent to.
    pub channel: String,
    /// The one message that it counts on, once that is known.
    pub ts: Option<String>,
}

pub(super) fn write(script: &mut Script, change: &Change<Review>) -> Result<(), StoreError> {
    match change {
        Change::New(review) => {
            script
                .run(
                    "INSERT INTO reviews (id, grant_id, state, opened_at, review_by, due_at, version, body, workspace)
                     VALUES (?, ?, ?, ?, ?, ?, 0, ?, ?)",
                )
                .bind(review.id.as_str())
                .bind(review.grant.as_str())
                .bind(state(review))
                .bind(review.opened_at.timestamp_millis())
                .bind(review.review_by.timestamp_millis())
                .bind(review.due_at().map(|at| at.timestamp_millis()))
                .bind(rows::json(review)?)
                .bind(review.workspace.as_ref().map(ToString::to_string))
                .is_first_or(conflict());
        }
        Change::Replace(review) => {
            script
                .run(
                    "UPDATE reviews SET state = ?, due_at = ?, body = ?, version = version + 1 WHERE id = ? AND version = ?",
                )
                .bind(state(review))
                .bind(review.due_at().map(|at| at.timestamp_millis()))
                .bind(rows::json(review)?)
                .bind(review.id.as_str())
                .bind(review.version)
                .changes_one_or(conflict());
        }
    }
    Ok(())
}

pub(super) fn card(script: &mut Script, review: &RequestId, message: &MessageRef, now: Timestamp) {
    script
        .run("INSERT INTO review_cards (channel, ts, review_id, posted_at) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING")
        .bind(message.channel.as_str())
        .bind(message.ts.as_str())
        .bind(review.as_str())
        .bind(now.timestamp_millis());
}

fn state(review: &Review) -> &'static str {
    match review.state {
        ReviewState::Open => "open",
        ReviewState::Answered { .. } => "answered",
    }
}

fn read(row: &SqliteRow) -> Result<Review, StoreError> {
    let id: String = row.try_get("id")?;
    let mut review: Review = rows::parse("reviews", &id, row.try_get("body")?)?;
    review.version = row.try_get("version")?;
    let (grant, is): (String, String) = (row.try_get("grant_id")?, row.try_get("state")?);
    let workspace: Option<String> = row.try_get("workspace")?;
    let agree = review.id.as_str() == id
        && review.grant.as_str() == grant
        && state(&review) == is
        && review.workspace.as_ref().map(SlackTeamId::as_str) == workspace.as_deref();
    if agree { Ok(review) } else { Err(StoreError::inconsistent("reviews", &id, &"its columns and its body disagree")) }
}

impl Store {
    /// A review.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn review(&self, id: &RequestId) -> Result<Option<Review>, StoreError> {
        let found =
            sqlx::query("SELECT * FROM reviews WHERE id = $1").bind(id.as_str()).fetch_optional(self.readers()).await?;
        found.as_ref().map(read).transpose()
    }

    /// The review of a grant.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn review_of(&self, grant: &GrantId) -> Result<Option<Review>, StoreError> {
        let found = sqlx::query("SELECT * FROM reviews WHERE grant_id = $1")
            .bind(grant.as_str())
            .fetch_optional(self.readers())
            .await?;
        found.as_ref().map(read).transpose()
    }

    /// Reviews, newest first, before an identifier where one is given; only those that nobody answered if `open`.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn reviews(&self, open: bool, before: Option<&str>, most: u32) -> Result<Vec<Review>, StoreError> {
        let found =
            sqlx::query("SELECT * FROM reviews WHERE id < $1 AND (NOT $2 OR state = 'open') ORDER BY id DESC LIMIT $3")
                .bind(before.unwrap_or("req_~"))
                .bind(open)
                .bind(i64::from(most))
                .fetch_all(self.readers())
                .await?;
        found.iter().map(read).collect()
    }

    /// Reviews that want to hear that time has passed.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn due_reviews(&self, now: Timestamp, most: u32) -> Result<Vec<Review>, StoreError> {
        let found = sqlx::query("SELECT * FROM reviews WHERE due_at <= $1 ORDER BY due_at LIMIT $2")
            .bind(now.timestamp_millis())
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(read).collect()
    }

    /// How many reviews should have been answered by now.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn overdue_reviews(&self, now: Timestamp) -> Result<i64, StoreError> {
        let row = sqlx::query("SELECT count(*) AS n FROM reviews WHERE state = 'open' AND review_by <= $1")
            .bind(now.timestamp_millis())
            .fetch_one(self.readers())
            .await?;
        Ok(row.try_get("n")?)
    }

    /// The cards of a review, oldest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn review_cards(&self, review: &RequestId) -> Result<Vec<MessageRef>, StoreError> {
        let found = sqlx::query("SELECT channel, ts FROM review_cards WHERE review_id = $1 ORDER BY posted_at, ts")
            .bind(review.as_str())
            .fetch_all(self.readers())
            .await?;
        let message = |row: &SqliteRow| {
            let channel: String = row.try_get("channel")?;
            let channel = SlackChannelId::parse(channel.clone())
                .map_err(|e| StoreError::inconsistent("review_cards", &channel, &e))?;
            Ok(MessageRef { channel, ts: row.try_get("ts")? })
        };
        found.iter().map(message).collect()
    }

    /// What a clicked button of a review card was made for, by its value.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn review_clicked(&self, value: &str) -> Result<Option<(ReviewButton, Review)>, StoreError> {
        let hash = sha256_hex(value.as_bytes());
        let found = sqlx::query(
            "SELECT b.channel, b.ts, r.* FROM review_buttons AS b JOIN reviews AS r ON r.id = b.review_id
             WHERE b.value_hash = $1",
        )
        .bind(&hash)
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = found else { return Ok(None) };
        let button = ReviewButton { channel: row.try_get("channel")?, ts: row.try_get("ts")?, hash };
        Ok(Some((button, read(&row)?)))
    }

    /// Keeps the hash of the value of a review card's buttons before it is sent.
    ///
    /// # Errors
    /// When the database does not answer: then the card must not be sent.
    pub async fn mint_review(
        &self,
        value: &str,
        review: &RequestId,
        channel: &str,
        ts: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        const INSERT: &str =
            "INSERT INTO review_buttons (value_hash, review_id, channel, ts, minted_at) VALUES ($1, $2, $3, $4, $5)";
        self.mint_beside(INSERT, value, review, (channel, ts), now).await
    }
}
