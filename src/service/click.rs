//! Somebody clicks. The payload is believed for who, which message and which opaque value; everything else is
//! read from the store, and every check is made now.
//!
//! The order: our app, our workspace, the user's workspace; the button and its message; the account's standing;
//! the approver sets of this request; not a party to it; not voted yet; and at last the compare-and-swap.

use std::collections::{BTreeSet, HashMap};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{CONFLICTS_MAX, Error, Service, fresh_grant_id};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Ballot, Choice, Event, MessageRef, Refusal, State, Status};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{Grant, NotIssued};
use crate::domain::identity::{EmailMapping, Outsider, Principal, Voter};
use crate::domain::ids::{RequestId, SetName, SlackChannelId, SlackGroupId, SlackUserId};
use crate::domain::policy::Ceremony;
use crate::domain::token_request::SubjectKind;
use crate::slack::click::{Foreign, Origin, Press, Submission, origin_refusal};
use crate::slack::{cards, forms};
use crate::store::{Button, Change, Commit, Delivery, Outcome};

/// How many refusals of one person are written down within a minute; further ones are only counted.
const REFUSALS_PER_MINUTE: u32 = 20;
/// How many people's refusals are counted at once before the oldest minute is forgotten.
const REFUSALS_PEOPLE_MAX: usize = 10_000;

/// Why a click counts for nothing. Every variant has words for the person and a word for the audit.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Why {
    Foreign(Foreign),
    Outsider(Outsider),
    Unmapped,
    UnknownButton,
    OtherMessage,
    Malformed(&'static str),
    SlackDown,
    NotEnforced,
    MayNotRevoke,
    GrantOver,
    Refused(Refusal),
}

/// What a form's sender sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormAnswer {
    /// The form closes.
    Close,
    /// The form shows these words instead.
    Say(String),
}

/// A click that passed the checks on where it comes from and what it carries.
struct Checked {
    request: AccessRequest,
    button: Button,
    message: MessageRef,
    voter: Voter,
}

/// The approver sets that somebody is in, the user groups through which, and when the oldest part was learnt.
struct Sets {
    member_of: BTreeSet<SetName>,
    groups: BTreeSet<SlackGroupId>,
    learnt_at: Timestamp,
}

/// What a form carries from the click that opened it to its submission.
#[derive(Debug, Serialize, Deserialize)]
struct Carried {
    v: String,
    c: String,
    t: String,
}

/// Counts refusals per person, so that nobody can flood the audit.
#[derive(Default)]
pub(super) struct Refusals(Mutex<HashMap<String, (i64, u32)>>);

