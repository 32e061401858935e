//! What the parts of a recorded issuance cost: the use count, the replay key, the audit entry, the receipt, and the
//! call's share of the durable commit. Measured one by one outside of the service, with its own statements on its
//! own tables, in groups as large as the service makes them under this load.

use std::path::Path;
use std::time::Instant;

use anyhow::anyhow;
use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use countersign::clock::{Clock, SystemClock};
use countersign::domain::audit::{Actor, AuditEntry, CHAIN_START, Kind, chain_hash};
use countersign::domain::hashing::{canonical_json, sha256_hex};
use countersign::domain::ids::{GrantId, HookName, RequestId};
use countersign::store::Store;
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::report::{Report, median};

/// How many issuances share a commit.
const GROUP: usize = 48;
/// How many groups are measured.
const GROUPS: usize = 60;

/// Microseconds of one issuance.
#[derive(Default)]
struct Parts {
    use_count: Vec<f64>,
    replay_key: Vec<f64>,
    audit: Vec<f64>,
    receipt: Vec<f64>,
    commit: Vec<f64>,
}

/// Says how the time of a call divides.
pub async fn measure(report: &mut Report, folder: &Path, micros_per_call: f64) -> anyhow::Result<()> {
    let file = folder.join("parts.db");
    Store::open(&file).await?.close().await;
    let options = SqliteConnectOptions::new().filename(&file).journal_mode(SqliteJournalMode::Wal);
    let mut conn = options.synchronous(SqliteSynchronous::Full).connect().await?;
    sqlx::query(GRANTS).bind(i64::try_from(GROUP)?).execute(&mut conn).await?;
    let key = Ed25519KeyPair::generate().map_err(|_| anyhow!("no key"))?;
    let (mut parts, mut head) = (Parts::default(), CHAIN_START.to_owned());
    for group in 0..GROUPS {
        one_group(&mut conn, &key, &mut parts, group, &mut head).await?;
    }
    let each = |times: &[f64]| median(times) / GROUP as f64;
    let (used, replay, audit) = (each(&parts.use_count), each(&parts.replay_key), each(&parts.audit));
    let (receipt, commit) = (each(&parts.receipt), each(&parts.commit));
    let share = |micros: f64| 100.0 * micros / micros_per_call;
    report.note(format!(
        "a call takes {micros_per_call:.0} µs of processor time. Of the recorded parts, measured alone in groups of {GROUP}: use count \
         {used:.1} µs ({:.0} %), replay key {replay:.1} µs ({:.0} %), audit entry {audit:.1} µs ({:.0} %), receipt {receipt:.1} µs ({:.0} %); \
         and its share of waiting for the disk, {commit:.1} µs. The rest is HTTP, the signature, the policy and looking up the grant.",
        share(used),
        share(replay),
        share(audit),
        share(receipt),
    ));
    Ok(())
}

const GRANTS: &str = "WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < $1 - 1)
    INSERT INTO grants (id, hook, client, subject_kind, subject, coverage, scopes, granted_at, expires_at, state, version, body)
    SELECT 'grn_' || printf('%032x', i), 'billing', 'billing-cli', 'user', 'person' || i, lower(hex(randomblob(32))), '[]', 1,
      4000000000000, 'live', 0, printf('%2000s', '') FROM n";

