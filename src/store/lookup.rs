//! Looking for standing grants, the one read of every call that is answered from one.
//!
//! Whatever is asked while a statement runs is answered by the next one together, as the writer does it: so a burst
//! of calls costs little more than one. A statement begins after each of its questions was asked, so it sees all
//! that was committed before.

use std::cmp::Reverse;

use sqlx::sqlite::SqliteRow;
use sqlx::{Row, SqlitePool};
use tokio::sync::{mpsc, oneshot};

use super::rows::grant_columns;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::grant::Grant;
use crate::domain::token_request::CoverageKey;

/// How many questions may wait before callers are slowed down.
const QUEUE_MAX: usize = 1_024;
/// How many questions one statement answers.
const GROUP_MAX: usize = 64;
/// How many grants of one coverage key are looked at, the longest-lasting first.
const GRANTS_MAX: usize = 32;

type Rows = Vec<SqliteRow>;
type Question = (CoverageKey, oneshot::Sender<Result<Rows, StoreError>>);

/// A handle to the task that looks.
#[derive(Clone)]
pub(super) struct Lookup(mpsc::Sender<Question>);

impl Lookup {
    pub(super) fn start(readers: SqlitePool) -> Self {
        let (sender, receiver) = mpsc::channel(QUEUE_MAX);
        tokio::spawn(run(readers, receiver));
        Self(sender)
    }
}

impl Store {
    /// The live grants with this coverage key that have not ended at `now`, the longest-lasting first.
    ///
    /// # Errors
    /// When the database does not answer, or a row cannot be right.
    pub async fn live_grants(&self, key: CoverageKey, now: Timestamp) -> Result<Vec<Grant>, StoreError> {
        let (tell, told) = oneshot::channel();
        self.lookup.0.send((key, tell)).await.map_err(|_| StoreError::Stopped)?;
        let found = told.await.map_err(|_| StoreError::Stopped)??;
        // The rows are read here, not in the one task that everybody waits for.
        let mut grants = found.iter().map(rows::grant).collect::<Result<Vec<_>, _>>()?;
        grants.retain(|grant| grant.expires_at > now);
        // What people approved comes first: many grants of allow rules must not hide it.
        grants.sort_by_key(|grant| (grant.request().is_none(), Reverse(grant.expires_at)));
        grants.truncate(GRANTS_MAX);
        Ok(grants)
    }
}

async fn run(readers: SqlitePool, mut questions: mpsc::Receiver<Question>) {
    let mut group = Vec::with_capacity(GROUP_MAX);
    while questions.recv_many(&mut group, GROUP_MAX).await > 0 {
        let keys: Vec<&str> = group.iter().map(|(key, _)| key.0.as_str()).collect();
        let mut found = look(&readers, &keys).await;
        for (n, (_, tell)) in group.drain(..).enumerate() {
            let own = match &mut found {
                Ok(all) => Ok(all.get_mut(n).map(std::mem::take).unwrap_or_default()),
                Err(error) => Err(error.clone()),
            };
            // Nobody listens any more when the caller went away.
            let _ = tell.send(own);
        }
    }
}

/// The rows of each key, in the order of the keys.
async fn look(readers: &SqlitePool, keys: &[&str]) -> Result<Vec<Rows>, StoreError> {
    let found = sqlx::query(concat!(
        "SELECT j.key AS n, ",
        grant_columns!(),
        " FROM json_each($1) AS j CROSS JOIN grants AS g ON g.coverage = j.value WHERE g.state = 'live'"
    ))
    .bind(rows::json(&keys)?)
    .fetch_all(readers)
    .await?;
    let mut all: Vec<Rows> = keys.iter().map(|_| Rows::new()).collect();
    for row in found {
        let n = usize::try_from(row.try_get::<i64, _>("n")?).unwrap_or(usize::MAX);
        if let Some(own) = all.get_mut(n) {
            own.push(row);
        }
    }
    Ok(all)
}
