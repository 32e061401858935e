//! Every card in every state, with ordinary and with hostile text, against Slack's limits and our own rules.

use std::collections::BTreeSet;
use std::num::NonZeroU8;

use chrono::{DateTime, TimeDelta};
use serde_json::{Value, json};

use super::Message;
use super::approving::{Changes, approve_form};
use super::cards::{CardFacts, card, handed_over, passed_on, refusal, requester_message, thread_note};
use super::forms::{deny_form, details_view, stale_view};
use super::lint::{check, check_view, readable, tokens};
use super::talking::{comment_form, hand_over_form};
use crate::clock::Timestamp;
use crate::domain::access_request::{
    AccessRequest, Ballot, Choice, Claim, Earlier, Event, Filled, HandOver, History, MessageRef, Narrowing, Proof,
    ServerAbilities, State as RequestState, WrongNumber,
};
use crate::domain::audit::Actor;
use crate::domain::grant::Grant;
use crate::domain::identity::{Principal, Voter};
use crate::domain::ids::{GrantId, RequestId, SetName, SlackChannelId, SlackUserId};
use crate::domain::policy::{
    Bounds, Ceremony, Notify, OnDeactivation, PolicyVersion, Question, Refused, Requirement, Risk, ScopeText,
    SelfApproval, Terms, Uses,
};
use crate::domain::scope::{Scope, ScopeSet};
use crate::domain::token_request::TokenRequest;

const WORDS: &str = "<!subteam^S0PAYLEADS> <@U0CAROL>";
const UGLY: &str = "<!channel> <@U0EVIL> <!subteam^S0EVIL> <https://evil.example|Approved by CISO> `code` *bold* & \u{202e}desrever\u{2066} @everyone\u{0}\u{200b}\r\n\u{2028}<!date^1^x|y>";

fn at(seconds: i64) -> Timestamp {
    DateTime::from_timestamp(1_795_460_000 + seconds, 0).unwrap()
}

fn user(id: &str) -> SlackUserId {
    SlackUserId::parse(id).unwrap()
}

fn texts(scope: &Scope) -> Option<ScopeText> {
    match scope.as_str() {
        "unknown" => None,
        "payments:refund" => Some(("Create refunds up to 500 EUR".to_owned(), Some(Risk::High))),
        "plain:read" => Some(("Read".to_owned(), Some(Risk::Low))),
        _ => Some((format!("{UGLY} {}", "long ".repeat(100)), None)),
    }
    .map(|(says, risk)| ScopeText { says, risk, less: None })
}

fn plain() -> TokenRequest {
    serde_json::from_value(json!({
        "hook": "billing", "grant_type": "client_credentials", "client": {"id": "billing-cli", "name": "Billing"},
        "subject": {"kind": "user", "id": "alice@example.com"}, "scopes": ["payments:refund", "plain:read"],
        "audience": ["https://payments.example.com"], "reason": "refund PAY-4821", "requested_lifetime": 7200,
        "binding_message": "42", "context": {"ip": "203.0.113.7", "acr": "urn:acme:2fa", "amr": ["otp"]}
    }))
    .unwrap()
}

/// Everything that a stranger can write is hostile; `filler` makes it long.
fn ugly(filler: &str) -> TokenRequest {
    let bad = |n: usize| format!("{n}{UGLY}{filler}");
    let mut asked = plain();
    asked.issuer = Some(bad(1));
    asked.client.id = bad(2);
    asked.client.name = Some(bad(3));
    asked.subject.id = bad(4);
    asked.subject.email = Some(bad(5));
    asked.actor = (0..20).map(bad).collect();
    asked.audience = (0..20).map(bad).collect();
    asked.reason = Some(bad(6));
    asked.binding_message = Some(bad(7));
    asked.authorization_details = vec![json!({ bad(8): bad(9) })];
    asked.cnf = Some(json!({ "jkt": bad(10) }));
    asked.context = (0..20).map(|n| (bad(n), json!([bad(n), n]))).collect();
    asked.context.insert("ip".to_owned(), json!(bad(11)));
    asked.requested_lifetime = Some(1_000_000);
    asked
}

