//! The policy: who may get what, and who must agree. Already parsed and compiled; reading the file is
//! `config`'s work.
//!
//! Rules are read top to bottom for each scope on its own; the first whose condition is true decides it, and
//! no match is a denial. [`Policy::judge`] gives the verdict of each scope, [`Policy::rule`] their sum.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;
use std::sync::Arc;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ids::{HookName, SetName, SlackChannelId, SlackGroupId, SlackUserId};
use super::scope::{Scope, ScopeSet};

mod ahead;
mod ask;
mod check;
mod condition;
mod explain;
mod facts;
mod glass;
mod guard;
mod judge;
mod lint;
mod observe;
mod owners;
mod partial;
mod rejudge;
mod rules;
mod spelling;
mod sum;
#[cfg(test)]
mod tests;

pub use ahead::{AheadRuling, Judging};
pub use ask::{Ask, Notify, NotifyBy, OnDeactivation, ReasonRule, Reminder, SelfApproval};
pub use check::compile_pattern;
pub use condition::{Condition, ConditionError, Use};
pub use explain::{Explained, Passed, Seen};
pub use glass::{BreakGlass, Glass};
pub use lint::{Finding, Weight};
pub use observe::{Observation, Observed, ObservedScope, Would};
pub use owners::Owners;
pub use rejudge::Stricter;
pub use rules::Rules;

/// A policy, as one file says it. Immutable: a reload makes a new one.
#[derive(Debug)]
pub struct Policy {
    /// Which text it came from.
    pub version: PolicyVersion,
    /// Who may decide, by name of the set.
    pub approvers: BTreeMap<SetName, ApproverSet>,
    /// What scopes mean.
    pub resources: Vec<Resource>,
    /// The rules, in order.
    pub rules: Rules,
    /// What protects people from being asked too often.
    pub limits: Limits,
    /// Whether one person may count for several requirements.
    pub shared: bool,
    /// What becomes of allowed scopes beside asked ones.
    pub partial: Partial,
    /// The channel of all rules that name none, by hook. Needed only where a request falls under rules of both kinds.
    pub usual_channels: BTreeMap<HookName, SlackChannelId>,
    /// What the file asks for and this version does not do; none of it makes anything less safe.
    pub warnings: Vec<String>,
}

/// One rule.
#[derive(Debug)]
pub struct Rule {
    /// Its name, unique in the policy.
    pub name: String,
    /// When it decides.
    pub when: Condition,
    /// What it decides.
    pub outcome: Outcome,
    /// The compiled pattern of the [`ReasonRule`] in an *ask*.
    pub reason_pattern: Option<Regex>,
    /// Whether it is enforced.
    pub mode: Mode,
}

impl Rule {
    /// Whether people who approve under it must authenticate anew.
    pub fn needs_step_up(&self) -> bool {
        match &self.outcome {
            Outcome::Ask(ask) => ask.ceremony == Ceremony::StepUp,
            Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => false,
        }
    }
}

/// Whether a rule or a hook is enforced.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// It decides.
    #[default]
    Enforce,
    /// What it would have decided is only recorded; the server issues as it would without us.
    Observe,
}

/// What becomes of the scopes that a rule allows when others of the same token request must be asked about.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Partial {
    /// All of them wait for the people.
    #[default]
    Hold,
    /// A server that can narrow issues the allowed ones now.
    Issue,
}

/// Ten years (of 365.25 days) in seconds: the longest time that a policy may name, and what stands for "no
/// bound of its own".
pub const LONGEST: u64 = 315_576_000;

/// SHA-256 in hexadecimal of the policy file: recorded on every request, vote and grant.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PolicyVersion(pub String);

/// Who may decide: user ids and user-group ids. Never handles, never the members of a channel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ApproverSet {
    /// Single people.
    pub users: BTreeSet<SlackUserId>,
    /// User groups, whose members Slack is asked for at the click.
    pub groups: BTreeSet<SlackGroupId>,
}

/// What the scopes of an audience mean; shown on cards. It restricts nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resource {
    /// The audience it speaks about.
    pub audience: String,
    /// Its name for people.
    pub name: String,
    /// The clients that `/access` offers it to.
    pub clients: Vec<String>,
    /// The hooks where a grant asked for ahead may be collected.
    pub hooks: Vec<HookName>,
    /// Who owns its clients: they do not decide about what those ask for.
    pub owners: Owners,
    /// Its scopes.
    pub scopes: BTreeMap<Scope, ScopeText>,
}

/// What a scope means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScopeText {
    /// In words.
    pub says: String,
    /// How bad a mistake would be.
    pub risk: Option<Risk>,
    /// A lower scope to offer instead.
    pub less: Option<Scope>,
}

