//! Handing a token out under a standing grant.
//!
//! Every guard runs again here: the current policy was asked before, the people who decided are asked about at
//! the first hand-over (from what was learnt, without calling Slack), and the store checks the grant a last
//! time inside of the transaction that records the issuance.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::json;

use super::receipts::Receipt;
use super::workspaces::Place;
use super::{Call, Error, Service};
use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Effect};
use crate::domain::audit::{Actor, AuditEntry, Kind};
use crate::domain::grant::{Grant, Issuance, spoken};
use crate::domain::identity::Voter;
use crate::domain::ids::{RequestId, SetName};
use crate::domain::policy::{Observation, Refused, Ruling, Terms, Uses};
use crate::domain::scope::Scope;
use crate::domain::token_request::Fingerprint;
use crate::hooks::{Answer, Granted};
use crate::store::{Delivery, Issue, Issued, StoreError};

/// What was learnt this long before a click still counts at the first hand-over, in seconds.
const LEARNT_BEFORE_CLICK: i64 = 60;

/// A call and what the policy says of it now: what every step of a hand-over looks at.
pub(super) struct Case<'a> {
    pub call: &'a Call,
    pub ruling: &'a Ruling,
    /// What may be issued of what is asked.
    pub terms: &'a Terms,
    pub observed: Option<&'a Observation>,
    /// The access request whose approval ended the waiting of a held call, as it was just read.
    pub approved: Option<&'a AccessRequest>,
    pub now: Timestamp,
}

impl Service {
    /// The answer from a live grant that covers the call, if there is one.
    pub(super) async fn issue_from_grants(&self, case: &Case<'_>) -> Result<Option<Answer>, Error> {
        let grants = self.0.store.live_grants(case.call.asked.coverage_key(), case.now).await?;
        let grants = match self.in_order(case, grants).await {
            Ok(grants) => grants,
            Err(Error::Store(StoreError::OtherBody)) => return Ok(Some(Answer::Conflict)),
            Err(error) => return Err(error),
        };
        if let Some(answer) = self.issue_from(grants, case).await? {
            return Ok(Some(answer));
        }
        match Box::pin(self.collected_for(case)).await {
            Ok(Some(grant)) => self.issue_from(vec![grant], case).await,
            Ok(None) => Ok(None),
            Err(Error::Store(StoreError::OtherBody)) => Ok(Some(Answer::Conflict)),
            Err(error) => Err(error),
        }
    }

    async fn issue_from(&self, grants: Vec<Grant>, case: &Case<'_>) -> Result<Option<Answer>, Error> {
        let Case { call, ruling, terms, observed, now, .. } = *case;
        let fingerprint = call.asked.fingerprint();
        for grant in grants {
            let uses = grant.uses_under(&terms.bounds);
            let repeated = match self.is_repeated(call, &grant, uses, &fingerprint, now).await {
                Ok(repeated) => repeated,
                Err(Error::Store(StoreError::OtherBody)) => return Ok(Some(Answer::Conflict)),
                Err(error) => return Err(error),
            };
            let Some(issuance) = grant.hand_over(&call.asked, ruling, terms, repeated, now) else { continue };
            if grant.is_outgrown(ruling, &self.policy().version) {
                continue;
            }
            if let Some(why) = self.deciders_refuse(&grant, case).await? {
                if self.is_another_call(call).await? {
                    return Ok(Some(Answer::Conflict));
                }
                self.void(&grant, why, now).await?;
                continue;
            }
            let dropped = dropped(terms, &issuance);
            let receipt = self.receipt(call, &grant, &issuance, now);
            let issue = Issue {
                grant: grant.id.clone(),
                call: call.named.clone(),
                fingerprint: fingerprint.clone(),
                token_expires_at: issuance.expires_at,
                uses,
                audit: entry(call, &grant, &issuance, terms, observed, now),
                when_used_up: self.told_when_used_up(&grant).await?,
                at: now,
            };
            let tells = !issue.when_used_up.is_empty();
            let outcome = self.0.store.issue(issue).await?;
            if tells {
                self.tell(None);
            }
            match outcome {
                Issued::Recorded => return Ok(Some(granted(&grant, issuance, receipt, dropped))),
                Issued::OtherBody => return Ok(Some(Answer::Conflict)),
                Issued::Gone => {}
            }
        }
        Ok(None)
    }

