//! The one write path of decisions.

use sqlx::SqliteConnection;

use super::outbox::{self, Delivery};
use super::{HookCall, Store, StoreError, audit, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Cooldown, MessageRef, Vote};
use crate::domain::audit::AuditEntry;
use crate::domain::grant::Grant;
use crate::domain::hashing::sha256_hex;
use crate::domain::ids::RequestId;

/// A value and how it comes into the store.
#[derive(Debug, Clone)]
pub enum Change<T> {
    /// It is new.
    New(T),
    /// It replaces the row of the same identifier, if that still has this value's version.
    Replace(T),
}

/// What is written together, or not at all.
#[derive(Debug, Clone, Default)]
pub struct Commit {
    /// The access request.
    pub request: Option<Change<AccessRequest>>,
    /// The vote that was added to it.
    pub vote: Option<Vote>,
    /// The grant.
    pub grant: Option<Change<Grant>>,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: Vec<AuditEntry>,
    /// What is to be told outside, about which access request.
    pub deliveries: Vec<(RequestId, Delivery)>,
    /// The hook call that caused it, where the server names it.
    pub call: Option<HookCall>,
    /// The clicked button, and the one message that it counts on from now on.
    pub bind: Option<(String, MessageRef)>,
    /// The outbox row that this finishes, by number and lease.
    pub finish: Option<(i64, String)>,
    /// The outbox row that is given up: number, lease, error.
    pub give_up: Option<(i64, String, String)>,
    /// A card that Slack has: about which access request, and where.
    pub card: Option<(RequestId, MessageRef)>,
    /// Cards that Slack has no more.
    pub gone: Vec<MessageRef>,
}

/// How a commit went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is durable.
    Done,
    /// Somebody else was first: look again.
    Conflict,
}

impl Store {
    /// Writes all of it or nothing, and answers after it is durable.
    ///
    /// # Errors
    /// [`StoreError::OtherBody`] when the call identifier came with another body before; otherwise what
    /// kept the database from writing.
    pub async fn commit(&self, commit: Commit, now: Timestamp) -> Result<Outcome, StoreError> {
        let result = self
            .write(move |w| {
                Box::pin(async move {
                    let super::writer::Writing { conn, head } = w;
                    write_states(conn, &commit, now).await?;
                    write_marks(conn, &commit, now).await?;
                    for entry in &commit.audit {
                        audit::append(conn, head, entry).await?;
                    }
                    for (request, delivery) in &commit.deliveries {
                        outbox::insert(conn, request, delivery, now).await?;
                    }
                    Ok(())
                })
            })
            .await;
        match result {
            Ok(()) => Ok(Outcome::Done),
            Err(StoreError::Inconsistent { table: CONFLICT, .. }) => Ok(Outcome::Conflict),
            Err(error) => Err(error),
        }
    }

    /// Keeps the hash of a button's value before it is sent, with what it is made for.
    ///
    /// # Errors
    /// When the database does not answer: then the button must not be sent.
    pub async fn mint(
        &self,
        value: &str,
        request: &AccessRequest,
        channel: &str,
        ts: Option<&str>,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (hash, id, shown) =
            (sha256_hex(value.as_bytes()), request.id.to_string(), i64::from(request.shown_version));
        let (channel, ts, at) = (channel.to_owned(), ts.map(str::to_owned), now.timestamp_millis());
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "INSERT INTO buttons (value_hash, request_id, shown_version, channel, ts, minted_at) VALUES ($1, $2, $3, $4, $5, $6)",
                )
                .bind(hash)
                .bind(id)
                .bind(shown)
                .bind(channel)
                .bind(ts)
                .bind(at)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// Forgets call identifiers that are older than `before`: nobody retries for that long.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn forget_calls(&self, before: Timestamp) -> Result<(), StoreError> {
        let at = before.timestamp_millis();
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query("DELETE FROM hook_calls WHERE at < $1").bind(at).execute(&mut w.conn).await?;
                Ok(())
            })
        })
        .await
    }
}

/// The table name under which a lost compare-and-swap travels through the writer's rollback.
const CONFLICT: &str = "conflict";

fn conflict() -> StoreError {
    StoreError::inconsistent(CONFLICT, "", &"somebody else was first")
}

/// A broken uniqueness rule means that somebody else was first: the same pending request, the same vote.
fn first_wins(error: sqlx::Error) -> StoreError {
    if error.as_database_error().is_some_and(|e| e.is_unique_violation()) { conflict() } else { error.into() }
}

