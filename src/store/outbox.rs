//! The outbox: what is to be told outside, committed with the state that it speaks of. [`super::lanes`] hands it out.
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
use crate::domain::ids::{RequestId, SlackUserId};

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
    pub(super) fn urgency(self) -> i64 {
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

/// A row that will not be tried again, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DeadLetter {
    /// Its number.
    pub id: i64,
    /// The workspace.
    pub workspace: String,
    /// Its lane there.
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

/// A row. Its lane is one of the workspace that the access request, review or digest belongs to.
macro_rules! into {
    () => {
        "INSERT INTO outbox (lane, request_id, body, state, not_before, created_at, class, urgency)
         SELECT coalesce((SELECT workspace FROM access_requests WHERE id = ?),
           (SELECT workspace FROM reviews WHERE id = ?),
           (SELECT r.workspace FROM digest_requests AS d JOIN access_requests AS r ON r.id = d.request_id
             WHERE d.digest_id = ? LIMIT 1),
           (SELECT value FROM facts WHERE name = 'workspace'), '') || '/' || ?, ?, ?, 'ready', ?, ?, ?, ?"
    };
}

pub(super) fn insert(
    script: &mut Script,
    request: &RequestId,
    delivery: &Delivery,
    now: Timestamp,
) -> Result<(), StoreError> {
    let class = delivery.class();
    let insert = match delivery {
        // For nobody who looks at App Home there is nothing to draw.
        Delivery::RefreshHomes => {
            concat!(into!(), " WHERE EXISTS (SELECT 1 FROM homes)")
        }
        _ => into!(),
    };
    script
        .run(insert)
        .bind(request.as_str())
        .bind(request.as_str())
        .bind(request.as_str())
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
                let (id, lane): (i64, String) = (row.try_get("id")?, row.try_get("lane")?);
                let (workspace, lane) = lane.split_once('/').unwrap_or(("", &lane));
                Ok(DeadLetter {
                    id,
                    workspace: workspace.to_owned(),
                    lane: lane.to_owned(),
                    request_id: row.try_get("request_id")?,
                    delivery: rows::parse("outbox", &id.to_string(), row.try_get("body")?)?,
                    attempts: row.try_get("attempts")?,
                    last_error: row.try_get::<Option<String>, _>("last_error")?.unwrap_or_default(),
                })
            })
            .collect()
    }
}
