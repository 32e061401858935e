//! The outbox: what is to be told outside, committed with the state that it speaks of.
//!
//! Of one lane (a channel, or a requester) a single row is under way at any time, so a kill leaves at
//! most one message of it whose fate is not known. New cards and edits go before notes; of one access request in one
//! lane nothing overtakes its card, and rows of one class keep their order. A row is claimed with a lease; finishing
//! it needs that lease, so a worker that was too slow cannot undo its successor's work.

use serde::{Deserialize, Serialize};
use sqlx::Row;

use super::script::Script;
use super::{Store, StoreError, rows};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::ids::{RequestId, SlackChannelId, SlackUserId};

/// One message to the outside. It names rows, and holds nothing of them: delivery renders what the store says then.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Delivery {
    /// Post the card of an access request to a channel.
    PostCard {
        /// The channel.
        channel: String,
    },
    /// Post the card of an access request to one person, because the policy tells each.
    PostDirectCard {
        /// The conversation with that person.
        channel: String,
        /// The person.
        user: SlackUserId,
    },
    /// Post the card of an access request to somebody who opened it from a digest.
    OpenCard {
        /// Whoever opened it.
        user: SlackUserId,
    },
    /// Post a digest. The row's identifier is the digest's, as with the next.
    PostDigest {
        /// The channel.
        channel: String,
    },
    /// Edit the cards of a digest.
    RefreshDigest {
        /// The channel.
        channel: String,
    },
    /// Find everybody who gets a card of their own, and have one posted to each.
    FindPeople,
    /// Edit the cards of an access request in a channel.
    RefreshCards {
        /// The channel.
        channel: String,
    },
    /// Tell the requester where things stand.
    TellRequester,
    /// Say in the thread of the card that nobody has decided yet.
    Remind {
        /// The channel.
        channel: String,
        /// Which of the question's reminders, counted from 0.
        number: u32,
    },
    /// Say something in the thread of the card.
    NoteInThread {
        /// The channel.
        channel: String,
        /// What.
        text: String,
    },
    /// Post the card of a broken glass. The row's identifier is the review's, as with all that follow.
    ReviewCard {
        /// The channel.
        channel: String,
    },
    /// Edit the cards of a review.
    RefreshReview {
        /// The channel.
        channel: String,
    },
    /// Say beneath the card of a review that it is overdue.
    ReviewNote {
        /// The channel.
        channel: String,
    },
    /// Find everybody who is told of a broken glass, and have a message sent to each.
    TellReviewers {
        /// How often it was said before.
        number: u32,
    },
    /// Tell one person of a broken glass.
    TellReviewer {
        /// The Slack user.
        user: String,
        /// How often it was said before.
        number: u32,
    },
    /// Say in the thread of the card what happened.
    TellThread {
        /// The channel.
        channel: String,
        /// What happened.
        what: Kind,
        /// Who did it.
        by: Actor,
        /// When.
        at: Timestamp,
    },
    /// Tell the requester what an approver says.
    PassOn {
        /// Who says it.
        from: SlackUserId,
        /// What.
        text: String,
    },
    /// Tell an approver that another one hands the request over.
    TellApprover {
        /// Whom.
        to: SlackUserId,
        /// Who hands it over.
        from: SlackUserId,
    },
    /// Whoever has opened App Home and is concerned gets it drawn anew.
    RefreshHomes,
    /// Draw somebody's App Home anew.
    PublishHome {
        /// Whose.
        user: SlackUserId,
    },
}

/// What kind of call to Slack a delivery is: each has budgets of its own there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Class {
    /// A new message in a channel.
    Post,
    /// A change of a message.
    Edit,
    /// A reply in a thread.
    Note,
    /// A message to one person, or their App Home.
    Direct,
}

impl Class {
    /// The word in the table.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Post => "post",
            Self::Edit => "edit",
            Self::Note => "note",
            Self::Direct => "direct",
        }
    }

    /// Smaller goes first.
    fn urgency(self) -> i64 {
        match self {
            Self::Post | Self::Edit => 0,
            Self::Note | Self::Direct => 1,
        }
    }
}

impl Delivery {
    /// Its lane, a channel or a requester: of one lane a single delivery is under way.
    fn lane<'a>(&'a self, request: &'a RequestId) -> &'a str {
        match self {
            Self::PostCard { channel }
            | Self::PostDirectCard { channel, .. }
            | Self::PostDigest { channel }
            | Self::RefreshDigest { channel }
            | Self::RefreshCards { channel }
            | Self::Remind { channel, .. }
            | Self::NoteInThread { channel, .. }
            | Self::ReviewCard { channel }
            | Self::RefreshReview { channel }
            | Self::ReviewNote { channel }
            | Self::TellThread { channel, .. } => channel,
            Self::TellReviewer { user, .. } => user,
            Self::TellRequester | Self::FindPeople | Self::PassOn { .. } | Self::TellReviewers { .. } => {
                request.as_str()
            }
            Self::TellApprover { to, .. } => to.as_str(),
            Self::RefreshHomes => "homes",
            Self::PublishHome { user } | Self::OpenCard { user } => user.as_str(),
        }
    }

