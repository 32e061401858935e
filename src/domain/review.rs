//! The review of a broken glass: somebody who was told must say afterwards whether it was justified.
//!
//! A review is opened in the same commit as the grant, expires never, and is told again and again until it is answered.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::Timestamp;
use super::access_request::Cooldown;
use super::audit::{Actor, AuditEntry, Kind};
use super::grant::{Grant, after, spoken};
use super::identity::{Principal, Voter};
use super::ids::{GrantId, RequestId, SetName, SlackTeamId, SlackUserId};
use super::policy::Glass;
use super::scope::ScopeSet;
use super::token_request::TokenRequest;

/// How long after a review became overdue it is told again, and again, in seconds.
const AGAIN_AFTER: u64 = 24 * 60 * 60;

/// A review request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Review {
    /// Its identifier, of the same kind as those of access requests: messages and audit entries name it.
    pub id: RequestId,
    /// The Slack workspace whose people answer; none in rows from when there was only one.
    #[serde(default)]
    pub workspace: Option<SlackTeamId>,
    /// The grant that it is about.
    pub grant: GrantId,
    /// What was asked when the glass was broken.
    pub asked: TokenRequest,
    /// What was granted.
    pub scopes: ScopeSet,
    /// Whoever broke the glass, as known then.
    pub broken_by: Voter,
    /// Who is told, and who may answer.
    pub tell: Vec<SetName>,
    /// The rules that granted.
    pub rules: Vec<String>,
    /// When the glass was broken.
    pub opened_at: Timestamp,
    /// When the grant ends at the latest.
    pub grant_until: Timestamp,
    /// When it is overdue.
    pub review_by: Timestamp,
    /// How often everybody was told that it is overdue.
    pub reminded: u32,
    /// Where it stands.
    pub state: ReviewState,
    /// The compare-and-swap counter; it never leaves the store.
    pub version: i64,
}

/// Where a review stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ReviewState {
    /// Nobody has answered.
    Open,
    /// Somebody did.
    Answered {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
        /// What.
        verdict: Verdict,
        /// In their words.
        note: String,
    },
}

/// What a review says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// It was an emergency.
    Justified,
    /// It was not: what is left is revoked, and it cools down.
    NotJustified,
}

/// What follows from something that happened to a review.
#[derive(Debug, Clone, PartialEq)]
pub struct ReviewStep {
    /// The review afterwards.
    pub next: Review,
    /// What is refused from now on.
    pub cooldowns: Vec<Cooldown>,
    /// What is written down.
    pub audit: AuditEntry,
}

/// Why an answer counts for nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum ReviewRefusal {
    /// It was answered before.
    #[error("this review is already answered")]
    Answered,
    /// The person was not told.
    #[error("you are not one of those who review this")]
    NotAReviewer,
    /// The person broke the glass, or acts for it.
    #[error("nobody reviews what they did themselves")]
    OwnDoing,
}

impl Review {
    /// Opens the review of a grant.
    pub fn open(id: RequestId, grant: &Grant, glass: &Glass, broken_by: Voter, now: Timestamp) -> Self {
        Self {
            id,
            workspace: None,
            grant: grant.id.clone(),
            asked: grant.asked.clone(),
            scopes: grant.scopes.clone(),
            broken_by,
            tell: glass.tell.clone(),
            rules: grant.rules.clone(),
            opened_at: now,
            grant_until: grant.expires_at,
            review_by: after(now, glass.review_within),
            reminded: 0,
            state: ReviewState::Open,
            version: 0,
        }
    }

    /// When it next wants to hear that time has passed.
    pub fn due_at(&self) -> Option<Timestamp> {
        match self.state {
            ReviewState::Open => Some(after(self.review_by, AGAIN_AFTER.saturating_mul(u64::from(self.reminded)))),
            ReviewState::Answered { .. } => None,
        }
    }

    /// Whether it should have been answered by now.
    pub fn is_overdue(&self, now: Timestamp) -> bool {
        self.state == ReviewState::Open && now >= self.review_by
    }

