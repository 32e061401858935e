//! Why a click counts for nothing, the words for the person, and the record.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use serde_json::json;

use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Refusal, State};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::identity::Outsider;
use crate::domain::ids::{SlackChannelId, SlackTeamId, SlackUserId};
use crate::domain::policy::Stricter;
use crate::domain::review::ReviewRefusal;
use crate::service::workspaces::Caller;
use crate::service::{Error, Service};
use crate::slack::click::Foreign;
use crate::slack::{Message, cards, text};
use crate::store::Commit;

/// How many refusals of one person are written down within a minute; further ones are only counted.
const REFUSALS_PER_MINUTE: u32 = 20;
/// How many people's refusals are counted at once before the oldest minute is forgotten.
const REFUSALS_PEOPLE_MAX: usize = 10_000;

/// Why a click counts for nothing. Every variant has words for the person and a word for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::service) enum Why {
    Foreign(Foreign),
    Outsider(Outsider),
    Unmapped,
    UnknownButton,
    OtherMessage,
    /// What it is about belongs to another workspace than the one it was clicked in.
    Elsewhere,
    Malformed(&'static str),
    SlackDown,
    /// Slack did not open the form in time.
    NoForm,
    NotEnforced,
    MayNotRevoke,
    GrantOver,
    /// A number was typed that is not the client's.
    WrongNumber,
    /// Who must not decide cannot be told.
    OwnersUnknown(String),
    /// The policy has changed and wants more than was asked.
    PolicyChanged(Stricter),
    Refused(Refusal),
    Review(ReviewRefusal),
}

impl Why {
    /// Whether nothing was said against anybody: what had to be asked could not be asked.
    pub(in crate::service) fn is_unavailable(&self) -> bool {
        *self == Self::SlackDown
    }

    fn code(&self) -> &'static str {
        match self {
            Self::Foreign(foreign) => foreign.as_str(),
            Self::Outsider(Outsider::Deactivated) => "deactivated",
            Self::Outsider(Outsider::Bot) => "bot",
            Self::Outsider(Outsider::Guest) => "guest",
            Self::Outsider(Outsider::OtherWorkspace) => "other_workspace_user",
            Self::Unmapped => "not_mapped",
            Self::UnknownButton => "unknown_button",
            Self::OtherMessage => "other_message",
            Self::Elsewhere => "of_another_workspace",
            Self::Malformed(_) => "malformed",
            Self::SlackDown => "slack_unavailable",
            Self::NoForm => "form_not_opened",
            Self::NotEnforced => "ceremony_not_enforced",
            Self::MayNotRevoke => "may_not_revoke",
            Self::GrantOver => "grant_over",
            Self::WrongNumber => "wrong_number",
            Self::OwnersUnknown(_) => "owners_unknown",
            Self::PolicyChanged(Stricter::Refuses(_)) => "policy_refuses_now",
            Self::PolicyChanged(Stricter::Shorter(_)) => "policy_allows_less_time_now",
            Self::PolicyChanged(Stricter::WantsMore) => "policy_wants_more_now",
            Self::Refused(Refusal::NotVoted) => "not_voted",
            Self::Refused(Refusal::ReasonNeeded) => "reason_needed",
            Self::Refused(Refusal::NumberNeeded) => "number_needed",
            Self::Refused(Refusal::NoNumber) => "no_number",
            Self::Refused(Refusal::Barred) => "barred",
            Self::Refused(Refusal::Widens) => "widens",
            Self::Refused(Refusal::NothingLeft) => "nothing_left",
            Self::Refused(Refusal::NotYoursToLeave) => "not_yours_to_leave",
            Self::Refused(Refusal::CannotShorten) => "cannot_shorten",
            Self::Refused(Refusal::CannotTakeOver) => "cannot_take_over",
            Self::Review(ReviewRefusal::Answered) => "review_answered",
            Self::Review(ReviewRefusal::NotAReviewer) => "not_a_reviewer",
            Self::Review(ReviewRefusal::OwnDoing) => "own_doing",
            Self::Refused(Refusal::Settled(_)) => "already_settled",
            Self::Refused(Refusal::OutOfDate) => "out_of_date",
            Self::Refused(Refusal::NotAnApprover) => "not_an_approver",
            Self::Refused(Refusal::OwnRequest) => "own_request",
            Self::Refused(Refusal::AlreadyVoted) => "already_voted",
            Self::Refused(Refusal::CeremonyMissing) => "ceremony_missing",
            Self::Refused(Refusal::Nothing) => "nothing_to_do",
        }
    }
}

/// Who clicked, for the record.
pub(in crate::service) struct Clicked<'a> {
    pub user: Option<&'a SlackUserId>,
    /// The workspace that the account says to be of.
    pub team: Option<&'a str>,
    /// The workspace that it reached us through.
    pub through: Option<&'a SlackTeamId>,
}

