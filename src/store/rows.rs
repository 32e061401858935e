//! Rows and domain values. A row that no legal value could have written is an error, never a guess.

use chrono::DateTime;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use sqlx::Row;
use sqlx::sqlite::SqliteRow;

use super::StoreError;
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Vote};
use crate::domain::grant::{Grant, State as GrantState};
use crate::domain::ids::SlackTeamId;
use crate::domain::policy::Uses;
use crate::domain::token_request::Fingerprint;

/// The votes of the access request `r` that were not taken back, as JSON.
macro_rules! standing_votes {
    () => {
        concat!(
            "(SELECT json_group_array(json_set(v.body, '$.place', v.place)) FROM votes AS v WHERE v.request_id = r.id ",
            "AND NOT EXISTS (SELECT 1 FROM votes_taken_back AS t WHERE t.request_id = v.request_id ",
            "AND t.place = v.place))"
        )
    };
}

/// A query for access requests with their votes.
macro_rules! select_request {
    ($rest:literal) => {
        concat!(
            "SELECT r.id, r.state, r.version, r.workspace, r.body, ",
            $crate::store::rows::standing_votes!(),
            " AS votes FROM access_requests AS r ",
            $rest
        )
    };
}

/// The columns of the grant `g` that [`grant`] reads. What changes after the grant was made, and what is looked for,
/// comes as one array: handing a column over costs more than reading it.
macro_rules! grant_columns {
    () => {
        "g.id, g.body, json_array(g.version, g.used, g.last_token_expires_at, g.last_use_at, g.last_use_fingerprint,
           g.state, g.expires_at, g.coverage, g.scopes, g.collect_by, g.max_uses) AS columns"
    };
}

/// A query for grants.
macro_rules! select_grant {
    ($rest:literal) => {
        concat!("SELECT ", $crate::store::rows::grant_columns!(), " FROM grants AS g ", $rest)
    };
}
pub(super) use {grant_columns, select_grant, select_request, standing_votes};

pub(super) fn json<T: Serialize>(value: &T) -> Result<String, StoreError> {
    serde_json::to_string(value).map_err(|e| StoreError::Unusable(format!("a value cannot be written as JSON: {e}")))
}

pub(super) fn parse<T: DeserializeOwned>(table: &'static str, key: &str, text: &str) -> Result<T, StoreError> {
    serde_json::from_str(text).map_err(|e| StoreError::inconsistent(table, key, &e))
}

pub(super) fn time(table: &'static str, key: &str, millis: i64) -> Result<Timestamp, StoreError> {
    DateTime::from_timestamp_millis(millis).ok_or_else(|| StoreError::inconsistent(table, key, &"a time out of range"))
}

fn maybe_time(table: &'static str, key: &str, millis: Option<i64>) -> Result<Option<Timestamp>, StoreError> {
    millis.map(|m| time(table, key, m)).transpose()
}

/// The word in the column `state`, without looking at deadlines.
pub(super) fn request_state(request: &AccessRequest) -> &'static str {
    request.settled().as_str()
}

/// Reads a row of `access_requests`. The votes come from their own table.
pub(super) fn request(row: &SqliteRow) -> Result<AccessRequest, StoreError> {
    let id: String = row.try_get("id")?;
    let mut request: AccessRequest = parse("access_requests", &id, row.try_get("body")?)?;
    request.version = row.try_get("version")?;
    let votes: Option<String> = row.try_get("votes")?;
    let votes: Vec<Vote> = parse("votes", &id, votes.as_deref().unwrap_or("[]"))?;
    request.votes = votes;
    request.votes.sort_by_key(|vote| vote.place);
    let state: String = row.try_get("state")?;
    let workspace: Option<String> = row.try_get("workspace")?;
    let agree = request.id.as_str() == id
        && request_state(&request) == state
        && request.deciding.workspace.as_ref().map(SlackTeamId::as_str) == workspace.as_deref();
    if !agree {
        return Err(StoreError::inconsistent("access_requests", &id, &"its columns and its body disagree"));
    }
    Ok(request)
}

pub(super) fn grant_state(grant: &Grant) -> &'static str {
    match grant.state {
        GrantState::Live => "live",
        GrantState::Revoked { .. } => "revoked",
        GrantState::Ended { .. } => "ended",
    }
}

pub(super) fn max_uses(uses: Uses) -> Option<i64> {
    match uses {
        Uses::Window => None,
        Uses::Times(most) => Some(i64::from(most)),
    }
}

/// What `grant_columns!` answers beside identifier and body, in its order.
#[derive(Deserialize)]
struct GrantColumns {
    version: i64,
    used: u32,
    last_token_expires_at: Option<i64>,
    last_use_at: Option<i64>,
    last_use_fingerprint: Option<String>,
    state: String,
    expires_at: i64,
    coverage: String,
    scopes: String,
    collect_by: Option<i64>,
    max_uses: Option<i64>,
}

/// Reads what `select_grant!` found: what issuing changes is read from the columns.
pub(super) fn grant(row: &SqliteRow) -> Result<Grant, StoreError> {
    let (id, body, columns): (&str, &str, &str) = (row.try_get("id")?, row.try_get("body")?, row.try_get("columns")?);
    let (mut grant, columns): (Grant, GrantColumns) = (parse("grants", id, body)?, parse("grants", id, columns)?);
    grant.version = columns.version;
    grant.used = columns.used;
    grant.last_token_expires_at = maybe_time("grants", id, columns.last_token_expires_at)?;
    let last_use_at = maybe_time("grants", id, columns.last_use_at)?;
    grant.last_use = last_use_at.zip(columns.last_use_fingerprint.map(Fingerprint));
    let agree = grant.id.as_str() == id
        && grant_state(&grant) == columns.state
        && grant.expires_at.timestamp_millis() == columns.expires_at
        && grant.coverage.0 == columns.coverage
        && json(&grant.scopes)? == columns.scopes
        && grant.collect_by.map(|at| at.timestamp_millis()) == columns.collect_by
        && max_uses(grant.uses) == columns.max_uses;
    if agree { Ok(grant) } else { Err(StoreError::inconsistent("grants", id, &"its columns and its body disagree")) }
}
