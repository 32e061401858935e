//! Somebody breaks the glass: granted at once to whom a rule names for it, everybody told, a review opened.
//!
//! Who asks is whom the hook's subject is mapped to, and Slack is asked now whether that account is in good standing
//! and in the sets that the rules name. What cannot be asked refuses.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::ask::{Call, Look};
use super::workspaces::Place;
use super::{Error, Service, fresh_grant_id, fresh_request_id};
use crate::domain::Timestamp;
use crate::domain::grant::{Grant, Source};
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::{SetName, SlackUserId};
use crate::domain::policy::{Glass, Policy};
use crate::domain::review::Review;
use crate::domain::token_request::TokenRequest;
use crate::hooks::DeniedKind;
use crate::store::{Change, Commit, Delivery};

impl Service {
    /// Grants at once, or refuses with words. The next look issues under the grant.
    pub(super) async fn break_glass(
        &self,
        policy: &Policy,
        call: &Call,
        glass: &Glass,
        now: Timestamp,
    ) -> Result<Look, Error> {
        if !call.asked.may_open_a_request() {
            let says = "No standing grant covers this, and this grant type cannot break the glass.".to_owned();
            return self.refuse(call, DeniedKind::NotCovered, says, None, now).await;
        }
        let rule = glass.terms.rules.values().next().map(String::as_str);
        if let Some(refused) = glass.refuses(&call.asked) {
            return self.refuse(call, DeniedKind::Policy, refused.says, rule, now).await;
        }
        let Some(place) = self.home_of_hook(&call.asked.hook) else {
            let says = "The workspace of this hook is not configured.".to_owned();
            return self.refuse(call, DeniedKind::Policy, says, rule, now).await;
        };
        let who = match self.may_break(place, &call.asked, glass, now).await {
            Ok(who) => who,
            Err(says) => return self.refuse(call, DeniedKind::Policy, says.to_owned(), rule, now).await,
        };
        // Two calls of the same instant break it once: whoever comes second finds the grant of the first.
        let _turn = self.0.breaking.lock().await;
        let standing = self.0.store.live_grants(call.asked.coverage_key(), now).await?;
        let covered =
            |grant: &Grant| grant.source == Source::BreakGlass && grant.covers(&call.asked, &glass.terms.scopes);
        if standing.iter().any(|grant| covered(grant) && grant.is_live(now)) {
            return Ok(Look::Again);
        }
        let grant = Grant::emergency(fresh_grant_id()?, &call.asked, &glass.terms, policy.version.clone(), now);
        let mut review = Review::open(fresh_request_id()?, &grant, glass, who, now);
        review.workspace = Some(place.team().clone());
        let channel = place.workspace.channel.to_string();
        let deliveries = vec![
            (review.id.clone(), Delivery::ReviewCard { channel }),
            (review.id.clone(), Delivery::TellReviewers { number: 0 }),
            (review.id.clone(), Delivery::RefreshHomes),
        ];
        tracing::warn!(review.id = %review.id, grant.id = %grant.id, "somebody broke the glass");
        metrics::counter!("countersign_glass_broken_total").increment(1);
        let commit = Commit {
            audit: vec![review.opened(&policy.version)],
            grant: Some(Change::New(grant)),
            review: Some(Change::New(review)),
            deliveries,
            // One that came with another body before must not break anything.
            call: call.named.clone(),
            ..Commit::default()
        };
        self.committed(commit, Look::Again, now).await
    }

    /// The person behind the subject, if Slack says now that they are in one set of each rule.
    async fn may_break(
        &self,
        place: &Arc<Place>,
        asked: &TokenRequest,
        glass: &Glass,
        now: Timestamp,
    ) -> Result<Voter, &'static str> {
        const UNKNOWN: &str = "Slack could not be asked who may break the glass, so nothing is issued. Try again.";
        const NOBODY: &str = "You are not one of those who may break the glass here.";
        const NOT_MAPPED: &str = "Nobody in Slack is known as this subject, so nobody can break the glass for it.";
        let accounts = self.accounts_of(place, asked).await.map_err(|_| UNKNOWN)?;
        let names: Vec<SetName> = glass.requesters.iter().flatten().cloned().collect();
        let mut why = if accounts.is_empty() { NOT_MAPPED } else { NOBODY };
        for user in &accounts {
            match self.learn(place, user, &names, now).await {
                Ok(who) => {
                    let is_subject = names_of(asked).contains(&who.principal);
                    let in_each =
                        glass.requesters.iter().all(|sets| sets.iter().any(|set| who.member_of.contains(set)));
                    if is_subject && in_each {
                        return Ok(who);
                    }
                }
                Err(refused) if refused.is_unavailable() => why = UNKNOWN,
                Err(_) => {}
            }
        }
        Err(why)
    }

    /// Every Slack account that the table maps to the subject; by address only where the table knows none.
    async fn accounts_of(
        &self,
        place: &Place,
        asked: &TokenRequest,
    ) -> Result<Vec<SlackUserId>, crate::slack::SlackError> {
        let names = names_of(asked);
        let directory = place.directory();
        let users: BTreeSet<SlackUserId> =
            names.iter().flat_map(|name| directory.slack_users_of(name).cloned()).collect();
        if !users.is_empty() {
            return Ok(users.into_iter().collect());
        }
        Ok(self.requester_by_address(place, asked).await?.into_iter().collect())
    }
}

fn names_of(asked: &TokenRequest) -> BTreeSet<Principal> {
    let names = [Some(asked.subject.id.as_str()), asked.subject.email.as_deref()];
    names.into_iter().flatten().map(Principal::new).collect()
}
