//! Recording token issuances, the one write of every granted call: replay key, use count and audit entry.
//!
//! All issuances of a group are judged one after the other against the rows as they are inside of the
//! transaction, then written by one statement per table. So a burst of calls costs little more than one.

use std::collections::HashMap;

use sqlx::{Row, SqliteConnection};

use super::audit::Head;
use super::writer::Writing;
use super::{Delivery, HookCall, StoreError, outbox, rows};
use crate::domain::Timestamp;
use crate::domain::audit::AuditEntry;
use crate::domain::grant::SAME_USE_SECONDS;
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::token_request::Fingerprint;

/// A token that is about to be issued.
#[derive(Debug, Clone)]
pub struct Issue {
    /// Under which grant.
    pub grant: GrantId,
    /// The call, where the server names it.
    pub call: Option<HookCall>,
    /// What was asked: an identical call soon after is the same use.
    pub fingerprint: Fingerprint,
    /// When the token runs out.
    pub token_expires_at: Timestamp,
    /// What is written down.
    pub audit: AuditEntry,
    /// What is to be told outside, about which access request, if this use turns out to be the last one.
    pub when_used_up: Vec<(RequestId, Delivery)>,
    /// Now.
    pub at: Timestamp,
}

/// What became of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Issued {
    /// It is on record: answer.
    Recorded,
    /// The grant ended or was revoked in the meantime: nothing is issued.
    Gone,
    /// The same identifier came with another body before: nothing is issued.
    OtherBody,
}

struct GrantNow {
    state: String,
    expires_at: i64,
    collect_by: Option<i64>,
    max_uses: Option<i64>,
    used: i64,
    last_use_at: Option<i64>,
    last_use_fingerprint: Option<String>,
    last_token_expires_at: i64,
    touched: bool,
}

struct CallBefore {
    body_hash: String,
    grant: Option<String>,
    touched: Option<i64>,
}

type Calls = HashMap<(String, String), CallBefore>;

pub(super) async fn write(
    writing: &mut Writing,
    issues: &[Box<Issue>],
) -> Result<Vec<Result<Issued, StoreError>>, StoreError> {
    let Writing { conn, head } = writing;
    let mut grants = load_grants(conn, issues).await?;
    let mut calls = load_calls(conn, issues).await?;
    let mut results = Vec::with_capacity(issues.len());
    let mut entries = Vec::with_capacity(issues.len());
    for issue in issues {
        let left_before = uses_left(&grants, issue);
        let outcome = judge(issue, &mut grants, &mut calls);
        if outcome == Issued::Recorded {
            entries.push(chain(head, &issue.audit));
        }
        if left_before == Some(1) && uses_left(&grants, issue) == Some(0) {
            for (request, delivery) in &issue.when_used_up {
                outbox::insert(conn, request, delivery, issue.at).await?;
            }
        }
        results.push(Ok(outcome));
    }
    save_grants(conn, &grants).await?;
    save_calls(conn, &calls).await?;
    save_audit(conn, entries).await?;
    Ok(results)
}

fn uses_left(grants: &HashMap<String, GrantNow>, issue: &Issue) -> Option<i64> {
    let grant = grants.get(issue.grant.as_str())?;
    grant.max_uses.map(|most| most - grant.used)
}

/// The claim: what reading allowed a moment ago is checked again here, where nobody else can write.
fn judge(issue: &Issue, grants: &mut HashMap<String, GrantNow>, calls: &mut Calls) -> Issued {
    let at = issue.at.timestamp_millis();
    let mut repeated = false;
    if let Some(call) = &issue.call {
        let key = (call.hook.to_string(), call.id.clone());
        if let Some(before) = calls.get(&key) {
            if before.body_hash != call.body_hash {
                return Issued::OtherBody;
            }
            repeated = before.grant.as_deref() == Some(issue.grant.as_str());
        }
    }
    let Some(grant) = grants.get_mut(issue.grant.as_str()) else { return Issued::Gone };
    if issue.call.is_none() {
        let recent = grant.last_use_at.is_some_and(|last| (at - last).abs() < SAME_USE_SECONDS * 1_000);
        repeated = recent && grant.last_use_fingerprint.as_deref() == Some(issue.fingerprint.0.as_str());
    }
    let used_up = grant.max_uses.is_some_and(|most| grant.used >= most) && !repeated;
    let uncollected = grant.used == 0 && grant.collect_by.is_some_and(|by| at >= by);
    if grant.state != "live" || at >= grant.expires_at || used_up || uncollected {
        return Issued::Gone;
    }
    if !repeated {
        grant.used += 1;
        grant.last_use_at = Some(at);
        grant.last_use_fingerprint = Some(issue.fingerprint.0.clone());
    }
    grant.last_token_expires_at = grant.last_token_expires_at.max(issue.token_expires_at.timestamp_millis());
    grant.touched = true;
    if let Some(call) = &issue.call {
        let grant = Some(issue.grant.to_string());
        let before = CallBefore { body_hash: call.body_hash.clone(), grant, touched: Some(at) };
        calls.insert((call.hook.to_string(), call.id.clone()), before);
    }
    Issued::Recorded
}