fn fifty_scopes(of: &str) -> ScopeSet {
    let scopes: Vec<String> = (0..50).map(|n| format!("{n:02}{}", of.repeat(50)).chars().take(49).collect()).collect();
    ScopeSet::parse(&scopes.join(" ")).unwrap()
}

fn open(asked: TokenRequest, set_lifetime: bool, rule: &str) -> AccessRequest {
    let scopes = asked.scopes.clone();
    let rules = scopes.judged().into_iter().map(|scope| (scope, rule.to_owned())).collect();
    let dropped = ["x:dropped", "y<!channel>", "a", "b", "c"]
        .iter()
        .filter(|_| rule != "refunds")
        .map(|s| (Scope::try_from((*s).to_owned()).unwrap(), Refused { rule: None, says: UGLY.to_owned() }))
        .collect();
    let bounds = Bounds { max_duration: 7_200, max_token_lifetime: 600, collect_within: 900, uses: Uses::Times(3) };
    let requirement = |set: &str, count| Requirement {
        approvers: vec![SetName::parse(set).unwrap()],
        count: NonZeroU8::new(count).unwrap(),
        scopes: scopes.clone(),
    };
    let requirements = vec![requirement("payments-leads", 1), requirement("data-owners", 1)];
    let question = Question {
        terms: Terms { scopes: scopes.clone(), dropped, rules, bounds },
        requirements,
        shared: false,
        decide_within: 1_800,
        ceremony: Ceremony::Confirm,
        channels: vec![],
        asked: scopes.clone(),
        not_now: None,
        self_approval: SelfApproval::Never,
        reminders: Vec::new(),
        notify: Notify::default(),
        on_deactivation: OnDeactivation::Keep,
    };
    let id = RequestId::parse(format!("req_{}", "0a".repeat(16))).unwrap();
    let server = ServerAbilities { narrow_scope: true, set_lifetime, revoke: false };
    AccessRequest::open(id, asked, question, server, PolicyVersion("p1".to_owned()), at(0)).next
}

fn ballot(who: &str, set: &str, choice: Choice) -> Event {
    Event::Voted(Box::new(Ballot {
        voter: Voter {
            slack: user(who),
            principal: Principal::new(who),
            possible: BTreeSet::new(),
            member_of: [SetName::parse(set).unwrap()].into(),
            groups: BTreeSet::new(),
            learnt_at: at(0),
        },
        proof: Proof::Click,
        choice,
        filled: Filled::default(),
        cooldown: 600,
        shown_version: 1,
        message: MessageRef { channel: SlackChannelId::parse("C0PAY").unwrap(), ts: "1.2".to_owned() },
        policy: PolicyVersion("p1".to_owned()),
        grant_id: GrantId::parse(format!("grn_{}", "0b".repeat(16))).unwrap(),
    }))
}

