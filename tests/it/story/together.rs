//! Several who must agree, and what they do besides deciding.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};

/// Shipping needs a lead and an owner, who must be two people.
fn policy() -> String {
    format!(
        r#"{POLICY}
[[rule]]
name = "shipping needs a lead and an owner"
when = 'scope == "ship"'
[[rule.ask_all]]
approvers = ["leads"]
approvals = 1
[[rule.ask_all]]
approvers = ["owners"]
approvals = 1
[rule.limits]
max_duration = "1h"
"#
    )
}

#[tokio::test]
async fn two_sets_are_met_by_two_people_whatever_the_order_and_the_card_says_who_is_missing() {
    // Carol is in both sets. Whether she comes first or last, she is given to the set that needs her.
    for order in [["U0CAROL", "U0BOB"], ["U0BOB", "U0CAROL"]] {
        let app = TestApp::stage().policy(policy()).start().await;
        app.ask(&alice("ship")).await.pending();
        let card = app.card(DESK).await;
        assert!(
            card.says.contains("`leads`: still needs 1") && card.says.contains("`owners`: still needs 1"),
            "{}",
            card.says
        );
        app.approve(order[0], &card).await;
        let half = app.card(DESK).await;
        assert!(
            half.says.contains("1 of 2 approvals") && half.says.contains(&format!("<@{}>", order[0])),
            "{}",
            half.says
        );
        app.ask(&alice("ship")).await.pending();
        app.approve(order[1], &half).await;
        app.ask(&alice("ship")).await.granted();
    }
}

#[tokio::test]
async fn two_of_one_set_are_not_one_of_each() {
    let app = TestApp::stage().policy(policy()).start().await;
    app.ask(&alice("ship")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.approve("U0DORA", &app.card(DESK).await).await;
    let card = app.card(DESK).await;
    assert!(
        card.head().starts_with("Approval needed") && card.says.contains("`owners`: still needs 1"),
        "{}",
        card.says
    );
    app.approve("U0CAROL", &card).await;
    app.ask(&alice("ship")).await.granted();
}

#[tokio::test]
async fn rules_with_the_same_approvers_are_one_requirement_with_the_larger_count() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close plain:x")).await.pending();
    let card = app.card(DESK).await;
    assert!(card.says.contains("0 of 2 approvals"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    app.approve("U0CAROL", &card).await;
    assert_eq!(app.ask(&alice("ledger:close plain:x")).await.granted()["scope"], "ledger:close plain:x");
}

#[tokio::test]
async fn an_approval_is_taken_back_until_it_is_decided_and_can_be_given_again() {
    let mut app = TestApp::start().await;
    let request = app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    assert!(card.choice("take_back").is_none(), "nobody has approved yet");
    app.approve("U0BOB", &card).await;
    // Somebody else's cannot be taken back.
    let half = app.card(DESK).await;
    app.choose("U0CAROL", &half, "take_back").await;
    assert!(app.whisper_comes("U0CAROL", DESK).await.contains("no approval of yours"));
    app.choose("U0BOB", &half, "take_back").await;
    let none = app.card(DESK).await;
    assert!(none.says.contains("0 of 2 approvals"), "{}", none.says);
    assert!(app.thread(&none).await.iter().any(|said| said.contains("took the approval back")));

    // It does not come back by a restart, and counts again only when it is given again.
    app.restart().await;
    app.approve("U0CAROL", &none).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
    let happened = app.happened_to(&request).await;
    let votes: Vec<_> =
        happened.iter().filter(|kind| kind.starts_with("vote.") || *kind == "request.approved").collect();
    assert_eq!(votes, ["vote.recorded", "vote.withdrawn", "vote.recorded", "request.approved"]);
    let grants = app.operator_sees("/v1/grants").await;
    assert_eq!(grants["grants"][0]["approved_by"], json!(["carol@example.com", "bob@example.com"]));
    // Once decided there is nothing to take back.
    app.choose("U0BOB", &half, "take_back").await;
    assert!(app.whisper_comes("U0BOB", DESK).await.contains("already approved"));
}

#[tokio::test]
async fn claiming_commenting_and_handing_over_decide_nothing_and_are_told() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    app.choose("U0BOB", &app.card(LEDGER).await, "claim").await;
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("<@U0BOB> is looking at it"), "{}", card.says);

    app.choose("U0BOB", &card, "comment").await;
    app.fill("U0BOB", json!({ "words": "Which month? <!channel>" })).await;
    let told = app.direct("U0ALICE").await.pop().expect("a message");
    assert!(told.contains("Which month?") && told.contains("<@U0BOB>"), "{told}");
    assert!(app.thread(&card).await.iter().any(|said| said.contains("Which month?")));

    app.choose("U0BOB", &card, "hand_over").await;
    app.fill("U0BOB", json!({ "to": "U0CAROL" })).await;
    let told = app.direct("U0CAROL").await.pop().expect("a message");
    assert!(told.contains("<@U0BOB> asks you to decide") && told.contains("<#C0LEDGER>"), "{told}");
    let told = app.messages("U0CAROL", "D0CAROL").await.pop().expect("a message").message.to_string();
    let link = format!("https://acme.slack.com/archives/{}/p{}\"", card.channel, card.ts.replace('.', ""));
    assert!(told.contains(&link), "{told} has no {link}");
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("<@U0BOB> asked <@U0CAROL> to decide"), "{}", card.says);
    assert_eq!(
        app.happened_to(&request).await,
        ["request.opened", "request.claimed", "request.commented", "request.handed_over"]
    );
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0DORA", &card).await;
    app.ask(&alice("ledger:write")).await.granted();
}

