//! Somebody opens the card of an access request from a digest. It decides nothing: the card comes to them as a direct
//! message, and everything is checked again when they click on it.

use super::act::may_revoke;
use super::check::Sought;
use super::refusal::whisper;
use super::{Acted, Checked, Why};
use crate::domain::Timestamp;
use crate::domain::access_request::Status;
use crate::domain::ids::RequestId;
use crate::service::workspaces::Caller;
use crate::service::{Error, Service};
use crate::slack::cards;
use crate::slack::click::Press;
use crate::store::{Commit, Delivery, Outcome};

impl Service {
    /// Answers with the words of a refusal.
    pub(super) async fn opened_from_digest(
        &self,
        from: &Caller,
        press: &Press,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        let sought = press.value.split_once('.');
        let sought = sought.and_then(|(value, id)| Some((value, RequestId::parse(id).ok()?)));
        let (value, id) = match &sought {
            Some((value, id)) => (*value, id),
            None => return self.not_opened(from, press, (None, Why::UnknownButton), now).await,
        };
        let sought = Sought::Digest(value, id);
        let outcome = match self.check(from, sought, press.message.as_ref(), press.actions, now).await? {
            Ok(checked) => self.send_the_card(from, checked, press, now).await?,
            Err(refused) => Err(refused),
        };
        match outcome {
            Ok(()) => Ok(None),
            Err(refused) => self.not_opened(from, press, refused, now).await,
        }
    }

    /// Whoever may decide gets the card, and once it is granted whoever may revoke.
    async fn send_the_card(
        &self,
        from: &Caller,
        checked: Checked,
        press: &Press,
        now: Timestamp,
    ) -> Result<Acted, Error> {
        let checked = match checked.request.status(now) {
            Status::Approved => {
                let Some(grant) = self.0.store.grant_of(&checked.request.id).await?.filter(|grant| grant.is_live(now))
                else {
                    return Ok(Err((Some(Box::new(checked.request)), Why::GrantOver)));
                };
                if !may_revoke(&checked.request, &grant, &checked.voter) {
                    return Ok(Err((Some(Box::new(checked.request)), Why::MayNotRevoke)));
                }
                checked
            }
            Status::Pending | Status::Denied | Status::Expired | Status::Cancelled => {
                match self.may_act(checked, now) {
                    Ok(checked) => checked,
                    Err(refused) => return Ok(Err(refused)),
                }
            }
        };
        let Checked { request, button, message, voter, .. } = checked;
        let commit = Commit {
            deliveries: vec![(request.id.clone(), Delivery::OpenCard { user: voter.slack })],
            bind_digest: Some((button.hash, message)),
            ..Commit::default()
        };
        if self.0.store.commit(commit, now).await? == Outcome::Conflict {
            return Ok(Err((Some(Box::new(request)), Why::OtherMessage)));
        }
        self.tell(None);
        whisper(from, press.channel.as_ref(), cards::refusal(COMES));
        Ok(Ok(()))
    }

    async fn not_opened(
        &self,
        from: &Caller,
        press: &Press,
        (request, why): super::Refused,
        now: Timestamp,
    ) -> Result<Option<String>, Error> {
        self.refused(from, press.channel.as_ref(), request.as_deref(), &why, now).await?;
        Ok(Some(self.words(&why, request.as_deref())))
    }
}

/// What whoever opened a request is told.
const COMES: &str = "The card of this request is in your direct messages with this app.";
