//! Handing over: what a standing grant gives a call under the policy of now, and whether those who approved it still
//! would be enough. The stricter of the policy then and the policy now counts.

use super::Timestamp;
use super::access_request::{AccessRequest, Vote, would_meet};
use super::grant::{Grant, GrantStep, Issuance, Source};
use super::identity::Voter;
use super::policy::{AheadRuling, PolicyVersion, Question, Ruling, Terms};
use super::scope::ScopeSet;
use super::token_request::TokenRequest;

impl Grant {
    /// The token that a call may have of it, if any: `terms` are those of `ruling`, what the policy says now.
    /// `repeated` says that this call is a use that was counted before.
    pub fn hand_over(
        &self,
        asked: &TokenRequest,
        ruling: &Ruling,
        terms: &Terms,
        repeated: bool,
        now: Timestamp,
    ) -> Option<Issuance> {
        if !self.is_usable(asked, ruling, terms, now) {
            return None;
        }
        let bound = self.bounded_by(&terms.bounds, repeated, now)?;
        self.issue(asked, &terms.scopes, bound, repeated, now).ok()
    }

    /// What was granted ahead goes to the first call that gets a token of it; a call that gets none takes nothing.
    pub fn collected_by(
        &self,
        call: &TokenRequest,
        ruling: &Ruling,
        terms: &Terms,
        now: Timestamp,
    ) -> Option<GrantStep> {
        let step = self.collect(call, &terms.scopes, now).ok()?;
        step.next.hand_over(call, ruling, terms, false, now).is_some().then_some(step)
    }

    /// A grant of an allow rule only counts while the policy allows; one that is nearly over gives way to a fresh one.
    pub fn is_usable(&self, asked: &TokenRequest, ruling: &Ruling, terms: &Terms, now: Timestamp) -> bool {
        let in_emergency = match ruling {
            // Where the policy asks people now, that is stricter.
            Ruling::BreakGlass(_) | Ruling::Allowed(_) => true,
            Ruling::Asked(_) | Ruling::Refused(_) | Ruling::Observed(_) => false,
        };
        let by_rule = match ruling {
            Ruling::Allowed(_) => true,
            Ruling::Asked(_) | Ruling::Refused(_) | Ruling::BreakGlass(_) | Ruling::Observed(_) => false,
        };
        match &self.source {
            Source::Request(_) => true,
            Source::BreakGlass => in_emergency,
            Source::AllowRule => {
                let left = u64::try_from((self.expires_at - now).num_seconds()).unwrap_or(0);
                let wish = asked.requested_lifetime.unwrap_or(u64::MAX).min(terms.bounds.max_token_lifetime);
                by_rule && left >= wish.min(terms.bounds.max_duration / 2)
            }
        }
    }

    /// At a later issuance: whether a policy that changed since asks for more than those who decided. They count as
    /// they did then, so whoever left a group after the first hand-over ends nothing. The grant stays what it is:
    /// under yet another policy it may do again.
    pub fn is_outgrown(&self, ruling: &Ruling, policy: &PolicyVersion) -> bool {
        match ruling {
            Ruling::Asked(question) if self.request().is_some() && self.used > 0 => {
                self.policy != *policy && !agree(question, &self.removed, self.deciders.iter())
            }
            Ruling::Asked(_)
            | Ruling::Refused(_)
            | Ruling::Allowed(_)
            | Ruling::BreakGlass(_)
            | Ruling::Observed(_) => false,
        }
    }
}

impl AccessRequest {
    /// Before anything is issued under its grant: whether those who approved, as they are known now, still would be
    /// enough, for what they were asked and for what the policy asks now. `known` tells who somebody is now, if they
    /// still are somebody.
    pub fn is_still_agreed(&self, grant: &Grant, ruling: &Ruling, known: impl Fn(&Voter) -> Option<Voter>) -> bool {
        let people: Vec<(&Vote, Voter)> =
            self.counting().filter_map(|vote| Some((vote, known(&vote.voter)?))).collect();
        let enough = |question: &Question, removed: &ScopeSet| {
            let may = |(vote, voter): &&(&Vote, Voter)| self.may_count(question.self_approval, voter, vote);
            agree(question, removed, people.iter().filter(may).map(|(_, voter)| voter))
        };
        let current = match ruling {
            Ruling::Asked(question) => question.ceremony <= self.question.ceremony && enough(question, &grant.removed),
            Ruling::Refused(_) | Ruling::Allowed(_) | Ruling::BreakGlass(_) | Ruling::Observed(_) => true,
        };
        current && enough(&self.question, &ScopeSet::default())
    }

    /// Why a grant that was asked for ahead does not start: `people` are those who approved as they are known now, and
    /// `ruling` is what the policy says now of what was granted.
    pub fn refuses_to_start(&self, people: &[Voter], ruling: Option<&AheadRuling>) -> Option<String> {
        let enough = |question: &Question| would_meet(question, people.iter());
        let still = match ruling {
            Some(AheadRuling::Refused(says)) => return Some(format!("the policy refuses it now: {says}")),
            Some(AheadRuling::Asked { question, .. }) => enough(question),
            Some(AheadRuling::Allowed) | None => true,
        };
        (!still || !enough(&self.question)).then(|| "those who approved would not be enough any more".to_owned())
    }
}

/// Whether these people are enough for a question without what approvers took out: that needs nobody's approval any
/// more, and where nothing else does, nobody is needed.
fn agree<'a>(question: &Question, removed: &ScopeSet, people: impl Iterator<Item = &'a Voter>) -> bool {
    let left = question.without(removed);
    (left.requirements.is_empty() && !removed.is_empty()) || would_meet(&left, people)
}
