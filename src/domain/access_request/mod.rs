//! An access request: people are asked whether a token may be issued.
//!
//! `open` gives birth to one, `apply` is everything that can happen to it afterwards. Nothing leaves a
//! terminal state, a vote counts only for the version that was shown, and what is granted is what was shown.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::Timestamp;
use super::audit::{Actor, Kind};
use super::grant::{after, spoken};
use super::identity::Voter;
use super::ids::{GrantId, RequestId, SlackChannelId, SlackUserId};
use super::policy::{PolicyVersion, Question};
use super::token_request::TokenRequest;

mod cooldown;
mod deciding;
mod desk;
mod event;
mod hours;
mod life;
mod narrow;
mod origin;
mod proof;
mod reminding;
mod step;
mod vote;

pub use cooldown::{Cooldown, Denials, audiences};
pub use deciding::{
    Claim, Deciding, Earlier, Filled, HandOver, History, Narrowing, Shown, TakenBack, WRONG_NUMBERS_MAX, WrongNumber,
};
pub use event::{Ballot, Choice, Event, Turn};
pub use hours::{Clock, is_out_of_hours, is_weekend};
pub use narrow::Less;
pub use origin::{Ahead, Asker, Extension, Origin, speaks_for};
pub use proof::{Proof, StepUp};
pub use reminding::Repeats;
pub use step::{Effect, Refusal, Step};
pub use vote::{counts_for, would_meet};

/// An access request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AccessRequest {
    /// Its identifier.
    pub id: RequestId,
    /// The token request that opened it.
    pub asked: TokenRequest,
    /// What people are asked, with what would be granted.
    pub question: Question,
    /// How long the grant would last, in seconds: min(asked, the policy's maximum).
    pub duration: u64,
    /// What this authorization server can do; the card offers no more.
    pub server: ServerAbilities,
    /// The policy that opened it.
    pub policy: PolicyVersion,
    /// Counts what is asked; a decision binds to it.
    pub shown_version: u32,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// When it expires unless decided.
    pub decide_by: Timestamp,
    /// The votes so far, in order.
    pub votes: Vec<Vote>,
    /// Approvers whose votes do not count any more, because their account is gone.
    #[serde(default)]
    pub struck: BTreeSet<SlackUserId>,
    /// Differing retries that were noted already, as hashes.
    pub noted: BTreeSet<String>,
    /// What is remembered of the people who decide.
    #[serde(default)]
    pub deciding: Deciding,
    /// How it came about.
    #[serde(default)]
    pub origin: Origin,
    /// How many of its reminders were sent.
    #[serde(default)]
    pub reminded: u32,
    /// How often the same token request came again, as far as that is written down.
    #[serde(default)]
    pub repeats: Option<Repeats>,
    /// Where it stands.
    pub state: State,
    /// The compare-and-swap counter; it never leaves the store.
    pub version: i64,
}

/// What the dialect's server can do with an answer, as far as people need to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerAbilities {
    /// It can issue fewer scopes than were asked for.
    pub narrow_scope: bool,
    /// It can issue a token that lives as long as we say.
    pub set_lifetime: bool,
    /// It can be told to revoke what it issued.
    pub revoke: bool,
}

/// Where an access request stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum State {
    /// People are asked.
    Pending,
    /// Every requirement is met; the grant lives on by itself.
    Approved {
        /// When the last vote came.
        at: Timestamp,
        /// The grant.
        grant: GrantId,
    },
    /// An approver denied.
    Denied {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// Why, in the approver's words.
        reason: String,
    },
    /// Nobody decided in time.
    Expired {
        /// When that was written down.
        at: Timestamp,
    },
    /// It was withdrawn.
    Cancelled {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
    },
}

/// The five words of the Access Request and Approval Profile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// People are asked.
    Pending,
    /// Every requirement was met.
    Approved,
    /// An approver denied.
    Denied,
    /// Nobody decided in time.
    Expired,
    /// Withdrawn.
    Cancelled,
}

impl Status {
    /// The word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Approved => "approved",
            Self::Denied => "denied",
            Self::Expired => "expired",
            Self::Cancelled => "cancelled",
        }
    }
}

/// An approval that was counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who, as known at the click.
    pub voter: Voter,
    /// The requirements (by index) it may count for.
    pub counts_for: Vec<usize>,
    /// When.
    pub at: Timestamp,
    /// What was shown.
    pub shown_version: u32,
    /// The message that was clicked.
    pub message: MessageRef,
    /// The policy at that moment.
    pub policy: PolicyVersion,
    /// Its place among all votes of the request, those that were taken back included.
    #[serde(default)]
    pub place: u32,
    /// What it was given for.
    #[serde(default)]
    pub shown: Option<Shown>,
    /// Why, in the approver's words, where they gave any.
    #[serde(default)]
    pub note: Option<String>,
    /// What showed that it was the approver.
    #[serde(default)]
    pub proof: Proof,
}