/// How bad a mistake would be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Risk {
    /// Little.
    Low,
    /// Some.
    Medium,
    /// Much.
    High,
    /// As bad as it gets.
    Critical,
}

/// What protects people from being asked too often. All are durable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Pending access requests of one subject that is a person; above it the answer is 429.
    pub pending_per_subject: Option<u32>,
    /// Pending access requests whose subject is the client itself; above it the answer is 429.
    pub pending_per_client: Option<u32>,
    /// Cards that ask one approver within an hour; above it requests join one digest card.
    pub cards_per_approver_per_hour: Option<u32>,
    /// How long a denial refuses what it refused, in seconds.
    pub denial_cooldown: u64,
}

/// How often a grant may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Uses {
    /// As often as wanted until it ends.
    Window,
    /// This many issuances; `single` is 1.
    Times(u32),
}

/// How sure we must be that it is really the approver, in growing strength.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ceremony {
    /// One click.
    Click,
    /// A dialog that repeats scope and time.
    Confirm,
    /// The number that the client shows is typed.
    Match,
    /// The approver authenticates anew at an OpenID provider.
    StepUp,
}

/// What bounds a grant and its tokens. Times are in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bounds {
    /// The longest that the grant may last.
    pub max_duration: u64,
    /// The longest that one token may live.
    pub max_token_lifetime: u64,
    /// An approval that is not collected within this time is void.
    pub collect_within: u64,
    /// How often it may be used.
    pub uses: Uses,
}

/// What must be agreed on, and by how many distinct people of which sets.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Requirement {
    /// The approver sets, sorted; being in any one of them is enough.
    pub approvers: Vec<SetName>,
    /// How many of them. Never 0.
    pub count: NonZeroU8,
    /// The scopes that ask for it.
    pub scopes: ScopeSet,
}

/// What one scope got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    /// The scope, or the unnamed one.
    pub scope: Scope,
    /// The rule that decided, by name; none where no rule matched.
    pub rule: Option<String>,
    /// What it decided.
    pub outcome: Outcome,
    /// Whether the rule is enforced; the scope of one that is not passes.
    pub mode: Mode,
}

/// What a rule decides for one scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Issue it without asking.
    Allow(Bounds),
    /// Refuse it, saying this.
    Deny(String),
    /// Ask people.
    Ask(Arc<Ask>),
    /// Issue it at once in an emergency, and have it reviewed.
    BreakGlass(Arc<BreakGlass>),
}

/// The sum over all scopes of a token request.
#[derive(Debug, Clone, PartialEq)]
pub enum Ruling {
    /// Nothing may be issued.
    Refused(Refused),
    /// All of `terms.scopes` may be issued without asking.
    Allowed(Terms),
    /// All of `question.terms.scopes` may be issued once people agree.
    Asked(Question),
    /// All of `glass.terms.scopes` may be issued at once to whoever may break the glass.
    BreakGlass(Glass),
    /// All of `terms.scopes` pass, because the rules that decide them only look on.
    Observed(Terms),
}

/// Why a token request is refused by the policy.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The rule, where one decided.
    pub rule: Option<String>,
    /// What the caller is told.
    pub says: String,
}

/// What may be issued, and within which bounds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Terms {
    /// The scopes that are left.
    pub scopes: ScopeSet,
    /// The scopes that dropped out, with the reason of each.
    pub dropped: BTreeMap<Scope, Refused>,
    /// Which rule decided each scope that is left (the key is empty where no scope was named).
    pub rules: BTreeMap<Scope, String>,
    /// The smallest bounds of all of them.
    pub bounds: Bounds,
}

/// What people are asked: kept with the access request as it was asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// What would be granted.
    pub terms: Terms,
    /// Who must agree.
    pub requirements: Vec<Requirement>,
    /// Whether one person may count for several requirements.
    pub shared: bool,
    /// How long people have, in seconds.
    pub decide_within: u64,
    /// The strongest ceremony of all rules.
    pub ceremony: Ceremony,
    /// Where cards go; empty means the usual channel.
    pub channels: Vec<SlackChannelId>,
    /// The scopes that had to be asked about: what a denial cools down.
    pub asked: ScopeSet,
    /// Whether whoever asked may decide: the strictest of all rules.
    #[serde(default)]
    pub self_approval: SelfApproval,
    /// Who is told again when nobody decides, and after how long, in order of time.
    #[serde(default)]
    pub reminders: Vec<Reminder>,
    /// Who is told of the card beside the channel.
    #[serde(default)]
    pub notify: Notify,
    /// What becomes of the grant when somebody's account is deactivated: the strictest of all rules.
    #[serde(default)]
    pub on_deactivation: OnDeactivation,
    /// Why no access request may be opened although the policy would ask: a missing reason, or something
    /// that this version does not enforce yet. Standing grants are not touched by it.
    pub not_now: Option<Refused>,
}
