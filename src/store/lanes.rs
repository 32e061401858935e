//! Handing out what waits in the outbox: of each lane the most urgent row that is due, under a lease.

use sqlx::Row;

use super::outbox::Delivery;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::ids::RequestId;

/// A row that a worker holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claimed {
    /// Its number.
    pub id: i64,
    /// Its lane.
    pub lane: String,
    /// The access request that it is about.
    pub request_id: RequestId,
    /// What to do.
    pub delivery: Delivery,
    /// How often it was tried before.
    pub attempts: u32,
    /// Whether an earlier attempt may have been done: its answer never came.
    pub unsure: bool,
    /// When it was written.
    pub created_at: Timestamp,
    /// The proof of holding it.
    pub lease: String,
}

/// What became of an attempt that is to be made again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// Nothing was sent: somebody has to wait.
    NotMade,
    /// It was not done.
    Failed,
    /// It may have been done.
    Unknown,
}

/// The lanes and classes in which something waits. Each step is one look into an index, however many rows wait.
macro_rules! waiting {
    () => {
        "WITH RECURSIVE waiting (lane, class) AS (
           SELECT * FROM (SELECT lane, class FROM outbox WHERE state = 'ready' ORDER BY lane, class LIMIT 1)
           UNION ALL SELECT o.lane, o.class FROM waiting JOIN outbox AS o ON o.id = (
             SELECT next.id FROM outbox AS next WHERE next.state = 'ready'
               AND (next.lane, next.class) > (waiting.lane, waiting.class) ORDER BY next.lane, next.class LIMIT 1)),
         open AS (SELECT lane, class, (SELECT max(held.lease_until) FROM outbox AS held WHERE held.state = 'ready'
             AND held.lane = waiting.lane AND held.lease IS NOT NULL AND held.lease_until > $1) AS held_until
           FROM waiting WHERE lane || '/' || class NOT IN (SELECT value FROM json_each($2))
             AND substr(lane, 1, instr(lane, '/')) || '*/' || class NOT IN (SELECT value FROM json_each($2)))"
    };
}

/// What stands before a row `o` in its lane: its access request's card, and rows of its own class.
macro_rules! earlier {
    () => {
        "FROM outbox AS earlier WHERE earlier.state = 'ready' AND earlier.request_id = o.request_id
           AND earlier.lane = o.lane AND earlier.id < o.id AND earlier.class IN ('post', o.class)"
    };
}

const CLAIM: &str = concat!(
    waiting!(),
    ", heads AS (SELECT (SELECT o.id FROM outbox AS o WHERE o.state = 'ready' AND o.lane = open.lane
         AND o.class = open.class AND o.not_before <= $1 AND NOT EXISTS (SELECT 1 ",
    earlier!(),
    ") ORDER BY o.id LIMIT 1) AS id FROM open WHERE held_until IS NULL),
     firsts AS (SELECT o.id, o.urgency, row_number() OVER (PARTITION BY o.lane ORDER BY o.urgency, o.id) AS place
       FROM heads JOIN outbox AS o ON o.id = heads.id)
     UPDATE outbox SET lease_until = $3, lease = $4, unsure = max(unsure, lease IS NOT NULL)
     WHERE id IN (SELECT id FROM firsts WHERE place = 1 ORDER BY urgency, id LIMIT $5)
     RETURNING id, lane, request_id, body, attempts, unsure, created_at"
);

const NEXT: &str = concat!(
    waiting!(),
    // Nothing of a lane is due while a row of it is under way, and no row before what stands before it.
    " SELECT min(coalesce(held_until, (SELECT min(max(o.not_before, coalesce((SELECT max(earlier.not_before) ",
    earlier!(),
    "), 0))) FROM outbox AS o WHERE o.state = 'ready' AND o.lane = open.lane AND o.class = open.class))) AS at FROM open"
);

impl Store {
    /// Takes the most urgent due row of each lane of which none is under way, at most `most`, for `lease_seconds`.
    /// What is `closed`, written `workspace/lane/class` or `workspace/*/class`, is left
    /// alone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn claim(
        &self,
        most: u32,
        lease: String,
        lease_seconds: i64,
        closed: &[String],
        now: Timestamp,
    ) -> Result<Vec<Claimed>, StoreError> {
        let at = now.timestamp_millis();
        let closed = rows::json(&closed)?;
        let mut claimed = self
            .write(move |w| {
                Box::pin(async move {
                    let found = sqlx::query(CLAIM)
                        .bind(at)
                        .bind(closed)
                        .bind(at + lease_seconds * 1_000)
                        .bind(&lease)
                        .bind(i64::from(most))
                        .fetch_all(&mut w.conn)
                        .await?;
                    found.iter().map(|row| read(row, &lease)).collect::<Result<Vec<_>, _>>()
                })
            })
            .await?;
        claimed.sort_by_key(|row| (row.delivery.class().urgency(), row.id));
        Ok(claimed)
    }

    /// Gives a row back, to be tried again at `not_before`. Without the lease nothing happens.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn try_again(
        &self,
        row: &Claimed,
        attempt: Attempt,
        error: String,
        not_before: Timestamp,
    ) -> Result<(), StoreError> {
        let (id, lease, at) = (row.id, row.lease.clone(), not_before.timestamp_millis());
        let (counts, unsure) = match attempt {
            Attempt::NotMade => (0, 0),
            Attempt::Failed => (1, 0),
            Attempt::Unknown => (1, 1),
        };
        self.write(move |w| {
            Box::pin(async move {
                sqlx::query(
                    "UPDATE outbox SET lease_until = 0, lease = NULL, not_before = $1, last_error = $2,
                       attempts = attempts + $3, unsure = max(unsure, $4) WHERE id = $5 AND lease = $6",
                )
                .bind(at)
                .bind(error)
                .bind(counts)
                .bind(unsure)
                .bind(id)
                .bind(lease)
                .execute(&mut w.conn)
                .await?;
                Ok(())
            })
        })
        .await
    }

    /// When the next row is due, if any waits. What is `closed` is left alone.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_delivery_at(&self, closed: &[String], now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let row =
            sqlx::query(NEXT).bind(now.timestamp_millis()).bind(rows::json(&closed)?).fetch_one(self.readers()).await?;
        let at: Option<i64> = row.try_get("at")?;
        at.map(|millis| rows::time("outbox", "next", millis)).transpose()
    }
}

