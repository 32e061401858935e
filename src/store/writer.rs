//! The one writer: a task that owns the one writing connection.
//!
//! Whatever waits is written together in one transaction (group commit), each piece in a savepoint of its own,
//! so that one refused piece does not take the others with it. Nobody hears of anything before the commit. A
//! caller that goes away does not stop what it handed over. Nothing but SQLite is awaited inside.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use futures_util::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::commit::Written;
use super::issue::{self, Claim, Issue, Issued};
use super::script::{Script, Stopped};
use super::{Health, StoreError, audit, sqlite};

/// How many pieces may wait before callers are slowed down.
const QUEUE_MAX: usize = 1_024;
/// How many pieces are written in one transaction.
const GROUP_MAX: usize = 256;

/// What a piece of writing works on: the connection inside of its transaction, and the end of the audit chain.
pub(super) struct Writing {
    pub conn: SqliteConnection,
    pub head: audit::Head,
}

type Told = Box<dyn FnOnce(Result<(), StoreError>) + Send>;
type Work = Box<dyn for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, (bool, Told)> + Send>;

type Tell<T> = oneshot::Sender<Result<T, StoreError>>;

enum Job {
    /// What gets a savepoint of its own.
    Piece(Piece),
    /// A token issuance; all of a group are written by a few statements together.
    Issue(Box<Claim>, Tell<Issued>),
    /// Stop cleanly, then say so.
    Stop(oneshot::Sender<()>),
}

/// One piece of writing: refused or kept as a whole.
enum Piece {
    /// A commit: one trip to SQLite's thread.
    Commit(Box<Written>, Tell<()>),
    /// Anything else.
    Work(Work),
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Job>,
    asked_for: Arc<AtomicU64>,
}

impl Writer {
    pub(super) fn start(conn: SqliteConnection, head: audit::Head, health: Health) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(Writing { conn, head }, receiver, health));
        Self { jobs: sender, asked_for: Arc::default() }
    }

    /// How many pieces were handed over since the start.
    pub(super) fn asked_for(&self) -> u64 {
        self.asked_for.load(Ordering::Relaxed)
    }

    async fn hand_over(&self, job: Job) -> Result<(), StoreError> {
        self.asked_for.fetch_add(1, Ordering::Relaxed);
        self.jobs.send(job).await.map_err(|_| StoreError::Stopped)
    }

    /// Writes one piece, and answers after the commit.
    pub(super) async fn write<T, F>(&self, piece: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: for<'w> FnOnce(&'w mut Writing) -> BoxFuture<'w, Result<T, StoreError>> + Send + 'static,
    {
        let (tell, told) = oneshot::channel();
        let work: Work = Box::new(move |writing| {
            Box::pin(async move {
                let result = piece(writing).await;
                let keep = result.is_ok();
                let tell: Told = Box::new(move |committed| {
                    // Nobody listens any more when the caller went away; the row is there all the same.
                    let _ = tell.send(committed.and(result));
                });
                (keep, tell)
            })
        });
        self.hand_over(Job::Piece(Piece::Work(work))).await?;
        told.await.map_err(|_| StoreError::Stopped)?
    }

    /// Writes one commit, and answers after it is durable.
    pub(super) async fn commit(&self, written: Written) -> Result<(), StoreError> {
        let (tell, told) = oneshot::channel();
        self.hand_over(Job::Piece(Piece::Commit(Box::new(written), tell))).await?;
        told.await.map_err(|_| StoreError::Stopped)?
    }

    /// Records one issuance, and answers after the commit.
    pub(super) async fn issue(&self, issue: Issue) -> Result<Issued, StoreError> {
        let (tell, told) = oneshot::channel();
        self.hand_over(Job::Issue(Box::new(issue.into()), tell)).await?;
        told.await.map_err(|_| StoreError::Stopped)?
    }

    /// Writes what waits, closes the file cleanly.
    pub(super) async fn stop(&self) {
        let (tell, told) = oneshot::channel();
        if self.jobs.send(Job::Stop(tell)).await.is_ok() {
            let _ = told.await;
        }
    }
}

