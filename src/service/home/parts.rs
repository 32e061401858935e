//! What App Home shows: what waits for somebody, what they wait for, what they have, what was decided lately.

use std::collections::BTreeSet;

use crate::domain::Timestamp;
use crate::domain::access_request::{AccessRequest, Status};
use crate::domain::grant::Status as GrantStatus;
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::SetName;
use crate::service::commands::OWN_MAX;
use crate::service::controls::Minting;
use crate::service::workspaces::Member;
use crate::service::{Error, Service};
use crate::slack::home::{Part, Row, RowButton};
use crate::slack::text::{code, cut, date, mention};
use crate::slack::{cards, requester, reviews};

/// How many decisions are shown.
const RECENT: usize = 10;
/// How many open reviews are looked at; each is an emergency, and there are never so many.
const REVIEWS_MAX: u32 = 200;

impl Service {
    pub(super) async fn parts(&self, who: &Member, minting: &mut Minting, now: Timestamp) -> Result<Vec<Part>, Error> {
        let own = self.own_requests(who).await?;
        let mut parts = vec![self.waiting_for(who, minting, now).await?];
        parts.extend(self.to_review(who, minting, now).await?);
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
            .filter(|request| request.status(now) != Status::Pending && self.is_at(&who.place, request))
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
    async fn waiting_for(&self, who: &Member, minting: &mut Minting, now: Timestamp) -> Result<Part, Error> {
        let sets = self.sets_of_person(who, now).await;
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
            let voted = request.counting().any(|vote| vote.voter.principal == who.principal);
            let may = self.is_at(&who.place, &request) && request.eligible(&voter).is_ok();
            if request.status(now) != Status::Pending || voted || !may {
                continue;
            }
            let asker = self.requester(&request).map(|user| format!("{} · ", mention(&user))).unwrap_or_default();
            rows.push(Row {
                words: format!("{asker}{} · until {}", self.request_line(&request), date(request.decide_by)),
                buttons: self.deciding_buttons(&request, minting),
            });
        }
        Ok(Part { title: "Waiting for you", nothing: "Nothing waits for you.", rows })
    }

    /// What the card offers to whoever decides.
    fn deciding_buttons(&self, request: &AccessRequest, minting: &mut Minting) -> Vec<RowButton> {
        let id = request.id.as_str();
        let mut button = |action: &'static str, text, label: String, confirm| RowButton {
            action,
            text,
            value: minting.value(action, Some(&request.id), None),
            label,
            confirm,
            takes_away: false,
        };
        let sure = ("Approve this token?".to_owned(), crate::slack::ending::confirmation(request), "Approve");
        let mut all = vec![button(cards::APPROVE, "Approve", format!("Approve request {id}"), Some(sure))];
        if let Some(text) = self.with_facts(request, None, "", cards::changes_words) {
            all.push(button(cards::CHANGES, text, format!("Approve less of request {id}"), None));
        }
        all.push(button(cards::DENY, "Deny…", format!("Deny request {id}"), None));
        all.push(button(cards::DETAILS, "Details…", format!("Show request {id} in full"), None));
        all
    }

    /// Broken glasses that this person may review, the longest open before the others; none is the ordinary case, and
    /// nothing is said of it then.
    async fn to_review(&self, who: &Member, minting: &mut Minting, now: Timestamp) -> Result<Option<Part>, Error> {
        let mut rows = Vec::new();
        for review in self.reviews_for(who, REVIEWS_MAX).await? {
            let grant = self.0.store.grant(&review.grant).await?;
            let (told, button) = ("", "");
            let facts = reviews::ReviewFacts { review: &review, grant: grant.as_ref(), told, button, now };
            let mut button = |action: &'static str, text, words: &str| RowButton {
                action,
                text,
                value: minting.value(action, Some(&review.id), None),
                label: format!("Review {} as {words}", review.id),
                confirm: None,
                takes_away: false,
            };
            rows.push(Row {
                words: reviews::line_words(&facts),
                buttons: vec![
                    button(reviews::JUSTIFIED, "Justified…", "justified"),
                    button(reviews::NOT_JUSTIFIED, "Not justified…", "not justified"),
                ],
            });
        }
        Ok((!rows.is_empty()).then_some(Part { title: "Waiting for your review", nothing: "", rows }))
    }

    /// The approver sets of the policy that somebody is in; what cannot be asked counts as not in.
    async fn sets_of_person(&self, who: &Member, now: Timestamp) -> BTreeSet<SetName> {
        let policy = self.policy();
        let mut sets = BTreeSet::new();
        for (name, set) in &policy.approvers {
            let mut is_in = set.users.contains(&who.slack);
            for group in &set.groups {
                is_in = is_in || who.place.people.is_member(group, &who.slack, now).await.is_ok_and(|(is_in, _)| is_in);
            }
            if is_in {
                sets.insert(name.clone());
            }
        }
        sets
    }

    /// What this person has, and what they decided and may revoke.
    async fn active(&self, who: &Member, minting: &mut Minting, now: Timestamp) -> Result<Part, Error> {
        let mut rows = Vec::new();
        for grant in self.0.store.live_grants_of(&who.principal, OWN_MAX).await? {
            match grant.status(now) {
                GrantStatus::Reserved | GrantStatus::Active => {}
                GrantStatus::Ended(_) | GrantStatus::Revoked => continue,
            }
            let request = match grant.request() {
                Some(id) => self.0.store.request(id).await?,
                None => None,
            };
            if !self.is_of_here(&who.place, &grant, request.as_ref()) {
                continue;
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
            let whose = if own { String::new() } else { format!("{} · ", code(&cut(&grant.asked.subject.id, 80).0)) };
            rows.push(Row { words: format!("{whose}{}", self.grant_line(&grant)), buttons });
        }
        Ok(Part { title: "Active grants", nothing: "No access is active.", rows })
    }
}
