//! Somebody clicks. The payload is believed for who, which message and which opaque value; everything else is
//! read from the store, and every check is made now.
//!
//! The order: our app, our workspace, the user's workspace; the button and its message; the account's standing;
//! the approver sets of this request; not a party to it; not voted yet; and at last the compare-and-swap.

mod act;
mod again;
mod check;
mod fill;
mod open;
mod refusal;
mod turn;

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::workspaces::{Caller, Place};
use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef, Turn};
use crate::domain::identity::Voter;
use crate::domain::ids::{SetName, SlackChannelId, SlackGroupId};
use crate::slack::click::{Press, Submission};
use crate::slack::{access_form, approving, cards, digest, forms, home, requester, reviews, talking};
use crate::store::{Button, Once};

use check::Sought;
pub(super) use check::{counted_on, pressed_by};
pub(super) use refusal::{Clicked, Refusals, Why};

/// What a form's sender sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormAnswer {
    /// The form closes.
    Close,
    /// The form shows these words instead.
    Say(String),
    /// The form stays, with what is wrong at each of these blocks.
    Errors(Vec<(String, String)>),
    /// Another view takes its place.
    Show(Box<serde_json::Value>),
}

/// A click that passed the checks on where it comes from and what it carries.
pub(super) struct Checked {
    /// The workspace of the access request, which is also where it was clicked.
    pub(super) place: Arc<Place>,
    pub(super) request: AccessRequest,
    pub(super) button: Button,
    pub(super) message: MessageRef,
    pub(super) voter: Voter,
    /// What caused it, where Slack names it.
    pub(super) once: Option<Once>,
}

/// The approver sets that somebody is in, the user groups through which, and when the oldest part was learnt.
struct Sets {
    member_of: BTreeSet<SetName>,
    groups: BTreeSet<SlackGroupId>,
    learnt_at: Timestamp,
}

/// What a form carries from the click that opened it to its submission.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Carried {
    pub v: String,
    pub c: String,
    pub t: String,
}

pub(super) type Refused = (Option<Box<AccessRequest>>, Why);
pub(super) type Acted = Result<(), Refused>;
/// What becomes of a form that was sent.
type Sent = Result<FormAnswer, Refused>;

impl Service {
    /// A button was pressed. Whatever it leads to is committed when this returns; a refusal is whispered.
    ///
    /// # Errors
    /// When the store does not answer: then the click must not be acknowledged.
    pub(super) async fn pressed(&self, from: &Caller, press: &Press) -> Result<(), Error> {
        match &press.view {
            Some(view) if view.callback_id == access_form::ACCESS_FORM => {
                return Box::pin(self.access_chosen(from, view)).await;
            }
            Some(view) if view.callback_id == home::HOME => return Box::pin(self.control_pressed(from, press)).await,
            // A choice in a form says nothing before the form is sent.
            Some(view) if view.callback_id == access_form::EXTEND_FORM => return Ok(()),
            Some(_) => {}
            None if requester::ALL.contains(&press.action.as_str()) => {
                return Box::pin(self.control_pressed(from, press)).await;
            }
            None => {}
        }
        Box::pin(self.pressed_on_card(from, press)).await.map(|_| ())
    }

