//! What follows from an event: the state afterwards and its effects as data, or why nothing changes.

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::super::audit::AuditEntry;
use super::super::grant::Grant;
use super::super::ids::SlackUserId;
use super::{AccessRequest, Cooldown, Status};

/// What is to be done outside, as data. The worker renders from the store, so a late or repeated effect shows the truth.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Post the card to each of its channels.
    PostCards,
    /// Edit every card to what the store says.
    RefreshCards,
    /// Tell the requester where things stand, if they are in Slack.
    TellRequester,
    /// Tell people that nobody has decided yet.
    Remind {
        /// Which of the question's reminders, counted from 0.
        number: u32,
    },
    /// Say something in the card's thread.
    NoteInThread {
        /// What.
        text: String,
    },
    /// Tell the requester what an approver says to them.
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
}

/// What follows from an event: all of it is committed together, or none.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// The access request afterwards.
    pub next: AccessRequest,
    /// The grant that exists from now on.
    pub grant: Option<Grant>,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: AuditEntry,
    /// What is to be done outside.
    pub effects: Vec<Effect>,
}

/// Why an event changes nothing; a person can be told.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It was decided, expired or withdrawn.
    #[error("this request is already settled")]
    Settled(Status),
    /// What was clicked is not what is asked any more.
    #[error("this card is out of date")]
    OutOfDate,
    /// The person is in none of the approver sets.
    #[error("you are not one of the approvers")]
    NotAnApprover,
    /// The person asked for it, or is its subject or an actor.
    #[error("nobody decides on their own request")]
    OwnRequest,
    /// The person's approval is recorded already.
    #[error("your approval is already recorded")]
    AlreadyVoted,
    /// The person has no approval to take back.
    #[error("there is no approval of yours")]
    NotVoted,
    /// The person is a party to it and must say why they approve all the same.
    #[error("approving your own request needs a reason")]
    ReasonNeeded,
    /// The number that the client shows must be typed.
    #[error("the number that the client shows must be typed")]
    NumberNeeded,
    /// The client shows no number.
    #[error("the client shows no number")]
    NoNumber,
    /// The person typed a wrong number before.
    #[error("a wrong number was typed before")]
    Barred,
    /// It would grant more than what is shown, or something else.
    #[error("an approver can only take away")]
    Widens,
    /// Nothing is left that needs anybody's approval.
    #[error("nothing would be left to approve")]
    NothingLeft,
    /// What is left needs other people than this one.
    #[error("what is left is not for you to approve")]
    NotYoursToLeave,
    /// The server decides by itself how long its tokens live.
    #[error("this server cannot be given a shorter time")]
    CannotShorten,
    /// Whoever it is handed over to may not decide.
    #[error("only another approver can take it over")]
    CannotTakeOver,
    /// The approval came without what the rule's ceremony demands.
    #[error("this request needs a stronger ceremony than that")]
    CeremonyMissing,
    /// There is nothing to do.
    #[error("nothing has changed")]
    Nothing,
}
