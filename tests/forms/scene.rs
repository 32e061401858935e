//! A moment to be drawn: an access request in one of its states, its grant, and everything else that a renderer may ask
//! for. States are reached as in the service, by `open` and `apply`.

use std::collections::BTreeSet;
use std::num::NonZeroU8;

use chrono::DateTime;
use countersign::clock::Timestamp;
use countersign::domain::access_request::{
    AccessRequest, Ballot, Choice, Event, Filled, MessageRef, Proof, ServerAbilities, StepUp, Turn,
};
use countersign::domain::audit::Actor;
use countersign::domain::grant::Grant;
use countersign::domain::identity::{Principal, Voter};
use countersign::domain::ids::{GrantId, RequestId, SetName, SlackChannelId, SlackUserId};
use countersign::domain::policy::{
    Bounds, Ceremony, PolicyVersion, Refused, Requirement, Risk, ScopeText, Terms, Uses,
};
use countersign::domain::scope::{Scope, ScopeSet};
use countersign::domain::token_request::TokenRequest;
use countersign::slack::cards::CardFacts;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::json;

use super::ugly::{HOSTILE, text};

const CEREMONIES: [Ceremony; 4] = [Ceremony::Click, Ceremony::Confirm, Ceremony::Match, Ceremony::StepUp];

/// What surrounds a token request: what the policy and the server make of it.
#[derive(Debug, Clone)]
pub struct Frame {
    /// How many people each requirement wants.
    pub counts: Vec<u8>,
    /// The rule's name.
    pub rule: String,
    /// How many scopes the policy refused.
    pub dropped: usize,
    /// The ceremony.
    pub ceremony: Ceremony,
    /// How often a grant may be used.
    pub uses: Uses,
    /// What the server can do.
    pub server: ServerAbilities,
    /// The resource's name for people.
    pub resource: Option<String>,
    /// Whether the subject's Slack account is known.
    pub knows_requester: bool,
    /// How many approvers are named.
    pub approvers: usize,
    /// A reason that somebody in Slack or an operator gives.
    pub reason: String,
}

/// A moment.
#[derive(Debug, Clone)]
pub struct Scene {
    /// The state, in a few words.
    pub state: &'static str,
    /// The access request.
    pub request: AccessRequest,
    /// Its grant, where there is one.
    pub grant: Option<Grant>,
    /// When it is drawn.
    pub now: Timestamp,
    /// What surrounds it.
    pub frame: Frame,
}

/// The moment `seconds` after the access request was opened.
pub fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_795_460_000 + seconds, 0).expect("a moment")
}

/// An account of ours.
pub fn user(id: &str) -> SlackUserId {
    SlackUserId::parse(id).expect("a user id")
}

fn texts(scope: &Scope) -> Option<ScopeText> {
    let lower = |name: String| Scope::try_from(name).ok();
    match scope.as_str() {
        "payments:refund" => {
            let (says, less) = ("Create refunds up to 500 EUR".to_owned(), lower("payments:read".to_owned()));
            Some(ScopeText { says, risk: Some(Risk::High), less })
        }
        "plain:read" => Some(ScopeText { says: "Read".to_owned(), risk: Some(Risk::Low), less: None }),
        other => text_of(other.len()).map(|text| ScopeText { less: lower(format!("less:{other}")), ..text }),
    }
}

/// What the policy says about the nth scope of many: nothing, too much, or just enough.
pub fn text_of(n: usize) -> Option<ScopeText> {
    let (says, risk) = match n % 5 {
        0 => return None,
        1 => (String::new(), Some(Risk::Critical)),
        2 => (format!("{HOSTILE} {}", "long ".repeat(100)), None),
        3 => ("\u{200b}".to_owned(), Some(Risk::Medium)),
        _ => ("Change the books".to_owned(), Some(Risk::Low)),
    };
    Some(ScopeText { says, risk, less: None })
}

impl Scene {
    /// Draws something from the facts of a card.
    pub fn draw<T>(&self, draw: impl FnOnce(&CardFacts<'_>) -> T) -> T {
        let alice = user("U0ALICE");
        let approver_words = self.approver_words();
        draw(&CardFacts {
            request: &self.request,
            grant: self.grant.as_ref(),
            texts: &texts,
            resource_name: self.frame.resource.as_deref(),
            requester: self.frame.knows_requester.then_some(&alice),
            approver_words: &approver_words,
            told_words: &approver_words,
            button: "b_0123456789abcdef0123456789abcdef",
            now: self.now,
        })
    }

    /// Somebody who did something: a person of ours, or an operator of any name.
    pub fn actor(&self) -> Actor {
        if self.frame.knows_requester {
            Actor::Person(user("U0PERSON1"), Some(Principal::new("person 1")))
        } else {
            Actor::Operator(self.frame.rule.clone())
        }
    }

    /// Who is asked, as the service says it.
    pub fn approver_words(&self) -> String {
        let one =
            |n: usize| if n.is_multiple_of(2) { format!("<!subteam^S0SET{n}>") } else { format!("<@U0PERSON{n}>") };
        (0..self.frame.approvers).map(one).collect::<Vec<_>>().join(", ")
    }
}

impl Frame {
    /// Nothing special: one person, one click.
    pub fn ordinary() -> Self {
        Self {
            counts: vec![1],
            rule: "refunds".to_owned(),
            dropped: 0,
            ceremony: Ceremony::Click,
            uses: Uses::Window,
            server: ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: false },
            resource: Some("Payments".to_owned()),
            knows_requester: true,
            approvers: 2,
            reason: "PAY-4821 is settled already".to_owned(),
        }
    }

