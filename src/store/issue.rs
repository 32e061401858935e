//! Recording token issuances, the one write of every granted call: replay key, use count and audit entry.
//!
//! All issuances of a group are judged one after the other against the rows as they are inside of the
//! transaction, then written by one statement per table. So a burst of calls costs little more than one.

use std::collections::HashMap;

use futures_util::StreamExt;
use sqlx::{AssertSqlSafe, Either, Executor, Row, SqliteConnection};

use super::script::{Script, Stopped};
use super::writer::Writing;
use super::{Delivery, HookCall, StoreError, audit, outbox, rows};
use crate::domain::Timestamp;
use crate::domain::audit::AuditEntry;
use crate::domain::grant::SAME_USE_SECONDS;
use crate::domain::ids::{GrantId, RequestId};
use crate::domain::policy::Uses;
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
    /// How often the grant may be used under the policy of now: its own number may be from before a reload.
    pub uses: Uses,
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

/// The columns of a grant that an issuance depends on, as they are read.
type GrantRow = (String, i64, Option<i64>, Option<i64>, i64, Option<i64>, Option<String>, i64);

impl From<GrantRow> for GrantNow {
    fn from(row: GrantRow) -> Self {
        let (state, expires_at, collect_by, max_uses, used, last_use_at, last_use_fingerprint, last_token_expires_at) =
            row;
        Self {
            state,
            expires_at,
            collect_by,
            max_uses,
            used,
            last_use_at,
            last_use_fingerprint,
            last_token_expires_at,
            touched: false,
        }
    }
}

struct CallBefore {
    body_hash: String,
    grant: Option<String>,
    touched: Option<i64>,
}

type Calls = HashMap<(String, String), CallBefore>;

/// An issuance as the writer gets it: its audit entry is put into words already.
pub(super) struct Claim {
    grant: GrantId,
    call: Option<HookCall>,
    fingerprint: Fingerprint,
    token_expires_at: i64,
    uses_max: Option<i64>,
    entry: audit::Entry,
    when_used_up: Vec<(RequestId, Delivery)>,
    at: Timestamp,
}

impl From<Issue> for Claim {
    fn from(issue: Issue) -> Self {
        let Issue { grant, call, fingerprint, token_expires_at, uses, audit, when_used_up, at } = issue;
        let (token_expires_at, entry) = (token_expires_at.timestamp_millis(), audit::Entry::new(audit));
        let uses_max = rows::max_uses(uses);
        Self { grant, call, fingerprint, token_expires_at, uses_max, entry, when_used_up, at }
    }
}

/// Judges and writes all of a group and commits it, after these statements: two trips to SQLite's thread.
pub(super) async fn write(
    writing: &mut Writing,
    before: &'static str,
    claims: Vec<Claim>,
) -> Result<Vec<Issued>, StoreError> {
    let Writing { conn, head } = writing;
    let (mut grants, mut calls) = load(conn, before, &claims).await?;
    let mut results = Vec::with_capacity(claims.len());
    let mut entries = Vec::with_capacity(claims.len());
    let mut script = Script::default();
    for claim in claims {
        let left_before = uses_left(&grants, &claim);
        let outcome = judge(&claim, &mut grants, &mut calls);
        if left_before == Some(1) && uses_left(&grants, &claim) == Some(0) {
            for (request, delivery) in &claim.when_used_up {
                outbox::insert(&mut script, request, delivery, claim.at)?;
            }
        }
        if outcome == Issued::Recorded {
            let link = head.append(&claim.entry.body);
            entries.push((claim.entry, link));
        }
        results.push(outcome);
    }
    if !entries.is_empty() {
        save(&mut script, &grants, &calls, &entries)?;
    }
    // Nothing in this script has a rule to break, and the thread stops at an error: the commit may be its end.
    script.run("COMMIT");
    script.execute(conn, "").await.map_err(Stopped::into_error)?;
    Ok(results)
}

fn uses_left(grants: &HashMap<String, GrantNow>, issue: &Claim) -> Option<i64> {
    let grant = grants.get(issue.grant.as_str())?;
    grant.max_uses.map(|most| most - grant.used)
}