/// Counts refusals per person, so that nobody can flood the audit.
#[derive(Default)]
pub(in crate::service) struct Refusals(Mutex<HashMap<String, (i64, u32)>>);

impl Refusals {
    pub(in crate::service) fn may_be_written(&self, who: &str, now: Timestamp) -> bool {
        let minute = now.timestamp() / 60;
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= REFUSALS_PEOPLE_MAX {
            all.retain(|_, (at, _)| *at == minute);
        }
        let entry = all.entry(who.to_owned()).or_insert((minute, 0));
        if entry.0 != minute {
            *entry = (minute, 0);
        }
        entry.1 += 1;
        entry.1 <= REFUSALS_PER_MINUTE
    }
}

impl Service {
    /// A refusal is written down at a bounded rate and whispered to whoever clicked.
    pub(in crate::service) async fn refused(
        &self,
        from: &Caller,
        channel: Option<&SlackChannelId>,
        request: Option<&AccessRequest>,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.write_down(from, request, why, now).await?;
        whisper(from, channel, cards::refusal(&self.words(why, request)));
        Ok(())
    }

    pub(in crate::service) async fn write_down(
        &self,
        from: &Caller,
        request: Option<&AccessRequest>,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), Error> {
        let user = from.origin.user.as_ref();
        let team = user.and_then(|user| user.team_id.as_deref());
        let who = Clicked { user: user.map(|user| &user.id), team, through: Some(from.place.team()) };
        self.write_refusal(who, request, why.code(), now).await
    }