    /// Everything special at once.
    pub fn elaborate() -> Self {
        Self {
            counts: vec![2, 1, 9],
            rule: format!("rule {}", HOSTILE.repeat(20)),
            dropped: 50,
            ceremony: Ceremony::Match,
            uses: Uses::Times(3),
            server: ServerAbilities { narrow_scope: false, set_lifetime: false, revoke: true },
            resource: Some(HOSTILE.repeat(10)),
            knows_requester: false,
            approvers: 400,
            reason: format!("{HOSTILE} {}", "a long reason ".repeat(700)),
        }
    }

    /// Any.
    pub fn any() -> impl Strategy<Value = Self> {
        let people = (proptest::collection::vec(1..4_u8, 1..5), 0..60_usize, any::<bool>());
        let policy = (text(), 0..12_usize, select(&CEREMONIES[..]), prop_oneof![Just(None), (1..9_u32).prop_map(Some)]);
        let server = any::<(bool, bool, bool)>();
        (people, policy, server, proptest::option::of(text()), text()).prop_map(
            |((counts, approvers, knows_requester), (rule, dropped, ceremony, uses), server, resource, reason)| Self {
                counts,
                rule,
                dropped,
                ceremony,
                uses: uses.map_or(Uses::Window, Uses::Times),
                server: ServerAbilities { narrow_scope: server.0, set_lifetime: server.1, revoke: server.2 },
                resource,
                knows_requester,
                approvers,
                reason,
            },
        )
    }

    fn open(&self, asked: TokenRequest) -> AccessRequest {
        let scopes = asked.scopes.clone();
        let rules = scopes.judged().into_iter().map(|scope| (scope, self.rule.clone())).collect();
        let refused = |n: usize| {
            let scope = Scope::try_from(format!("{n}:dropped<!channel>")).expect("a scope");
            (scope, Refused { rule: None, says: HOSTILE.to_owned() })
        };
        let dropped = (0..self.dropped).map(refused).collect();
        let bounds = Bounds { max_duration: 7_200, max_token_lifetime: 600, collect_within: 900, uses: self.uses };
        let requirements: Vec<Requirement> =
            self.counts.iter().enumerate().map(|(n, count)| requirement(n, *count, &scopes)).collect();
        let terms = Terms { scopes: scopes.clone(), dropped, rules, bounds };
        // As the store reads it: what a question did not say when it was written has its default.
        let question = json!({
            "terms": terms, "requirements": requirements, "shared": false, "decide_within": 1_800,
            "ceremony": self.ceremony, "channels": [], "asked": scopes, "not_now": null,
        });
        let question = serde_json::from_value(question).expect("a question");
        let id = RequestId::parse(format!("req_{}", "0a".repeat(16))).expect("an id");
        AccessRequest::open(id, asked, question, self.server, PolicyVersion("p1".to_owned()), at(0)).next
    }
}

fn set(n: usize) -> SetName {
    SetName::parse(format!("approvers-{n}")).expect("a name")
}

fn requirement(n: usize, count: u8, scopes: &ScopeSet) -> Requirement {
    let approvers = if n.is_multiple_of(2) { vec![set(n)] } else { vec![set(n), set(n + 100)] };
    Requirement { approvers, count: NonZeroU8::new(count).expect("not 0"), scopes: scopes.clone() }
}

fn voter(person: usize, requirement: usize) -> Voter {
    Voter {
        slack: user(&format!("U0PERSON{person}")),
        principal: Principal::new(&format!("person {person} of ours")),
        possible: BTreeSet::new(),
        member_of: [set(requirement)].into(),
        groups: BTreeSet::new(),
        learnt_at: at(0),
    }
}

fn ballot(person: usize, requirement: usize, choice: Choice, ceremony: Ceremony) -> Event {
    filled(person, requirement, choice, Filled::default(), ceremony)
}

fn filled(person: usize, requirement: usize, choice: Choice, filled: Filled, ceremony: Ceremony) -> Event {
    Event::Voted(Box::new(Ballot {
        voter: voter(person, requirement),
        filled,
        cooldown: 600,
        choice,
        proof: proof(ceremony),
        shown_version: 1,
        message: MessageRef { channel: SlackChannelId::parse("C0PAY").expect("a channel"), ts: "1.2".to_owned() },
        policy: PolicyVersion("p1".to_owned()),
        grant_id: GrantId::parse(format!("grn_{}", "0b".repeat(16))).expect("an id"),
    }))
}

