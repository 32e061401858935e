//! Reviews of broken glasses: answered by a click, told again when they are overdue, shown to operators.

use std::sync::Arc;

use serde::Serialize;
use serde_json::json;

use super::click::{Carried, FormAnswer, Why, counted_on, pressed_by};
use super::workspaces::{Caller, Member, Place};
use super::{CONFLICTS_MAX, Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::MessageRef;
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, Source};
use crate::domain::identity::Voter;
use crate::domain::ids::{GrantId, HookName, RequestId, SlackChannelId};
use crate::domain::review::{Review, ReviewState, Verdict};
use crate::slack::click::{Press, Submission};
use crate::slack::reviews;
use crate::store::{Change, Commit, Delivery, Outcome, ReviewButton};

/// How many overdue reviews are told of in one turn.
const DUE_MAX: u32 = 100;

/// A review as operators see it.
#[derive(Debug, Serialize)]
pub struct ReviewView {
    /// Its identifier.
    pub id: RequestId,
    /// `open`, `overdue` or `answered`, at this instant.
    pub status: &'static str,
    /// The grant.
    pub grant_id: GrantId,
    /// The hook.
    pub hook: HookName,
    /// The client's identifier.
    pub client: String,
    /// Whoever broke the glass.
    pub broken_by: String,
    /// What was granted.
    pub scope: String,
    /// Why, in the client's words.
    pub reason: Option<String>,
    /// When.
    pub opened_at: Timestamp,
    /// When it is overdue.
    pub review_by: Timestamp,
    /// How often everybody was told that it is.
    pub reminded: u32,
    /// What the answer was.
    pub outcome: ReviewState,
}

/// A click on a review card that passed the checks.
struct Checked {
    review: Review,
    button: ReviewButton,
    message: MessageRef,
    voter: Voter,
}

impl Service {
    /// A button of a review card was pressed: its form opens, for whoever may answer. Answers with the words of a
    /// refusal.
    pub(super) async fn review_pressed(
        &self,
        from: &Caller,
        press: &Press,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let verdict = if press.action == reviews::JUSTIFIED { Verdict::Justified } else { Verdict::NotJustified };
        let checked = self.check_review(from, &press.value, press.message.as_ref(), press.actions, now).await?;
        let why = match checked {
            Ok(Checked { review, message, voter, .. }) => match (review.may_answer(&voter), &press.trigger_id) {
                (Err(refusal), _) => Why::Review(refusal),
                (Ok(()), None) => Why::Malformed("no trigger"),
                (Ok(()), Some(trigger)) => {
                    let carried = Carried { v: press.value.clone(), c: message.channel.to_string(), t: message.ts };
                    let form = reviews::form(&json!(carried).to_string(), &review, verdict);
                    match from.place.workspace.slack.open_view(trigger, &form).await {
                        Ok(()) => return Ok(None),
                        Err(error) => {
                            tracing::warn!(error = error.code(), "a form could not be opened");
                            Why::NoForm
                        }
                    }
                }
            },
            Err(why) => why,
        };
        self.refused(from, press.channel.as_ref(), None, &why, now).await?;
        Ok(Some(self.words(&why, None)))
    }

    /// The form of a review was sent.
    pub(super) async fn review_submitted(
        &self,
        from: &Caller,
        form: &Submission,
        now: Timestamp,
    ) -> Result<FormAnswer, Error> {
        let verdict = if form.callback_id == reviews::JUSTIFIED { Verdict::Justified } else { Verdict::NotJustified };
        let carried = serde_json::from_str::<Carried>(&form.private_metadata).ok();
        let message = carried.as_ref().and_then(|carried| {
            Some(MessageRef { channel: SlackChannelId::parse(carried.c.clone()).ok()?, ts: carried.t.clone() })
        });
        let value = carried.map(|carried| carried.v).unwrap_or_default();
        let note = form.value(reviews::NOTE, reviews::NOTE).trim().to_owned();
        let why = match self.check_review(from, &value, message.as_ref(), 1, now).await? {
            Ok(_) if note.is_empty() => Why::Malformed("no note"),
            Ok(checked) => match self.answer_review(checked, verdict, &note, now).await? {
                Ok(()) => return Ok(FormAnswer::Close),
                Err(why) => why,
            },
            Err(why) => why,
        };
        self.write_down(from, None, &why, now).await?;
        Ok(FormAnswer::Say(self.words(&why, None)))
    }

    /// Our app, our workspace, the button and its message, the account and the sets that were told.
    async fn check_review(
        &self,
        from: &Caller,
        value: &str,
        message: Option<&MessageRef>,
        actions: usize,
        now: Timestamp,
    ) -> Result<Result<Checked, Why>, Error> {
        let user = match pressed_by(from, actions) {
            Ok(user) => user,
            Err(why) => return Ok(Err(why)),
        };
        let Some((button, review)) = self.0.store.review_clicked(value).await? else {
            return Ok(Err(Why::UnknownButton));
        };
        if !self.home_of_review(&review).is_some_and(|home| Arc::ptr_eq(home, &from.place)) {
            return Ok(Err(Why::Elsewhere));
        }
        let Some(message) = counted_on(&button.channel, button.ts.as_deref(), message) else {
            return Ok(Err(Why::OtherMessage));
        };
        Ok(match self.learn(&from.place, user, &review.tell, now).await {
            Ok(voter) => Ok(Checked { review, button, message, voter }),
            Err(why) => Err(why),
        })
    }

