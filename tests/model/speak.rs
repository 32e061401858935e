//! The plain world in the words of the domain.

use std::collections::{BTreeMap, BTreeSet};

use chrono::DateTime;
use countersign::domain::Timestamp;
use countersign::domain::access_request::Asker;
use countersign::domain::identity::{Principal, Voter};
use countersign::domain::ids::{GrantId, HookName, RequestId, SetName, SlackUserId};
use countersign::domain::policy::Policy;
use countersign::domain::scope::ScopeSet;
use countersign::domain::token_request::{Client, Subject, SubjectKind, TokenRequest};
use serde_json::json;

use super::world::{self, ACTORS, CAST, CLIENTS, HOOKS, KEYS, NUMBERS, REASONS, SUBJECTS, Scopes, Time, Wish};

/// When the world begins: a full minute.
pub const BEGINNING: i64 = 1_795_460_400_000;

pub fn time(millis: Time) -> Timestamp {
    DateTime::from_timestamp_millis(BEGINNING + millis).expect("an instant")
}

pub fn millis(at: Timestamp) -> Time {
    at.timestamp_millis() - BEGINNING
}

pub fn scopes(mask: Scopes) -> ScopeSet {
    ScopeSet::collect(world::names(mask).into_iter()).expect("scopes")
}

pub fn mask(scopes: &ScopeSet) -> Scopes {
    world::mask(scopes.iter().map(|scope| scope.as_str()))
}

pub fn account(who: usize) -> SlackUserId {
    SlackUserId::parse(CAST[who].0).expect("an account")
}

pub fn principal(who: usize) -> Principal {
    Principal::new(CAST[who].1)
}

/// The n-th access request.
pub fn request_id(n: usize) -> RequestId {
    RequestId::parse(format!("req_{n:032x}")).expect("an identifier")
}

/// The n-th grant.
pub fn grant_id(n: usize) -> GrantId {
    GrantId::parse(format!("grn_{n:032x}")).expect("an identifier")
}

/// Somebody of the cast, in those of these approver sets that a policy has them in.
pub fn voter<'s>(who: usize, policy: &Policy, sets: impl Iterator<Item = &'s SetName>, now: Timestamp) -> Voter {
    let is_in = |name: &&SetName| policy.approvers.get(*name).is_some_and(|set| set.users.contains(&account(who)));
    Voter {
        slack: account(who),
        principal: principal(who),
        possible: [principal(who), Principal::new(CAST[who].0)].into(),
        member_of: sets.filter(is_in).cloned().collect(),
        groups: BTreeSet::new(),
        learnt_at: now,
    }
}

/// The token request that a call makes.
pub fn token_request(wish: &Wish) -> TokenRequest {
    let client = CLIENTS[wish.client];
    let subject = match SUBJECTS[wish.subject] {
        Some(person) => Subject { kind: SubjectKind::User, id: person.to_owned(), email: None },
        None => Subject { kind: SubjectKind::Client, id: client.to_owned(), email: None },
    };
    TokenRequest {
        hook: HookName::parse(HOOKS[wish.hook]).expect("a hook"),
        issuer: None,
        grant_type: if wish.refresh { "refresh_token" } else { "client_credentials" }.to_owned(),
        client: Client { id: client.to_owned(), name: None },
        subject,
        actor: ACTORS[wish.actor].iter().map(|actor| (*actor).to_owned()).collect(),
        scopes: scopes(wish.scopes),
        audience: ["https://ledger.test".to_owned()].into(),
        authorization_details: Vec::new(),
        cnf: KEYS[wish.key].map(|key| json!({ "jkt": key })),
        binding_message: NUMBERS[wish.number].map(str::to_owned),
        requested_lifetime: wish.lifetime,
        reason: REASONS[wish.reason].map(str::to_owned),
        context: BTreeMap::new(),
    }
}

/// What somebody asks for ahead, for themselves.
pub fn asked_ahead(who: &Asker, wish: &Wish) -> TokenRequest {
    TokenRequest {
        grant_type: String::new(),
        subject: Subject { kind: SubjectKind::User, id: who.principal.to_string(), email: None },
        ..token_request(wish)
    }
}