    /// A button of a card was pressed. Answers with the words of a refusal.
    pub(super) async fn pressed_on_card(&self, from: &Caller, press: &Press) -> Result<Option<String>, Error> {
        let now = self.now();
        if [reviews::JUSTIFIED, reviews::NOT_JUSTIFIED].contains(&press.action.as_str()) {
            return Box::pin(self.review_pressed(from, press, now)).await;
        }
        if press.action == forms::STEP_UP {
            // The browser opened a link; that Slack tells us of it changes nothing.
            return Ok(None);
        }
        if press.action == digest::OPEN {
            return Box::pin(self.opened_from_digest(from, press, now)).await;
        }
        let once = press.trigger_id.as_deref().map(Once::of);
        if self.has_counted(once.as_ref()).await? {
            return Ok(None);
        }
        let (action, value) = pressed_what(press);
        let sought = Sought::Card(value);
        let outcome = match self.check(from, sought, press.message.as_ref(), press.actions, now).await? {
            Ok(checked) => {
                let checked = Checked { once, ..checked };
                let stray = self.stray(&checked, now).await?;
                let acted = match action {
                    cards::APPROVE => Box::pin(self.approve(checked, press, now)).await?,
                    cards::CHANGES => self.ask_for_changes(checked, press, now).await,
                    cards::DENY => self.ask_for_a_reason(checked, press, now).await,
                    cards::REVOKE => self.revoke_by_click(checked, now).await?,
                    cards::DETAILS => self.show_details(&checked, press).await,
                    cards::CLAIM => Box::pin(self.turned(checked, Turn::Claim, now)).await?,
                    cards::COMMENT => self.ask_for_words(checked, press, now).await,
                    cards::HAND_OVER => self.ask_for_somebody(checked, press, now).await,
                    cards::TAKE_BACK => Box::pin(self.take_back(checked, now)).await?,
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
                // Whoever comes from elsewhere is told who can decide, too; of another workspace's requests nobody is.
                None => self.request_of_button(value).await?.filter(|it| self.is_at(&from.place, it)).map(Box::new),
            };
            self.refused(from, press.channel.as_ref(), request.as_deref(), &why, now).await?;
            return Ok(Some(self.words(&why, request.as_deref())));
        }
        Ok(None)
    }

    /// A form was sent.
    ///
    /// # Errors
    /// When the store does not answer: then the form must not be acknowledged.
    pub(super) async fn submitted(&self, from: &Caller, form: &Submission) -> Result<FormAnswer, Error> {
        match form.callback_id.as_str() {
            access_form::ACCESS_FORM => return Box::pin(self.access_sent(from, form)).await,
            access_form::EXTEND_FORM => return Box::pin(self.extension_sent(from, form)).await,
            _ => {}
        }
        let now = self.now();
        if [reviews::JUSTIFIED, reviews::NOT_JUSTIFIED].contains(&form.callback_id.as_str()) {
            return Box::pin(self.review_submitted(from, form, now)).await;
        }
        let once = form.trigger_id.as_deref().map(Once::of);
        if self.has_counted(once.as_ref()).await? {
            return Ok(FormAnswer::Close);
        }
        let carried = serde_json::from_str::<Carried>(&form.private_metadata).ok();
        let message = carried.as_ref().and_then(|carried| {
            Some(MessageRef { channel: SlackChannelId::parse(carried.c.clone()).ok()?, ts: carried.t.clone() })
        });
        let value = carried.map(|carried| carried.v).unwrap_or_default();
        let outcome = match self.check(from, Sought::Card(&value), message.as_ref(), 1, now).await? {
            Ok(checked) => Box::pin(self.form_sent(Checked { once, ..checked }, form, now)).await?,
            Err(refused) => Err(refused),
        };
        let (request, why) = match outcome {
            Ok(answer) => return Ok(answer),
            Err(refused) => refused,
        };
        self.write_down(from, request.as_deref(), &why, now).await?;
        Ok(FormAnswer::Say(self.words(&why, request.as_deref())))
    }

    /// What a form that passed the checks leads to. What it says is read against the stored request.
    async fn form_sent(&self, checked: Checked, form: &Submission, now: Timestamp) -> Result<Sent, Error> {
        let text = |block: &str| Some(form.value(block, block).trim().to_owned()).filter(|text| !text.is_empty());
        let malformed = |checked: Checked, why| Ok(Err((Some(Box::new(checked.request)), Why::Malformed(why))));
        let acted = match form.callback_id.as_str() {
            approving::APPROVE_FORM | approving::CHANGES_FORM => {
                return Box::pin(self.approve_by_form(checked, form, now)).await;
            }
            forms::DENY_FORM => match text(forms::REASON) {
                Some(reason) => Box::pin(self.deny(checked, reason, now)).await,
                None => malformed(checked, "no reason"),
            },
            talking::COMMENT_FORM => match text(talking::WORDS) {
                Some(words) => Box::pin(self.turned(checked, Turn::Comment(words), now)).await,
                None => malformed(checked, "no words"),
            },
            talking::HAND_OVER_FORM => {
                Box::pin(self.hand_over(checked, form.value(talking::TO, talking::TO), now)).await
            }
            _ => malformed(checked, "unknown form"),
        };
        Ok(acted?.map(|()| FormAnswer::Close))
    }

    /// Whether this very click or form has counted: then it came once more, and there is nothing left to do.
    pub(super) async fn has_counted(&self, once: Option<&Once>) -> Result<bool, Error> {
        match once {
            Some(once) => Ok(self.0.store.has_counted(once).await?),
            None => Ok(false),
        }
    }

    async fn request_of_button(&self, value: &str) -> Result<Option<AccessRequest>, Error> {
        Ok(self.0.store.clicked(value).await?.map(|(_, request)| request))
    }
}

/// Which button was pressed, and its opaque value. What is chosen from a menu says both: `claim.VALUE`.
fn pressed_what(press: &Press) -> (&str, &str) {
    let chosen = (press.action == cards::MORE).then(|| press.value.split_once('.')).flatten();
    match chosen {
        Some((action, value)) if cards::IN_MENU.contains(&action) => (action, value),
        _ => (press.action.as_str(), press.value.as_str()),
    }
}
