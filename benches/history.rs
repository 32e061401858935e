//! A store with a long past. A few lives are lived through the store's own commits and then copied by SQL, so that
//! the rows are the real ones and 100,000 of them take seconds. The audit chain of the copies holds.

use std::path::Path;

use anyhow::Context;
use countersign::clock::{Clock, SystemClock, Timestamp};
use countersign::domain::access_request::{Ballot, Choice, Event, Filled, MessageRef, Proof, Step};
use countersign::domain::audit::{AuditEntry, CHAIN_START, chain_hash};
use countersign::domain::identity::{Principal, Voter};
use countersign::domain::ids::{GrantId, RequestId, SetName, SlackChannelId, SlackUserId};
use countersign::domain::policy::Policy;
use countersign::store::{Change, Commit, Store};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row, SqliteConnection};

use crate::deployment::CHANNEL;
use crate::stock::{opened, policy};

/// How many rows of the audit one statement inserts.
const AUDIT_AT_ONCE: usize = 1_000;

/// How a life goes, and how many percent of all go like that.
const LIVES: [(Life, usize); 3] = [(Life::Ended, 95), (Life::Granted, 3), (Life::Pending, 2)];

#[derive(Clone, Copy, PartialEq, Eq)]
enum Life {
    Pending,
    Granted,
    Ended,
}

/// A life that was lived: its identifiers and what was written down of it.
struct Lived {
    request: RequestId,
    grant: Option<GrantId>,
    audit: Vec<AuditEntry>,
}

/// Writes a cleanly closed store with so many access requests.
pub async fn write(database: &Path, count: usize) -> anyhow::Result<()> {
    let (policy, store) = (policy()?, Store::open(database).await?);
    let mut lives = Vec::new();
    for (n, (life, percent)) in LIVES.into_iter().enumerate() {
        lives.push((live(&store, &policy, life, n).await?, count * percent / 100));
    }
    store.close().await;
    // It has the file's lock for as long as it lives.
    drop(store);
    if count > 0 {
        copy(database, &lives).await?;
        // Opened and closed once more, so that the last to write it is the service.
        Store::open(database).await?.close().await;
    }
    Ok(())
}

async fn live(store: &Store, policy: &Policy, life: Life, n: usize) -> anyhow::Result<Lived> {
    let now = SystemClock.now();
    let step = opened(policy, n, now)?;
    let request = step.next.id.clone();
    let message = MessageRef { channel: SlackChannelId::parse(CHANNEL)?, ts: format!("1795450000.{n:06}") };
    let mut lived = Lived { request: request.clone(), grant: None, audit: vec![step.audit.clone()] };
    let card = Some((request, message.clone()));
    let commit = Commit { request: Some(Change::New(step.next.clone())), card, ..written(&step) };
    store.commit(commit, now).await?;
    store.mint(&format!("value{n}"), &step.next, CHANNEL, Some(&message.ts), now).await?;
    if life == Life::Pending {
        return Ok(lived);
    }
    let voted = step.next.apply(Event::Voted(Box::new(ballot(policy, message, now)?)), now)?;
    let grant = voted.grant.clone().context("one vote is enough")?;
    (lived.grant, lived.audit) = (Some(grant.id.clone()), vec![step.audit, voted.audit.clone()]);
    let vote = voted.next.votes.last().cloned();
    let commit = Commit { vote, grant: Some(Change::New(grant.clone())), ..written(&voted) };
    store.commit(Commit { request: Some(Change::Replace(voted.next)), ..commit }, now).await?;
    if life == Life::Ended {
        let ended = grant.time_passed(grant.expires_at).context("its time is up")?;
        lived.audit.push(ended.audit.clone());
        let commit = Commit { grant: Some(Change::Replace(ended.next)), audit: vec![ended.audit], ..Commit::default() };
        store.commit(commit, now).await?;
    }
    Ok(lived)
}

fn written(step: &Step) -> Commit {
    Commit { audit: vec![step.audit.clone()], ..Commit::default() }
}

fn ballot(policy: &Policy, message: MessageRef, now: Timestamp) -> anyhow::Result<Ballot> {
    let principal = Principal::new("lead0@example.com");
    let voter = Voter {
        slack: SlackUserId::parse("U0LEAD0")?,
        possible: [principal.clone()].into(),
        principal,
        member_of: [SetName::parse("payments-leads")?].into(),
        groups: [].into(),
        learnt_at: now,
    };
    Ok(Ballot {
        proof: Proof::Click,
        voter,
        choice: Choice::Approve,
        filled: Filled::default(),
        cooldown: 0,
        shown_version: 1,
        message,
        policy: policy.version.clone(),
        grant_id: GrantId::parse(format!("grn_{}", uuid::Uuid::now_v7().simple()))?,
    })
}

