//! Finding the grant that covers a call, among few and among very many that are live.
//!
//! One grant is made and committed as the service does it; the others are copies of its row by SQL, each of another
//! person and so under another coverage key. What is timed is the store's own look-up, over keys in random order.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, ensure};
use countersign::clock::{Clock, SystemClock};
use countersign::domain::grant::Grant;
use countersign::domain::ids::GrantId;
use countersign::domain::policy::{Bounds, PolicyVersion, Terms, Uses};
use countersign::domain::token_request::{CoverageKey, TokenRequest};
use countersign::store::{Change, Commit, Store};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Row, SqliteConnection};
use tempfile::TempDir;

use crate::report::{Bar, Report, Row as Line, median, quantile, say};

/// How many live grants there are.
const FEW: usize = 1_000;
const MANY: usize = 1_000_000;
/// How many rounds there are; in each, both files have a turn of so many look-ups.
const ROUNDS: usize = 15;
const LOOKUPS: usize = 2_000;
/// How many rows one statement inserts.
const AT_ONCE: usize = 10_000;

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    std::fs::create_dir_all(target)?;
    let folder = TempDir::new_in(target)?;
    let begin = Instant::now();
    let few = stock(&folder.path().join("few.db"), FEW).await?;
    let many = stock(&folder.path().join("many.db"), MANY).await?;
    say(&format!("  {FEW} and {MANY} live grants were written in {:.0} s", begin.elapsed().as_secs_f64()));
    let (mut few_times, mut many_times, mut ratios) = (vec![], vec![], vec![]);
    // The first round warms both up and does not count.
    for round in 0..=ROUNDS {
        let of_few = lookups(&few, FEW, round).await?;
        let of_many = lookups(&many, MANY, round).await?;
        if round > 0 {
            ratios.push(median(&of_many) / median(&of_few));
            few_times.extend(of_few);
            many_times.extend(of_many);
        }
    }
    few.close().await;
    many.close().await;
    report.row(Line {
        what: "covering grant, 1,000,000 live / 1,000",
        ours: format!("{:.1} µs", median(&many_times)),
        baseline: format!("{:.1} µs", median(&few_times)),
        ratio: median(&ratios),
        bar: Bar::AtMost(1.2),
    });
    report.note(format!(
        "covering grant: one look-up after the other, {LOOKUPS} of each in each of {ROUNDS} rounds, random people; 99 in 100 took at most {:.1} and {:.1} µs.",
        quantile(&many_times, 0.99),
        quantile(&few_times, 0.99)
    ));
    Ok(())
}

/// How many microseconds each of some look-ups takes. Each must find its grant.
async fn lookups(store: &Store, people: usize, round: usize) -> anyhow::Result<Vec<f64>> {
    let mut person = round * 7_919 + 1;
    let mut times = Vec::with_capacity(LOOKUPS);
    for _ in 0..LOOKUPS {
        // A generator of Lehmer's is random enough to be nobody's neighbour.
        person = person * 48_271 % 2_147_483_647;
        let key = coverage(person % people)?;
        let now = SystemClock.now();
        let begin = Instant::now();
        let found = store.live_grants(key, now).await?;
        times.push(begin.elapsed().as_secs_f64() * 1e6);
        ensure!(found.len() == 1, "person {} has {} grants", person % people, found.len());
    }
    Ok(times)
}

fn asked(person: usize) -> anyhow::Result<TokenRequest> {
    Ok(serde_json::from_value(json!({
        "hook": "billing", "grant_type": "client_credentials", "client": {"id": "billing-cli"},
        "subject": {"kind": "user", "id": name(person)}, "scopes": ["invoices:read", "payments:refund"],
        "audience": ["https://payments.example.com"], "requested_lifetime": 3_600, "reason": "refund PAY-4821",
        "context": {"ip": "203.0.113.7"}
    }))?)
}

fn name(person: usize) -> String {
    format!("person{person:07}@example.com")
}

fn coverage(person: usize) -> anyhow::Result<CoverageKey> {
    Ok(asked(person)?.coverage_key())
}