impl Refusals {
    pub(super) fn may_be_written(&self, who: &str, now: Timestamp) -> bool {
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
    /// A button was pressed. Whatever it leads to is committed when this returns; a refusal is whispered.
    ///
    /// # Errors
    /// When the store does not answer: then the click must not be acknowledged.
    pub async fn pressed(&self, press: &Press) -> Result<(), Error> {
        let now = self.now();
        let outcome = match self.check(&press.origin, &press.value, press.message.as_ref(), press.actions, now).await? {
            Ok(checked) => {
                let stray = self.stray(&checked, now).await?;
                let acted = match press.action.as_str() {
                    "approve" => self.approve(checked, now).await?,
                    "deny" => self.ask_for_a_reason(checked, press, now).await,
                    "revoke" => self.revoke_by_click(checked, now).await?,
                    "details" => self.show_details(&checked, press).await,
                    _ => Err((Some(Box::new(checked.request)), Why::Malformed("unknown button"))),
                };
                if let (Err(_), Some((request, message))) = (&acted, stray) {
                    self.adopt(request, message, now).await?;
                }
                acted
            }
            Err(refused) => Err(refused),
        };
        if let Err((request, why)) = outcome {
            let request = match request {
                Some(request) => Some(request),
                // Whoever comes from elsewhere is told who can decide, too.
                None => self.request_of_button(&press.value).await?.map(Box::new),
            };
            self.refused(&press.origin, press.channel.as_ref(), request.as_deref(), &why, now).await?;
        }
        Ok(())
    }

    /// A form was sent.
    ///
    /// # Errors
    /// When the store does not answer: then the form must not be acknowledged.
    pub async fn submitted(&self, form: &Submission) -> Result<FormAnswer, Error> {
        let now = self.now();
        let carried = serde_json::from_str::<Carried>(&form.private_metadata).ok();
        let message = carried.as_ref().and_then(|carried| {
            Some(MessageRef { channel: SlackChannelId::parse(carried.c.clone()).ok()?, ts: carried.t.clone() })
        });
        let value = carried.map(|carried| carried.v).unwrap_or_default();
        let reason = form.value("reason", "reason").trim().to_owned();
        let outcome = match self.check(&form.origin, &value, message.as_ref(), 1, now).await? {
            Ok(checked) if form.callback_id == "deny" && !reason.is_empty() => self.deny(checked, reason, now).await?,
            Ok(checked) => Err((Some(Box::new(checked.request)), Why::Malformed("unknown form"))),
            Err(refused) => Err(refused),
        };
        let Err((request, why)) = outcome else { return Ok(FormAnswer::Close) };
        self.write_down(&form.origin, request.as_deref(), &why, now).await?;
        Ok(FormAnswer::Say(self.words(&why, request.as_deref())))
    }

    async fn request_of_button(&self, value: &str) -> Result<Option<AccessRequest>, Error> {
        match self.0.store.button(value).await? {
            Some(button) => Ok(self.0.store.request(&button.request).await?),
            None => Ok(None),
        }
    }

    /// Everything up to the approver sets.
    async fn check(
        &self,
        origin: &Origin,
        value: &str,
        message: Option<&MessageRef>,
        actions: usize,
        now: Timestamp,
    ) -> Result<Result<Checked, Refused>, Error> {
        let (app_id, team_id) = self.slack_installation();
        if let Some(foreign) = origin_refusal(origin, app_id, team_id) {
            return Ok(Err((None, Why::Foreign(foreign))));
        }
        let Some(user) = &origin.user else { return Ok(Err((None, Why::Foreign(Foreign::Nobody)))) };
        if actions != 1 {
            return Ok(Err((None, Why::Malformed("not exactly one action"))));
        }
        let Some(button) = self.0.store.button(value).await? else { return Ok(Err((None, Why::UnknownButton))) };
        let Some(request) = self.0.store.request(&button.request).await? else {
            return Ok(Err((None, Why::UnknownButton)));
        };
        let there = message.filter(|m| m.channel.as_str() == button.channel);
        let there = there.filter(|m| button.ts.as_ref().is_none_or(|ts| *ts == m.ts)).cloned();
        let Some(message) = there else { return Ok(Err((Some(Box::new(request)), Why::OtherMessage))) };
        match self.voter(&user.id, &request, now).await {
            Ok(voter) => Ok(Ok(Checked { request, button, message, voter })),
            Err(why) => Ok(Err((Some(Box::new(request)), why))),
        }
    }

    /// Who this is, asked of Slack now: the account's standing, its identity, its approver sets. Both questions
    /// go out together, because Slack waits for three seconds only.
    async fn voter(&self, user: &SlackUserId, request: &AccessRequest, now: Timestamp) -> Result<Voter, Why> {
        let inner = &self.0;
        let maps = inner.settings.directory.email == EmailMapping::Verified;
        let (standing, sets) = tokio::join!(inner.people.standing(user, maps, now), self.sets_of(user, request, now));
        let (standing, standing_at) = standing.map_err(|_| Why::SlackDown)?;
        if let Some(outsider) = standing.outsider(&inner.settings.team_id) {
            return Err(Why::Outsider(outsider));
        }
        let principal = inner.settings.directory.principal(user, &standing).ok_or(Why::Unmapped)?;
        let possible = inner.settings.directory.possible(user, &standing);
        let Sets { member_of, groups, learnt_at } = sets?;
        let learnt_at = learnt_at.min(standing_at);
        Ok(Voter { slack: user.clone(), principal, possible, member_of, groups, learnt_at })
    }

    /// The approver sets of a request that somebody is in, as the current policy defines them, and when the
    /// oldest part of that was learnt. What cannot be asked counts as "not in", and refuses if nothing else is.
    async fn sets_of(&self, user: &SlackUserId, request: &AccessRequest, now: Timestamp) -> Result<Sets, Why> {
        let policy = self.policy();
        let mut sets = Sets { member_of: BTreeSet::new(), groups: BTreeSet::new(), learnt_at: now };
        let mut unknown = false;
        for name in request.question.requirements.iter().flat_map(|requirement| &requirement.approvers) {
            let Some(set) = policy.approvers.get(name) else { continue };
            let mut is_in = set.users.contains(user);
            for group in &set.groups {
                if is_in {
                    break;
                }
                match self.0.people.is_member(group, user, now).await {
                    Ok((answer, at)) => {
                        (is_in, sets.learnt_at) = (answer, sets.learnt_at.min(at));
                        sets.groups.extend(answer.then(|| group.clone()));
                    }
                    Err(_) => unknown = true,
                }
            }
            if is_in {
                sets.member_of.insert(name.clone());
            }
        }
        if sets.member_of.is_empty() && unknown { Err(Why::SlackDown) } else { Ok(sets) }
    }

    async fn approve(&self, checked: Checked, now: Timestamp) -> Result<Acted, Error> {
        if checked.request.question.ceremony > Ceremony::Confirm {
            return Ok(Err((Some(Box::new(checked.request)), Why::NotEnforced)));
        }
        self.vote(checked, Choice::Approve, now).await
    }

    async fn deny(&self, checked: Checked, reason: String, now: Timestamp) -> Result<Acted, Error> {
        let cooldown = self.policy().limits.denial_cooldown;
        self.vote(checked, Choice::Deny { reason, cooldown }, now).await
    }

    async fn vote(&self, checked: Checked, choice: Choice, now: Timestamp) -> Result<Acted, Error> {
        let Checked { mut request, button, message, voter } = checked;
        for _ in 0..CONFLICTS_MAX {
            let ballot = Ballot {
                voter: voter.clone(),
                choice: choice.clone(),
                shown_version: button.shown_version,
                message: message.clone(),
                policy: self.policy().version.clone(),
                grant_id: fresh_grant_id()?,
            };
            let step = match request.apply(Event::Voted(Box::new(ballot)), now) {
                Ok(step) => step,
                Err(refusal) => return Ok(Err((Some(Box::new(request)), Why::Refused(refusal)))),
            };
            let mut commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            commit.vote =
                (step.next.votes.len() > request.votes.len()).then(|| step.next.votes.last().cloned()).flatten();
            commit.bind = Some((button.hash.clone(), message.clone()));
            commit.card = button.ts.is_none().then(|| (request.id.clone(), message.clone()));
            match self.0.store.commit(commit, now).await? {
                Outcome::Done => {
                    self.tell(Some(&request.id));
                    return Ok(Ok(()));
                }
                Outcome::Conflict => match self.0.store.request(&request.id).await? {
                    Some(again) if again.version != request.version => request = again,
                    // Not the request but the button was taken: another message was clicked first.
                    Some(same) => return Ok(Err((Some(Box::new(same)), Why::OtherMessage))),
                    None => return Err(Error::Busy),
                },
            }
        }
        Err(Error::Busy)
    }

    /// A card that the store does not know, of a request that is settled: it was posted and its answer was lost.
    async fn stray(&self, checked: &Checked, now: Timestamp) -> Result<Option<(RequestId, MessageRef)>, Error> {
        let Checked { request, button, message, .. } = checked;
        if button.ts.is_some() || request.status(now) == Status::Pending {
            return Ok(None);
        }
        let known = self.0.store.cards(&request.id).await?.contains(message);
        Ok((!known).then(|| (request.id.clone(), message.clone())))
    }

    /// The click came too late, but it says where that card is: from now on it is edited like any other.
    async fn adopt(&self, request: RequestId, message: MessageRef, now: Timestamp) -> Result<(), Error> {
        let refresh = Delivery::RefreshCards { channel: message.channel.to_string() };
        let deliveries = vec![(request.clone(), refresh)];
        self.0.store.commit(Commit { deliveries, card: Some((request, message)), ..Commit::default() }, now).await?;
        self.tell(None);
        Ok(())
    }

    /// Deny… opens a form; whoever may not decide learns so before filling it in.
    async fn ask_for_a_reason(&self, checked: Checked, press: &Press, now: Timestamp) -> Acted {
        let refusal = match checked.request.status(now) {
            Status::Pending => checked.request.eligible(&checked.voter).err(),
            settled => Some(Refusal::Settled(settled)),
        };
        let stale = (checked.button.shown_version != checked.request.shown_version).then_some(Refusal::OutOfDate);
        if let Some(refusal) = refusal.or(stale) {
            return Err((Some(Box::new(checked.request)), Why::Refused(refusal)));
        }
        let Checked { request, message, .. } = checked;
        let carried = Carried { v: press.value.clone(), c: message.channel.to_string(), t: message.ts };
        let carried = json!(carried).to_string();
        let form = self.with_facts(&request, None, "", |facts| forms::deny_form(&carried, facts));
        self.open_form(press, &form).await.map_err(|why| (Some(Box::new(request)), why))
    }

    async fn show_details(&self, checked: &Checked, press: &Press) -> Acted {
        let view = self.with_facts(&checked.request, None, "", forms::details_view);
        self.open_form(press, &view).await.map_err(|why| (Some(Box::new(checked.request.clone())), why))
    }

    async fn open_form(&self, press: &Press, view: &serde_json::Value) -> Result<(), Why> {
        let Some(trigger) = &press.trigger_id else { return Err(Why::Malformed("no trigger")) };
        self.0.slack.open_view(trigger, view).await.map_err(|error| {
            tracing::warn!(error = error.code(), "a form could not be opened");
            Why::SlackDown
        })
    }

    /// Revoke: whoever may decide now, a decider, or the requester.
    async fn revoke_by_click(&self, checked: Checked, now: Timestamp) -> Result<Acted, Error> {
        let Checked { request, button, message, voter } = checked;
        for _ in 0..CONFLICTS_MAX {
            let grant = match &request.state {
                State::Approved { grant, .. } => self.0.store.grant(grant).await?,
                State::Pending | State::Denied { .. } | State::Expired { .. } | State::Cancelled { .. } => None,
            };
            let Some(grant) = grant else { return Ok(Err((Some(Box::new(request)), Why::GrantOver))) };
            if !may_revoke(&request, &grant, &voter) {
                return Ok(Err((Some(Box::new(request)), Why::MayNotRevoke)));
            }
            let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
            let bind = Some((button.hash.clone(), message.clone()));
            match self.revoke(&grant, Some(&request), by, "revoked on the card", bind, now).await? {
                Ok(true) => return Ok(Ok(())),
                Ok(false) => {}
                Err(NotIssued::Revoked | NotIssued::Ended(_) | NotIssued::NotCovered | NotIssued::TooShort) => {
                    return Ok(Err((Some(Box::new(request)), Why::GrantOver)));
                }
            }
        }
        Err(Error::Busy)
    }

    /// A refusal is written down at a bounded rate and whispered to whoever clicked.
    async fn refused(
        &self,
        origin: &Origin,
        channel: Option<&SlackChannelId>,
        request: Option<&AccessRequest>,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), Error> {
        self.write_down(origin, request, why, now).await?;
        if let (Some(channel), Some(user)) = (channel.cloned(), origin.user.as_ref().map(|user| user.id.clone())) {
            let (slack, message) = (self.0.slack.clone(), cards::refusal(&self.words(why, request)));
            tokio::spawn(async move {
                if let Err(error) = slack.whisper(&channel, &user, &message).await {
                    tracing::warn!(error = error.code(), "a refusal could not be whispered");
                }
            });
        }
        Ok(())
    }

    async fn write_down(
        &self,
        origin: &Origin,
        request: Option<&AccessRequest>,
        why: &Why,
        now: Timestamp,
    ) -> Result<(), Error> {
        metrics::counter!("countersign_clicks_refused_total", "why" => why.code()).increment(1);
        let user = origin.user.as_ref().map(|user| user.id.clone());
        let who = user.as_ref().map_or("nobody", |user| user.as_str());
        if !self.0.refusals.may_be_written(who, now) {
            return Ok(());
        }
        let audit = AuditEntry {
            at: now,
            kind: Kind::ClickRefused,
            actor: user.clone().map_or(Actor::Service, |user| Actor::Person(user, None)),
            request_id: request.map(|request| request.id.clone()),
            grant_id: None,
            summary: format!("a click of {who} was refused: {}", why.code().replace('_', " ")),
            detail: json!({
                "why": why.code(), "team": origin.user.as_ref().and_then(|user| user.team_id.clone()),
                "shown_version": request.map(|request| request.shown_version), "policy": self.policy().version,
            }),
        };
        self.0.store.commit(Commit { audit: vec![audit], ..Commit::default() }, now).await?;
        Ok(())
    }

    /// The words for the person. They say that nothing was changed, and who can decide.
    fn words(&self, why: &Why, request: Option<&AccessRequest>) -> String {
        let who = request.map(|request| self.approver_words(request)).unwrap_or_default();
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
            Why::Malformed(_) => "That could not be understood.".to_owned(),
            Why::SlackDown => {
                "Slack could not be asked just now whether you may decide. Try again in a moment.".to_owned()
            }
            Why::NotEnforced => "This request needs a ceremony that this version does not offer.".to_owned(),
            Why::MayNotRevoke => format!("You can't revoke this grant: an approver or the requester can.{can}"),
            Why::GrantOver => "This grant is over already.".to_owned(),
            Why::Refused(Refusal::NotAnApprover) => format!("You can't decide this request.{can}"),
            Why::Refused(Refusal::OwnRequest) => format!("You can't decide your own request.{can}"),
            Why::Refused(Refusal::AlreadyVoted) => "Your approval is already recorded.".to_owned(),
            Why::Refused(Refusal::Settled(_) | Refusal::Nothing) => request.map(settled_words).unwrap_or_default(),
        };
        format!("{text} Nothing was changed.")
    }
}