    /// Whether the call's identifier came with another body before: then nothing at all may come of it.
    pub(super) async fn is_another_call(&self, call: &Call) -> Result<bool, Error> {
        let Some(named) = &call.named else { return Ok(false) };
        match self.0.store.earlier_call(named).await {
            Ok(_) => Ok(false),
            Err(StoreError::OtherBody) => Ok(true),
            Err(error) => Err(error.into()),
        }
    }

    /// Whether this call is a use that was counted before. Where uses are not limited nobody needs to know: the
    /// store counts, and refuses an identifier that came with another body.
    async fn is_repeated(
        &self,
        call: &Call,
        grant: &Grant,
        uses: Uses,
        fingerprint: &Fingerprint,
        now: Timestamp,
    ) -> Result<bool, Error> {
        match (uses, &call.named) {
            (Uses::Window, _) => Ok(false),
            (Uses::Times(_), Some(named)) => Ok(self.0.store.earlier_call(named).await?.as_ref() == Some(&grant.id)),
            (Uses::Times(_), None) => Ok(grant.is_same_use(fingerprint, now)),
        }
    }

    /// A card offers to revoke only what can still be used, so the last use has it drawn again.
    async fn told_when_used_up(&self, grant: &Grant) -> Result<Vec<(RequestId, Delivery)>, Error> {
        let last_use = match grant.uses {
            Uses::Times(most) => grant.used + 1 >= most,
            Uses::Window => false,
        };
        let (true, Some(id)) = (last_use, grant.request()) else { return Ok(Vec::new()) };
        let request = self.0.store.request(id).await?;
        Ok(request.map(|request| self.deliveries(&request, &[Effect::RefreshCards], None)).unwrap_or_default())
    }

