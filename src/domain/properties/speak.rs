//! The plain world in the domain's own types.

use std::collections::{BTreeMap, BTreeSet};
use std::num::NonZeroU8;

use chrono::DateTime;
use serde_json::{Value, json};

use super::world::{ACTORS, CAST, Plan, SCOPES, SETS, SUBJECTS, Wish};
use crate::domain::Timestamp;
use crate::domain::access_request::{MessageRef, ServerAbilities};
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::{GrantId, HookName, RequestId, SetName, SlackChannelId, SlackUserId};
use crate::domain::policy::{
    Bounds, Ceremony, Notify, OnDeactivation, PolicyVersion, Question, Refused, Requirement, SelfApproval, Terms, Uses,
};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};

/// An instant, from milliseconds since 1970.
pub fn time(millis: i64) -> Timestamp {
    DateTime::from_timestamp_millis(millis).unwrap()
}

/// The scopes of a mask.
pub fn scopes(mask: u8) -> ScopeSet {
    let named = (0..SCOPES.len()).filter(|bit| mask & (1 << bit) != 0).map(|bit| SCOPES[bit]);
    ScopeSet::collect(named).unwrap()
}

/// The mask of some scopes.
pub fn mask(scopes: &ScopeSet) -> u8 {
    scopes.iter().fold(0, |mask, scope| mask | 1 << SCOPES.iter().position(|name| *name == scope.as_str()).unwrap())
}

/// Authorization details; two of them differ only beyond what a double can hold.
fn details(n: usize) -> Vec<Value> {
    let pay = |account: u64| json!({"type": "pay", "account": account});
    match n {
        0 => Vec::new(),
        1 => vec![pay(9_007_199_254_740_992)],
        2 => vec![pay(9_007_199_254_740_993)],
        _ => vec![json!({"type": "see"}), pay(9_007_199_254_740_992)],
    }
}

/// The token request of a wish.
pub fn token_request(wish: &Wish) -> TokenRequest {
    let (kind, id, email) = SUBJECTS[wish.subject];
    let kind = if kind == "user" { SubjectKind::User } else { SubjectKind::Client };
    let audiences = ["https://pay.example", "https://books.example"];
    let named = audiences.iter().enumerate().filter(|(bit, _)| wish.audience & (1 << bit) != 0);
    let text = |n: usize, prefix: &str| (n > 0).then(|| format!("{prefix}{n}"));
    TokenRequest {
        hook: HookName::parse(["billing", "builds"][wish.hook]).unwrap(),
        issuer: None,
        grant_type: if wish.refresh { "refresh_token" } else { "client_credentials" }.to_owned(),
        client: Client { id: ["billing-cli", "agent"][wish.client].to_owned(), name: None },
        subject: Subject { kind, id: id.to_owned(), email: email.map(str::to_owned) },
        actor: ACTORS[wish.actor].iter().map(|actor| (*actor).to_owned()).collect(),
        scopes: scopes(wish.scopes),
        audience: named.map(|(_, name)| (*name).to_owned()).collect(),
        authorization_details: details(wish.details),
        cnf: (wish.cnf > 0).then(|| json!({"jkt": "thumbprint"})),
        binding_message: text(wish.number, "4"),
        requested_lifetime: wish.lifetime,
        reason: text(wish.reason, "PAY-"),
        context: text(wish.ip, "203.0.113.")
            .map(|ip| BTreeMap::from([("ip".to_owned(), json!(ip))]))
            .unwrap_or_default(),
    }
}

/// A member of the cast who clicks, being in the approver sets of a mask.
pub fn voter(who: usize, sets: u8, now: i64) -> Voter {
    let account = CAST[who];
    let names = (0..SETS.len()).filter(|bit| sets & (1 << bit) != 0).map(set);
    let possible: BTreeSet<_> = [Some(account.principal), account.perhaps, Some(account.slack)].into_iter().collect();
    Voter {
        slack: SlackUserId::parse(account.slack).unwrap(),
        principal: Principal::new(account.principal),
        possible: possible.into_iter().flatten().map(Principal::new).collect(),
        member_of: names.collect(),
        groups: BTreeSet::new(),
        learnt_at: time(now),
    }
}

fn set(n: usize) -> SetName {
    SetName::parse(SETS[n]).unwrap()
}

/// What may be issued of a wish, of which the policy refuses some scopes.
pub fn terms(plan: &Plan, wish: &Wish) -> Terms {
    let left = scopes(wish.scopes & !plan.forbidden);
    let refused = Refused { rule: None, says: "Not here.".to_owned() };
    let dropped = scopes(wish.scopes & plan.forbidden).iter().map(|scope| (scope.clone(), refused.clone())).collect();
    let rules = left.judged().into_iter().map(|scope: Scope| (scope, "the-rule".to_owned())).collect();
    let uses = plan.uses.map_or(Uses::Window, Uses::Times);
    let bounds = Bounds {
        max_duration: plan.max_duration,
        max_token_lifetime: plan.max_token,
        collect_within: plan.collect_within,
        uses,
    };
    Terms { scopes: left, dropped, rules, bounds }
}

/// What people are asked about a wish.
pub fn question(plan: &Plan, wish: &Wish) -> Question {
    let terms = terms(plan, wish);
    Question {
        requirements: requirements(&plan.requirements)
            .into_iter()
            .zip(&plan.covers)
            .map(|(requirement, cover)| Requirement {
                scopes: covered(*cover, wish.scopes & !plan.forbidden),
                ..requirement
            })
            .collect(),
        asked: terms.scopes.clone(),
        terms,
        shared: plan.shared,
        decide_within: plan.decide_within,
        ceremony: Ceremony::Click,
        channels: Vec::new(),
        not_now: None,
        self_approval: SelfApproval::Never,
        reminders: Vec::new(),
        notify: Notify::default(),
        on_deactivation: OnDeactivation::Keep,
    }
}

/// The scopes that ask for a requirement, of those that are left; the unnamed one where none is named.
fn covered(cover: u8, left: u8) -> ScopeSet {
    scopes(super::model::cover(cover, left)).judged().into_iter().collect()
}

/// Requirements, from masks of approver sets and counts.
pub fn requirements(plain: &[(u8, u8)]) -> Vec<Requirement> {
    let one = |(sets, count): &(u8, u8)| Requirement {
        approvers: (0..SETS.len()).filter(|bit| sets & (1 << bit) != 0).map(set).collect(),
        count: NonZeroU8::new(*count).unwrap(),
        scopes: ScopeSet::default(),
    };
    plain.iter().map(one).collect()
}

/// The message that everybody clicks.
pub fn message() -> MessageRef {
    MessageRef { channel: SlackChannelId::parse("C0CARDS").unwrap(), ts: "1.2".to_owned() }
}

/// The n-th access request's identifier.
pub fn request_id(n: usize) -> RequestId {
    RequestId::parse(format!("req_{n:032x}")).unwrap()
}

/// The n-th grant's identifier.
pub fn grant_id(n: usize) -> GrantId {
    GrantId::parse(format!("grn_{n:032x}")).unwrap()
}

/// The policy's version.
pub fn policy() -> PolicyVersion {
    PolicyVersion("p1".to_owned())
}

/// A server that can do everything.
pub fn server() -> ServerAbilities {
    ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: true }
}
