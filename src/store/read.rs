//! Questions to the store. They see what is committed, and leave deadlines to the domain.

use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::audit::{self, Chained};
use super::rows::{select_grant, select_request, standing_votes};
use super::{HookCall, Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, audiences};
use crate::domain::grant::Grant;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::{GrantId, RequestId, SlackChannelId};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::{Fingerprint, TokenRequest};

/// What a button was made for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Button {
    /// The hash of its value.
    pub hash: String,
    /// The access request.
    pub request: RequestId,
    /// The version that was shown.
    pub shown_version: u32,
    /// The channel that it was sent to.
    pub channel: String,
    /// The one message that it counts on, once that is known.
    pub ts: Option<String>,
}

/// What stands in the way of, or answers, a token request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Until when one of its scopes is refused.
    pub until: Timestamp,
    /// Why: `denied` or `revoked`.
    pub cause: String,
}

impl Store {
    /// The body hash and grant of an earlier call with the same identifier.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] when its body was another one.
    pub async fn earlier_call(&self, call: &HookCall) -> Result<Option<GrantId>, StoreError> {
        let found = sqlx::query("SELECT body_hash, grant_id FROM hook_calls WHERE hook = $1 AND call_id = $2")
            .bind(call.hook.as_str())
            .bind(&call.id)
            .fetch_optional(self.readers())
            .await?;
        let Some(row) = found else { return Ok(None) };
        if row.try_get::<String, _>("body_hash")? != call.body_hash {
            return Err(StoreError::OtherBody);
        }
        let grant: Option<String> = row.try_get("grant_id")?;
        grant.map(|id| GrantId::parse(id).map_err(|e| StoreError::inconsistent("hook_calls", &call.id, &e))).transpose()
    }