type Refused = (Option<Box<AccessRequest>>, Why);
type Acted = Result<(), Refused>;

impl Why {
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
            Self::Malformed(_) => "malformed",
            Self::SlackDown => "slack_unavailable",
            Self::NotEnforced => "ceremony_not_enforced",
            Self::MayNotRevoke => "may_not_revoke",
            Self::GrantOver => "grant_over",
            Self::Refused(Refusal::Settled(_)) => "already_settled",
            Self::Refused(Refusal::OutOfDate) => "out_of_date",
            Self::Refused(Refusal::NotAnApprover) => "not_an_approver",
            Self::Refused(Refusal::OwnRequest) => "own_request",
            Self::Refused(Refusal::AlreadyVoted) => "already_voted",
            Self::Refused(Refusal::Nothing) => "nothing_to_do",
        }
    }
}

/// Whoever may decide now, a decider, or the requester.
fn may_revoke(request: &AccessRequest, grant: &Grant, voter: &Voter) -> bool {
    let subject = &request.asked.subject;
    let names = [Some(subject.id.as_str()), subject.email.as_deref()];
    let is_subject = names.into_iter().flatten().any(|name| Principal::new(name) == voter.principal);
    // A client is another subject than a person of the same name.
    let is_requester = subject.kind == SubjectKind::User && is_subject;
    let decided = grant.deciders.iter().any(|decider| decider.principal == voter.principal);
    is_requester || decided || request.eligible(voter).is_ok()
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
        State::Cancelled { .. } => "This request was withdrawn.".to_owned(),
    }
}