/// A store with so many live grants, of a person each.
async fn stock(database: &Path, count: usize) -> anyhow::Result<Store> {
    let store = Store::open(database).await?;
    let (now, first) = (SystemClock.now(), asked(0)?);
    let bounds = Bounds { max_duration: 86_400, max_token_lifetime: 900, collect_within: 86_400, uses: Uses::Window };
    let scopes = first.scopes.clone();
    let terms = Terms { scopes, dropped: [].into(), rules: [].into(), bounds };
    let id = GrantId::parse(format!("grn_{:032x}", 0)).context("an identifier")?;
    let mut asked = first;
    asked.requested_lifetime = None;
    let grant = Grant::allowed(id, &asked, &terms, PolicyVersion("0".repeat(64)), now);
    store.commit(Commit { grant: Some(Change::New(grant)), ..Commit::default() }, now).await?;
    store.close().await;
    // Whoever has a handle has the lock.
    drop(store);
    copy(database, count).await?;
    Ok(Store::open(database).await?)
}

/// Copies the one row. Its indexes are made anew afterwards: filling them in random order takes much longer.
async fn copy(database: &Path, count: usize) -> anyhow::Result<()> {
    let options = SqliteConnectOptions::new().filename(database).synchronous(SqliteSynchronous::Off);
    let mut conn = options.journal_mode(SqliteJournalMode::Wal).pragma("cache_size", "-500000").connect().await?;
    let indexes = sqlx::query(
        "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND tbl_name = 'grants' AND sql IS NOT NULL",
    )
    .fetch_all(&mut conn)
    .await?;
    run(&mut conn, "BEGIN IMMEDIATE").await?;
    for index in &indexes {
        run(&mut conn, &format!("DROP INDEX {}", index.try_get::<String, _>("name")?)).await?;
    }
    let insert = insert(&mut conn).await?;
    for first in (1..count).step_by(AT_ONCE) {
        let people = first..count.min(first + AT_ONCE);
        let rows: Vec<_> = people.map(|n| Ok((n, name(n), coverage(n)?))).collect::<anyhow::Result<_>>()?;
        let query = sqlx::query(AssertSqlSafe(insert.clone())).bind(serde_json::to_string(&rows)?);
        query.bind(name(0)).bind(coverage(0)?.0).execute(&mut conn).await?;
    }
    for index in &indexes {
        run(&mut conn, &index.try_get::<String, _>("sql")?).await?;
    }
    run(&mut conn, "COMMIT").await?;
    run(&mut conn, "PRAGMA wal_checkpoint(TRUNCATE)").await?;
    Ok(conn.close().await?)
}

/// A statement that copies the first row for each `[number, name, coverage]` of a list.
async fn insert(conn: &mut SqliteConnection) -> anyhow::Result<String> {
    let columns = sqlx::query("SELECT name FROM pragma_table_info('grants')").fetch_all(conn).await?;
    let mut values = Vec::new();
    for column in columns {
        let column: String = column.try_get("name")?;
        values.push(match column.as_str() {
            "id" => "'grn_' || printf('%032x', j.value ->> 0)".to_owned(),
            "subject" => "j.value ->> 1".to_owned(),
            "coverage" => "j.value ->> 2".to_owned(),
            "body" => "replace(replace(replace(g.body, g.id, 'grn_' || printf('%032x', j.value ->> 0)), $2, j.value ->> 1), $3, j.value ->> 2)".to_owned(),
            other => format!("g.{other}"),
        });
    }
    let first = format!("grn_{:032x}", 0);
    Ok(format!(
        "INSERT INTO grants SELECT {} FROM json_each($1) AS j, grants AS g WHERE g.id = '{first}'",
        values.join(", ")
    ))
}

async fn run(conn: &mut SqliteConnection, sql: &str) -> anyhow::Result<()> {
    sqlx::query(AssertSqlSafe(sql.to_owned())).execute(conn).await?;
    Ok(())
}