#[tokio::test]
async fn only_approvers_do_that_and_only_an_approver_takes_over() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    for (person, why) in
        [("U0NORA", "not_an_approver"), ("U0ALICE", "own_request"), ("U0EVE", "other_workspace"), ("U0GREG", "guest")]
    {
        for word in ["claim", "comment", "hand_over"] {
            let seq = app.audited().await;
            app.choose(person, &card, word).await;
            assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], why, "{person} {word}");
            assert!(app.form(person).await.is_null());
        }
    }
    for to in ["U0NORA", "U0ALICE", "U0GREG", "U0EVE", "U0BOB", "U0UMA"] {
        app.choose("U0BOB", &card, "hand_over").await;
        let seq = app.audited().await;
        app.fill("U0BOB", json!({ "to": to })).await;
        assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], "cannot_take_over", "{to}");
        assert!(app.form("U0BOB").await.to_string().contains("Only another approver"), "{to}");
    }
    assert!(app.direct("U0NORA").await.is_empty());
}

#[tokio::test]
async fn a_policy_that_wants_more_by_the_click_refuses_it_with_words() {
    let mut app = TestApp::start().await;
    for scope in ["ledger:write", "plain:x"] {
        app.ask(&but(alice(scope), json!({ "expires_in": 3_600 }))).await.pending();
    }
    let (write, plain) = (app.card(LEDGER).await, app.card(DESK).await);
    let reload = async |app: &mut TestApp, policy: String| {
        assert_ne!(policy, POLICY);
        app.stop().await;
        std::fs::write(app.file("policy.toml"), policy).expect("a policy");
        app.run().await.expect("it starts");
    };
    let seen = async |app: &TestApp, why: &str, words: &str| {
        let seq = app.audited().await;
        app.click("U0BOB", &write, "approve").await;
        assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], why);
        assert!(app.whisper_comes("U0BOB", LEDGER).await.contains(words), "{words}");
    };
    reload(&mut app, POLICY.replace("approvals = 1\nmax_duration = \"2h\"", "approvals = 2\nmax_duration = \"2h\""))
        .await;
    seen(&app, "policy_wants_more_now", "wants more people").await;
    let denied = POLICY.replace("[[rule]]\nname = \"writing\"", "[[rule]]\nname = \"no writing\"\nwhen = 'scope == \"ledger:write\"'\ndeny = \"The books are closed.\"\n\n[[rule]]\nname = \"writing\"");
    reload(&mut app, denied).await;
    seen(&app, "policy_refuses_now", "The books are closed.").await;
    reload(&mut app, POLICY.replace("max_duration = \"2h\"", "max_duration = \"30m\"")).await;
    seen(&app, "policy_allows_less_time_now", "at most 30 minutes").await;
    // Less time can be approved; what the change does not touch is approved as before; a no needs no policy.
    app.click("U0BOB", &write, "changes").await;
    app.fill("U0BOB", json!({ "time": "1" })).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.approve("U0BOB", &plain).await;
    app.ask(&alice("plain:x")).await.granted();
}

#[tokio::test]
async fn what_is_unusual_is_on_the_card() {
    let app = TestApp::start().await;
    let one = but(alice("plain:a"), json!({ "expires_in": 600 }));
    app.ask(&one).await.pending();
    let card = app.card(DESK).await;
    assert!(card.says.contains("First time: this client never had any of this"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    app.ask(&one).await.granted();
    app.advance(crate::support::minutes(11)).await;
    app.ask(&but(alice("plain:a plain:b"), json!({ "expires_in": 3_600 }))).await.pending();
    let card = app.card_of(DESK, 1).await;
    assert!(card.says.contains("First time for plain:b"), "{}", card.says);
    assert!(card.says.contains("1 hour instead of 10 minutes"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    app.advance(crate::support::minutes(61)).await;
    app.ask(&one).await.pending();
    let card = app.card_of(DESK, 2).await;
    assert!(!card.says.contains("First time") && !card.says.contains("instead of"), "{}", card.says);
}