/// A message in Slack.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct MessageRef {
    /// The conversation.
    pub channel: SlackChannelId,
    /// Slack's time stamp, which is the message's identifier there.
    pub ts: String,
}

impl AccessRequest {
    /// Birth: the first token request, already judged. Later ones are [`Event::AskedAgain`].
    pub fn open(
        id: RequestId,
        asked: TokenRequest,
        question: Question,
        server: ServerAbilities,
        policy: PolicyVersion,
        now: Timestamp,
    ) -> Step {
        let duration = asked.requested_lifetime.unwrap_or(u64::MAX).min(question.terms.bounds.max_duration);
        let decide_by = after(now, question.decide_within);
        let hook = Actor::Hook(asked.hook.clone());
        let (votes, noted, state) = (Vec::new(), BTreeSet::new(), State::Pending);
        let deciding = Deciding::default();
        let (shown_version, version, opened_at) = (1, 0, now);
        let next = Self {
            id,
            asked,
            question,
            duration,
            server,
            policy,
            shown_version,
            opened_at,
            decide_by,
            votes,
            struck: BTreeSet::new(),
            noted,
            deciding,
            origin: Origin::Hook,
            reminded: 0,
            repeats: None,
            state,
            version,
        };
        let summary = format!(
            "{} asks for {} as {}",
            next.asked.client.id,
            spoken(&next.question.terms.scopes),
            next.asked.subject.id
        );
        let detail = json!({
            "fingerprint": next.asked.fingerprint(), "scopes": next.question.terms.scopes, "audience": next.asked.audience,
            "duration": next.duration, "decide_by": next.decide_by, "reason": next.asked.reason,
            "shown_version": next.shown_version,
        });
        let audit = next.entry(Kind::RequestOpened, hook, summary, detail, now);
        let effects = vec![Effect::PostCards, Effect::TellRequester];
        Step { next, grant: None, cooldowns: Vec::new(), audit, effects }
    }

    /// Everything that can happen afterwards.
    ///
    /// # Errors
    /// [`Refusal`]: nothing changes, and a person can be told why.
    pub fn apply(&self, event: Event, now: Timestamp) -> Result<Step, Refusal> {
        match self.status(now) {
            Status::Pending => {}
            Status::Expired if self.state == State::Pending => {
                return if event == Event::TimePassed {
                    Ok(self.expire(now))
                } else {
                    Err(Refusal::Settled(Status::Expired))
                };
            }
            settled @ (Status::Approved | Status::Denied | Status::Expired | Status::Cancelled) => {
                return Err(if event == Event::TimePassed { Refusal::Nothing } else { Refusal::Settled(settled) });
            }
        }
        match event {
            Event::TimePassed => self.remind(now),
            Event::Repeated(more) => self.repeat(&more, now),
            Event::Cancelled { by } => Ok(self.cancel(by, now)),
            Event::AskedAgain(asked) => self.ask_again(&asked, now),
            Event::Voted(ballot) => self.vote(*ballot, now).map(|mut step| {
                step.cooldowns = self.at_each_hook(step.cooldowns);
                step
            }),
            Event::TookBack(voter) => self.take_back(&voter, now),
            Event::Turned(voter, turn) => self.turn(&voter, turn, now),
            Event::Undecidable(why) => Ok(self.undecidable(why, now)),
            Event::ApproverGone { user } => self.strike(&user, now).ok_or(Refusal::Nothing),
        }
    }

    /// Where it stands at `now`: a deadline that has passed counts, whether or not anybody wrote it down.
    pub fn status(&self, now: Timestamp) -> Status {
        match &self.state {
            State::Pending if now >= self.decide_by => Status::Expired,
            State::Pending
            | State::Approved { .. }
            | State::Denied { .. }
            | State::Expired { .. }
            | State::Cancelled { .. } => self.settled(),
        }
    }

    /// The word for its state as it was written down, without a look at the clock.
    pub fn settled(&self) -> Status {
        match &self.state {
            State::Pending => Status::Pending,
            State::Approved { .. } => Status::Approved,
            State::Denied { .. } => Status::Denied,
            State::Expired { .. } => Status::Expired,
            State::Cancelled { .. } => Status::Cancelled,
        }
    }

    /// When it next wants to hear that time has passed.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            State::Pending => {
                let reminder = self.next_reminder().map(|(_, at)| at);
                reminder.into_iter().chain([self.decide_by]).min()
            }
            State::Approved { .. } | State::Denied { .. } | State::Expired { .. } | State::Cancelled { .. } => None,
        }
    }
}
