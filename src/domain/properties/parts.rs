//! Properties of the smaller things, each against a second, straightforward way to say the same.

use std::collections::BTreeSet;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Map, Value, json};

use super::model::parties;
use super::people::{self, Approval};
use super::world::{self, CAST, Plan, Wish};
use super::{small, speak};
use crate::domain::access_request::{
    self, AccessRequest, Ballot, Choice, Cooldown, Event, Filled, Proof, Status, would_meet,
};
use crate::domain::audit::Actor;
use crate::domain::grant::{Grant, TOKEN_LIFETIME_MIN, after};
use crate::domain::hashing::{canonical_json, exact_json, sha256_hex};
use crate::domain::identity::Principal;
use crate::domain::quorum;
use crate::domain::scope::ScopeSet;
use crate::domain::token_request::TokenRequest;
use crate::domain::{Timestamp, identity};

/// RFC 8785 written down once more, for JSON whose numbers are whole.
fn canonical(value: &Value) -> String {
    match value {
        Value::Null => "null".to_owned(),
        Value::Bool(truth) => truth.to_string(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(members) => {
            let mut members: Vec<_> = members.iter().collect();
            members.sort_by_key(|(name, _)| name.encode_utf16().collect::<Vec<_>>());
            let members: Vec<_> =
                members.iter().map(|(name, v)| format!("{}:{}", quoted(name), canonical(v))).collect();
            format!("{{{}}}", members.join(","))
        }
    }
}

fn quoted(text: &str) -> String {
    let escaped = |c: char| match c {
        '"' => "\\\"".to_owned(),
        '\\' => "\\\\".to_owned(),
        '\u{8}' => "\\b".to_owned(),
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\u{c}' => "\\f".to_owned(),
        '\r' => "\\r".to_owned(),
        c if c < ' ' => format!("\\u{:04x}", u32::from(c)),
        c => c.to_string(),
    };
    format!("\"{}\"", text.chars().map(escaped).collect::<String>())
}

fn any_text() -> impl Strategy<Value = String> {
    let characters = vec!['a', 'b', 'Z', '"', '\\', '\n', '\u{1}', '\u{7f}', '\u{e9}', '\u{ff5e}', '\u{1f600}'];
    vec(select(characters), 0..3).prop_map(|all| all.into_iter().collect())
}

/// Whole numbers up to `largest` only; small enough that equal ones come up often.
fn any_json(largest: u64) -> impl Strategy<Value = Value> {
    let numbers = vec![0, 1, 42, (1 << 53) - 1, 1 << 53, (1 << 53) + 1, u64::MAX - 1, u64::MAX];
    let number = select(numbers).prop_map(move |n| json!(n.min(largest)));
    let leaf =
        prop_oneof![Just(Value::Null), any::<bool>().prop_map(Value::Bool), number, any_text().prop_map(Value::String)];
    leaf.prop_recursive(2, 8, 3, |inner| {
        prop_oneof![
            vec(inner.clone(), 0..3).prop_map(Value::Array),
            vec((any_text(), inner), 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect::<Map<_, _>>())),
        ]
    })
}

/// The fingerprint as the design describes it, from the members by name. Without scopes it is the coverage key.
fn described(asked: &TokenRequest, with_scopes: bool, with_number: bool) -> String {
    let mut details: Vec<String> = asked.authorization_details.iter().map(exact_json).collect();
    details.sort();
    let mut essence = json!({
        "v": 1,
        "hook": asked.hook.as_str(),
        "client": asked.client.id,
        "subject": [asked.subject.kind.as_str(), asked.subject.id],
        "actor": asked.actor,
        "audience": asked.audience.iter().collect::<Vec<_>>(),
        "authorization_details": details,
        "cnf": asked.cnf.as_ref().map(exact_json),
    });
    if with_scopes {
        essence["scopes"] = asked.scopes.iter().map(|scope| json!(scope.as_str())).collect();
    }
    if let (true, Some(number)) = (with_number, &asked.binding_message) {
        essence["binding_message"] = json!(number);
    }
    sha256_hex(canonical(&essence).as_bytes())
}

fn two_wishes() -> impl Strategy<Value = (Wish, Wish)> {
    (world::usual(), vec(world::change(), 0..3)).prop_map(|(wish, changes)| (wish.clone(), wish.with(&changes)))
}

fn approvals() -> impl Strategy<Value = Vec<Approval>> {
    vec((0..CAST.len(), 0u8..8).prop_map(|(who, sets)| Approval { who, sets }), 0..8)
}