/// Copies the lives so many times each.
async fn copy(database: &Path, lives: &[(Lived, usize)]) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new().filename(database).synchronous(SqliteSynchronous::Off);
    let mut conn = options.connect().await?;
    sqlx::query("BEGIN IMMEDIATE").execute(&mut conn).await?;
    let mut first = 1;
    for (lived, count) in lives {
        copy_rows(&mut conn, lived, first, *count).await?;
        copy_audit(&mut conn, lived, first, *count).await?;
        first += count;
    }
    sqlx::query("COMMIT").execute(&mut conn).await?;
    Ok(conn.close().await?)
}

/// Each statement numbers its copies from `$2`, `$3` of them, of the access request `$1`.
macro_rules! copies {
    ($into:literal, $select:literal) => {
        concat!(
            "WITH RECURSIVE n(i) AS (SELECT $2 UNION ALL SELECT i + 1 FROM n WHERE i < $2 + $3 - 1) INSERT INTO ",
            $into,
            " SELECT ",
            $select
        )
    };
}

const COPIES: [&str; 5] = [
    copies!(
        "access_requests (id, hook, client, subject_kind, subject, pending_key, state, shown_version, opened_at, decide_by,
           due_at, version, body)",
        "'req_' || printf('%032x', i), hook, client, subject_kind, 'past' || i, lower(hex(randomblob(32))), state,
           shown_version, opened_at, decide_by, due_at, version, replace(body, id, 'req_' || printf('%032x', i))
         FROM n, access_requests WHERE id = $1"
    ),
    copies!(
        "votes (request_id, place, principal, slack_user, at, body)",
        "'req_' || printf('%032x', i), place, principal, slack_user, at, body FROM n, votes WHERE request_id = $1"
    ),
    copies!(
        "grants (id, request_id, hook, client, subject_kind, subject, coverage, scopes, granted_at, expires_at, collect_by,
           max_uses, used, last_use_at, last_use_fingerprint, last_token_expires_at, state, due_at, version, body)",
        "'grn_' || printf('%032x', i), 'req_' || printf('%032x', i), hook, client, subject_kind, 'past' || i,
           lower(hex(randomblob(32))), scopes, granted_at, expires_at, collect_by, max_uses, used, last_use_at,
           last_use_fingerprint, last_token_expires_at, state, due_at, version,
           replace(replace(body, request_id, 'req_' || printf('%032x', i)), id, 'grn_' || printf('%032x', i))
         FROM n, grants WHERE request_id = $1"
    ),
    copies!(
        "cards (channel, ts, request_id, posted_at)",
        "channel, printf('1795440000.%09d', i), 'req_' || printf('%032x', i), posted_at FROM n, cards WHERE request_id = $1"
    ),
    copies!(
        "buttons (value_hash, request_id, shown_version, channel, ts, minted_at)",
        "lower(hex(randomblob(32))), 'req_' || printf('%032x', i), shown_version, channel,
           printf('1795440000.%09d', i), minted_at
         FROM n, buttons WHERE request_id = $1"
    ),
];

async fn copy_rows(conn: &mut SqliteConnection, lived: &Lived, first: usize, count: usize) -> anyhow::Result<()> {
    for sql in COPIES {
        let query = sqlx::query(sql).bind(lived.request.as_str()).bind(i64::try_from(first)?);
        query.bind(i64::try_from(count)?).execute(&mut *conn).await?;
    }
    Ok(())
}

async fn copy_audit(conn: &mut SqliteConnection, lived: &Lived, first: usize, count: usize) -> anyhow::Result<()> {
    let last = sqlx::query("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1").fetch_optional(&mut *conn).await?;
    let (mut seq, mut previous): (i64, String) = match last {
        Some(row) => (row.try_get(0)?, row.try_get(1)?),
        None => (0, CHAIN_START.to_owned()),
    };
    let mut rows = Vec::new();
    for n in first..first + count {
        for entry in &lived.audit {
            let mut entry = entry.clone();
            entry.request_id = Some(RequestId::parse(format!("req_{n:032x}"))?);
            if entry.grant_id.is_some() {
                entry.grant_id = Some(GrantId::parse(format!("grn_{n:032x}"))?);
            }
            seq += 1;
            let (at, body) = (entry.at.timestamp_millis(), entry.canonical());
            let hash = chain_hash(seq, &body, &previous);
            rows.push(json!([seq, at, entry.kind.as_str(), entry.request_id, entry.grant_id, body, previous, hash]));
            previous = hash;
        }
        if rows.len() >= AUDIT_AT_ONCE {
            insert_audit(conn, &mut rows).await?;
        }
    }
    insert_audit(conn, &mut rows).await
}

async fn insert_audit(conn: &mut SqliteConnection, rows: &mut Vec<serde_json::Value>) -> anyhow::Result<()> {
    sqlx::query(
        "INSERT INTO audit (seq, at, kind, request_id, grant_id, body, previous, hash)
         SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7
         FROM json_each($1)",
    )
    .bind(serde_json::to_string(&std::mem::take(rows))?)
    .execute(conn)
    .await?;
    Ok(())
}
