//! What is pressed in App Home, or on a direct message.

use crate::domain::grant::Status as GrantStatus;
use crate::service::click::Why;
use crate::service::commands::CommandAnswer;
use crate::service::deliver::random_text;
use crate::service::requester::Parting;
use crate::service::workspaces::{Caller, Member};
use crate::service::{Error, Service};
use crate::slack::click::Press;
use crate::slack::{access_form, home, requester, reviews};
use crate::store::Control;

impl Service {
    /// A button of Home or of a direct message was pressed.
    pub(in crate::service) async fn control_pressed(&self, from: &Caller, press: &Press) -> Result<(), Error> {
        // What belongs to no row has one value for all.
        let of_no_row = [home::REQUEST, home::NEXT, home::PREVIOUS].contains(&press.action.as_str());
        let looked_up = Press { action: "page".to_owned(), ..press.clone() };
        let (who, control) = match self.control(from, if of_no_row { &looked_up } else { press }).await? {
            Ok(found) => found,
            Err(why) => return self.control_refused(from, press, &why).await,
        };
        let words = match press.action.as_str() {
            home::REQUEST => {
                if let CommandAnswer::Say(message) = self.open_access_form(press.trigger_id.as_deref(), from).await {
                    tracing::warn!(text = message.text, "the form could not be opened from Home");
                }
                return Ok(());
            }
            home::NEXT | home::PREVIOUS => return self.turn_page(&who, press.action == home::NEXT).await,
            requester::EXTEND => return self.extension_form(from, &who, &control, press).await,
            requester::DONE => match &control.grant {
                Some(grant) => match self.hand_back(&who, grant).await? {
                    Parting::Done => return Ok(()),
                    Parting::Over | Parting::Unknown => "This grant is over already.",
                },
                None => "This grant is over already.",
            },
            requester::WITHDRAW => match &control.request {
                Some(request) => match self.withdraw(&who, request).await? {
                    Parting::Done => return Ok(()),
                    Parting::Over | Parting::Unknown => "This request is settled already.",
                },
                None => "This request is settled already.",
            },
            reviews::JUSTIFIED | reviews::NOT_JUSTIFIED => {
                return self.review_pressed_at_home(from, &control, press).await;
            }
            _ => return self.card_pressed_at_home(from, &control, press).await,
        };
        self.tell_in_a_dialog(from, press, &format!("{words} Nothing was changed.")).await;
        Ok(())
    }

    async fn control_refused(&self, from: &Caller, press: &Press, why: &Why) -> Result<(), Error> {
        self.write_down(from, None, why, self.now()).await?;
        self.tell_in_a_dialog(from, press, &Self::asking_words(why)).await;
        Ok(())
    }

    async fn tell_in_a_dialog(&self, from: &Caller, press: &Press, words: &str) {
        let Some(trigger) = &press.trigger_id else { return };
        if let Err(error) = from.place.workspace.slack.open_view(trigger, &home::refused_view(words)).await {
            tracing::warn!(error = error.code(), "a refusal could not be shown");
        }
    }

    async fn turn_page(&self, who: &Member, forward: bool) -> Result<(), Error> {
        let now = self.now();
        let Some(home) = self.0.store.home(who.place.team(), &who.slack).await? else { return Ok(()) };
        let page = if forward { home.page.saturating_add(1) } else { home.page.saturating_sub(1) };
        if let Err(error) = self.draw_home(&who.place, &who.slack, Ok(who.clone()), page, now).await? {
            tracing::warn!(error = error.code(), "App Home could not be drawn");
        }
        Ok(())
    }

    /// Extend… opens a form for how long and why.
    async fn extension_form(&self, from: &Caller, who: &Member, control: &Control, press: &Press) -> Result<(), Error> {
        let grant = match &control.grant {
            Some(id) => self.grant_of_theirs(who, id).await?.map(|(grant, _)| grant),
            None => None,
        };
        let now = self.now();
        let alive = grant.filter(|grant| matches!(grant.status(now), GrantStatus::Reserved | GrantStatus::Active));
        let Some(grant) = alive else {
            self.tell_in_a_dialog(from, press, "This grant is over already: ask anew. Nothing was changed.").await;
            return Ok(());
        };
        let Some(trigger) = &press.trigger_id else { return Ok(()) };
        let lasted = u64::try_from((grant.expires_at - grant.starts_at()).num_seconds()).unwrap_or(0);
        let reason = grant.asked.reason.clone().unwrap_or_default();
        let view = access_form::extend_view(&press.value, &self.grant_line(&grant), lasted, &reason);
        if let Err(error) = from.place.workspace.slack.open_view(trigger, &view).await {
            tracing::warn!(error = error.code(), "the form for an extension could not be opened");
        }
        Ok(())
    }

    /// A button of a card, pressed at Home: it counts as pressed on the card, with all that is checked there. The card
    /// is where the decision belongs to.
    async fn card_pressed_at_home(&self, from: &Caller, control: &Control, press: &Press) -> Result<(), Error> {
        let now = self.now();
        let request = match &control.request {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let card = match &request {
            Some(request) => self.0.store.cards(&request.id).await?.into_iter().next(),
            None => None,
        };
        let (Some(request), Some(card)) = (request, card) else { return self.no_card_yet(from, press).await };
        let value = random_text();
        self.0.store.mint(&value, &request, card.channel.as_str(), Some(&card.ts), now).await?;
        let on_the_card = Press { value, message: Some(card), view: None, channel: None, ..press.clone() };
        if let Some(words) = Box::pin(self.pressed_on_card(from, &on_the_card)).await? {
            self.tell_in_a_dialog(from, press, &words).await;
        }
        Ok(())
    }
    /// The same about the review of a broken glass.
    async fn review_pressed_at_home(&self, from: &Caller, control: &Control, press: &Press) -> Result<(), Error> {
        let now = self.now();
        let card = match &control.request {
            Some(id) => self.0.store.review_cards(id).await?.into_iter().next().map(|card| (id, card)),
            None => None,
        };
        let Some((review, card)) = card else { return self.no_card_yet(from, press).await };
        let value = random_text();
        self.0.store.mint_review(&value, review, card.channel.as_str(), Some(&card.ts), now).await?;
        let on_the_card = Press { value, message: Some(card), view: None, channel: None, ..press.clone() };
        if let Some(words) = Box::pin(self.review_pressed(from, &on_the_card, now)).await? {
            self.tell_in_a_dialog(from, press, &words).await;
        }
        Ok(())
    }

    async fn no_card_yet(&self, from: &Caller, press: &Press) -> Result<(), Error> {
        self.tell_in_a_dialog(from, press, "Its card is not in Slack yet. Try again in a moment. Nothing was changed.")
            .await;
        Ok(())
    }
}