fn requirements() -> impl Strategy<Value = Vec<(u8, u8)>> {
    vec((1u8..8, 1u8..4), 0..4)
}

/// How many count for each requirement, by the domain.
fn counted(wanted: &[(u8, u8)], approvals: &[Approval], shared: bool) -> Vec<u8> {
    let wanted = speak::requirements(wanted);
    let voters: Vec<_> = approvals.iter().map(|one| speak::voter(one.who, one.sets, 0)).collect();
    let counts_for: Vec<_> = voters.iter().map(|voter| access_request::counts_for(&wanted, voter)).collect();
    let votes = voters.iter().zip(&counts_for);
    let votes: Vec<_> = votes.map(|(voter, n)| quorum::Approval { who: &voter.principal, counts_for: n }).collect();
    quorum::counted(&wanted, &votes, shared)
}

/// Any instant at all, and those that people live in more often.
fn any_instant() -> impl Strategy<Value = Timestamp> {
    let edges = vec![Timestamp::MIN_UTC, Timestamp::MAX_UTC, speak::time(0), speak::time(i64::from(u32::MAX) * 1_000)];
    prop_oneof![select(edges), (0i64..4_000_000_000_000).prop_map(speak::time)]
}

proptest! {
    #![proptest_config(small())]

    #[test]
    fn canonical_json_is_what_the_rfc_says(value in any_json((1 << 53) - 1)) {
        prop_assert_eq!(canonical_json(&value), canonical(&value));
    }

    #[test]
    fn different_values_have_different_exact_forms(a in any_json(u64::MAX), b in any_json(u64::MAX)) {
        prop_assert_eq!(exact_json(&a) == exact_json(&b), a == b);
        prop_assert_eq!(exact_json(&json!([a, b])), exact_json(&json!([a, b])));
    }

    #[test]
    fn fingerprints_are_equal_exactly_where_the_design_says_so((one, other) in two_wishes()) {
        let (a, b) = (speak::token_request(&one), speak::token_request(&other));
        let whose = |w: &Wish| (w.hook, w.client, w.subject, w.actor, w.audience, w.details, w.cnf);
        let same = whose(&one) == whose(&other);
        prop_assert_eq!(a.coverage_key() == b.coverage_key(), same);
        prop_assert_eq!(a.fingerprint() == b.fingerprint(), same && one.scopes == other.scopes);
        let pending = same && one.scopes == other.scopes && one.number == other.number;
        prop_assert_eq!(a.pending_key() == b.pending_key(), pending);
        prop_assert_eq!(a.coverage_key().0, described(&a, false, false));
        prop_assert_eq!(a.fingerprint().0, described(&a, true, false));
        prop_assert_eq!(a.pending_key().0, described(&a, true, true));
    }

    #[test]
    fn a_grant_covers_the_same_call_with_no_more_scopes_and_nothing_else((one, other) in two_wishes()) {
        let (of, asked) = (speak::token_request(&one), speak::token_request(&other));
        let plan = Plan { forbidden: 0, max_duration: 60, ..plan() };
        let grant = Grant::allowed(speak::grant_id(0), &of, &speak::terms(&plan, &one), speak::policy(), speak::time(0));
        let whose = |w: &Wish| (w.hook, w.client, w.subject, w.actor, w.audience, w.details, w.cnf);
        let no_more = other.scopes & !one.scopes == 0 && (other.scopes == 0) == (one.scopes == 0);
        prop_assert_eq!(grant.covers(&asked, &asked.scopes), whose(&one) == whose(&other) && no_more);
    }

    #[test]
    fn scopes_come_back_as_they_were_written(words in vec("[!#-\\[\\]-~]{0,60}|[ -~\u{e9}\t]{0,4}", 0..60)) {
        let text = words.join(" ");
        let plain: BTreeSet<&str> = text.split(' ').filter(|word| !word.is_empty()).collect();
        let legal = |c: char| matches!(c, '!' | '#'..='[' | ']'..='~');
        let ok = plain.iter().all(|word| word.chars().all(legal)) && plain.len() <= 50 && text.len() <= 2_500;
        let read = ScopeSet::parse(&text);
        prop_assert_eq!(read.is_ok(), ok, "{:?}", read);
        let Ok(read) = read else { return Ok(()) };
        prop_assert_eq!(read.to_string(), plain.iter().copied().collect::<Vec<_>>().join(" "));
        prop_assert_eq!(&ScopeSet::parse(&read.to_string()).unwrap(), &read);
        prop_assert_eq!(&ScopeSet::collect(text.split(' ')).unwrap(), &read, "an empty text names no scope");
        prop_assert_eq!(&read.iter().cloned().collect::<ScopeSet>(), &read);
        prop_assert_eq!(read.judged().len(), plain.len().max(1), "something is always judged");
        let stored: ScopeSet = serde_json::from_value(json!(read)).unwrap();
        prop_assert_eq!(stored, read);
    }

    #[test]
    fn people_are_seated_as_well_as_by_trying_everything(
        wanted in requirements(), approvals in approvals(), shared in any::<bool>(), turn in 0usize..8,
    ) {
        let counts = counted(&wanted, &approvals, shared);
        let enough = people::enough(&wanted, &approvals, shared);
        prop_assert_eq!(quorum::met(&speak::requirements(&wanted), &counts), enough);
        let best = people::most_seated(&wanted, &approvals, shared);
        let capped = counts.iter().zip(&wanted).map(|(n, (_, most))| *n.min(most)).collect::<Vec<_>>();
        prop_assert_eq!(total(&capped), total(&best), "{:?} instead of {:?}", &counts, &best);
        prop_assert!(shared || counts == capped, "more people than seats: {:?}", &counts);
        let mut turned = approvals.clone();
        turned.rotate_left(turn % approvals.len().max(1));
        let after = counted(&wanted, &turned, shared);
        // Who clicks on with other approver sets than before counts as they did first.
        let each_once = distinct(&approvals).len() == approvals.len();
        prop_assert!(!each_once || total(&after) == total(&counts), "the order of votes matters");
        if let Some((_, fewer)) = approvals.split_last() {
            let fewer = counted(&wanted, fewer, shared);
            prop_assert!(fewer.iter().zip(&counts).all(|(less, more)| less <= more), "a vote took another away");
        }
    }

    #[test]
    fn the_people_who_met_a_question_would_meet_it_again(wanted in requirements(), approvals in approvals()) {
        let plan = Plan { requirements: wanted.clone(), ..plan() };
        let people: Vec<_> = approvals.iter().map(|one| speak::voter(one.who, one.sets, 0)).collect();
        let again = would_meet(&speak::question(&plan, &wish()), people.iter());
        prop_assert_eq!(again, people::enough(&wanted, &approvals, false));
    }

    #[test]
    fn the_order_of_votes_makes_no_difference(
        wanted in requirements(), shared in any::<bool>(),
        (votes, shuffled) in approvals().prop_flat_map(|all| (Just(all.clone()), Just(distinct(&all)).prop_shuffle())),
    ) {
        let plan = Plan { requirements: wanted, shared, ..plan() };
        let end = |votes: &[Approval]| {
            let mut request = open(&plan, &wish(), speak::time(0));
            for vote in votes {
                if let Ok(step) = request.apply(ballot(*vote), speak::time(1)) {
                    request = step.next;
                }
            }
            request.status(speak::time(1))
        };
        prop_assert_eq!(end(&distinct(&votes)), end(&shuffled));
        let asks = |one: &&Approval| plan.requirements.iter().any(|(sets, _)| sets & one.sets != 0);
        let may = votes.iter().filter(asks).filter(|one| !people::is_party(one.who, &parties(&wish())));
        let counting = distinct(&may.copied().collect::<Vec<_>>());
        prop_assert_eq!(end(&votes) == Status::Approved, people::enough(&plan.requirements, &counting, shared));
    }

    #[test]
    fn nothing_panics_and_nothing_goes_backwards_at_any_instant(
        opened in any_instant(), then in any_instant(), wished in any::<Option<u64>>(), bound in any::<u64>(), what in 0..5,
    ) {
        prop_assert!(after(opened, bound) >= opened);
        let (plan, wish) = (plan(), Wish { lifetime: wished, ..wish() });
        let mut request = open(&plan, &wish, opened);
        request.duration = wished.unwrap_or(u64::MAX).min(bound);
        let event = match what {
            0 => Event::TimePassed,
            1 => Event::AskedAgain(Box::new(speak::token_request(&wish.with(&[world::Change::Reason(3)])))),
            2 => Event::Cancelled { by: Actor::Time },
            _ => ballot(Approval { who: 6, sets: 7 }),
        };
        let Ok(step) = request.apply(event, then) else { return Ok(()) };
        let Some(grant) = step.grant else { return Ok(()) };
        prop_assert!(grant.expires_at >= then && grant.collect_by >= Some(then));
        for now in [opened, then, grant.expires_at, Timestamp::MAX_UTC] {
            let asked = speak::token_request(&wish);
            if let Ok(token) = grant.issue(&asked, &asked.scopes, bound, false, now) {
                prop_assert!(token.expires_at <= grant.expires_at && token.lifetime >= TOKEN_LIFETIME_MIN);
            }
            let _ = (grant.revoke(Actor::Service, "why", bound, now), grant.time_passed(now), grant.due_at());
        }
    }

    #[test]
    fn identities_are_written_in_one_way_only(text in "\\PC{0,12}|[ A-Za-z@.]{0,12}") {
        let principal = Principal::new(&text);
        prop_assert_eq!(&Principal::new(principal.as_str()), &principal);
        prop_assert_eq!(&Principal::new(&format!(" {text}\t")), &principal);
        let stored: Principal = serde_json::from_value(json!(text)).unwrap();
        prop_assert_eq!(stored, principal);
    }

    #[test]
    fn every_identity_of_subject_and_actors_is_a_party(wish in world::usual()) {
        let names: BTreeSet<String> =
            identity::parties(&speak::token_request(&wish)).iter().map(|one| one.as_str().to_owned()).collect();
        prop_assert_eq!(names, parties(&wish));
    }

    #[test]
    fn a_cool_down_stands_for_every_scope_at_every_audience(wish in world::usual()) {
        let asked = speak::token_request(&wish);
        let all = Cooldown::of(&asked, &asked.scopes, speak::time(9), "denied");
        let places: BTreeSet<_> = all.iter().map(|one| (one.audience.as_str(), one.scope.as_str())).collect();
        prop_assert_eq!(places.len(), all.len());
        prop_assert_eq!(all.len(), asked.audience.len().max(1) * asked.scopes.len().max(1));
        for one in &all {
            prop_assert!(asked.audience.contains(&one.audience) || (asked.audience.is_empty() && one.audience.is_empty()));
            prop_assert!(asked.scopes.judged().iter().any(|scope| scope.as_str() == one.scope));
            prop_assert_eq!((&one.client, &one.subject), (&asked.client.id, &asked.subject.id));
        }
    }
}