async fn write_states(conn: &mut SqliteConnection, commit: &Commit, now: Timestamp) -> Result<(), StoreError> {
    if let Some(call) = &commit.call {
        write_call(conn, call, now).await?;
    }
    match &commit.request {
        None => {}
        Some(Change::New(request)) => insert_request(conn, request).await?,
        Some(Change::Replace(request)) => replace_request(conn, request).await?,
    }
    if let (Some(vote), Some(Change::New(request) | Change::Replace(request))) = (&commit.vote, &commit.request) {
        insert_vote(conn, &request.id, vote).await?;
    }
    match &commit.grant {
        None => {}
        Some(Change::New(grant)) => insert_grant(conn, grant).await?,
        Some(Change::Replace(grant)) => replace_grant(conn, grant).await?,
    }
    for cooldown in &commit.cooldowns {
        write_cooldown(conn, cooldown).await?;
    }
    Ok(())
}

async fn write_marks(conn: &mut SqliteConnection, commit: &Commit, now: Timestamp) -> Result<(), StoreError> {
    if let Some((hash, message)) = &commit.bind {
        bind_button(conn, hash, message).await?;
    }
    for message in &commit.gone {
        sqlx::query("DELETE FROM cards WHERE channel = $1 AND ts = $2")
            .bind(message.channel.as_str())
            .bind(&message.ts)
            .execute(&mut *conn)
            .await?;
    }
    if let Some((request, message)) = &commit.card {
        sqlx::query(
            "INSERT INTO cards (channel, ts, request_id, posted_at) VALUES ($1, $2, $3, $4) ON CONFLICT DO NOTHING",
        )
        .bind(message.channel.as_str())
        .bind(&message.ts)
        .bind(request.as_str())
        .bind(now.timestamp_millis())
        .execute(&mut *conn)
        .await?;
    }
    if let Some((id, lease)) = &commit.finish {
        sqlx::query("DELETE FROM outbox WHERE id = $1 AND lease = $2").bind(id).bind(lease).execute(&mut *conn).await?;
    }
    if let Some((id, lease, error)) = &commit.give_up {
        sqlx::query(
            "UPDATE outbox SET state = 'dead', attempts = attempts + 1, last_error = $1 WHERE id = $2 AND lease = $3",
        )
        .bind(error)
        .bind(id)
        .bind(lease)
        .execute(&mut *conn)
        .await?;
    }
    Ok(())
}

async fn write_call(conn: &mut SqliteConnection, call: &HookCall, now: Timestamp) -> Result<(), StoreError> {
    let written = sqlx::query(
        "INSERT INTO hook_calls (hook, call_id, body_hash, at) VALUES ($1, $2, $3, $4)
         ON CONFLICT (hook, call_id) DO UPDATE SET at = at WHERE body_hash = excluded.body_hash",
    )
    .bind(call.hook.as_str())
    .bind(&call.id)
    .bind(&call.body_hash)
    .bind(now.timestamp_millis())
    .execute(conn)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(StoreError::OtherBody) }
}

fn body_of(request: &AccessRequest) -> Result<String, StoreError> {
    // Votes have rows of their own, which cannot be changed or removed.
    rows::json(&AccessRequest { votes: Vec::new(), ..request.clone() })
}

async fn insert_request(conn: &mut SqliteConnection, request: &AccessRequest) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO access_requests (id, hook, client, subject_kind, subject, pending_key, state, shown_version,
           opened_at, decide_by, due_at, version, body) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, $12)",
    )
    .bind(request.id.as_str())
    .bind(request.asked.hook.as_str())
    .bind(&request.asked.client.id)
    .bind(request.asked.subject.kind.as_str())
    .bind(&request.asked.subject.id)
    .bind(request.asked.pending_key().0)
    .bind(rows::request_state(request))
    .bind(i64::from(request.shown_version))
    .bind(request.opened_at.timestamp_millis())
    .bind(request.decide_by.timestamp_millis())
    .bind(request.due_at().map(|at| at.timestamp_millis()))
    .bind(body_of(request)?)
    .execute(conn)
    .await
    .map_err(first_wins)?;
    Ok(())
}

async fn replace_request(conn: &mut SqliteConnection, request: &AccessRequest) -> Result<(), StoreError> {
    let written = sqlx::query(
        "UPDATE access_requests SET state = $1, shown_version = $2, due_at = $3, body = $4, version = version + 1
         WHERE id = $5 AND version = $6",
    )
    .bind(rows::request_state(request))
    .bind(i64::from(request.shown_version))
    .bind(request.due_at().map(|at| at.timestamp_millis()))
    .bind(body_of(request)?)
    .bind(request.id.as_str())
    .bind(request.version)
    .execute(conn)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(conflict()) }
}