async fn load_grants(
    conn: &mut SqliteConnection,
    issues: &[Box<Issue>],
) -> Result<HashMap<String, GrantNow>, StoreError> {
    let mut ids: Vec<&str> = issues.iter().map(|issue| issue.grant.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let found = sqlx::query(
        "SELECT id, state, expires_at, collect_by, max_uses, used, last_use_at, last_use_fingerprint,
                coalesce(last_token_expires_at, 0) AS last_token_expires_at
         FROM grants WHERE id IN (SELECT value FROM json_each($1))",
    )
    .bind(rows::json(&ids)?)
    .fetch_all(conn)
    .await?;
    let mut grants = HashMap::with_capacity(found.len());
    for row in found {
        let now = GrantNow {
            state: row.try_get("state")?,
            expires_at: row.try_get("expires_at")?,
            collect_by: row.try_get("collect_by")?,
            max_uses: row.try_get("max_uses")?,
            used: row.try_get("used")?,
            last_use_at: row.try_get("last_use_at")?,
            last_use_fingerprint: row.try_get("last_use_fingerprint")?,
            last_token_expires_at: row.try_get("last_token_expires_at")?,
            touched: false,
        };
        grants.insert(row.try_get("id")?, now);
    }
    Ok(grants)
}

async fn load_calls(conn: &mut SqliteConnection, issues: &[Box<Issue>]) -> Result<Calls, StoreError> {
    let keys: Vec<_> =
        issues.iter().filter_map(|i| i.call.as_ref()).map(|call| (call.hook.as_str(), call.id.as_str())).collect();
    if keys.is_empty() {
        return Ok(Calls::new());
    }
    let found = sqlx::query(
        "SELECT c.hook, c.call_id, c.body_hash, c.grant_id FROM json_each($1) AS j
         CROSS JOIN hook_calls AS c ON c.hook = j.value ->> 0 AND c.call_id = j.value ->> 1",
    )
    .bind(rows::json(&keys)?)
    .fetch_all(conn)
    .await?;
    let mut calls = Calls::with_capacity(found.len());
    for row in found {
        let before =
            CallBefore { body_hash: row.try_get("body_hash")?, grant: row.try_get("grant_id")?, touched: None };
        calls.insert((row.try_get("hook")?, row.try_get("call_id")?), before);
    }
    Ok(calls)
}

async fn save_grants(conn: &mut SqliteConnection, grants: &HashMap<String, GrantNow>) -> Result<(), StoreError> {
    let values: Vec<_> = grants
        .iter()
        .filter(|(_, grant)| grant.touched)
        .map(|(id, g)| (id, g.used, g.last_use_at, &g.last_use_fingerprint, g.last_token_expires_at))
        .collect();
    if values.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "UPDATE grants SET used = v.used, last_use_at = v.last_use_at, last_use_fingerprint = v.fingerprint,
                last_token_expires_at = v.token,
                due_at = coalesce(warn_at, expires_at)
         FROM (SELECT value ->> 0 AS id, value ->> 1 AS used, value ->> 2 AS last_use_at, value ->> 3 AS fingerprint,
                      value ->> 4 AS token FROM json_each($1)) AS v
         WHERE grants.id = v.id",
    )
    .bind(rows::json(&values)?)
    .execute(conn)
    .await?;
    Ok(())
}

async fn save_calls(conn: &mut SqliteConnection, calls: &Calls) -> Result<(), StoreError> {
    let values: Vec<_> = calls
        .iter()
        .filter_map(|((hook, id), call)| call.touched.map(|at| (hook, id, &call.body_hash, at, &call.grant)))
        .collect();
    if values.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO hook_calls (hook, call_id, body_hash, at, grant_id)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($1) WHERE true
         ON CONFLICT (hook, call_id) DO UPDATE SET grant_id = excluded.grant_id",
    )
    .bind(rows::json(&values)?)
    .execute(conn)
    .await?;
    Ok(())
}

/// A row of `audit`, in the order of its columns.
type AuditRow<'a> = (i64, i64, &'static str, Option<&'a str>, Option<&'a str>, String, String, String);

fn chain<'a>(head: &mut Head, entry: &'a AuditEntry) -> AuditRow<'a> {
    let link = head.append(entry);
    let (request, grant) =
        (entry.request_id.as_ref().map(|id| id.as_str()), entry.grant_id.as_ref().map(|id| id.as_str()));
    (link.seq, entry.at.timestamp_millis(), entry.kind.as_str(), request, grant, link.body, link.previous, link.hash)
}

async fn save_audit(conn: &mut SqliteConnection, entries: Vec<AuditRow<'_>>) -> Result<(), StoreError> {
    if entries.is_empty() {
        return Ok(());
    }
    sqlx::query(
        "INSERT INTO audit (seq, at, kind, request_id, grant_id, body, previous, hash)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
         FROM json_each($1)",
    )
    .bind(rows::json(&entries)?)
    .execute(conn)
    .await?;
    Ok(())
}
