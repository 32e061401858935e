//! What cards show: facts from the store, the policy and the directory, put together for `slack::cards`.

use super::Service;
use super::workspaces::Place;
use crate::domain::access_request::AccessRequest;
use crate::domain::grant::Grant;
use crate::domain::identity::{Directory, EmailMapping, Principal};
use crate::domain::ids::SlackUserId;
use crate::domain::token_request::{SubjectKind, TokenRequest};
use crate::slack::SlackError;
use crate::slack::cards::CardFacts;

impl Service {
    /// Renders something about an access request.
    pub(super) fn with_facts<T>(
        &self,
        request: &AccessRequest,
        grant: Option<&Grant>,
        button: &str,
        render: impl FnOnce(&CardFacts<'_>) -> T,
    ) -> T {
        let policy = self.policy();
        let texts = |scope: &_| policy.resource_text(&request.asked, scope).cloned();
        let resource_name = request.asked.audience.iter().find_map(|audience| policy.resource_name(audience));
        let approver_words = self.approver_words(request);
        let requester = self.requester(request);
        let told_words = self.told_words(request);
        render(&CardFacts {
            request,
            grant,
            texts: &texts,
            resource_name,
            requester: requester.as_ref(),
            approver_words: &approver_words,
            told_words: &told_words,
            button,
            now: self.now(),
        })
    }

    /// Who can decide, as mentions.
    pub(super) fn approver_words(&self, request: &AccessRequest) -> String {
        let policy = self.policy();
        let mut mentions = Vec::new();
        for name in request.question.requirements.iter().flat_map(|requirement| &requirement.approvers) {
            let Some(set) = policy.approvers.get(name) else { continue };
            mentions.extend(set.groups.iter().map(|group| format!("<!subteam^{group}>")));
            mentions.extend(set.users.iter().map(|user| format!("<@{user}>")));
        }
        mentions.dedup();
        mentions.join(", ")
    }

    /// The Slack account of the person that an access request is for, where the table of its workspace knows one.
    pub(super) fn requester(&self, request: &AccessRequest) -> Option<SlackUserId> {
        let (asked, directory) = (&request.asked, self.home(request)?.directory());
        if asked.subject.kind == SubjectKind::Client {
            return None;
        }
        let names = [Some(asked.subject.id.as_str()), asked.subject.email.as_deref()];
        names.into_iter().flatten().find_map(|name| directory.slack_users_of(&Principal::new(name)).next().cloned())
    }

    /// The Slack account of that person by address, where the configuration says that addresses map. The same
    /// rule as for a click: a full member, confirmed, the sole holder, not mapped to somebody else.
    pub(super) async fn requester_by_address(
        &self,
        place: &Place,
        asked: &TokenRequest,
    ) -> Result<Option<SlackUserId>, SlackError> {
        let directory = place.directory();
        let Some(address) = address_of(&directory, asked) else { return Ok(None) };
        let Some(id) = place.workspace.slack.lookup_by_email(address).await? else { return Ok(None) };
        let Ok(user) = SlackUserId::parse(id) else { return Ok(None) };
        let (standing, _) =
            place.people.standing(&user, true, self.now()).await.map_err(|unavailable| unavailable.0)?;
        let is_member = place.outsider(&standing).is_none();
        let is_them = directory.principal(&user, &standing) == Some(Principal::new(address));
        Ok((is_member && is_them).then_some(user))
    }

    /// Whether there may be anybody in Slack who asked, or whom the token is for. In a workspace that is not configured
    /// any more there may: what cannot be told there is for operators to see.
    pub(super) fn may_have_requester(&self, request: &AccessRequest) -> bool {
        let by_address =
            || self.home(request).is_none_or(|place| address_of(&place.directory(), &request.asked).is_some());
        request.origin.asker().is_some() || self.requester(request).is_some() || by_address()
    }
}

/// The address by which a person may be found in Slack.
fn address_of<'a>(directory: &Directory, asked: &'a TokenRequest) -> Option<&'a str> {
    if asked.subject.kind == SubjectKind::Client || directory.email == EmailMapping::Off {
        return None;
    }
    Some(asked.subject.email.as_deref().unwrap_or(&asked.subject.id)).filter(|address| address.contains('@'))
}