    /// What kind of call it is.
    pub fn class(&self) -> Class {
        match self {
            Self::PostCard { .. } | Self::PostDirectCard { .. } | Self::PostDigest { .. } | Self::ReviewCard { .. } => {
                Class::Post
            }
            Self::RefreshCards { .. } | Self::RefreshDigest { .. } | Self::RefreshReview { .. } => Class::Edit,
            Self::Remind { .. } | Self::ReviewNote { .. } | Self::NoteInThread { .. } | Self::TellThread { .. } => {
                Class::Note
            }
            Self::TellRequester
            | Self::FindPeople
            | Self::OpenCard { .. }
            | Self::PassOn { .. }
            | Self::TellApprover { .. }
            | Self::RefreshHomes
            | Self::PublishHome { .. }
            | Self::TellReviewers { .. }
            | Self::TellReviewer { .. } => Class::Direct,
        }
    }

    /// What the row's identifier names.
    pub fn about(&self) -> About {
        match self {
            Self::ReviewCard { .. }
            | Self::RefreshReview { .. }
            | Self::ReviewNote { .. }
            | Self::TellReviewers { .. }
            | Self::TellReviewer { .. } => About::Review,
            Self::PostDigest { .. } | Self::RefreshDigest { .. } => About::Digest,
            Self::PostCard { .. }
            | Self::PostDirectCard { .. }
            | Self::OpenCard { .. }
            | Self::RefreshCards { .. }
            | Self::TellRequester
            | Self::FindPeople
            | Self::PassOn { .. }
            | Self::TellApprover { .. }
            | Self::RefreshHomes
            | Self::PublishHome { .. }
            | Self::Remind { .. }
            | Self::NoteInThread { .. }
            | Self::TellThread { .. } => About::Request,
        }
    }
}

/// What a delivery is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// An access request.
    Request,
    /// The review of a broken glass.
    Review,
    /// A digest of access requests.
    Digest,
}

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

/// A row that will not be tried again, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// Its lane.
    pub lane: String,
    /// The access request that it is about.
    pub request_id: String,
    /// What was to be done.
    pub delivery: Delivery,
    /// How often it was tried.
    pub attempts: i64,
    /// What went wrong the last time.
    pub last_error: String,
}