fn total(counts: &[u8]) -> u32 {
    counts.iter().map(|n| u32::from(*n)).sum()
}

/// The first approval of each person, leaving out whoever might be one of them.
fn distinct(approvals: &[Approval]) -> Vec<Approval> {
    let mut all: Vec<Approval> = Vec::new();
    for one in approvals {
        if !all.iter().any(|other| people::may_be_the_same(other.who, one.who)) {
            all.push(*one);
        }
    }
    all
}

fn plan() -> Plan {
    let (requirements, uses) = (vec![(7, 1)], None);
    let (max_duration, max_token, collect_within, decide_within, cooldown) = (3_600, 600, 900, 1_800, 60);
    let (asks, forbidden, shared) = (true, 0, false);
    Plan {
        asks,
        forbidden,
        requirements,
        covers: vec![15; 8],
        shared,
        max_duration,
        max_token,
        collect_within,
        uses,
        decide_within,
        cooldown,
    }
}

fn wish() -> Wish {
    let (hook, client, subject, actor, audience, details, cnf, number, reason, ip) = (0, 0, 0, 1, 1, 0, 0, 0, 0, 0);
    let (lifetime, refresh, call, scopes) = (None, false, None, 3);
    Wish { hook, client, subject, actor, scopes, audience, details, cnf, number, lifetime, reason, ip, refresh, call }
}

fn open(plan: &Plan, wish: &Wish, now: Timestamp) -> AccessRequest {
    let (id, asked, question) = (speak::request_id(0), speak::token_request(wish), speak::question(plan, wish));
    AccessRequest::open(id, asked, question, speak::server(), speak::policy(), now).next
}

fn ballot(vote: Approval) -> Event {
    Event::Voted(Box::new(Ballot {
        voter: speak::voter(vote.who, vote.sets, 0),
        proof: Proof::Click,
        choice: Choice::Approve,
        filled: Filled::default(),
        cooldown: 0,
        shown_version: 1,
        message: speak::message(),
        policy: speak::policy(),
        grant_id: speak::grant_id(0),
    }))
}