    /// Everybody is told that it is overdue: once, and then daily. Where several days passed at once, it is one step
    /// that leads past all of them: nobody needs the same words twice in a minute.
    pub fn time_passed(&self, now: Timestamp) -> Option<ReviewStep> {
        let due = self.due_at().filter(|due| now >= *due)?;
        let days = u64::try_from((now - due).num_seconds()).unwrap_or(0) / AGAIN_AFTER;
        let mut next = self.clone();
        next.reminded = next.reminded.saturating_add(u32::try_from(days).unwrap_or(u32::MAX)).saturating_add(1);
        let summary = format!("the review of {} was due by {}", spoken(&self.scopes), self.review_by);
        let audit = next.entry(Kind::ReviewOverdue, Actor::Time, summary, json!({ "review_by": self.review_by }), now);
        Some(ReviewStep { next, cooldowns: Vec::new(), audit })
    }

    /// Who may answer: a member of a set that was told, who is not the one who broke the glass.
    ///
    /// # Errors
    /// [`ReviewRefusal`], why not.
    pub fn may_answer(&self, voter: &Voter) -> Result<(), ReviewRefusal> {
        let same =
            |one: &Voter, other: &Voter| one.principal == other.principal || one.possible.contains(&other.principal);
        let party = self.parties();
        if self.state != ReviewState::Open {
            Err(ReviewRefusal::Answered)
        } else if same(voter, &self.broken_by)
            || same(&self.broken_by, voter)
            || voter.slack == self.broken_by.slack
            || party.contains(&voter.principal)
            || !party.is_disjoint(&voter.possible)
        {
            Err(ReviewRefusal::OwnDoing)
        } else if self.tell.iter().any(|set| voter.member_of.contains(set)) {
            Ok(())
        } else {
            Err(ReviewRefusal::NotAReviewer)
        }
    }

    fn parties(&self) -> BTreeSet<Principal> {
        super::identity::parties(&self.asked)
    }

    /// Somebody says whether it was justified. If it was not, what was granted cools down.
    ///
    /// # Errors
    /// [`ReviewRefusal`]: nothing changes.
    pub fn answer(
        &self,
        voter: &Voter,
        verdict: Verdict,
        note: &str,
        cooldown: u64,
        now: Timestamp,
    ) -> Result<ReviewStep, ReviewRefusal> {
        self.may_answer(voter)?;
        let by = Actor::Person(voter.slack.clone(), Some(voter.principal.clone()));
        let mut next = self.clone();
        next.state = ReviewState::Answered { by: by.clone(), at: now, verdict, note: note.to_owned() };
        let (words, cooldowns) = match verdict {
            Verdict::Justified => ("was justified", Vec::new()),
            Verdict::NotJustified => {
                ("was not justified", Cooldown::of(&self.asked, &self.scopes, after(now, cooldown), "denied"))
            }
        };
        let summary = format!("{by} says that breaking the glass for {} {words}", spoken(&self.scopes));
        let detail = json!({ "verdict": verdict, "note": note, "overdue": self.is_overdue(now) });
        let audit = next.entry(Kind::ReviewAnswered, by, summary, detail, now);
        Ok(ReviewStep { next, cooldowns, audit })
    }

    /// The entry of its birth, with that of the grant.
    pub fn opened(&self, policy: &super::policy::PolicyVersion) -> AuditEntry {
        let by = Actor::Person(self.broken_by.slack.clone(), Some(self.broken_by.principal.clone()));
        let summary = format!("{by} broke the glass for {} until {}", spoken(&self.scopes), self.grant_until);
        let detail = json!({
            "reason": self.asked.reason, "client": self.asked.client, "subject": self.asked.subject,
            "audience": self.asked.audience, "scopes": self.scopes, "expires_at": self.grant_until,
            "review_by": self.review_by, "tell": self.tell, "policy": policy,
        });
        self.entry(Kind::GlassBroken, by, summary, detail, self.opened_at)
    }

    fn entry(
        &self,
        kind: Kind,
        actor: Actor,
        summary: String,
        mut detail: serde_json::Value,
        at: Timestamp,
    ) -> AuditEntry {
        detail["rules"] = json!(self.rules);
        let (request_id, grant_id) = (Some(self.id.clone()), Some(self.grant.clone()));
        AuditEntry { at, kind, actor, request_id, grant_id, summary, detail }
    }

    /// Whoever broke the glass.
    pub fn who(&self) -> &SlackUserId {
        &self.broken_by.slack
    }
}
