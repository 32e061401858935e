//! How an access request came about: a hook called, or a person asked ahead or for more time.
//!
//! What was asked ahead belongs to no call yet: its grant is open to the hooks of its resource, and binds to the
//! first call that collects it.

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{AccessRequest, Cooldown, Effect, ServerAbilities, Step};
use crate::domain::Timestamp;
use crate::domain::audit::{Actor, Kind};
use crate::domain::grant::{Grant, Start, after, spoken};
use crate::domain::hashing::sha256_hex;
use crate::domain::identity::Principal;
use crate::domain::ids::{GrantId, HookName, RequestId, SlackUserId};
use crate::domain::policy::{PolicyVersion, Question};
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::{CoverageKey, Fingerprint, SubjectKind, TokenRequest};

/// How an access request came about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Origin {
    /// A hook called.
    #[default]
    Hook,
    /// Somebody asked in Slack before any hook called.
    Ahead(Box<Ahead>),
    /// Somebody wants a grant to go on after its end.
    Extension(Box<Extension>),
}

/// Who asked in Slack.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asker {
    /// The account.
    pub slack: SlackUserId,
    /// The identity.
    pub principal: Principal,
}

/// What is asked for ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ahead {
    /// Who asked.
    pub by: Asker,
    /// Where it may be collected.
    pub hooks: Vec<HookName>,
    /// When it is to start; none is at the decision.
    pub starts_at: Option<Timestamp>,
}

/// What is to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Extension {
    /// Who asked.
    pub by: Asker,
    /// The grant, which itself is not touched.
    pub of: GrantId,
    /// When that one ends.
    pub ends_at: Timestamp,
}

impl Origin {
    /// Whoever asked in Slack.
    pub fn asker(&self) -> Option<&Asker> {
        match self {
            Self::Hook => None,
            Self::Ahead(ahead) => Some(&ahead.by),
            Self::Extension(extension) => Some(&extension.by),
        }
    }
}

impl AccessRequest {
    /// Birth in Slack: somebody asks ahead, or for more time. `asked` is judged already.
    pub fn open_in_slack(
        id: RequestId,
        asked: TokenRequest,
        question: Question,
        server: ServerAbilities,
        policy: PolicyVersion,
        origin: Origin,
        now: Timestamp,
    ) -> Step {
        let mut step = Self::open(id, asked, question, server, policy, now);
        let Some(by) = origin.asker() else { return step };
        step.audit.actor = Actor::Person(by.slack.clone(), Some(by.principal.clone()));
        let what = match &origin {
            Origin::Hook => "asks",
            Origin::Ahead(_) => "asks ahead",
            Origin::Extension(_) => "asks for more time",
        };
        let asked = &step.next.asked;
        step.audit.summary = format!(
            "{} {what} for {} through {} as {}",
            by.principal,
            spoken(&step.next.question.terms.scopes),
            asked.client.id,
            asked.subject.id
        );
        step.audit.detail["origin"] = json!(origin);
        step.next.origin = origin;
        step
    }

    /// What this access request is found by while it is pending. What was asked in Slack never is the same as what
    /// a hook asks, and an extension is another one for each grant that it extends.
    pub fn pending_key(&self) -> Fingerprint {
        let own = || self.asked.fingerprint().0;
        match &self.origin {
            Origin::Hook => self.asked.pending_key(),
            Origin::Ahead(ahead) => {
                let start = ahead.starts_at.map_or(0, |at| at.timestamp());
                Fingerprint(sha256_hex(format!("ahead\n{start}\n{}", own()).as_bytes()))
            }
            Origin::Extension(extension) => {
                Fingerprint(sha256_hex(format!("extends\n{}\n{}", extension.of, own()).as_bytes()))
            }
        }
    }

    /// What a call of a hook finds this by that would be covered once it is approved; none where its own key says it.
    pub fn covers_key(&self) -> Option<CoverageKey> {
        match &self.origin {
            Origin::Hook => None,
            Origin::Ahead(_) => Some(CoverageKey::ahead(&self.asked)),
            Origin::Extension(_) => Some(self.asked.coverage_key()),
        }
    }