/// A request in each of its states, with a name, its grant and a moment to draw it at.
fn every_state(
    asked: &TokenRequest,
    set_lifetime: bool,
    rule: &str,
) -> Vec<(&'static str, AccessRequest, Option<Grant>, Timestamp)> {
    let pending = open(asked.clone(), set_lifetime, rule);
    let one = pending.apply(ballot("U0BOB", "payments-leads", Choice::Approve), at(10)).unwrap().next;
    let both = one.apply(ballot("U0CAROL", "data-owners", Choice::Approve), at(20)).unwrap();
    let (approved, live) = (both.next, both.grant.unwrap());
    let deny = Choice::Deny { reason: asked.reason.clone().unwrap_or_default() };
    let denied = pending.apply(ballot("U0CAROL", "data-owners", deny), at(30)).unwrap().next;
    let by = Actor::Operator(format!("ops{UGLY}"));
    let cancelled = pending.apply(Event::Cancelled { by: by.clone() }, at(30)).unwrap().next;
    let expired = pending.apply(Event::TimePassed, at(1_800)).unwrap().next;
    let issued = Grant { used: 1, last_token_expires_at: Some(at(700)), ..live.clone() };
    let reason = asked.reason.clone().unwrap_or_default();
    let revoked = issued.revoke(by, &reason, 0, at(200)).unwrap().next;
    let used_up = Grant { used: 3, ..issued.clone() };
    let mut less = one.clone();
    less.duration = 900;
    less.shown_version = 2;
    less.deciding.suggested = fifty_scopes("less");
    let note = Some(format!("{UGLY}{}", "x".repeat(1_000)));
    for removed in [ScopeSet::default(), fifty_scopes("<!channel>`&")] {
        let by = Actor::Person(user("U0BOB"), Some(Principal::new(UGLY)));
        let (refused, version) = (ScopeSet::default(), 2);
        less.deciding.narrowed.push(Narrowing {
            by,
            at: at(10),
            version,
            removed,
            refused,
            duration_before: 7_200,
            note: note.clone(),
        });
    }
    let mut busy = one.clone();
    busy.votes[0].note = note;
    let (bob, carol) = (user("U0BOB"), user("U0CAROL"));
    busy.deciding.claimed = Some(Claim { by: bob.clone(), at: at(11) });
    busy.deciding.handed_over = vec![HandOver { by: bob.clone(), to: carol, at: at(12) }];
    let wrong = WrongNumber { slack: bob, principal: Principal::new("b"), possible: BTreeSet::new(), at: at(12) };
    busy.deciding.wrong_numbers = vec![wrong];
    let last = Earlier { scopes: ScopeSet::default(), at: at(-10), duration: 60 };
    busy.deciding.history = History { known: true, new: ScopeSet::default(), last: Some(last) };
    let mut nobody = cancelled.clone();
    nobody.deciding.because = Some(UGLY.to_owned());
    vec![
        ("pending", pending.clone(), None, at(0)),
        ("half approved", one, None, at(10)),
        ("denied", denied, None, at(30)),
        ("cancelled", cancelled, None, at(30)),
        ("expired", expired, None, at(1_800)),
        ("expired, not written down", pending, None, at(1_800)),
        ("approved", approved.clone(), Some(live.clone()), at(20)),
        ("approved, grant not loaded", approved.clone(), None, at(20)),
        ("issued", approved.clone(), Some(issued.clone()), at(100)),
        ("revoked", approved.clone(), Some(revoked.clone()), at(200)),
        ("revoked long ago", approved.clone(), Some(revoked), at(9_000)),
        ("ended", approved.clone(), Some(issued), at(7_220)),
        ("uncollected", approved.clone(), Some(live), at(920)),
        ("used up", approved, Some(used_up), at(300)),
        ("narrowed", less, None, at(10)),
        ("in many hands", busy, None, at(12)),
        ("withdrawn for want of people", nobody, None, at(30)),
    ]
}