fn proof(ceremony: Ceremony) -> Proof {
    match ceremony {
        Ceremony::Click | Ceremony::Confirm => Proof::Click,
        Ceremony::Match => Proof::Number,
        Ceremony::StepUp => Proof::StepUp(StepUp {
            issuer: "https://id.example.com".to_owned(),
            subject: "bob".to_owned(),
            acr: None,
            amr: vec!["hwk".to_owned()],
            auth_time: at(0),
        }),
    }
}

/// A token request in every state that it can come to, with the votes on its way there.
pub fn every_state(asked: &TokenRequest, frame: &Frame) -> Vec<Scene> {
    let mut all = Vec::new();
    let mut add = |state, request: &AccessRequest, grant: Option<Grant>, seconds| {
        all.push(Scene { state, request: request.clone(), grant, now: at(seconds), frame: frame.clone() });
    };
    let pending = frame.open(asked.clone());
    add("pending", &pending, None, 0);
    let mut request = pending.clone();
    let mut live = None;
    let people = frame.counts.iter().enumerate().flat_map(|(n, count)| vec![n; usize::from(*count)]);
    for (person, requirement) in people.enumerate() {
        let step = request.apply(ballot(person, requirement, Choice::Approve, frame.ceremony), at(10)).expect("a vote");
        request = step.next;
        live = step.grant;
        if live.is_none() && person < 2 {
            add(if person == 0 { "one vote" } else { "two votes" }, &request, None, 10);
        }
    }
    let deny = Choice::Deny { reason: frame.reason.clone() };
    let busy = [
        Event::Turned(Box::new(voter(0, 0)), Turn::Claim),
        Event::Turned(Box::new(voter(0, 0)), Turn::HandOver(Box::new(voter(1, 0)))),
    ];
    let busy = busy.into_iter().fold(pending.clone(), |one, event| one.apply(event, at(5)).expect("a turn").next);
    add("in many hands", &busy, None, 5);
    let less = Filled {
        keep: ScopeSet::collect(asked.scopes.iter().map(Scope::as_str).take(1))
            .ok()
            .filter(|_| frame.server.narrow_scope),
        duration: frame.server.set_lifetime.then_some(1),
        note: Some(frame.reason.clone()),
        ..Filled::default()
    };
    if let Ok(step) = busy.apply(filled(0, 0, Choice::Approve, less, frame.ceremony), at(10)) {
        add("less approved", &step.next, step.grant, 10);
    }
    let why = format!("Nobody can: {}", frame.rule);
    add("nobody can decide", &pending.apply(Event::Undecidable(why), at(1)).expect("an end").next, None, 1);
    add("denied", &pending.apply(ballot(0, 0, deny, frame.ceremony), at(30)).expect("a denial").next, None, 30);
    let by = Actor::Operator(format!("ops {}", frame.rule));
    add("cancelled", &pending.apply(Event::Cancelled { by: by.clone() }, at(30)).expect("an end").next, None, 30);
    add("expired", &pending.apply(Event::TimePassed, at(1_800)).expect("an end").next, None, 1_800);
    add("expired, not written down", &pending, None, 1_800);
    let live = live.expect("everybody approved");
    add("approved", &request, Some(live.clone()), 20);
    add("approved, grant not loaded", &request, None, 20);
    let narrowed: ScopeSet = ScopeSet::collect(live.scopes.iter().map(Scope::as_str).take(1)).expect("a part");
    add("narrowed", &request, Some(Grant { scopes: narrowed, ..live.clone() }), 20);
    let issued = Grant { used: 1, last_token_expires_at: Some(at(700)), ..live.clone() };
    add("issued", &request, Some(issued.clone()), 100);
    for (state, by, seconds) in [
        ("revoked", by, 200),
        ("revoked by a person", Actor::Person(user("U0PERSON1"), Some(Principal::new("person 1"))), 200),
        ("revoked by the hook, long ago", Actor::Hook(asked.hook.clone()), 9_000),
    ] {
        // What was asked for so short a time has ended by itself.
        if let Ok(step) = issued.revoke(by, &frame.reason, 0, at(200)) {
            add(state, &request, Some(step.next), seconds);
        }
    }
    add("ended", &request, Some(issued.clone()), 7_220);
    add("uncollected", &request, Some(live), 920);
    if let Uses::Times(times) = frame.uses {
        add("used up", &request, Some(Grant { used: times, ..issued }), 300);
    }
    all
}

/// Any moment of any token request.
pub fn any_scene() -> impl Strategy<Value = Scene> {
    (super::ugly::asked(), Frame::any(), any::<prop::sample::Index>()).prop_map(|(asked, frame, index)| {
        let mut all = every_state(&asked, &frame);
        all.swap_remove(index.index(all.len()))
    })
}