fn read(row: &sqlx::sqlite::SqliteRow, lease: &str) -> Result<Claimed, StoreError> {
    let id: i64 = row.try_get("id")?;
    let (lane, request): (String, String) = (row.try_get("lane")?, row.try_get("request_id")?);
    // Before the slash is the workspace, which the access request knows, too.
    let lane = lane.split_once('/').map_or(lane.as_str(), |(_, lane)| lane).to_owned();
    let attempts: i64 = row.try_get("attempts")?;
    Ok(Claimed {
        id,
        lane,
        request_id: RequestId::parse(request).map_err(|e| StoreError::inconsistent("outbox", &id.to_string(), &e))?,
        delivery: rows::parse("outbox", &id.to_string(), row.try_get("body")?)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        unsure: row.try_get::<i64, _>("unsure")? != 0,
        created_at: rows::time("outbox", &id.to_string(), row.try_get("created_at")?)?,
        lease: lease.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use chrono::DateTime;
    use proptest::prelude::*;
    use proptest::test_runner::{Config, TestRunner};

    use super::*;

    const NOW: i64 = 1_795_460_000_000;
    const CLASSES: [&str; 4] = ["post", "edit", "note", "direct"];
    const BODIES: [&str; 4] = [
        r#"{"kind":"post_card","channel":"C0"}"#,
        r#"{"kind":"refresh_cards","channel":"C0"}"#,
        r#"{"kind":"note_in_thread","channel":"C0","text":"Said"}"#,
        r#"{"kind":"refresh_homes"}"#,
    ];

    #[derive(Debug, Clone)]
    struct Waiting {
        lane: u8,
        class: usize,
        request: u8,
        not_before: i64,
        lease_until: Option<i64>,
    }

    impl Waiting {
        fn urgency(&self) -> i64 {
            i64::from(CLASSES[self.class] == "note" || CLASSES[self.class] == "direct")
        }

        /// Two workspaces, each with two channels that are called the same.
        fn name(&self) -> String {
            format!("T{}/C{}", self.lane / 2, self.lane % 2)
        }

        fn is_held(&self) -> bool {
            self.lease_until.is_some_and(|until| until > NOW)
        }

        fn is_open(&self, closed: &[String]) -> bool {
            let class = CLASSES[self.class];
            let workspace = self.lane / 2;
            !closed.contains(&format!("{}/{class}", self.name()))
                && !closed.contains(&format!("T{workspace}/*/{class}"))
        }
    }

    fn waiting() -> impl Strategy<Value = Waiting> {
        let times = prop::sample::select(vec![NOW - 5_000, NOW, NOW + 1, NOW + 5_000]);
        let lease = prop_oneof![6 => Just(None), 1 => times.clone().prop_map(Some)];
        (0..4u8, 0..4usize, 0..4u8, times, lease).prop_map(|(lane, class, request, not_before, lease_until)| Waiting {
            lane,
            class,
            request,
            not_before,
            lease_until,
        })
    }

    fn closed() -> impl Strategy<Value = Vec<String>> {
        let place = prop::sample::select(vec!["T0/*", "T1/*", "T0/C0", "T0/C1", "T1/C0", "T1/C1"]);
        let one = (place, 0..4usize).prop_map(|(place, class)| format!("{place}/{}", CLASSES[class]));
        prop::collection::vec(one, 0..4)
    }

    /// What stands before a row in its lane, read plainly.
    fn earlier(rows: &[Waiting], n: usize) -> impl Iterator<Item = &Waiting> {
        let row = &rows[n];
        rows[..n].iter().filter(move |other| {
            (other.lane, other.request) == (row.lane, row.request) && (other.class == 0 || other.class == row.class)
        })
    }

    /// Which rows are to be handed out, and when the next could be, read plainly.
    fn plainly(rows: &[Waiting], closed: &[String]) -> (Vec<i64>, Option<i64>) {
        let (mut firsts, mut times) = (BTreeMap::new(), Vec::new());
        for (n, row) in rows.iter().enumerate().filter(|(_, row)| row.is_open(closed)) {
            let lane = rows.iter().filter(|other| other.lane == row.lane);
            if let Some(until) = lane.filter(|other| other.is_held()).filter_map(|other| other.lease_until).max() {
                times.push(until);
                continue;
            }
            let before = earlier(rows, n).map(|other| other.not_before).max();
            times.push(before.unwrap_or(0).max(row.not_before));
            if before.is_none() && row.not_before <= NOW {
                let first = firsts.entry(row.lane).or_insert((row.urgency(), n));
                *first = (*first).min((row.urgency(), n));
            }
        }
        let mut firsts: Vec<_> = firsts.into_values().collect();
        firsts.sort_unstable();
        (firsts.into_iter().map(|(_, n)| n as i64 + 1).collect(), times.into_iter().min())
    }

    #[test]
    fn lanes_are_handed_out_as_a_plain_reading_says() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let folder = tempfile::tempdir().unwrap();
        let store = runtime.block_on(Store::open(&folder.path().join("c.db"))).unwrap();
        let now = DateTime::from_timestamp_millis(NOW).unwrap();
        let mut runner = TestRunner::new(Config { failure_persistence: None, ..Config::with_cases(200) });
        let outcome = runner.run(&(prop::collection::vec(waiting(), 0..12), closed()), |(rows, closed)| {
            let (claimed, next) = runtime.block_on(async {
                fill(&store, &rows).await;
                let next = store.next_delivery_at(&closed, now).await.unwrap();
                (store.claim(100, "lease".to_owned(), 30, &closed, now).await.unwrap(), next)
            });
            let claimed: Vec<i64> = claimed.iter().map(|row| row.id).collect();
            prop_assert_eq!((claimed, next.map(|at| at.timestamp_millis())), plainly(&rows, &closed));
            Ok(())
        });
        outcome.unwrap();
    }

    async fn fill(store: &Store, rows: &[Waiting]) {
        let rows = rows.to_vec();
        let written = store.write(move |w| {
            Box::pin(async move {
                sqlx::query("DELETE FROM outbox").execute(&mut w.conn).await?;
                for (n, row) in rows.iter().enumerate() {
                    sqlx::query(
                        "INSERT INTO outbox (id, lane, request_id, body, state, not_before, created_at, class, urgency,
                           lease, lease_until)
                         VALUES ($1, $2, $3, $9, 'ready', $4, 0, $5, $6, $7, $8)",
                    )
                    .bind(n as i64 + 1)
                    .bind(row.name())
                    .bind(format!("req_{:032x}", row.request))
                    .bind(row.not_before)
                    .bind(CLASSES[row.class])
                    .bind(row.urgency())
                    .bind(row.lease_until.map(|_| "theirs"))
                    .bind(row.lease_until.unwrap_or(0))
                    .bind(BODIES[row.class])
                    .execute(&mut w.conn)
                    .await?;
                }
                Ok(())
            })
        });
        written.await.unwrap();
    }
}