    /// Whether a hook's call would be covered by what this asks for, so that it need not ask people again.
    pub fn would_cover(&self, call: &TokenRequest, wanted: &ScopeSet, now: Timestamp) -> bool {
        let scopes = &self.question.terms.scopes;
        let scopes_fit = wanted.is_subset(scopes) && wanted.is_empty() == scopes.is_empty();
        scopes_fit
            && match &self.origin {
                Origin::Hook => false,
                Origin::Ahead(ahead) => {
                    ahead.hooks.contains(&call.hook)
                        && ahead.starts_at.is_none_or(|start| start <= now)
                        && self.asked.is_what_was_asked_ahead_by(call)
                }
                Origin::Extension(_) => self.asked.coverage_key() == call.coverage_key(),
            }
    }

    /// Whether this is somebody's own: they asked for it, or it speaks for them.
    pub fn is_of(&self, who: &Principal) -> bool {
        self.origin.asker().is_some_and(|asker| asker.principal == *who) || speaks_for(&self.asked, who)
    }

    /// The hooks that it is about.
    pub fn hooks(&self) -> Vec<HookName> {
        match &self.origin {
            Origin::Hook | Origin::Extension(_) => vec![self.asked.hook.clone()],
            Origin::Ahead(ahead) => ahead.hooks.clone(),
        }
    }

    /// A grant of this access request, with its place in time: what is asked ahead starts when it was asked for,
    /// and an extension is collected when the grant that it extends is over.
    pub(super) fn placed(&self, mut grant: Grant, now: Timestamp) -> Grant {
        let collect_within = self.question.terms.bounds.collect_within;
        match &self.origin {
            Origin::Hook => {}
            Origin::Ahead(ahead) => {
                let start = ahead.starts_at.unwrap_or(now).max(now);
                grant.expires_at += start - now;
                grant.collect_by = Some(after(start, collect_within));
                grant.start = if start > now { Start::At { at: start, checked: false } } else { Start::AtOnce };
                grant.coverage = CoverageKey::ahead(&self.asked);
                grant.open = Some(ahead.hooks.clone());
            }
            Origin::Extension(extension) => {
                grant.collect_by = Some(after(now.max(extension.ends_at), collect_within));
            }
        }
        grant
    }

    /// What a denial refuses at one hook, it refuses at each hook where it could have been collected.
    pub(super) fn at_each_hook(&self, cooldowns: Vec<Cooldown>) -> Vec<Cooldown> {
        let hooks = self.hooks();
        let at = |one: &Cooldown| hooks.iter().map(|hook| Cooldown { hook: hook.to_string(), ..one.clone() }).collect();
        cooldowns.iter().flat_map(|one| -> Vec<Cooldown> { at(one) }).collect()
    }

    /// The account of an approver is gone: what it voted does not count any more.
    pub(super) fn strike(&self, user: &SlackUserId, now: Timestamp) -> Option<Step> {
        if self.struck.contains(user) || !self.votes.iter().any(|vote| vote.voter.slack == *user) {
            return None;
        }
        let mut next = self.clone();
        next.struck.insert(user.clone());
        let summary = format!("the vote of {user} does not count any more: the account is gone");
        let audit = next.entry(Kind::VoteStruck, Actor::Service, summary, json!({ "voter": user }), now);
        let effects = vec![Effect::RefreshCards];
        Some(Step { next, grant: None, cooldowns: Vec::new(), audit, effects })
    }
}

/// Whether a token request speaks for this person. A client is another subject than a person of its name.
pub fn speaks_for(asked: &TokenRequest, who: &Principal) -> bool {
    let names = [Some(asked.subject.id.as_str()), asked.subject.email.as_deref()];
    asked.subject.kind == SubjectKind::User && names.into_iter().flatten().any(|name| Principal::new(name) == *who)
}