/// The claim: what reading allowed a moment ago is checked again here, where nobody else can write.
fn judge(issue: &Claim, grants: &mut HashMap<String, GrantNow>, calls: &mut Calls) -> Issued {
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
    let most = grant.max_uses.into_iter().chain(issue.uses_max).min();
    let used_up = most.is_some_and(|most| grant.used >= most) && !repeated;
    let uncollected = grant.used == 0 && grant.collect_by.is_some_and(|by| at >= by);
    if grant.state != "live" || at >= grant.expires_at || used_up || uncollected {
        return Issued::Gone;
    }
    if !repeated {
        grant.used += 1;
        grant.last_use_at = Some(at);
        grant.last_use_fingerprint = Some(issue.fingerprint.0.clone());
    }
    grant.last_token_expires_at = grant.last_token_expires_at.max(issue.token_expires_at);
    grant.touched = true;
    if let Some(call) = &issue.call {
        let grant = Some(issue.grant.to_string());
        let before = CallBefore { body_hash: call.body_hash.clone(), grant, touched: Some(at) };
        calls.insert((call.hook.to_string(), call.id.clone()), before);
    }
    Issued::Recorded
}

/// The rows of all grants and calls of a group.
async fn load(
    conn: &mut SqliteConnection,
    before: &'static str,
    claims: &[Claim],
) -> Result<(HashMap<String, GrantNow>, Calls), StoreError> {
    let mut ids: Vec<&str> = claims.iter().map(|claim| claim.grant.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    let keys = claims.iter().filter_map(|claim| claim.call.as_ref());
    let keys: Vec<_> = keys.map(|call| (call.hook.as_str(), call.id.as_str())).collect();
    let (mut grants, mut calls) = (HashMap::with_capacity(ids.len()), Calls::with_capacity(keys.len()));
    // One column of JSON for each row: handing a column over costs more than reading it.
    let query = sqlx::query(AssertSqlSafe(format!(
        "{before}
         SELECT 'grant', id, json_array(state, expires_at, collect_by, max_uses, used, last_use_at,
                  last_use_fingerprint, coalesce(last_token_expires_at, 0))
         FROM grants WHERE id IN (SELECT value FROM json_each($1));
         SELECT 'call', c.hook, json_array(c.call_id, c.body_hash, c.grant_id) FROM json_each($2) AS j
         CROSS JOIN hook_calls AS c ON c.hook = j.value ->> 0 AND c.call_id = j.value ->> 1"
    )));
    let mut results = conn.fetch_many(query.bind(rows::json(&ids)?).bind(rows::json(&keys)?));
    while let Some(result) = results.next().await {
        let Either::Right(row) = result? else { continue };
        let (what, key, rest): (&str, String, &str) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        if what == "grant" {
            let now: GrantRow = rows::parse("grants", &key, rest)?;
            grants.insert(key, now.into());
        } else {
            let (id, body_hash, grant): (String, String, Option<String>) = rows::parse("hook_calls", &key, rest)?;
            calls.insert((key, id), CallBefore { body_hash, grant, touched: None });
        }
    }
    Ok((grants, calls))
}

/// Adds all rows of a group.
fn save(
    script: &mut Script,
    grants: &HashMap<String, GrantNow>,
    calls: &Calls,
    entries: &[(audit::Entry, audit::Link)],
) -> Result<(), StoreError> {
    let grants = grants.iter().filter(|(_, grant)| grant.touched);
    let grants: Vec<_> =
        grants.map(|(id, g)| (id, g.used, g.last_use_at, &g.last_use_fingerprint, g.last_token_expires_at)).collect();
    let calls = calls.iter();
    let calls: Vec<_> = calls
        .filter_map(|((hook, id), call)| call.touched.map(|at| (hook, id, &call.body_hash, at, &call.grant)))
        .collect();
    let entries: Vec<_> = entries
        .iter()
        .map(|(e, l)| (l.seq, e.at, e.kind.as_str(), &e.request, &e.grant, &e.body, &l.previous, &l.hash))
        .collect();
    script
        .run(
            "UPDATE grants SET used = v.used, last_use_at = v.last_use_at, last_use_fingerprint = v.fingerprint,
                    last_token_expires_at = v.token, due_at = coalesce(warn_at, expires_at)
             FROM (SELECT value ->> 0 AS id, value ->> 1 AS used, value ->> 2 AS last_use_at,
                          value ->> 3 AS fingerprint, value ->> 4 AS token FROM json_each(?)) AS v
             WHERE grants.id = v.id",
        )
        .bind(rows::json(&grants)?);
    script
        .run(
            "INSERT INTO hook_calls (hook, call_id, body_hash, at, grant_id)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each(?) WHERE true
             ON CONFLICT (hook, call_id) DO UPDATE SET grant_id = excluded.grant_id",
        )
        .bind(rows::json(&calls)?);
    script
        .run(
            "INSERT INTO audit (seq, at, kind, request_id, grant_id, body, previous, hash)
             SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
               value ->> 7 FROM json_each(?)",
        )
        .bind(rows::json(&entries)?);
    Ok(())
}
