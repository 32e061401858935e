//! From the commit of a decision to the first byte of the held answer, in durable commits.
//!
//! From outside, the commit is seen as the acknowledgement of the click, which is sent right after it. The answer
//! cannot come before one more durable commit, because the issuance is on record before it: that is the 1 in the
//! bound. The other half is for everything else: waking, looking, judging, signing, writing.

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::ensure;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, SqliteConnection};

use crate::client::{Answer, Connection, get, until};
use crate::deployment::{Deployment, Signer, click, people, token_request};
use crate::report::{Bar, Report, Row, median, quantile};
use crate::servers::Server;
use crate::slack::Slack;
use crate::stock;

/// How many decisions are watched.
const DECISIONS: usize = 100;

/// How long a call may take until it is held.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs this part.
pub async fn measure(report: &mut Report) -> anyhow::Result<()> {
    let leads = people(1);
    let slack = Slack::start(&leads).await?;
    let deployment = Deployment::new(slack.address, &leads)?;
    // People were asked before; the calls join. So nothing that is told to Slack of one falls into the time of another.
    let cards = stock::pending(&deployment.database(), DECISIONS).await?;
    let ours = Server::countersign(deployment.folder()).await?;
    let mut disk = open(&deployment.folder().join("commits.db")).await?;
    let mut signer = Signer::new()?;
    let mut clicks = Connection::open(ours.address).await?;
    let (mut waits, mut commits) = (vec![], vec![]);
    for (person, card) in cards.iter().enumerate() {
        let mut held = Connection::open(ours.address).await?;
        held.send(&signer.call(&token_request(person), "prefer: wait=30\r\n")).await?;
        until(ours.address, &get("/metrics"), PATIENCE, |answer| says(answer, "countersign_held_calls 1")).await?;
        commits.push(commit(&mut disk).await?.as_secs_f64());
        let answered = tokio::spawn(async move { held.answer().await });
        let clicked = clicks.call(&click("/slack/interactions", &leads[0], &card.value, &card.ts)).await?;
        let answer = answered.await??;
        ensure!(clicked.status == 200 && answer.status == 200, "{} {}", clicked.status, answer.status);
        waits.push(answer.first_byte.saturating_duration_since(clicked.first_byte).as_secs_f64());
        commits.push(commit(&mut disk).await?.as_secs_f64());
    }
    let (wait, commit) = (median(&waits), median(&commits));
    report.row(Row {
        what: "decision to held answer / durable commit",
        ours: format!("{:.2} ms", wait * 1e3),
        baseline: format!("{:.2} ms", commit * 1e3),
        ratio: wait / commit,
        bar: Bar::AtMost(1.5),
    });
    report.note(format!(
        "decision to held answer: from the click's acknowledgement (sent right after its commit) to the answer's first byte; it contains \
         one durable commit, the record of the issuance. Medians of {DECISIONS}; nine of ten below {:.2} ms, commits below {:.2} ms. Beside the commit it takes {:.2} ms: the \
         request, the grant and the votes are read anew, and the policy of now is asked.",
        quantile(&waits, 0.9) * 1e3,
        quantile(&commits, 0.9) * 1e3,
        (wait - commit) * 1e3
    ));
    Ok(())
}

fn says(answer: &Answer, line: &str) -> bool {
    String::from_utf8_lossy(&answer.body).lines().any(|said| said == line)
}

/// A database with the same settings on the same disk.
pub async fn open(file: &Path) -> anyhow::Result<SqliteConnection> {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full);
    let mut disk = options.connect().await?;
    sqlx::query("CREATE TABLE rows (id INTEGER PRIMARY KEY, body TEXT NOT NULL) STRICT").execute(&mut disk).await?;
    Ok(disk)
}

/// How long one plain insert takes until it is durable.
pub async fn commit(disk: &mut SqliteConnection) -> anyhow::Result<Duration> {
    let begin = Instant::now();
    sqlx::query("INSERT INTO rows (body) VALUES ($1)").bind("x".repeat(200)).execute(disk).await?;
    Ok(begin.elapsed())
}