async fn run(mut writing: Writing, mut jobs: mpsc::Receiver<Job>, health: Health) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while jobs.recv_many(&mut group, GROUP_MAX).await > 0 {
        let (mut pieces, mut issues, mut stop) = (Vec::new(), Vec::new(), None);
        for job in group.drain(..) {
            match job {
                Job::Piece(piece) => pieces.push(piece),
                Job::Issue(issue, tell) => issues.push((issue, tell)),
                Job::Stop(tell) => stop = Some(tell),
            }
        }
        if !pieces.is_empty() || !issues.is_empty() {
            write_group(&mut writing, pieces, issues, &health).await;
        }
        if matches!(health.failure(), Some(StoreError::Disk(_))) {
            // After a failed sync the system may call lost pages clean: nothing is written any more.
            return;
        }
        if let Some(tell) = stop {
            if let Err(error) = sqlite::mark_clean(&mut writing.conn).await {
                tracing::error!(%error, "the store could not be closed cleanly");
            }
            let _ = writing.conn.close().await;
            let _ = tell.send(());
            return;
        }
    }
}

/// What runs before the first piece of a group, after one that is kept and after one that was refused. What ends one
/// piece travels with the next, or with the commit.
const BEGIN: &str = "BEGIN IMMEDIATE;";
const FIRST: &str = "BEGIN IMMEDIATE;SAVEPOINT piece;";
const KEPT: &str = "RELEASE piece;SAVEPOINT piece;";
const REFUSED: &str = "ROLLBACK TO piece;";

async fn write_group(
    writing: &mut Writing,
    pieces: Vec<Piece>,
    issues: Vec<(Box<Claim>, Tell<Issued>)>,
    health: &Health,
) {
    let head = writing.head.clone();
    let mut tellers: Vec<Told> = Vec::with_capacity(pieces.len() + issues.len());
    // Should the group fail, those whose turn never came are dropped at the end, when it is known what failed.
    let mut pieces = pieces.into_iter();
    let outcome = match write_pieces(writing, &mut pieces, &mut tellers).await {
        Ok(before) if issues.is_empty() => commit(&mut writing.conn, before).await,
        Ok(before) => write_issues(writing, before, issues, &mut tellers).await,
        Err(error) => Err(error),
    };
    if let Err(error) = &outcome {
        writing.head = head;
        let _ = execute(&mut writing.conn, "ROLLBACK").await;
        health.writing_failed(error);
    } else {
        health.written();
    }
    for tell in tellers {
        tell(outcome.clone());
    }
}

/// Every piece in its savepoint. A piece that refuses is rolled back alone; the group fails only when SQLite does.
/// Answers with what must still run before anything else does.
async fn write_pieces(
    writing: &mut Writing,
    pieces: &mut std::vec::IntoIter<Piece>,
    tellers: &mut Vec<Told>,
) -> Result<&'static str, StoreError> {
    let mut before = if pieces.len() == 0 { BEGIN } else { FIRST };
    for piece in pieces {
        let head = writing.head.clone();
        let keep = match piece {
            Piece::Commit(written, tell) => {
                let script = written.chained(&mut writing.head);
                let (result, failed) = match script.execute(&mut writing.conn, before).await {
                    Ok(()) => (Ok(()), None),
                    Err(Stopped::Inside(error)) => (Err(error), None),
                    Err(Stopped::Before(error)) => (Err(error.clone()), Some(error)),
                };
                let keep = result.is_ok();
                tellers.push(Box::new(move |committed| {
                    // Nobody listens any more when the caller went away; the row is there all the same.
                    let _ = tell.send(committed.and(result));
                }));
                if let Some(error) = failed {
                    return Err(error);
                }
                keep
            }
            Piece::Work(work) => {
                execute(&mut writing.conn, before).await?;
                let (keep, tell) = work(writing).await;
                tellers.push(tell);
                keep
            }
        };
        before = if keep { KEPT } else { REFUSED };
        if !keep {
            writing.head = head;
        }
    }
    Ok(before)
}

async fn write_issues(
    writing: &mut Writing,
    before: &'static str,
    issues: Vec<(Box<Claim>, Tell<Issued>)>,
    tellers: &mut Vec<Told>,
) -> Result<(), StoreError> {
    let (claims, tells): (Vec<Claim>, Vec<_>) = issues.into_iter().map(|(claim, tell)| (*claim, tell)).unzip();
    let (results, outcome) = match issue::write(writing, before, claims).await {
        Ok(results) => (results, Ok(())),
        Err(error) => (Vec::new(), Err(error)),
    };
    let mut results = results.into_iter();
    for tell in tells {
        let result = results.next().ok_or(StoreError::Stopped);
        tellers.push(Box::new(move |committed| {
            let _ = tell.send(committed.and(result));
        }));
    }
    outcome
}

/// Makes the group durable. That ends the last savepoint too.
async fn commit(conn: &mut SqliteConnection, before: &'static str) -> Result<(), StoreError> {
    let mut script = Script::default();
    script.run("COMMIT");
    script.execute(conn, before).await.map_err(Stopped::into_error)
}

async fn execute(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(conn).await?;
    Ok(())
}
