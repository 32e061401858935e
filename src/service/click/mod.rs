//! Somebody clicks. The payload is believed for who, which message and which opaque value; everything else is
//! read from the store, and every check is made now.
//!
//! The order: our app, our workspace, the user's workspace; the button and its message; the account's standing;
//! the approver sets of this request; not a party to it; not voted yet; and at last the compare-and-swap.

mod act;
mod check;
mod refusal;

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef};
use crate::domain::identity::Voter;
use crate::domain::ids::{SetName, SlackChannelId, SlackGroupId};
use crate::slack::click::{Press, Submission};
use crate::slack::forms;
use crate::store::Button;

pub(super) use refusal::{Refusals, Why};

/// What a form's sender sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FormAnswer {
    /// The form closes.
    Close,
    /// The form shows these words instead.
    Say(String),
}

/// A click that passed the checks on where it comes from and what it carries.
pub(super) struct Checked {
    pub(super) request: AccessRequest,
    pub(super) button: Button,
    pub(super) message: MessageRef,
    pub(super) voter: Voter,
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

pub(super) type Refused = (Option<Box<AccessRequest>>, Why);
pub(super) type Acted = Result<(), Refused>;

impl Service {
    /// A button was pressed. Whatever it leads to is committed when this returns; a refusal is whispered.
    ///
    /// # Errors
    /// When the store does not answer: then the click must not be acknowledged.
    pub async fn pressed(&self, press: &Press) -> Result<(), Error> {
        let now = self.now();
        if press.action == forms::STEP_UP {
            // The browser opened a link; that Slack tells us of it changes nothing.
            return Ok(());
        }
        let outcome = match self.check(&press.origin, &press.value, press.message.as_ref(), press.actions, now).await? {
            Ok(checked) => {
                let stray = self.stray(&checked, now).await?;
                let acted = match press.action.as_str() {
                    "approve" => Box::pin(self.approve(checked, press, now)).await?,
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
        Ok(self.0.store.clicked(value).await?.map(|(_, request)| request))
    }
}