    /// At the first hand-over: would the people who approved still be enough, under the current policy?
    async fn deciders_refuse(&self, grant: &Grant, case: &Case<'_>) -> Result<Option<&'static str>, Error> {
        let (Some(id), 0) = (grant.request(), grant.used) else { return Ok(None) };
        let request = match case.approved.filter(|approved| approved.id == *id) {
            // An approval that was read does not change any more.
            Some(approved) => Some(approved.clone()),
            None => self.0.store.request(id).await?,
        };
        let Some(request) = request else { return Ok(Some("the access request behind this grant is gone")) };
        // Who must not decide is asked again, too: owners may have become others since.
        let Ok(request) = self.with_owners(request, case.now) else {
            return Ok(Some("it cannot be told any more who must not decide"));
        };
        let Some(place) = self.home(&request) else {
            return Ok(Some("the workspace of those who approved is not configured any more"));
        };
        let agreed = request.is_still_agreed(grant, case.ruling, |voter| self.still_known(place, voter));
        Ok((!agreed).then_some("those who approved would not be enough any more"))
    }

    /// Ends an approval that does not count any more before anything was issued under it. It is nobody's no, so
    /// nothing cools down: whoever asks again asks people again.
    async fn void(&self, grant: &Grant, why: &str, now: Timestamp) -> Result<(), Error> {
        let request = match grant.request() {
            Some(id) => self.0.store.request(id).await?,
            None => None,
        };
        let rules: Vec<String> = grant.rules.iter().map(|rule| format!("`{rule}`")).collect();
        let why = format!("{why} ({} {})", if rules.len() == 1 { "rule" } else { "rules" }, rules.join(", "));
        // Whether it was ended here or by somebody who was first: it is not used.
        let _ = self.revoke(grant, request.as_ref(), Actor::Service, &why, None, now).await?;
        Ok(())
    }

    /// The voter as known now, from the configuration and from what was learnt since shortly before the click.
    fn still_known(&self, place: &Place, voter: &Voter) -> Option<Voter> {
        let since = voter.learnt_at - chrono::Duration::seconds(LEARNT_BEFORE_CLICK);
        if let Some(standing) = place.people.standing_since(&voter.slack, since)
            && place.outsider(&standing).is_some()
        {
            return None;
        }
        let directory = place.directory();
        let still_mapped = match directory.users.get(&voter.slack) {
            Some(mapped) => *mapped == voter.principal,
            // Whoever the table does not name is somebody by address, or nobody.
            None => directory.maps_addresses(),
        };
        if !still_mapped {
            return None;
        }
        let policy = self.policy();
        let still_in = |name: &SetName| {
            let Some(set) = policy.approvers.get(name) else { return false };
            let learnt = |group| place.people.is_member_since(group, &voter.slack, since);
            // A group that nothing was learnt about since counts as it was at the click.
            let in_group = |group| learnt(group).unwrap_or_else(|| voter.groups.contains(group));
            set.users.contains(&voter.slack) || set.groups.iter().any(in_group)
        };
        let member_of: BTreeSet<SetName> = voter.member_of.iter().filter(|name| still_in(name)).cloned().collect();
        Some(Voter { member_of, ..voter.clone() })
    }

    fn receipt(&self, call: &Call, grant: &Grant, issuance: &Issuance, now: Timestamp) -> String {
        self.0.receipts.sign(&Receipt {
            iss: self.public_url(),
            iat: now.timestamp(),
            exp: issuance.expires_at.timestamp(),
            sub: &call.asked.subject.id,
            client_id: &call.asked.client.id,
            aud: call.asked.audience.iter().map(String::as_str).collect(),
            scope: issuance.scopes.to_string(),
            hook: call.asked.hook.as_str(),
            grant_id: grant.id.as_str(),
            request_id: grant.request().map(RequestId::as_str),
            grant_exp: grant.expires_at.timestamp(),
        })
    }
}

fn entry(
    call: &Call,
    grant: &Grant,
    issuance: &Issuance,
    terms: &Terms,
    observed: Option<&Observation>,
    now: Timestamp,
) -> AuditEntry {
    let mut entry = AuditEntry {
        at: now,
        kind: Kind::TokenIssued,
        actor: Actor::Hook(call.asked.hook.clone()),
        request_id: grant.request().cloned(),
        grant_id: Some(grant.id.clone()),
        summary: format!("{} may issue {} for {} s", call.asked.hook, spoken(&issuance.scopes), issuance.lifetime),
        detail: json!({
            "scopes": issuance.scopes, "token_expires_at": issuance.expires_at, "rules": terms.rules.values().collect::<BTreeSet<_>>(),
            "call": call.named.as_ref().map(|named| &named.id),
        }),
    };
    if let Some(observed) = observed {
        entry.detail["observed"] = super::observe::detail(observed);
    }
    entry
}

/// What is not issued of what was asked, and why: by the policy, or because the people who approved took it out.
fn dropped(terms: &Terms, issuance: &Issuance) -> BTreeMap<Scope, Refused> {
    let taken_out = Refused { rule: None, says: "An approver did not grant this scope.".to_owned() };
    let beyond = terms.scopes.iter().filter(|scope| !issuance.scopes.contains(scope));
    let beyond = beyond.map(|scope| (scope.clone(), taken_out.clone()));
    terms.dropped.clone().into_iter().chain(beyond).collect()
}

fn granted(grant: &Grant, issuance: Issuance, receipt: String, dropped: BTreeMap<Scope, Refused>) -> Answer {
    Answer::Granted(Granted {
        scopes: issuance.scopes,
        lifetime: issuance.lifetime,
        expires_at: issuance.expires_at,
        grant_expires_at: grant.expires_at,
        grant_id: grant.id.clone(),
        request_id: grant.request().cloned(),
        receipt,
        dropped,
        pending: None,
    })
}