async fn one_group(
    conn: &mut SqliteConnection,
    key: &Ed25519KeyPair,
    parts: &mut Parts,
    group: usize,
    head: &mut String,
) -> anyhow::Result<()> {
    let now = SystemClock.now();
    let at = now.timestamp_millis();
    let ids = (0..GROUP).map(|n| format!("grn_{n:032x}")).collect::<Vec<_>>();
    sqlx::query("BEGIN IMMEDIATE").execute(&mut *conn).await?;

    let begin = Instant::now();
    let hash = sha256_hex(b"what was asked");
    let rows: Vec<_> = ids.iter().map(|id| (id, group + 1, at, &hash, at + 900_000)).collect();
    let sql = "UPDATE grants SET used = v.used, last_use_at = v.last_use_at, last_use_fingerprint = v.fingerprint,
                 last_token_expires_at = v.token, due_at = expires_at
               FROM (SELECT value ->> 0 AS id, value ->> 1 AS used, value ->> 2 AS last_use_at,
                       value ->> 3 AS fingerprint, value ->> 4 AS token FROM json_each($1)) AS v WHERE grants.id = v.id";
    sqlx::query(sql).bind(serde_json::to_string(&rows)?).execute(&mut *conn).await?;
    parts.use_count.push(begin.elapsed().as_secs_f64() * 1e6);

    let begin = Instant::now();
    let rows: Vec<_> = ids.iter().map(|id| ("billing", format!("msg_{group}_{id}"), &hash, at, id)).collect();
    let sql = "INSERT INTO hook_calls (hook, call_id, body_hash, at, grant_id)
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4 FROM json_each($1) WHERE true
               ON CONFLICT (hook, call_id) DO UPDATE SET grant_id = excluded.grant_id";
    sqlx::query(sql).bind(serde_json::to_string(&rows)?).execute(&mut *conn).await?;
    parts.replay_key.push(begin.elapsed().as_secs_f64() * 1e6);

    let begin = Instant::now();
    let mut rows = Vec::with_capacity(GROUP);
    for (n, id) in ids.iter().enumerate() {
        let entry = entry(id, now)?;
        let (seq, body) = (i64::try_from(group * GROUP + n + 1)?, entry.canonical());
        let hash = chain_hash(seq, &body, head);
        let previous = std::mem::replace(head, hash.clone());
        rows.push((seq, at, entry.kind.as_str(), entry.request_id, entry.grant_id, body, previous, hash));
    }
    let sql = "INSERT INTO audit (seq, at, kind, request_id, grant_id, body, previous, hash)
               SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6,
                 value ->> 7 FROM json_each($1)";
    sqlx::query(sql).bind(serde_json::to_string(&rows)?).execute(&mut *conn).await?;
    parts.audit.push(begin.elapsed().as_secs_f64() * 1e6);

    let begin = Instant::now();
    for id in &ids {
        let receipt = canonical_json(&json!({
            "iss": "http://127.0.0.1", "iat": at, "exp": at + 900, "sub": "person0@example.com", "client_id": "billing-cli",
            "aud": ["https://payments.example.com"], "scope": "invoices:read payments:refund", "hook": "billing",
            "grant_id": id, "request_id": id, "grant_exp": at + 14_400
        }));
        let signed = URL_SAFE_NO_PAD.encode(receipt);
        std::hint::black_box(URL_SAFE_NO_PAD.encode(key.sign(signed.as_bytes())));
    }
    parts.receipt.push(begin.elapsed().as_secs_f64() * 1e6);

    let begin = Instant::now();
    sqlx::query("COMMIT").execute(&mut *conn).await?;
    parts.commit.push(begin.elapsed().as_secs_f64() * 1e6);
    Ok(())
}

/// An entry as the service writes it for an issuance.
fn entry(grant: &str, now: countersign::clock::Timestamp) -> anyhow::Result<AuditEntry> {
    Ok(AuditEntry {
        at: now,
        kind: Kind::TokenIssued,
        actor: Actor::Hook(HookName::parse("billing")?),
        request_id: Some(RequestId::parse(grant.replace("grn_", "req_"))?),
        grant_id: Some(GrantId::parse(grant)?),
        summary: "billing may issue invoices:read payments:refund for 900 s".to_owned(),
        detail: json!({
            "scopes": ["invoices:read", "payments:refund"], "token_expires_at": now, "rules": ["reading invoices", "refunds"],
            "call": "msg_0123456789abcdef0123456789abcdef_12345"
        }),
    })
}