    /// One refused click, form or confirmation, at a bounded rate for each person.
    pub(in crate::service) async fn write_refusal(
        &self,
        Clicked { user, team, through }: Clicked<'_>,
        request: Option<&AccessRequest>,
        why: &'static str,
        now: Timestamp,
    ) -> Result<(), Error> {
        metrics::counter!("countersign_clicks_refused_total", "why" => why).increment(1);
        let who = user.map_or("nobody", |user| user.as_str());
        // The same id in two workspaces is two people.
        let counted = through.map_or_else(|| who.to_owned(), |through| format!("{through}/{who}"));
        if !self.0.refusals.may_be_written(&counted, now) {
            return Ok(());
        }
        let audit = AuditEntry {
            at: now,
            kind: Kind::ClickRefused,
            actor: user.map_or(Actor::Service, |user| Actor::Person(user.clone(), None)),
            request_id: request.map(|request| request.id.clone()),
            grant_id: None,
            summary: format!("a click of {who} was refused: {}", why.replace('_', " ")),
            detail: json!({
                "why": why, "team": team, "through": through, "shown_version": request.map(|request| request.shown_version),
                "policy": self.policy().version,
            }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }

    /// The words for the person. Of what belongs to another workspace they say nothing. Else they say that nothing was changed, and who can decide.
    pub(in crate::service) fn words(&self, why: &Why, request: Option<&AccessRequest>) -> String {
        let theirs = request.filter(|_| *why != Why::Elsewhere);
        let who = theirs.map(|request| self.approver_words(request)).unwrap_or_default();
        let can =
            if who.is_empty() { String::new() } else { format!(" {who} can decide, never the person who asked.") };
        let text = match why {
            Why::Foreign(_) | Why::Outsider(Outsider::OtherWorkspace) => {
                format!("You can't decide this request: only members of this workspace can.{can}")
            }
            Why::Outsider(Outsider::Deactivated | Outsider::Bot | Outsider::Guest) => {
                format!("You can't decide this request: guests, bots and deactivated accounts never can.{can}")
            }
            Why::Unmapped => format!(
                "You can't decide this request: your Slack account is not mapped to anybody in the directory. Ask an operator.{can}"
            ),
            Why::UnknownButton | Why::OtherMessage | Why::Refused(Refusal::OutOfDate) => {
                "This button is out of date. Look for the newest card of this request.".to_owned()
            }
            Why::Elsewhere => "This belongs to another workspace: only its members can decide it.".to_owned(),
            Why::Malformed(_) => "That could not be understood.".to_owned(),
            Why::SlackDown => {
                "Slack could not be asked just now whether you may decide. Try again in a moment.".to_owned()
            }
            Why::NoForm => {
                "The form could not be opened: Slack allows three seconds for it. Press the button again.".to_owned()
            }
            Why::NotEnforced => "This request needs a ceremony that this version does not offer.".to_owned(),
            Why::MayNotRevoke => format!("You can't revoke this grant: an approver or the requester can.{can}"),
            Why::GrantOver => "This grant is over already.".to_owned(),
            Why::Review(ReviewRefusal::Answered) => "This review was already answered.".to_owned(),
            Why::Review(ReviewRefusal::NotAReviewer) => {
                "You can't answer this review: only those whom the policy tells of it can.".to_owned()
            }
            Why::Review(ReviewRefusal::OwnDoing) => "You can't review what you did yourself.".to_owned(),
            Why::Refused(Refusal::NotAnApprover) => format!("You can't decide this request.{can}"),
            Why::Refused(Refusal::OwnRequest) => format!("You can't decide your own request.{can}"),
            Why::Refused(Refusal::CeremonyMissing) => {
                "This request needs more than a click: look for the newest card of this request.".to_owned()
            }
            Why::WrongNumber if request.is_some_and(|request| !matches!(request.state, State::Pending)) => {
                return "That is not the number that the client shows. It was the third wrong one, so this request is denied.".to_owned();
            }
            Why::WrongNumber => {
                return "That is not the number that the client shows. You can't approve this request any more; another approver can.".to_owned();
            }
            Why::OwnersUnknown(says) => format!("{} Until an operator mends the policy nobody can decide.", inert_words(says)),
            Why::PolicyChanged(stricter) => policy_words(stricter),
            Why::Refused(Refusal::NotVoted) => "There is no approval of yours to take back.".to_owned(),
            Why::Refused(Refusal::ReasonNeeded) => {
                "You are a party to this request: approving it needs a reason of yours. Press Approve again and give one."
                    .to_owned()
            }
            Why::Refused(Refusal::NumberNeeded) => {
                "Approving this needs the number that the client shows its user.".to_owned()
            }
            Why::Refused(Refusal::NoNumber) => {
                "The client shows no number, so this request can't be approved. It can be denied.".to_owned()
            }
            Why::Refused(Refusal::Barred) => {
                format!("You typed a wrong number before, so you can't approve this request.{can}")
            }
            Why::Refused(Refusal::Widens) => "An approver can take scopes and time away, never add any.".to_owned(),
            Why::Refused(Refusal::NothingLeft) => {
                "What you left needs nobody's approval. Deny the request instead: the client can ask for that alone."
                    .to_owned()
            }
            Why::Refused(Refusal::NotYoursToLeave) => {
                "What you left is for other approvers to decide. Keep something of yours, or deny the request.".to_owned()
            }
            Why::Refused(Refusal::CannotShorten) => {
                "This server decides by itself how long its tokens live, so the time can't be made shorter.".to_owned()
            }
            Why::Refused(Refusal::CannotTakeOver) => {
                format!("Only another approver of this request can take it over.{can}")
            }
            Why::Refused(Refusal::AlreadyVoted) => "Your approval is already recorded.".to_owned(),
            Why::Refused(Refusal::Settled(_) | Refusal::Nothing) => request.map(settled_words).unwrap_or_default(),
        };
        format!("{text} Nothing was changed.")
    }
}

/// Tells whoever did something what became of it, where only they see it. It is nothing that must not be lost.
pub(super) fn whisper(from: &Caller, channel: Option<&SlackChannelId>, message: Message) {
    let user = from.origin.user.as_ref().map(|user| user.id.clone());
    let (Some(channel), Some(user)) = (channel.cloned(), user) else { return };
    let slack = from.place.workspace.slack.clone();
    tokio::spawn(async move {
        if let Err(error) = slack.whisper(&channel, &user, &message).await {
            tracing::warn!(error = error.code(), "an answer to a click could not be whispered");
        }
    });
}

/// What the policy of now wants besides.
fn policy_words(stricter: &Stricter) -> String {
    let again = "Deny it, or let it expire and have the client ask again.";
    match stricter {
        Stricter::Refuses(says) => {
            format!("The policy has changed since this was asked, and refuses it now: {} {again}", inert_words(says))
        }
        Stricter::Shorter(seconds) => format!(
            "The policy has changed since this was asked, and allows at most {} now. Approve with changes, for less time.",
            text::duration(*seconds)
        ),
        Stricter::WantsMore => format!(
            "The policy has changed since this was asked, and wants more people or a stronger ceremony now. {again}"
        ),
    }
}

/// What a policy says, with nothing in it that Slack would take for a mention or a link.
fn inert_words(says: &str) -> String {
    text::escape(&text::clean(says))
}

fn settled_words(request: &AccessRequest) -> String {
    match &request.state {
        State::Denied { by: Actor::Person(user, _), .. } => format!("This request was already denied by <@{user}>."),
        State::Denied { .. } => "This request was already denied.".to_owned(),
        State::Approved { .. } => match request.votes.last() {
            Some(vote) => format!("This request was already approved by <@{}>.", vote.voter.slack),
            None => "This request was already approved.".to_owned(),
        },
        State::Pending | State::Expired { .. } => "This request has expired: nobody decided in time.".to_owned(),
        State::Cancelled { .. } => match &request.deciding.because {
            Some(because) => inert_words(because),
            None => "This request was withdrawn.".to_owned(),
        },
    }
}
