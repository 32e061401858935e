//! What may happen to an access request, with everything that was learnt for it.

use super::super::audit::Actor;
use super::super::identity::Voter;
use super::super::ids::{GrantId, SlackUserId};
use super::super::policy::PolicyVersion;
use super::super::token_request::TokenRequest;
use super::{Filled, MessageRef, Proof, Repeats};

/// What may happen to an access request. Closed: a new one is a compile error in [`AccessRequest::apply`](super::AccessRequest::apply).
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// An approver clicked.
    Voted(Box<Ballot>),
    /// An approver takes an approval back.
    TookBack(Box<Voter>),
    /// An approver did something that decides nothing.
    Turned(Box<Voter>, Turn),
    /// Nobody can decide about it, for this reason.
    Undecidable(String),
    /// The same token request came again.
    AskedAgain(Box<TokenRequest>),
    /// The same token request came several times more, with nothing new in it.
    Repeated(Repeats),
    /// Time passed.
    TimePassed,
    /// It is withdrawn.
    Cancelled {
        /// By whom.
        by: Actor,
    },
    /// The account of somebody who may have voted is gone.
    ApproverGone {
        /// The account.
        user: SlackUserId,
    },
}

/// What an approver does that decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turn {
    /// "I'm looking at it."
    Claim,
    /// Says something to the requester.
    Comment(String),
    /// Asks another approver to decide.
    HandOver(Box<Voter>),
}

/// A click on a card, with everything learnt for it. Its identifier for a grant is drawn by the edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ballot {
    /// Who clicked.
    pub voter: Voter,
    /// For what.
    pub choice: Choice,
    /// What was filled in besides.
    pub filled: Filled,
    /// For how many seconds what is refused by it is refused again without asking.
    pub cooldown: u64,
    /// What shows that it was this person.
    pub proof: Proof,
    /// The version that the clicked button was made for.
    pub shown_version: u32,
    /// The message that was clicked.
    pub message: MessageRef,
    /// The policy at that moment.
    pub policy: PolicyVersion,
    /// The identifier that a grant would get.
    pub grant_id: GrantId,
}

/// What the click says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Choice {
    /// Yes, as shown or with less of it.
    Approve,
    /// No.
    Deny {
        /// Why, in the approver's words.
        reason: String,
    },
}
