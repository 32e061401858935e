//! What was asked of a service, read from its file by another process: nothing is locked and nothing is written, so
//! the service may be running.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Row, SqliteConnection};

use super::{StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::access_request::AccessRequest;
use crate::domain::grant::Grant;
use crate::domain::policy::Question;
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::TokenRequest;

/// How many rows of each kind are read at the most.
const ROWS_MAX: i64 = 100_000;

/// A token request that is on record with all that it said.
#[derive(Debug, Clone)]
pub struct Recorded {
    /// When it came.
    pub at: Timestamp,
    /// What was asked.
    pub asked: TokenRequest,
    /// What the policy of then made of it.
    pub verdict: Verdict,
    /// Whether its server could issue a part of it.
    pub narrow_scope: bool,
}

/// What the policy of then made of a token request.
#[derive(Debug, Clone)]
pub enum Verdict {
    /// People were asked this.
    Asked(Box<Question>),
    /// A rule allowed these.
    Allowed {
        /// The scopes.
        scopes: ScopeSet,
    },
}

/// What is on record since an instant.
#[derive(Debug)]
pub struct History {
    /// Token requests, oldest first.
    pub recorded: Vec<Recorded>,
    /// Refusals, which are not on record with all that was said.
    pub refusals: u64,
    /// When each scope was first granted, by client, kind and id of the subject.
    first_grants: HashMap<(String, String, String, String), i64>,
}

impl History {
    /// Reads what happened since an instant.
    ///
    /// # Errors
    /// When the file cannot be read as a database of this service.
    pub async fn read(path: &Path, since: Timestamp) -> Result<Self, StoreError> {
        if !path.exists() {
            return Err(StoreError::Unusable(format!("{} is not there", path.display())));
        }
        let options = SqliteConnectOptions::new().filename(path).read_only(true).busy_timeout(Duration::from_secs(5));
        let mut conn = options.disable_statement_logging().connect().await?;
        let mut recorded = asked(&mut conn, since).await?;
        recorded.extend(allowed(&mut conn, since).await?);
        recorded.sort_by_key(|one| one.at);
        let refusals = refusals(&mut conn, since).await?;
        Ok(Self { recorded, refusals, first_grants: first_grants(&mut conn).await? })
    }

    /// Whether this client had no grant of this scope for this subject before an instant.
    pub fn is_first(&self, asked: &TokenRequest, scope: &Scope, at: Timestamp) -> bool {
        let subject = (asked.subject.kind.as_str().to_owned(), asked.subject.id.clone());
        let key = (asked.client.id.clone(), subject.0, subject.1, scope.as_str().to_owned());
        self.first_grants.get(&key).is_none_or(|granted| *granted >= at.timestamp_millis())
    }
}

async fn asked(conn: &mut SqliteConnection, since: Timestamp) -> Result<Vec<Recorded>, StoreError> {
    let found = sqlx::query("SELECT id, body FROM access_requests WHERE opened_at >= $1 ORDER BY opened_at LIMIT $2")
        .bind(since.timestamp_millis())
        .bind(ROWS_MAX)
        .fetch_all(conn)
        .await?;
    not_too_many(found.len())?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let id: String = row.try_get("id")?;
        let request: AccessRequest = rows::parse("access_requests", &id, row.try_get("body")?)?;
        let (at, asked, narrow_scope) = (request.opened_at, request.asked, request.server.narrow_scope);
        Ok(Recorded { at, asked, verdict: Verdict::Asked(Box::new(request.question)), narrow_scope })
    };
    found.iter().map(read).collect()
}

async fn allowed(conn: &mut SqliteConnection, since: Timestamp) -> Result<Vec<Recorded>, StoreError> {
    let found = sqlx::query(
        "SELECT id, body FROM grants WHERE granted_at >= $1 AND request_id IS NULL ORDER BY granted_at LIMIT $2",
    )
    .bind(since.timestamp_millis())
    .bind(ROWS_MAX)
    .fetch_all(conn)
    .await?;
    not_too_many(found.len())?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let id: String = row.try_get("id")?;
        let grant: Grant = rows::parse("grants", &id, row.try_get("body")?)?;
        let (at, asked, scopes) = (grant.granted_at, grant.asked, grant.scopes);
        // What its server can do is not on record with it; most can narrow.
        Ok(Recorded { at, asked, verdict: Verdict::Allowed { scopes }, narrow_scope: true })
    };
    found.iter().map(read).collect()
}

/// A part must not pass for the whole.
fn not_too_many(rows: usize) -> Result<(), StoreError> {
    if i64::try_from(rows).is_ok_and(|rows| rows < ROWS_MAX) {
        return Ok(());
    }
    Err(StoreError::Unusable(format!(
        "more than {ROWS_MAX} token requests were recorded since then: look back less far"
    )))
}

async fn refusals(conn: &mut SqliteConnection, since: Timestamp) -> Result<u64, StoreError> {
    let row = sqlx::query("SELECT count(*) AS n FROM audit WHERE kind = $1 AND at >= $2")
        .bind(crate::domain::audit::Kind::TokenRefused.as_str())
        .bind(since.timestamp_millis())
        .fetch_one(conn)
        .await?;
    Ok(row.try_get::<i64, _>("n")?.unsigned_abs())
}

async fn first_grants(
    conn: &mut SqliteConnection,
) -> Result<HashMap<(String, String, String, String), i64>, StoreError> {
    let found = sqlx::query(
        "SELECT g.client, g.subject_kind, g.subject, s.value AS scope, min(g.granted_at) AS at
         FROM grants AS g, json_each(g.scopes) AS s GROUP BY 1, 2, 3, 4",
    )
    .fetch_all(conn)
    .await?;
    let read = |row: &sqlx::sqlite::SqliteRow| {
        let key =
            (row.try_get("client")?, row.try_get("subject_kind")?, row.try_get("subject")?, row.try_get("scope")?);
        Ok((key, row.try_get("at")?))
    };
    found.iter().map(read).collect()
}