pub(super) fn insert(
    script: &mut Script,
    request: &RequestId,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(), StoreError> {
    let class = delivery.class();
    script
        .run(
            "INSERT INTO outbox (lane, request_id, body, state, not_before, created_at, class, urgency)
             VALUES (?, ?, ?, 'ready', ?, ?, ?, ?)",
        )
        .bind(delivery.lane(request))
        .bind(request.as_str())
        .bind(rows::json(delivery)?)
        .bind(now.timestamp_millis())
        .bind(now.timestamp_millis())
        .bind(class.as_str())
        .bind(class.urgency());
    Ok(())
}

impl Store {
    /// Takes the most urgent due row of each lane of which none is under way, at most `most`, for `lease_seconds`.
    /// What is `closed`, written `lane/class`, is left alone.
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
                    let found = sqlx::query(
                        "WITH lanes AS (SELECT DISTINCT lane FROM outbox WHERE state = 'ready'),
                         free AS (SELECT lane FROM lanes WHERE NOT EXISTS (SELECT 1 FROM outbox AS held
                           WHERE held.state = 'ready' AND held.lane = lanes.lane AND held.lease IS NOT NULL
                             AND held.lease_until > $3)),
                         next AS (SELECT (SELECT o.id FROM outbox AS o
                             WHERE o.state = 'ready' AND o.lane = free.lane AND o.not_before <= $3
                               AND o.lane || '/' || o.class NOT IN (SELECT value FROM json_each($5))
                               AND NOT EXISTS (SELECT 1 FROM outbox AS earlier WHERE earlier.state = 'ready'
                                 AND earlier.request_id = o.request_id AND earlier.lane = o.lane AND earlier.id < o.id
                                 AND earlier.class IN ('post', o.class))
                             ORDER BY o.urgency, o.id LIMIT 1) AS id FROM free)
                         UPDATE outbox SET lease_until = $1, lease = $2, unsure = max(unsure, lease IS NOT NULL)
                         WHERE id IN (
                           SELECT o.id FROM next JOIN outbox AS o ON o.id = next.id ORDER BY o.urgency, o.id LIMIT $4)
                         RETURNING id, lane, request_id, body, attempts, unsure, created_at",
                    )
                    .bind(at + lease_seconds * 1_000)
                    .bind(&lease)
                    .bind(at)
                    .bind(i64::from(most))
                    .bind(closed)
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

    /// When the next row is due, if any waits.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn next_delivery_at(&self) -> Result<Option<Timestamp>, StoreError> {
        // What stands behind another row of its access request is not due before that one, and nothing of a lane
        // is due while a row of it is under way.
        let row = sqlx::query(
            "WITH waiting AS (SELECT o.lane, o.lease_until, max(o.not_before, coalesce((
                 SELECT max(earlier.not_before) FROM outbox AS earlier WHERE earlier.state = 'ready'
                   AND earlier.request_id = o.request_id AND earlier.lane = o.lane AND earlier.id < o.id
                   AND earlier.class IN ('post', o.class)), 0)) AS due FROM outbox AS o WHERE o.state = 'ready'),
             lanes AS (SELECT min(due) AS due, max(lease_until) AS held FROM waiting GROUP BY lane)
             SELECT min(max(due, held)) AS at FROM lanes",
        )
        .fetch_one(self.readers())
        .await?;
        let at: Option<i64> = row.try_get("at")?;
        at.map(|millis| rows::time("outbox", "next", millis)).transpose()
    }

    /// The access requests that people still decide about or whose grant is live.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn open_requests(&self, now: Timestamp) -> Result<Vec<RequestId>, StoreError> {
        let found = sqlx::query(
            "SELECT id FROM access_requests WHERE state = 'pending' AND decide_by > $1
             UNION SELECT request_id FROM grants WHERE state = 'live' AND expires_at > $1 AND request_id IS NOT NULL
             ORDER BY 1",
        )
        .bind(now.timestamp_millis())
        .fetch_all(self.readers())
        .await?;
        found.iter().map(id_of).collect()
    }

    /// Those of them whose card stands in a channel.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn requests_in(&self, channel: &SlackChannelId, now: Timestamp) -> Result<Vec<RequestId>, StoreError> {
        let found = sqlx::query(
            "SELECT request_id FROM cards WHERE channel = $1
             UNION SELECT r.request_id FROM digests AS d JOIN digest_requests AS r ON r.digest_id = d.id WHERE d.channel = $1",
        )
            .bind(channel.as_str())
            .fetch_all(self.readers())
            .await?;
        let there = found.iter().map(id_of).collect::<Result<std::collections::BTreeSet<_>, _>>()?;
        let open = self.open_requests(now).await?;
        Ok(open.into_iter().filter(|request| there.contains(request)).collect())
    }

    /// Slack gave a channel another id: its messages are there from now on.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn move_cards(&self, old: &SlackChannelId, new: &SlackChannelId) -> Result<(), StoreError> {
        let (old, new) = (old.to_string(), new.to_string());
        self.write(move |w| {
            Box::pin(async move {
                for moved in [
                    "UPDATE OR IGNORE cards SET channel = $1 WHERE channel = $2",
                    "UPDATE OR IGNORE digest_cards SET channel = $1 WHERE channel = $2",
                    "UPDATE digests SET channel = $1 WHERE channel = $2",
                ] {
                    sqlx::query(moved).bind(&new).bind(&old).execute(&mut w.conn).await?;
                }
                Ok(())
            })
        })
        .await
    }

    /// How many rows wait, and how many are dead.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn outbox_counts(&self) -> Result<(i64, i64), StoreError> {
        let row = sqlx::query(
            "SELECT coalesce(sum(state = 'ready'), 0) AS ready, coalesce(sum(state = 'dead'), 0) AS dead FROM outbox",
        )
        .fetch_one(self.readers())
        .await?;
        Ok((row.try_get("ready")?, row.try_get("dead")?))
    }

    /// The rows that will not be tried again, newest first, at most `most`.
    ///
    /// # Errors
    /// When the database does not answer.
    pub async fn dead_letters(&self, most: u32) -> Result<Vec<DeadLetter>, StoreError> {
        let found = sqlx::query("SELECT * FROM outbox WHERE state = 'dead' ORDER BY id DESC LIMIT $1")
            .bind(i64::from(most))
            .fetch_all(self.readers())
            .await?;
        found
            .iter()
            .map(|row| {
                let id: i64 = row.try_get("id")?;
                Ok(DeadLetter {
                    id,
                    lane: row.try_get("lane")?,
                    request_id: row.try_get("request_id")?,
                    delivery: rows::parse("outbox", &id.to_string(), row.try_get("body")?)?,
                    attempts: row.try_get("attempts")?,
                    last_error: row.try_get::<Option<String>, _>("last_error")?.unwrap_or_default(),
                })
            })
            .collect()
    }
}

fn id_of(row: &sqlx::sqlite::SqliteRow) -> Result<RequestId, StoreError> {
    let id: String = row.try_get(0)?;
    RequestId::parse(id.clone()).map_err(|e| StoreError::inconsistent("access_requests", &id, &e))
}

fn read(row: &sqlx::sqlite::SqliteRow, lease: &str) -> Result<Claimed, StoreError> {
    let id: i64 = row.try_get("id")?;
    let request: String = row.try_get("request_id")?;
    let attempts: i64 = row.try_get("attempts")?;
    Ok(Claimed {
        id,
        lane: row.try_get("lane")?,
        request_id: RequestId::parse(request).map_err(|e| StoreError::inconsistent("outbox", &id.to_string(), &e))?,
        delivery: rows::parse("outbox", &id.to_string(), row.try_get("body")?)?,
        attempts: u32::try_from(attempts).unwrap_or(u32::MAX),
        unsure: row.try_get::<i64, _>("unsure")? != 0,
        created_at: rows::time("outbox", &id.to_string(), row.try_get("created_at")?)?,
        lease: lease.to_owned(),
    })
}
