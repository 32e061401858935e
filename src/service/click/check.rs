//! Who clicked, on what: everything up to the approver sets.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::{Checked, Refused, Sets, Why};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, MessageRef};
use crate::domain::identity::{EmailMapping, Voter};
use crate::domain::ids::{RequestId, SetName, SlackUserId};
use crate::service::workspaces::{Caller, Place};
use crate::service::{Error, Service};
use crate::slack::click::Foreign;

/// What a value that comes back from Slack was made for. One that was made for the one never counts as the other.
#[derive(Debug, Clone, Copy)]
pub(super) enum Sought<'a> {
    /// The buttons of a card.
    Card(&'a str),
    /// The buttons of a digest, which decide nothing: the value and the access request.
    Digest(&'a str, &'a RequestId),
}

/// The account that pressed one button of ours, as the payload says, before anything is looked up.
pub(in crate::service) fn pressed_by(from: &Caller, actions: usize) -> Result<&SlackUserId, Why> {
    if let Some(foreign) = from.foreign {
        return Err(Why::Foreign(foreign));
    }
    let user = from.origin.user.as_ref().ok_or(Why::Foreign(Foreign::Nobody))?;
    if actions == 1 { Ok(&user.id) } else { Err(Why::Malformed("not exactly one action")) }
}

/// The message that was clicked, where a button that was sent to this channel counts on it.
pub(in crate::service) fn counted_on(
    channel: &str,
    ts: Option<&str>,
    clicked: Option<&MessageRef>,
) -> Option<MessageRef> {
    clicked.filter(|m| m.channel.as_str() == channel && ts.is_none_or(|ts| ts == m.ts)).cloned()
}

impl Service {
    /// Everything up to the approver sets.
    pub(super) async fn check(
        &self,
        from: &Caller,
        sought: Sought<'_>,
        message: Option<&MessageRef>,
        actions: usize,
        now: Timestamp,
    ) -> Result<Result<Checked, Refused>, Error> {
        let user = match pressed_by(from, actions) {
            Ok(user) => user,
            Err(why) => return Ok(Err((None, why))),
        };
        let found = match sought {
            Sought::Card(value) => self.0.store.clicked(value).await?,
            Sought::Digest(value, request) => self.0.store.opened(value, request).await?,
        };
        let Some((button, request)) = found else { return Ok(Err((None, Why::UnknownButton))) };
        if !self.is_at(&from.place, &request) {
            return Ok(Err((Some(Box::new(request)), Why::Elsewhere)));
        }
        let Some(message) = counted_on(&button.channel, button.ts.as_deref(), message) else {
            return Ok(Err((Some(Box::new(request)), Why::OtherMessage)));
        };
        match self.voter(user, &request, now).await {
            Ok(voter) => {
                let place = Arc::clone(&from.place);
                Ok(Ok(Checked { place, request, button, message, voter, once: None }))
            }
            Err(why) => Ok(Err((Some(Box::new(request)), why))),
        }
    }

    /// The request with the client's owners as the policy of now names them, besides those at its opening.
    ///
    /// # Errors
    /// Words for why the policy cannot tell.
    pub(in crate::service) fn with_owners(
        &self,
        mut request: AccessRequest,
        now: Timestamp,
    ) -> Result<AccessRequest, String> {
        request.deciding.owners.extend(self.policy().owners(&request.asked, now)?);
        Ok(request)
    }

    /// Who this is, asked of Slack now: the account's standing, its identity, its approver sets. Both questions
    /// go out together, because Slack waits for three seconds only.
    pub(in crate::service) async fn voter(
        &self,
        user: &SlackUserId,
        request: &AccessRequest,
        now: Timestamp,
    ) -> Result<Voter, Why> {
        // Who is asked about is who they are in the workspace of this request, and nowhere else.
        let place = self.home(request).ok_or(Why::Elsewhere)?;
        let wanted = request.question.requirements.iter().flat_map(|wanted| wanted.approvers.iter().cloned());
        self.learn(place, user, &wanted.collect::<Vec<_>>(), now).await
    }

    /// The same about any approver sets.
    pub(in crate::service) async fn learn(
        &self,
        place: &Arc<Place>,
        user: &SlackUserId,
        names: &[SetName],
        now: Timestamp,
    ) -> Result<Voter, Why> {
        let directory = place.directory();
        let maps = directory.email == EmailMapping::Verified;
        let asking = place.people.standing(user, maps, now);
        let (standing, sets) = tokio::join!(asking, self.sets_of(place, user, names, now));
        let (standing, standing_at) = standing.map_err(|_| Why::SlackDown)?;
        if let Some(outsider) = place.outsider(&standing) {
            self.learnt_of(place, user, &standing);
            return Err(Why::Outsider(outsider));
        }
        let principal = directory.principal(user, &standing).ok_or(Why::Unmapped)?;
        let possible = directory.possible(user, &standing);
        let Sets { member_of, groups, learnt_at } = sets?;
        let learnt_at = learnt_at.min(standing_at);
        Ok(Voter { slack: user.clone(), principal, possible, member_of, groups, learnt_at })
    }

    /// Which of some approver sets somebody is in, as the current policy defines them, and when the
    /// oldest part of that was learnt. What cannot be asked counts as "not in", and refuses if nothing else is.
    async fn sets_of(&self, place: &Place, user: &SlackUserId, names: &[SetName], now: Timestamp) -> Result<Sets, Why> {
        let policy = self.policy();
        let mut sets = Sets { member_of: BTreeSet::new(), groups: BTreeSet::new(), learnt_at: now };
        let mut unknown = false;
        for name in names {
            let Some(set) = policy.approvers.get(name) else { continue };
            let mut is_in = set.users.contains(user);
            for group in &set.groups {
                if is_in {
                    break;
                }
                match place.people.is_member(group, user, now).await {
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
}
