//! The one writer: a task that owns the one writing connection.
//!
//! Whatever waits is written together in one transaction (group commit), each piece in a savepoint of its own,
//! so that one refused piece does not take the others with it. Nobody hears of anything before the commit. A
//! caller that goes away does not stop what it handed over. Nothing but SQLite is awaited inside.

use futures_util::future::BoxFuture;
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::issue::{self, Issue, Issued};
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

enum Job {
    /// One piece with a savepoint of its own.
    Piece(Work),
    /// A token issuance; all of a group are written by a few statements together.
    Issue(Box<Issue>, oneshot::Sender<Result<Issued, StoreError>>),
    /// Stop cleanly, then say so.
    Stop(oneshot::Sender<()>),
}

/// A handle to the writer.
#[derive(Clone)]
pub(super) struct Writer(mpsc::Sender<Job>);

impl Writer {
    pub(super) fn start(conn: SqliteConnection, head: audit::Head, health: Health) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(Writing { conn, head }, receiver, health));
        Self(sender)
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
        self.0.send(Job::Piece(work)).await.map_err(|_| StoreError::Stopped)?;
        told.await.map_err(|_| StoreError::Stopped)?
    }

    /// Records one issuance, and answers after the commit.
    pub(super) async fn issue(&self, issue: Issue) -> Result<Issued, StoreError> {
        let (tell, told) = oneshot::channel();
        self.0.send(Job::Issue(Box::new(issue), tell)).await.map_err(|_| StoreError::Stopped)?;
        told.await.map_err(|_| StoreError::Stopped)?
    }

    /// Writes what waits, closes the file cleanly.
    pub(super) async fn stop(&self) {
        let (tell, told) = oneshot::channel();
        if self.0.send(Job::Stop(tell)).await.is_ok() {
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
                Job::Piece(work) => pieces.push(work),
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

type IssueJob = (Box<Issue>, oneshot::Sender<Result<Issued, StoreError>>);

async fn write_group(writing: &mut Writing, pieces: Vec<Work>, issues: Vec<IssueJob>, health: &Health) {
    let head = writing.head.clone();
    let begun = execute(&mut writing.conn, "BEGIN IMMEDIATE").await;
    let mut tellers: Vec<Told> = Vec::with_capacity(pieces.len() + issues.len());
    let mut outcome = begun;
    if outcome.is_ok() {
        outcome = write_pieces(writing, pieces, &mut tellers).await;
    }
    if outcome.is_ok() {
        outcome = write_issues(writing, issues, &mut tellers).await;
    }
    if outcome.is_ok() {
        outcome = execute(&mut writing.conn, "COMMIT").await;
    }
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
async fn write_pieces(writing: &mut Writing, pieces: Vec<Work>, tellers: &mut Vec<Told>) -> Result<(), StoreError> {
    for work in pieces {
        let head = writing.head.clone();
        execute(&mut writing.conn, "SAVEPOINT piece").await?;
        let (keep, tell) = work(writing).await;
        tellers.push(tell);
        if keep {
            execute(&mut writing.conn, "RELEASE piece").await?;
        } else {
            writing.head = head;
            execute(&mut writing.conn, "ROLLBACK TO piece").await?;
            execute(&mut writing.conn, "RELEASE piece").await?;
        }
    }
    Ok(())
}

async fn write_issues(writing: &mut Writing, issues: Vec<IssueJob>, tellers: &mut Vec<Told>) -> Result<(), StoreError> {
    if issues.is_empty() {
        return Ok(());
    }
    let (issues, tells): (Vec<Box<Issue>>, Vec<_>) = issues.into_iter().unzip();
    let results = issue::write(writing, &issues).await;
    let failed = results.as_ref().err().cloned();
    let results = results.unwrap_or_default();
    let mut results = results.into_iter();
    for tell in tells {
        let result = results.next().unwrap_or(Err(StoreError::Stopped));
        tellers.push(Box::new(move |committed| {
            let _ = tell.send(committed.and(result));
        }));
    }
    failed.map_or(Ok(()), Err)
}

async fn execute(conn: &mut SqliteConnection, sql: &'static str) -> Result<(), StoreError> {
    sqlx::query(sql).execute(conn).await?;
    Ok(())
}
