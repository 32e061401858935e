//! App Home: drawn from the store, on opening and after each change that concerns whoever opened it. What is pressed
//! there goes through the very same checks as a click on the card.

use std::collections::BTreeSet;

use super::click::Why;
use super::commands::{CommandAnswer, OWN_MAX};
use super::controls::Minting;
use super::deliver::random_text;
use super::perform::Delivered;
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Asker, Status};
use crate::domain::grant::Status as GrantStatus;
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::{SetName, SlackUserId};
use crate::slack::click::Press;
use crate::slack::home::{self, Home, Part, Row, RowButton};
use crate::slack::text::{date, mention};
use crate::slack::{access_form, cards, requester};
use crate::store::{Commit, Control, Delivery, Place};

/// Whoever has not opened Home for this many days is not drawn for until they do.
const VIEWERS_DAYS: i64 = 7;
/// A Home is drawn anew at most once in this many seconds.
const AGAIN_SECONDS: i64 = 3;
/// How many decisions are shown.
const RECENT: usize = 10;

impl Service {
    /// Somebody opened App Home.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn home_opened(&self, user: &SlackUserId) -> Result<(), Error> {
        let now = self.now();
        let who = self.member(user, now).await;
        let principal = who.as_ref().ok().map(|who| who.principal.clone());
        self.0.store.home_opened(user, principal.as_ref(), now).await?;
        self.draw_home(user, who, 0, now).await?.unwrap_or_else(|error| {
            tracing::warn!(error = error.code(), "App Home could not be drawn");
        });
        Ok(())
    }

    /// Something changed: whoever has opened Home and is concerned gets it drawn anew.
    pub(super) async fn refresh_homes(&self, request: &AccessRequest, now: Timestamp) -> Result<Delivered, Error> {
        let policy = self.policy();
        let mut users: BTreeSet<SlackUserId> = request.votes.iter().map(|vote| vote.voter.slack.clone()).collect();
        for name in request.question.requirements.iter().flat_map(|requirement| &requirement.approvers) {
            let Some(set) = policy.approvers.get(name) else { continue };
            users.extend(set.users.iter().cloned());
            let groups = set.groups.iter().filter_map(|group| self.0.people.members_as_learnt(group));
            users.extend(groups.flat_map(|members| members.iter().cloned().collect::<Vec<_>>()));
        }
        let asker = request.origin.asker().map(|asker| asker.principal.clone());
        let subject = [Some(request.asked.subject.id.as_str()), request.asked.subject.email.as_deref()];
        let people: Vec<Principal> = subject.into_iter().flatten().map(Principal::new).chain(asker).collect();
        let since = now - chrono::Duration::days(VIEWERS_DAYS);
        let users: Vec<SlackUserId> = users.into_iter().collect();
        let viewers = self.0.store.viewers(&users, &people, since).await?;
        let deliveries = viewers.into_iter().map(|user| (request.id.clone(), Delivery::PublishHome { user })).collect();
        Ok(Delivered::Done(Box::new(Commit { deliveries, ..Commit::default() })))
    }

    /// Draws somebody's Home anew, unless that was done since this was written, and not too often.
    pub(super) async fn publish_home(
        &self,
        user: &SlackUserId,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Delivered, Error> {
        let Some(home) = self.0.store.home(user).await? else { return Ok(Delivered::Unneeded) };
        if home.published_at > since {
            return Ok(Delivered::Unneeded);
        }
        let again = home.published_at + chrono::Duration::seconds(AGAIN_SECONDS);
        if again > now {
            return Ok(Delivered::Later(again));
        }
        let who = self.member(user, now).await;
        Ok(match self.draw_home(user, who, home.page, now).await? {
            Ok(()) => Delivered::Done(Box::default()),
            Err(error) => Delivered::Failed(error),
        })
    }

    async fn draw_home(
        &self,
        user: &SlackUserId,
        who: Result<Asker, Why>,
        page: u32,
        now: Timestamp,
    ) -> Result<Result<(), crate::slack::SlackError>, Error> {
        let mut minting = Minting::new(user, Place::Home);
        let mut home = Home {
            refused: None,
            parts: Vec::new(),
            page: usize::try_from(page).unwrap_or(0),
            value: String::new(),
            now,
        };
        match &who {
            Ok(who) => home.parts = self.parts(who, &mut minting, now).await?,
            Err(why) => home.refused = Some(Self::asking_words(why)),
        }
        home.value = minting.value("page", None, None);
        let kept: BTreeSet<&str> =
            home.shown().map(|button| button.value.as_str()).chain([home.value.as_str()]).collect();
        // Only what the shown page holds is pressed.
        let made: Vec<Control> =
            minting.made.into_iter().filter(|control| kept.contains(control.value.as_str())).collect();
        self.0.store.mint_controls(&made, now).await?;
        match self.0.slack.publish_home(user, &home.view()).await {
            Ok(view) => {
                self.0.store.home_drawn(user, Some(&view), Some(page), now).await?;
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error)),
        }
    }

    async fn parts(&self, who: &Asker, minting: &mut Minting, now: Timestamp) -> Result<Vec<Part>, Error> {
        let own = self.own_requests(who).await?;
        let mut parts = vec![self.waiting_for(who, minting, now).await?];
        let mut rows = Vec::new();
        for request in own.iter().filter(|request| request.status(now) == Status::Pending) {
            let id = request.id.as_str();
            rows.push(Row {
                words: format!("{} · until {}", self.request_line(request), date(request.decide_by)),
                buttons: vec![RowButton {
                    action: requester::WITHDRAW,
                    text: "Withdraw",
                    value: minting.value(requester::WITHDRAW, Some(&request.id), None),
                    label: format!("Withdraw request {id}"),
                    confirm: Some((
                        "Withdraw this request?".to_owned(),
                        "You can ask again at any time.".to_owned(),
                        "Withdraw",
                    )),
                    takes_away: false,
                }],
            });
        }
        parts.push(Part { title: "Waiting for others", nothing: "You wait for nobody.", rows });
        parts.push(self.active(who, minting, now).await?);
        let voted = self.0.store.requests_of(&who.principal, OWN_MAX).await?;
        let rows = voted
            .iter()
            .filter(|request| request.status(now) != Status::Pending)
            .take(RECENT)
            .map(|request| Row {
                words: format!("*{}* · {}", request.status(now).as_str(), self.request_line(request)),
                buttons: Vec::new(),
            })
            .collect();
        parts.push(Part { title: "Recent decisions", nothing: "Nothing was decided lately.", rows });
        Ok(parts)
    }

    /// What waits for this person: pending, in one of their approver sets, not their own, not voted on.
    async fn waiting_for(&self, who: &Asker, minting: &mut Minting, now: Timestamp) -> Result<Part, Error> {
        let sets = self.sets_of_person(&who.slack, now).await;
        let mut rows = Vec::new();
        for request in self.0.store.all_pending().await? {
            let voter = Voter {
                slack: who.slack.clone(),
                principal: who.principal.clone(),
                possible: BTreeSet::from([who.principal.clone(), Principal::new(who.slack.as_str())]),
                member_of: sets.clone(),
                groups: BTreeSet::new(),
                learnt_at: now,
            };
            let voted = request.votes.iter().any(|vote| vote.voter.principal == who.principal);
            if request.status(now) != Status::Pending || voted || request.eligible(&voter).is_err() {
                continue;
            }
            let asker = self.requester(&request.asked).map(|user| format!("{} · ", mention(&user))).unwrap_or_default();
            let id = request.id.as_str();
            let what = crate::slack::ending::confirmation(&request);
            let mut button = |action: &'static str, text, label: String, confirm| RowButton {
                action,
                text,
                value: minting.value(action, Some(&request.id), None),
                label,
                confirm,
                takes_away: false,
            };
            rows.push(Row {
                words: format!("{asker}{} · until {}", self.request_line(&request), date(request.decide_by)),
                buttons: vec![
                    button(
                        cards::APPROVE,
                        "Approve",
                        format!("Approve request {id}"),
                        Some(("Approve this token?".to_owned(), what, "Approve")),
                    ),
                    button(cards::DENY, "Deny…", format!("Deny request {id}"), None),
                    button(cards::DETAILS, "Details…", format!("Show request {id} in full"), None),
                ],
            });
        }
        Ok(Part { title: "Waiting for you", nothing: "Nothing waits for you.", rows })
    }

    /// The approver sets of the policy that somebody is in; what cannot be asked counts as not in.
    async fn sets_of_person(&self, user: &SlackUserId, now: Timestamp) -> BTreeSet<SetName> {
        let policy = self.policy();
        let mut sets = BTreeSet::new();
        for (name, set) in &policy.approvers {
            let mut is_in = set.users.contains(user);
            for group in &set.groups {
                is_in = is_in || self.0.people.is_member(group, user, now).await.is_ok_and(|(is_in, _)| is_in);
            }
            if is_in {
                sets.insert(name.clone());
            }
        }
        sets
    }

    /// What this person has, and what they decided and may revoke.
    async fn active(&self, who: &Asker, minting: &mut Minting, now: Timestamp) -> Result<Part, Error> {
        let mut rows = Vec::new();
        for grant in self.0.store.live_grants_of(&who.principal, OWN_MAX).await? {
            match grant.status(now) {
                GrantStatus::Reserved | GrantStatus::Active => {}
                GrantStatus::Ended(_) | GrantStatus::Revoked => continue,
            }
            let own = self.grant_of_theirs(who, &grant.id).await?.is_some();
            let id = grant.id.as_str();
            let mut buttons = Vec::new();
            let mut button = |action: &'static str, text, label: String, confirm, takes_away| RowButton {
                action,
                text,
                value: minting.value(action, grant.request(), Some(&grant.id)),
                label,
                confirm,
                takes_away,
            };
            if own && grant.open.is_none() {
                buttons.push(button(
                    requester::EXTEND,
                    "Extend…",
                    format!("Ask for more time for grant {id}"),
                    None,
                    false,
                ));
            }
            if own {
                let sure =
                    ("Hand this access back?".to_owned(), "No new token is issued for it.".to_owned(), "Hand back");
                buttons.push(button(requester::DONE, "I'm done", format!("Hand grant {id} back"), Some(sure), false));
            } else if grant.request().is_some() {
                let sure = ("Revoke this access?".to_owned(), "No new token is issued for it.".to_owned(), "Revoke");
                buttons.push(button(cards::REVOKE, "Revoke…", format!("Revoke grant {id}"), Some(sure), true));
            }
            let whose = if own {
                String::new()
            } else {
                format!("{} · ", crate::slack::text::code(&crate::slack::text::cut(&grant.asked.subject.id, 80).0))
            };
            rows.push(Row { words: format!("{whose}{}", self.grant_line(&grant)), buttons });
        }
        Ok(Part { title: "Active grants", nothing: "No access is active.", rows })
    }

    /// A button of Home or of a direct message was pressed.
    pub(super) async fn control_pressed(&self, press: &Press) -> Result<(), Error> {
        // What belongs to no row has one value for all.
        let of_no_row = [home::REQUEST, home::NEXT, home::PREVIOUS].contains(&press.action.as_str());
        let looked_up = Press { action: "page".to_owned(), ..press.clone() };
        let (who, control) = match self.control(if of_no_row { &looked_up } else { press }).await? {
            Ok(found) => found,
            Err(why) => return self.control_refused(press, &why).await,
        };
        let words = match press.action.as_str() {
            home::REQUEST => {
                if let CommandAnswer::Say(message) =
                    self.open_access_form(press.trigger_id.as_deref(), &press.origin).await
                {
                    tracing::warn!(text = message.text, "the form could not be opened from Home");
                }
                return Ok(());
            }
            home::NEXT | home::PREVIOUS => return self.turn_page(&who, press.action == home::NEXT).await,
            requester::EXTEND => return self.extension_form(&who, &control, press).await,
            requester::DONE => match &control.grant {
                Some(grant) => match self.hand_back(&who, grant).await? {
                    super::requester::Parting::Done => return Ok(()),
                    super::requester::Parting::Over | super::requester::Parting::Unknown => {
                        "This grant is over already."
                    }
                },
                None => "This grant is over already.",
            },
            requester::WITHDRAW => match &control.request {
                Some(request) => match self.withdraw(&who, request).await? {
                    super::requester::Parting::Done => return Ok(()),
                    super::requester::Parting::Over | super::requester::Parting::Unknown => {
                        "This request is settled already."
                    }
                },
                None => "This request is settled already.",
            },
            _ => return self.card_pressed_at_home(&control, press).await,
        };
        self.tell_in_a_dialog(press, &format!("{words} Nothing was changed.")).await;
        Ok(())
    }

    async fn control_refused(&self, press: &Press, why: &Why) -> Result<(), Error> {
        self.write_down(&press.origin, None, why, self.now()).await?;
        self.tell_in_a_dialog(press, &Self::asking_words(why)).await;
        Ok(())
    }

    async fn tell_in_a_dialog(&self, press: &Press, words: &str) {
        let Some(trigger) = &press.trigger_id else { return };
        if let Err(error) = self.0.slack.open_view(trigger, &home::refused_view(words)).await {
            tracing::warn!(error = error.code(), "a refusal could not be shown");
        }
    }

    async fn turn_page(&self, who: &Asker, forward: bool) -> Result<(), Error> {
        let now = self.now();
        let Some(home) = self.0.store.home(&who.slack).await? else { return Ok(()) };
        let page = if forward { home.page.saturating_add(1) } else { home.page.saturating_sub(1) };
        if let Err(error) = self.draw_home(&who.slack, Ok(who.clone()), page, now).await? {
            tracing::warn!(error = error.code(), "App Home could not be drawn");
        }
        Ok(())
    }

    /// Extend… opens a form for how long and why.
    async fn extension_form(&self, who: &Asker, control: &Control, press: &Press) -> Result<(), Error> {
        let grant = match &control.grant {
            Some(id) => self.grant_of_theirs(who, id).await?.map(|(grant, _)| grant),
            None => None,
        };
        let now = self.now();
        let alive = grant.filter(|grant| matches!(grant.status(now), GrantStatus::Reserved | GrantStatus::Active));
        let Some(grant) = alive else {
            self.tell_in_a_dialog(press, "This grant is over already: ask anew. Nothing was changed.").await;
            return Ok(());
        };
        let Some(trigger) = &press.trigger_id else { return Ok(()) };
        let lasted = u64::try_from((grant.expires_at - grant.starts_at()).num_seconds()).unwrap_or(0);
        let reason = grant.asked.reason.clone().unwrap_or_default();
        let view = access_form::extend_view(&press.value, &self.grant_line(&grant), lasted, &reason);
        if let Err(error) = self.0.slack.open_view(trigger, &view).await {
            tracing::warn!(error = error.code(), "the form for an extension could not be opened");
        }
        Ok(())
    }

    /// A button of a card, pressed at Home: it counts as pressed on the card, with all that is checked there. The card
    /// is where the decision belongs to.
    async fn card_pressed_at_home(&self, control: &Control, press: &Press) -> Result<(), Error> {
        let now = self.now();
        let request = match &control.request {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let card = match &request {
            Some(request) => self.0.store.cards(&request.id).await?.into_iter().next(),
            None => None,
        };
        let (Some(request), Some(card)) = (request, card) else {
            self.tell_in_a_dialog(press, "Its card is not in Slack yet. Try again in a moment. Nothing was changed.")
                .await;
            return Ok(());
        };
        let value = random_text();
        self.0.store.mint(&value, &request, card.channel.as_str(), Some(&card.ts), now).await?;
        let on_the_card = Press { value, message: Some(card), view: None, channel: None, ..press.clone() };
        if let Some(words) = Box::pin(self.pressed_on_card(&on_the_card)).await? {
            self.tell_in_a_dialog(press, &words).await;
        }
        Ok(())
    }
}
