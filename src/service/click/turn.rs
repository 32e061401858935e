//! What approvers do besides deciding: take an approval back, claim, say something, hand over. None of it decides.

use super::act::carried;
use super::{Acted, Checked, Why};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Event, Refusal, Turn};
use crate::domain::ids::SlackUserId;
use crate::service::{CONFLICTS_MAX, Error, Service};
use crate::slack::click::Press;
use crate::slack::talking;
use crate::store::{Change, Outcome};

impl Service {
    /// An approver takes an approval back. Nothing else has to hold than that it is theirs and people still decide.
    pub(super) async fn take_back(&self, checked: Checked, now: Timestamp) -> Result<Acted, Error> {
        let voter = Box::new(checked.voter.clone());
        Box::pin(self.happens(checked, Event::TookBack(voter), now)).await
    }

    /// An approver does something that decides nothing.
    pub(super) async fn turned(&self, checked: Checked, turn: Turn, now: Timestamp) -> Result<Acted, Error> {
        match self.may_act(checked, now) {
            Ok(checked) => {
                let voter = Box::new(checked.voter.clone());
                Box::pin(self.happens(checked, Event::Turned(voter, turn), now)).await
            }
            Err(refused) => Ok(Err(refused)),
        }
    }

    /// Hands the request over to somebody who was chosen in a form: another approver, as Slack knows them now.
    pub(super) async fn hand_over(&self, checked: Checked, to: &str, now: Timestamp) -> Result<Acted, Error> {
        let Ok(to) = SlackUserId::parse(to) else {
            return Ok(Err((Some(Box::new(checked.request)), Why::Malformed("nobody"))));
        };
        match self.voter(&to, &checked.request, now).await {
            Ok(other) => Box::pin(self.turned(checked, Turn::HandOver(Box::new(other)), now)).await,
            Err(Why::SlackDown) => Ok(Err((Some(Box::new(checked.request)), Why::SlackDown))),
            Err(_) => Ok(Err((Some(Box::new(checked.request)), Why::Refused(Refusal::CannotTakeOver)))),
        }
    }

    /// The form for a comment.
    pub(super) async fn ask_for_words(&self, checked: Checked, press: &Press, now: Timestamp) -> Acted {
        let checked = self.may_act(checked, now)?;
        let carried = carried(press, &checked);
        let form = self.with_facts(&checked.request, None, "", |facts| talking::comment_form(&carried, facts));
        self.open_for(checked, press, &form).await
    }

    /// The form for handing over.
    pub(super) async fn ask_for_somebody(&self, checked: Checked, press: &Press, now: Timestamp) -> Acted {
        let checked = self.may_act(checked, now)?;
        let carried = carried(press, &checked);
        let form = self.with_facts(&checked.request, None, "", |facts| talking::hand_over_form(&carried, facts));
        self.open_for(checked, press, &form).await
    }

    async fn happens(&self, checked: Checked, event: Event, now: Timestamp) -> Result<Acted, Error> {
        let Checked { mut request, button, message, once, .. } = checked;
        let refused = |request: AccessRequest, why| Ok(Err((Some(Box::new(request)), why)));
        for _ in 0..CONFLICTS_MAX {
            let step = match request.apply(event.clone(), now) {
                Ok(step) => step,
                Err(refusal) => return refused(request, Why::Refused(refusal)),
            };
            let mut commit = self.commit_of(Change::Replace(step.next.clone()), &step);
            let gone = step.next.deciding.taken_back.get(request.deciding.taken_back.len());
            commit.taken_back = gone.map(|one| one.place);
            commit.bind = Some((button.hash.clone(), message.clone()));
            commit.card = button.ts.is_none().then(|| (request.id.clone(), message.clone()));
            commit.once.clone_from(&once);
            match self.0.store.commit(commit, now).await? {
                Outcome::Done => {
                    self.tell(Some(&request.id));
                    return Ok(Ok(()));
                }
                Outcome::Conflict if self.has_counted(once.as_ref()).await? => return Ok(Ok(())),
                Outcome::Conflict => match self.0.store.request(&request.id).await? {
                    Some(again) if again.version != request.version => request = again,
                    Some(same) => return refused(same, Why::OtherMessage),
                    None => return Err(Error::Busy),
                },
            }
        }
        Err(Error::Busy)
    }
}