    /// The answer, and what it does to the grant, in one commit.
    async fn answer_review(
        &self,
        checked: Checked,
        verdict: Verdict,
        note: &str,
        now: Timestamp,
    ) -> Result<Result<(), Why>, Error> {
        let Checked { mut review, button, message, voter } = checked;
        let cooldown = self.policy().limits.denial_cooldown;
        for _ in 0..CONFLICTS_MAX {
            let mut step = match review.answer(&voter, verdict, note, cooldown, now) {
                Ok(step) => step,
                Err(refusal) => return Ok(Err(Why::Review(refusal))),
            };
            self.lengthen(&review.asked, &mut step.cooldowns, now).await?;
            let grant = self.0.store.grant(&review.grant).await?;
            let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
            let revoked = match (verdict, &grant) {
                // What has ended already needs no end.
                (Verdict::NotJustified, Some(grant)) => grant.revoke(by, "not justified", cooldown, now).ok(),
                (Verdict::NotJustified | Verdict::Justified, _) => None,
            };
            let mut audit = vec![step.audit];
            audit.extend(revoked.as_ref().map(|revoked| revoked.audit.clone()));
            let deliveries = self.review_drawn(&review);
            let commit = Commit {
                review: Some(Change::Replace(step.next)),
                grant: revoked.map(|revoked| Change::Replace(revoked.next)),
                cooldowns: step.cooldowns,
                audit,
                deliveries,
                bind_review: Some((button.hash.clone(), message.clone())),
                ..Commit::default()
            };
            if self.0.store.commit(commit, now).await? == Outcome::Done {
                self.tell(None);
                return Ok(Ok(()));
            }
            let Some(again) = self.0.store.review(&review.id).await? else { return Err(Error::Busy) };
            review = again;
        }
        Err(Error::Busy)
    }

    /// The card of a review is drawn anew, and so are Homes.
    fn review_drawn(&self, review: &Review) -> Vec<(RequestId, Delivery)> {
        let Some(place) = self.home_of_review(review) else { return Vec::new() };
        vec![refreshed_review(&review.id, place), (review.id.clone(), Delivery::RefreshHomes)]
    }

    /// The card of the review that a grant has, to be drawn anew because the grant changed.
    pub(super) async fn review_refresh(&self, grant: &Grant) -> Result<Vec<(RequestId, Delivery)>, Error> {
        if grant.source != Source::BreakGlass {
            return Ok(Vec::new());
        }
        let review = self.0.store.review_of(&grant.id).await?;
        Ok(review.map(|review| self.review_drawn(&review)).unwrap_or_default())
    }

    /// Tells everybody of what is overdue. Answers with how many reviews that were.
    pub(super) async fn review_time_passed(&self, now: Timestamp) -> Result<usize, Error> {
        let due = self.0.store.due_reviews(now, DUE_MAX).await?;
        for review in &due {
            let Some(step) = review.time_passed(now) else { continue };
            let (id, number) = (review.id.clone(), step.next.reminded);
            let mut deliveries = self.review_drawn(review);
            if let Some(place) = self.home_of_review(review) {
                let channel = place.workspace.channel.to_string();
                deliveries.push((id.clone(), Delivery::ReviewNote { channel }));
                deliveries.push((id, Delivery::TellReviewers { number }));
            }
            let commit = Commit {
                review: Some(Change::Replace(step.next)),
                audit: vec![step.audit],
                deliveries,
                ..Commit::default()
            };
            // A conflict means that somebody has just answered.
            if self.0.store.commit(commit, now).await? == Outcome::Done {
                self.tell(None);
            }
        }
        Ok(due.len())
    }

    /// Reviews, newest first; only the open ones where `open` says so.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn reviews(&self, open: bool, before: Option<&str>, most: u32) -> Result<Vec<ReviewView>, Error> {
        let now = self.now();
        Ok(self.0.store.reviews(open, before, most).await?.iter().map(|review| view(review, now)).collect())
    }

    /// The open reviews that somebody may answer, oldest first: for their Home.
    ///
    /// # Errors
    /// When the store does not answer. Where Slack cannot be asked who they are, there are none.
    pub(super) async fn reviews_for(&self, who: &Member, most: u32) -> Result<Vec<Review>, Error> {
        let now = self.now();
        let mut open = self.0.store.reviews(true, None, most).await?;
        open.retain(|review| self.home_of_review(review).is_some_and(|home| Arc::ptr_eq(home, &who.place)));
        if open.is_empty() {
            return Ok(open);
        }
        let names: Vec<_> = open.iter().flat_map(|review| review.tell.iter().cloned()).collect();
        let Ok(voter) = self.learn(&who.place, &who.slack, &names, now).await else { return Ok(Vec::new()) };
        open.retain(|review| review.may_answer(&voter).is_ok());
        open.reverse();
        Ok(open)
    }
}

/// The card of a review is drawn anew.
pub(super) fn refreshed_review(id: &RequestId, place: &Place) -> (RequestId, Delivery) {
    (id.clone(), Delivery::RefreshReview { channel: place.workspace.channel.to_string() })
}

fn view(review: &Review, now: Timestamp) -> ReviewView {
    let status = match &review.state {
        ReviewState::Open if review.is_overdue(now) => "overdue",
        ReviewState::Open => "open",
        ReviewState::Answered { .. } => "answered",
    };
    ReviewView {
        id: review.id.clone(),
        status,
        grant_id: review.grant.clone(),
        hook: review.asked.hook.clone(),
        client: review.asked.client.id.clone(),
        broken_by: review.broken_by.principal.to_string(),
        scope: review.scopes.to_string(),
        reason: review.asked.reason.clone(),
        opened_at: review.opened_at,
        review_by: review.review_by,
        reminded: review.reminded,
        outcome: review.state.clone(),
    }
}
