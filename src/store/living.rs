//! Questions about what lives on, and what is remembered between two starts.

use serde::Serialize;

use super::rows::{select_grant, select_request};
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::grant::Grant;
use crate::domain::identity::Principal;
use crate::domain::ids::GrantId;
use crate::domain::token_request::CoverageKey;

/// How many pending access requests are looked at; there are limits that keep them far below.
const PENDING_MAX: i64 = 5_000;

/// A page of identifiers, as an argument.
fn keys<T: Serialize>(all: &[T]) -> Result<String, StoreError> {
    rows::json(&all)
}

impl Store {
    /// The pending access requests that people made in Slack and that may cover a call with one of these keys, oldest
    /// first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn pending_that_cover(&self, covers: &[CoverageKey]) -> Result<Vec<AccessRequest>, StoreError> {
        let found = sqlx::query(select_request!(
            "WHERE r.covers IN (SELECT value FROM json_each($1)) AND r.covers IS NOT NULL AND r.state = 'pending' ORDER BY r.id"
        ))
        .bind(keys(covers)?)
        .fetch_all(self.readers())
        .await?;
        found.iter().map(rows::request).collect()
    }

    /// Every pending access request, oldest first; the deadline of some may have passed.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn all_pending(&self) -> Result<Vec<AccessRequest>, StoreError> {
        let found = sqlx::query(select_request!("WHERE r.state = 'pending' ORDER BY r.id LIMIT $1"))
            .bind(PENDING_MAX)
            .fetch_all(self.readers())
            .await?;
        found.iter().map(rows::request).collect()
    }

    /// The access requests that are somebody's own or that they voted on, newest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn requests_of(&self, who: &Principal, most: u32) -> Result<Vec<AccessRequest>, StoreError> {
        let found = sqlx::query(select_request!(
            "WHERE r.id IN (SELECT id FROM (
               SELECT * FROM (SELECT id FROM access_requests WHERE asker = $1 ORDER BY id DESC LIMIT $2)
               UNION SELECT * FROM (SELECT id FROM access_requests WHERE subject_kind = 'user' AND lower(subject) = $1
                 ORDER BY id DESC LIMIT $2)
               UNION SELECT * FROM (SELECT id FROM access_requests WHERE email = $1 ORDER BY id DESC LIMIT $2)
               UNION SELECT * FROM (SELECT request_id FROM votes WHERE principal = $1 ORDER BY request_id DESC LIMIT $2)
             ) ORDER BY id DESC LIMIT $2) ORDER BY r.id DESC"
        ))
        .bind(who.as_str())
        .bind(i64::from(most))
        .fetch_all(self.readers())
        .await?;
        found.iter().map(rows::request).collect()
    }

    /// The live grants behind access requests, after an identifier, in order.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn live_grants_of_requests(&self, after: &str, most: u32) -> Result<Vec<Grant>, StoreError> {
        let found = sqlx::query(select_grant!(
            "WHERE g.state = 'live' AND g.request_id IS NOT NULL AND g.id > $1 ORDER BY g.id LIMIT $2"
        ))
        .bind(after)
        .bind(i64::from(most))
        .fetch_all(self.readers())
        .await?;
        found.iter().map(rows::grant).collect()
    }

    /// The live grants that are somebody's own, or that they decided, the one that ends first before the others.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn live_grants_of(&self, who: &Principal, most: u32) -> Result<Vec<Grant>, StoreError> {
        let found = sqlx::query(select_grant!(
            "WHERE g.state = 'live' AND (
               (g.subject_kind = 'user' AND lower(g.subject) = $1 AND g.request_id IS NOT NULL)
               OR g.request_id IN (SELECT id FROM access_requests WHERE asker = $1
                 UNION SELECT id FROM access_requests WHERE email = $1
                 UNION SELECT request_id FROM votes WHERE principal = $1))
             ORDER BY g.expires_at LIMIT $2"
        ))
        .bind(who.as_str())
        .bind(i64::from(most))
        .fetch_all(self.readers())
        .await?;
        found.iter().map(rows::grant).collect()
    }

    /// A grant could not be looked after: it is due again at another time.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn look_again_at(&self, grant: &GrantId, at: Timestamp) -> Result<(), StoreError> {
        let (id, at) = (grant.to_string(), at.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("UPDATE grants SET due_at = $1 WHERE id = $2 AND state = 'live'")
                    .bind(at)
                    .bind(id)
                    .execute(&mut w.conn)
                    .await?;
                Ok(())
            })
        })
        .await
    }

    /// What was remembered under a name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remembered(&self, name: &str) -> Result<Option<String>, StoreError> {
        Ok(sqlx::query_scalar("SELECT value FROM facts WHERE name = $1")
            .bind(name)
            .fetch_optional(self.readers())
            .await?)
    }

    /// Remembers a text under a name.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn remember(&self, name: &str, text: &str) -> Result<(), StoreError> {
        let (name, text) = (name.to_owned(), text.to_owned());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO facts (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                )
                .bind(name)
                .bind(text)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }
}