fn drawn<T>(request: &AccessRequest, grant: Option<&Grant>, now: Timestamp, draw: impl Fn(&CardFacts<'_>) -> T) -> T {
    let alice = user("U0ALICE");
    draw(&CardFacts {
        request,
        grant,
        texts: &texts,
        resource_name: None,
        requester: Some(&alice),
        approver_words: WORDS,
        told_words: "",
        button: "opaque",
        now,
    })
}

#[test]
fn every_state_is_drawn_within_slacks_limits_whatever_anybody_wrote() {
    let mut hostile = ugly("");
    hostile.scopes = fifty_scopes("<!channel>`&");
    let mut long = ugly(&"&<`x ".repeat(2_000));
    long.scopes = fifty_scopes("&");
    let mut bare = plain();
    bare.scopes = ScopeSet::default();
    (bare.audience, bare.reason, bare.binding_message) = (BTreeSet::new(), None, None);
    bare.context.clear();
    let mut one_huge = plain();
    one_huge.scopes = ScopeSet::parse(&"&".repeat(2_500)).unwrap();
    let long_rule = format!("rule {}", UGLY.repeat(20));
    for (text, asked, rule) in [
        ("plain", plain(), "refunds"),
        ("hostile", hostile, long_rule.as_str()),
        ("long", long, long_rule.as_str()),
        ("bare", bare, "refunds"),
        ("one huge scope", one_huge, "refunds"),
    ] {
        for (state, request, grant, now) in every_state(&asked, text == "plain", rule) {
            let name = format!("{text}, {state}");
            let grant = grant.as_ref();
            let shown = drawn(&request, grant, now, card);
            check(&name, &shown);
            check(&name, &drawn(&request, grant, now, requester_message));
            check_view(&name, &drawn(&request, grant, now, |facts| deny_form("opaque", facts)));
            check_view(&name, &drawn(&request, grant, now, details_view));
            for ceremony in [Ceremony::Click, Ceremony::Match] {
                let mut request = request.clone();
                request.question.ceremony = ceremony;
                for (changes, own) in [(Changes::Not, true), (Changes::Offered, false)] {
                    let form = drawn(&request, grant, now, |facts| approve_form("opaque", facts, changes, own));
                    check_view(&name, &form);
                    check_options(&name, &form);
                }
            }
            check_view(&name, &drawn(&request, grant, now, |facts| comment_form("opaque", facts)));
            check_view(&name, &drawn(&request, grant, now, |facts| hand_over_form("opaque", facts)));
            let (from, channels) = (user("U0BOB"), ["C0PAY".to_owned()]);
            check_tokens(&drawn(&request, grant, now, |facts| passed_on(facts, &from, UGLY)));
            check_tokens(&drawn(&request, grant, now, |facts| {
                handed_over(facts, &from, &channels, Some("https://acme.slack.com/archives/C0PAY/p1"))
            }));
            let shown = readable(&json!(shown.blocks));
            for scope in request.asked.scopes.iter() {
                assert!(shown.contains(scope.as_str()), "{name}: the scope {scope} is not shown whole");
            }
        }
    }
}

/// Slack's limits for what can be chosen.
fn check_options(name: &str, view: &Value) {
    for block in view["blocks"].as_array().unwrap().iter().filter(|block| block["type"] == "input") {
        let element = &block["element"];
        let most = if element["type"] == "checkboxes" { 10 } else { 100 };
        let Some(options) = element["options"].as_array() else { continue };
        assert!((1..=most).contains(&options.len()), "{name}: {} options", options.len());
        for option in options {
            for text in [&option["text"]["text"], &option["description"]["text"]] {
                assert!(text.as_str().is_none_or(|text| text.chars().count() <= 75), "{name}: {option}");
            }
            assert!(option["value"].as_str().unwrap().parse::<usize>().is_ok(), "{name}: {option}");
        }
    }
}

/// Nothing that anybody wrote mentions or links anything.
fn check_tokens(message: &Message) {
    let known = |token: &&str| {
        ["@U0BOB", "#C0PAY"].contains(token) || (token.starts_with("!date^17954") && token.ends_with("UTC"))
    };
    let mrkdwn = message.blocks.iter().filter(|block| block["type"] != "rich_text").map(Value::to_string);
    for text in mrkdwn.chain([message.text.clone()]) {
        assert!(tokens(&text).iter().all(known), "{text}");
    }
}

#[test]
fn small_messages_keep_our_mentions_and_nothing_else() {
    for words in ["", "Only <@U0BOB> and <!subteam^S0PAYLEADS> may. Nothing was changed.", &"<@U0BOB> ".repeat(1_000)] {
        check(words, &Message { text: "x".to_owned(), ..refusal(words) });
        check_view(words, &stale_view(&words.chars().take(2_000).collect::<String>()));
    }
    let note = thread_note(&format!("{UGLY}<@U0BOB>{}", "x".repeat(10_000)));
    check("note", &note);
    assert!(!note.text.contains("<@U0BOB>"));
    let theirs = refusal("<!channel> <https://evil.example|good>");
    assert!(tokens(&theirs.text).is_empty() && !theirs.blocks[0].to_string().contains("<!channel>"));
}

fn shown(state: &str, asked: &TokenRequest) -> (Message, String) {
    let (_, request, grant, now) =
        every_state(asked, true, "refunds").into_iter().find(|(name, ..)| *name == state).unwrap();
    let message = drawn(&request, grant.as_ref(), now, card);
    let text = readable(&json!(message.blocks));
    (message, text)
}

#[test]
fn a_pending_card_says_who_wants_what_on_what_for_how_long_why_and_until_when() {
    let (message, text) = shown("half approved", &plain());
    for part in [
        "Approval needed: https://payments.example.com",
        "payments:refund",
        "Create refunds up to 500 EUR (risk: high)",
        "<@U0ALICE> (`alice@example.com`)",
        "`billing-cli`",
        "`https://payments.example.com`",
        "*2 hours*, for at most 3 tokens; each token at most 10 minutes",
        "refund PAY-4821",
        "the client's claim, not verified",
        "42",
        "vouches for: address `203.0.113.7`",
        "Asked: <!subteam^S0PAYLEADS> <@U0CAROL>. Please decide by <!date^1795461800^",
        "2026-11-23 19:23 UTC",
        "*Who has approved*",
        "• `payments-leads`: <@U0BOB>",
        "• `data-owners`: still needs 1",
        "1 of 2 approvals (1 of 1 from `payments-leads`; 0 of 1 from `data-owners`)",
        "rule `refunds`",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert_eq!(message.blocks[1]["type"], "rich_text", "the scopes come first");
    assert_eq!(message.metadata.unwrap()["event_payload"]["state"], "pending");
}

fn buttons(message: &Message) -> Vec<Value> {
    let of = |block: &Value| block["elements"].as_array().cloned().unwrap_or_default();
    message.blocks.iter().filter(|block| block["type"] == "actions").flat_map(of).collect()
}

fn actions(message: &Message) -> Vec<String> {
    buttons(message).iter().map(|button| button["action_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn each_state_offers_what_can_be_done_and_no_more() {
    for (state, request, grant, now) in every_state(&plain(), true, "refunds") {
        let expected: &[&str] = match state {
            "pending" | "half approved" => &["approve", "changes", "deny", "more"],
            "narrowed" | "in many hands" => &["approve", "changes", "deny", "more", "details"],
            "approved" | "issued" => &["revoke"],
            _ => &[],
        };
        let message = drawn(&request, grant.as_ref(), now, card);
        assert_eq!(actions(&message), expected, "{state}");
        let mut plain = buttons(&message).into_iter().filter(|one| one["type"] == "button");
        assert!(plain.all(|button| button["value"] == "opaque"));
    }
    let mut wordy = plain();
    wordy.reason = Some("word ".repeat(2_000));
    let (message, _) = shown("pending", &wordy);
    assert_eq!(actions(&message), ["approve", "changes", "deny", "more", "details"]);
    let (_, request, ..) = every_state(&wordy, true, "refunds").remove(0);
    let full = readable(&drawn(&request, None, at(0), details_view)).replace("(continued)", "");
    assert_eq!(full.matches("word").count(), 2_000);
}

#[test]
fn approve_invites_a_click_only_where_a_mistake_would_be_small_and_the_dialog_repeats_scope_and_time() {
    let (risky, _) = shown("pending", &plain());
    assert_eq!(buttons(&risky)[0].get("style"), None);
    let said = buttons(&risky)[0]["confirm"]["text"]["text"].clone();
    assert_eq!(said, "Grants payments:refund, plain:read to billing-cli as alice@example.com for 2 hours.");
    let mut harmless = plain();
    harmless.scopes = ScopeSet::parse("plain:read").unwrap();
    assert_eq!(buttons(&shown("pending", &harmless).0)[0]["style"], "primary");
    let mut click = open(harmless, true, "refunds");
    click.question.ceremony = Ceremony::Click;
    assert_eq!(buttons(&drawn(&click, None, at(0), card))[0].get("confirm"), None);
    let mut machine = plain();
    machine.subject.kind = crate::domain::token_request::SubjectKind::Client;
    let said = buttons(&shown("pending", &machine).0)[0]["confirm"]["text"]["text"].clone();
    assert_eq!(said, "Grants payments:refund, plain:read to billing-cli itself for 2 hours.");
    let mut many = plain();
    many.scopes = fifty_scopes("x");
    let said = buttons(&shown("pending", &many).0)[0]["confirm"]["text"]["text"].as_str().unwrap().to_owned();
    assert!(said.starts_with("Grants 50 scopes: 00x") && said.contains("more that the card lists"), "{said}");
    assert!(said.ends_with("for 2 hours."), "{said}");
}

#[test]
fn what_a_revocation_really_does_is_said_before_and_after() {
    let (approved, text) = shown("approved", &plain());
    let dialog = buttons(&approved)[0]["confirm"].clone();
    assert_eq!(dialog["style"], "danger");
    let said = dialog["text"]["text"].as_str().unwrap();
    assert!(said.contains("is not told to recall") && said.contains("at most 10 minutes"), "{said}");
    assert!(said.ends_with("never after 2026-11-23 20:53 UTC."), "{said}");
    assert!(text.contains("Approved by <@U0BOB> and <@U0CAROL> <!date^1795460020^"), "{text}");
    assert!(text.contains("Lasts until <!date^1795467220^") && text.contains("collects it by <!date^1795460920^"));
    let (_, text) = shown("revoked", &plain());
    assert!(text.contains("the last one that was issued runs out <!date^1795460700^"), "{text}");
    let (_, text) = shown("revoked long ago", &plain());
    assert!(text.contains("The last token that was issued ran out <!date^1795460700^"), "{text}");
    let (_, text) = shown("uncollected", &plain());
    assert!(
        text.contains("did not collect it by <!date^1795460920^") && text.contains("No token was issued under it.")
    );
}

#[test]
fn a_denial_says_who_when_and_why_to_the_channel_and_to_the_requester() {
    let (_, request, ..) = every_state(&plain(), true, "refunds").remove(2);
    assert!(matches!(request.state, RequestState::Denied { .. }));
    for message in [drawn(&request, None, at(30), card), drawn(&request, None, at(30), requester_message)] {
        let text = readable(&json!(message.blocks));
        assert!(text.contains("Denied by <@U0CAROL> <!date^1795460030^"), "{text}");
        assert!(text.contains("Reason given by the approver") && text.contains("refund PAY-4821"), "{text}");
        assert!(message.text.starts_with("Denied: "), "{}", message.text);
    }
}

#[test]
fn what_is_unusual_is_pointed_out() {
    let mut odd = plain();
    odd.requested_lifetime = Some(86_400);
    odd.client.id = "bіlling".to_owned(); // a Cyrillic letter
    odd.actor = vec!["agent".to_owned()];
    odd.reason = Some("PAY-1 \u{202e}".to_owned());
    let request = open(odd, false, "another");
    let text = readable(&json!(drawn(&request, None, at(0), card).blocks));
    for part in [
        "It asked for 1 day; the policy allows 2 hours.",
        "outside of ASCII",
        "Somebody else acts for the subject.",
        "hide or reorder text were taken out",
        "cannot be told how long a token lives",
        "refused by the policy",
    ] {
        assert!(text.contains(part), "{part:?} is not in\n{text}");
    }
    assert!(!shown("pending", &plain()).1.contains("Worth a second look"));
}

#[test]
fn a_block_gets_another_id_exactly_when_it_says_something_else() {
    let ids = |message: &Message| {
        message.blocks.iter().map(|block| block["block_id"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    let (pending, half) = (shown("pending", &plain()).0, shown("half approved", &plain()).0);
    let (before, after) = (ids(&pending), ids(&half));
    let kept: Vec<&String> = before.iter().filter(|id| after.contains(id)).collect();
    assert_eq!(before, ids(&shown("pending", &plain()).0));
    // Who has approved, what the menu offers, and how many there are.
    assert_eq!(kept.len(), before.len() - 3, "only the count of approvals changed: {before:?} {after:?}");
}

#[test]
fn a_deadline_that_passed_counts_before_anybody_wrote_it_down() {
    let (message, text) = shown("expired, not written down", &plain());
    assert!(text.contains("Nobody decided before") && actions(&message).is_empty(), "{text}");
    let soon = at(0) + TimeDelta::seconds(1_799);
    assert_eq!(
        actions(&drawn(&open(plain(), true, "refunds"), None, soon, card)),
        ["approve", "changes", "deny", "more"]
    );
}