async fn insert_vote(conn: &mut SqliteConnection, request: &RequestId, vote: &Vote) -> Result<(), StoreError> {
    sqlx::query("INSERT INTO votes (request_id, principal, slack_user, at, body) VALUES ($1, $2, $3, $4, $5)")
        .bind(request.as_str())
        .bind(vote.voter.principal.as_str())
        .bind(vote.voter.slack.as_str())
        .bind(vote.at.timestamp_millis())
        .bind(rows::json(vote)?)
        .execute(conn)
        .await
        .map_err(first_wins)?;
    Ok(())
}

async fn insert_grant(conn: &mut SqliteConnection, grant: &Grant) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO grants (id, request_id, hook, client, subject_kind, subject, coverage, scopes, granted_at,
           expires_at, collect_by, max_uses, state, due_at, version, body)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, 0, $15)",
    )
    .bind(grant.id.as_str())
    .bind(grant.request().map(RequestId::as_str))
    .bind(grant.asked.hook.as_str())
    .bind(&grant.asked.client.id)
    .bind(grant.asked.subject.kind.as_str())
    .bind(&grant.asked.subject.id)
    .bind(&grant.coverage.0)
    .bind(rows::json(&grant.scopes)?)
    .bind(grant.granted_at.timestamp_millis())
    .bind(grant.expires_at.timestamp_millis())
    .bind(grant.collect_by.map(|at| at.timestamp_millis()))
    .bind(rows::max_uses(grant.uses))
    .bind(rows::grant_state(grant))
    .bind(grant.due_at().map(|at| at.timestamp_millis()))
    .bind(rows::json(grant)?)
    .execute(conn)
    .await
    .map_err(first_wins)?;
    Ok(())
}

async fn replace_grant(conn: &mut SqliteConnection, grant: &Grant) -> Result<(), StoreError> {
    let written = sqlx::query(
        "UPDATE grants SET state = $1, due_at = $2, body = $3, version = version + 1 WHERE id = $4 AND version = $5
           AND (used = $6 OR $1 = 'revoked')",
    )
    .bind(rows::grant_state(grant))
    .bind(grant.due_at().map(|at| at.timestamp_millis()))
    .bind(rows::json(grant)?)
    .bind(grant.id.as_str())
    .bind(grant.version)
    .bind(i64::from(grant.used))
    .execute(conn)
    .await?;
    if written.rows_affected() == 1 { Ok(()) } else { Err(conflict()) }
}

async fn write_cooldown(conn: &mut SqliteConnection, cooldown: &Cooldown) -> Result<(), StoreError> {
    sqlx::query(
        "INSERT INTO cooldowns (hook, client, subject_kind, subject, audience, scope, until, cause)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
         ON CONFLICT (hook, client, subject_kind, subject, audience, scope)
         DO UPDATE SET until = max(until, excluded.until), cause = excluded.cause",
    )
    .bind(&cooldown.hook)
    .bind(&cooldown.client)
    .bind(cooldown.subject_kind.as_str())
    .bind(&cooldown.subject)
    .bind(&cooldown.audience)
    .bind(&cooldown.scope)
    .bind(cooldown.until.timestamp_millis())
    .bind(cooldown.cause)
    .execute(conn)
    .await?;
    Ok(())
}

/// Slack's answer, or the first click where no answer came, binds a button to one message; then nothing moves it.
async fn bind_button(conn: &mut SqliteConnection, hash: &str, message: &MessageRef) -> Result<(), StoreError> {
    let written = sqlx::query("UPDATE buttons SET ts = $1 WHERE value_hash = $2 AND channel = $3 AND ts IS NULL")
        .bind(&message.ts)
        .bind(hash)
        .bind(message.channel.as_str())
        .execute(&mut *conn)
        .await?;
    if written.rows_affected() == 1 {
        return Ok(());
    }
    let bound = sqlx::query("SELECT 1 FROM buttons WHERE value_hash = $1 AND channel = $2 AND ts = $3")
        .bind(hash)
        .bind(message.channel.as_str())
        .bind(&message.ts)
        .fetch_optional(conn)
        .await?;
    if bound.is_some() { Ok(()) } else { Err(conflict()) }
}