    /// The access request that is pending for the same token request; its deadline may have passed.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn pending(&self, key: &Fingerprint) -> Result<Option<AccessRequest>, StoreError> {
        let found = sqlx::query(select_request!("WHERE r.pending_key = $1 AND r.state = 'pending'"))
            .bind(&key.0)
            .fetch_optional(self.readers())
            .await?;
        found.as_ref().map(rows::request).transpose()
    }

    /// An access request.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn request(&self, id: &RequestId) -> Result<Option<AccessRequest>, StoreError> {
        let found =
            sqlx::query(select_request!("WHERE r.id = $1")).bind(id.as_str()).fetch_optional(self.readers()).await?;
        found.as_ref().map(rows::request).transpose()
    }

    /// Access requests, newest first, before an identifier where one is given.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn requests(&self, before: Option<&str>, most: u32) -> Result<Vec<AccessRequest>, StoreError> {
        let found = sqlx::query(select_request!("WHERE r.id < $1 ORDER BY r.id DESC LIMIT $2"))
            .bind(before.unwrap_or("req_~"))
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(rows::request).collect()
    }

    /// A grant.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn grant(&self, id: &GrantId) -> Result<Option<Grant>, StoreError> {
        let found =
            sqlx::query(select_grant!("WHERE g.id = $1")).bind(id.as_str()).fetch_optional(self.readers()).await?;
        found.as_ref().map(rows::grant).transpose()
    }

    /// The grant of an access request.
    ///
    /// # Errors
    /// When the database does not answer, or the row cannot be right.
    pub async fn grant_of(&self, request: &RequestId) -> Result<Option<Grant>, StoreError> {
        let found = sqlx::query(select_grant!("WHERE g.request_id = $1"))
            .bind(request.as_str())
            .fetch_optional(self.readers())
            .await?;
        found.as_ref().map(rows::grant).transpose()
    }

    /// Grants, newest first, before an identifier where one is given.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn grants(&self, before: Option<&str>, most: u32) -> Result<Vec<Grant>, StoreError> {
        let found = sqlx::query(select_grant!("WHERE g.id < $1 ORDER BY g.id DESC LIMIT $2"))
            .bind(before.unwrap_or("grn_~"))
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(rows::grant).collect()
    }

    /// The latest of the cool-downs that refuse one of these scopes.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn cooldown(
        &self,
        asked: &TokenRequest,
        scopes: &ScopeSet,
        now: Timestamp,
    ) -> Result<Option<Standing>, StoreError> {
        let found = sqlx::query(
            "SELECT until, cause FROM cooldowns WHERE hook = $1 AND client = $2 AND subject_kind = $3 AND subject = $4
               AND audience IN (SELECT value FROM json_each($5)) AND scope IN (SELECT value FROM json_each($6)) AND until > $7
             ORDER BY until DESC LIMIT 1",
        )
        .bind(asked.hook.as_str())
        .bind(&asked.client.id)
        .bind(asked.subject.kind.as_str())
        .bind(&asked.subject.id)
        .bind(rows::json(&audiences(asked))?)
        .bind(rows::json(&scopes.judged())?)
        .bind(now.timestamp_millis())
        .fetch_optional(self.readers())
        .await?;
        found
            .map(|row| {
                Ok(Standing {
                    until: rows::time("cooldowns", "", row.try_get("until")?)?,
                    cause: row.try_get("cause")?,
                })
            })
            .transpose()
    }

    /// Which of these scopes no earlier grant of this client and subject had.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn first_times(&self, asked: &TokenRequest) -> Result<Vec<Scope>, StoreError> {
        let found = sqlx::query(
            "SELECT DISTINCT s.value AS scope FROM grants AS g, json_each(g.scopes) AS s
             WHERE g.client = $1 AND g.subject_kind = $2 AND g.subject = $3",
        )
        .bind(&asked.client.id)
        .bind(asked.subject.kind.as_str())
        .bind(&asked.subject.id)
        .fetch_all(self.readers())
        .await?;
        let earlier = found.iter().map(|row| row.try_get("scope")).collect::<Result<Vec<String>, _>>()?;
        Ok(asked.scopes.judged().into_iter().filter(|scope| !earlier.iter().any(|e| e == scope.as_str())).collect())
    }

    /// How many access requests of this subject are pending at a hook.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn pending_of(&self, asked: &TokenRequest, now: Timestamp) -> Result<u32, StoreError> {
        let row = sqlx::query(
            "SELECT count(*) AS n FROM access_requests WHERE hook = $1 AND subject_kind = $2 AND subject = $3
               AND state = 'pending' AND decide_by > $4",
        )
        .bind(asked.hook.as_str())
        .bind(asked.subject.kind.as_str())
        .bind(&asked.subject.id)
        .bind(now.timestamp_millis())
        .fetch_one(self.readers())
        .await?;
        Ok(u32::try_from(row.try_get::<i64, _>("n")?).unwrap_or(u32::MAX))
    }

    /// What a button was made for, by its value, with the access request as it is now.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn clicked(&self, value: &str) -> Result<Option<(Button, AccessRequest)>, StoreError> {
        self.clicked_hash(&sha256_hex(value.as_bytes())).await
    }

    /// The same, by the hash of the value.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn clicked_hash(&self, hash: &str) -> Result<Option<(Button, AccessRequest)>, StoreError> {
        let found = sqlx::query(concat!(
            "SELECT r.id, r.state, r.version, r.workspace, r.body, ",
            standing_votes!(),
            " AS votes, b.shown_version, b.channel, b.ts ",
            "FROM buttons AS b JOIN access_requests AS r ON r.id = b.request_id WHERE b.value_hash = $1"
        ))
        .bind(hash)
        .fetch_optional(self.readers())
        .await?;
        let Some(row) = found else { return Ok(None) };
        let request = rows::request(&row)?;
        let shown: i64 = row.try_get("shown_version")?;
        let button = Button {
            request: request.id.clone(),
            shown_version: u32::try_from(shown).map_err(|e| StoreError::inconsistent("buttons", hash, &e))?,
            channel: row.try_get("channel")?,
            ts: row.try_get("ts")?,
            hash: hash.to_owned(),
        };
        Ok(Some((button, request)))
    }

    /// The cards of an access request, oldest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn cards(&self, request: &RequestId) -> Result<Vec<MessageRef>, StoreError> {
        let found = sqlx::query("SELECT channel, ts FROM cards WHERE request_id = $1 ORDER BY posted_at, ts")
            .bind(request.as_str())
            .fetch_all(self.readers())
            .await?;
        found.iter().map(message).collect()
    }

    /// What wants to hear that time has passed: access requests and grants that are due, oldest first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn due(&self, now: Timestamp, most: u32) -> Result<(Vec<AccessRequest>, Vec<Grant>), StoreError> {
        let (at, most) = (now.timestamp_millis(), i64::from(most));
        // A bare `LIMIT $2` has SQLite plan the statement anew each time the number is bound.
        let requests = sqlx::query(select_request!("WHERE r.due_at <= $1 ORDER BY r.due_at LIMIT $2 + 0"))
            .bind(at)
            .bind(most)
            .fetch_all(self.readers())
            .await?;
        let grants = sqlx::query(select_grant!("WHERE g.due_at <= $1 ORDER BY g.due_at LIMIT $2 + 0"))
            .bind(at)
            .bind(most)
            .fetch_all(self.readers())
            .await?;
        let requests = requests.iter().map(rows::request).collect::<Result<_, _>>()?;
        Ok((requests, grants.iter().map(rows::grant).collect::<Result<_, _>>()?))
    }

    /// When something is next due, if anything is.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_due_at(&self) -> Result<Option<Timestamp>, StoreError> {
        let row = sqlx::query(
            "SELECT min(at) AS at FROM (SELECT min(due_at) AS at FROM access_requests WHERE due_at IS NOT NULL
             UNION ALL SELECT min(due_at) FROM grants WHERE due_at IS NOT NULL
             UNION ALL SELECT min(due_at) FROM reviews WHERE due_at IS NOT NULL)",
        )
        .fetch_one(self.readers())
        .await?;
        let at: Option<i64> = row.try_get("at")?;
        at.map(|millis| rows::time("due", "next", millis)).transpose()
    }

    /// Audit entries after a number, in order.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn audit(&self, after: i64, most: u32) -> Result<Vec<Chained>, StoreError> {
        let found = sqlx::query("SELECT seq, body, previous, hash FROM audit WHERE seq > $1 ORDER BY seq LIMIT $2")
            .bind(after)
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        found.iter().map(audit::chained).collect()
    }

    /// Reads the whole chain and answers with how many entries it has.
    ///
    /// # Errors
    /// [`StoreError::Corrupt`] naming the first entry that is not what its hash says.
    pub async fn verify_audit(&self) -> Result<i64, StoreError> {
        let (mut seq, mut previous) = (0, crate::domain::audit::CHAIN_START.to_owned());
        loop {
            let page = self.audit(seq, 1_000).await?;
            if page.is_empty() {
                return Ok(seq);
            }
            for entry in page {
                if entry.seq != seq + 1 {
                    return Err(StoreError::Corrupt(format!("audit entry {} is missing", seq + 1)));
                }
                audit::check(&entry, &previous)?;
                (seq, previous) = (entry.seq, entry.hash);
            }
        }
    }
}

pub(super) fn message(row: &SqliteRow) -> Result<MessageRef, StoreError> {
    let channel: String = row.try_get("channel")?;
    let channel =
        SlackChannelId::parse(channel.clone()).map_err(|e| StoreError::inconsistent("cards", &channel, &e))?;
    Ok(MessageRef { channel, ts: row.try_get("ts")? })
}
