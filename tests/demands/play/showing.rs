//! What people see.

use serde_json::json;

use super::{app, policy};
use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER, POLICY};

async fn direct_cards(app: &TestApp, person: &str) -> Vec<Card> {
    let all = app.messages(person, &format!("D{}", &person[1..])).await;
    all.into_iter()
        .filter(|card| card.message["metadata"]["event_type"] == "countersign_request" && card.head() != "")
        .collect()
}

/// One card in one channel; nobody is written to, unless the policy says so.
pub async fn one_channel_card() {
    let app = app().await;
    app.ask(&alice("plain:x")).await.pending();
    assert_eq!(app.cards(DESK).await.len(), 1);
    for person in ["U0BOB", "U0CAROL", "U0DORA"] {
        assert!(app.direct(person).await.is_empty(), "{person} was pinged");
    }
    app.ask(&alice("ledger:write")).await.pending();
    assert_eq!(app.cards(LEDGER).await.len(), 1, "the rule's channel");
}

/// Who may decide and who is told are two questions.
pub async fn told_is_not_asked() {
    let app = app().await;
    app.ask(&alice("told:x")).await.pending();
    let (bob, carol) = (direct_cards(&app, "U0BOB").await, direct_cards(&app, "U0CAROL").await);
    assert_eq!((bob.len(), carol.len()), (0, 1), "Carol hears of it; Bob may decide and is not pinged");
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("told:x")).await.granted();
}

/// Every copy is edited to the outcome, with who and when; no live button survives.
pub async fn every_copy_is_settled() {
    let app = app().await;
    app.ask(&alice("told:x")).await.pending();
    app.ask(&alice("ledger:write plain:x")).await.pending();
    app.approve("U0BOB", &app.card_of(DESK, 0).await).await;
    app.deny_with("U0BOB", &app.card(LEDGER).await, "No.").await;
    let copies = direct_cards(&app, "U0CAROL").await;
    assert!(copies[0].head().starts_with("Approved") && copies[0].says.contains("<@U0BOB>"), "{}", copies[0].says);
    for channel in [DESK, LEDGER] {
        for card in app.cards(channel).await {
            assert!(!card.buttons().contains(&"approve") && card.says.contains("<@U0BOB>"), "{}", card.says);
        }
    }
    app.opens_home("U0BOB").await;
    assert!(app.home("U0BOB").await.to_string().contains("Nothing waits for you"));
}

/// Each thing that happens is a reply beneath the card, in order.
pub async fn the_thread_is_the_log() {
    let app = app().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.click("U0BOB", &app.card(DESK).await, "revoke").await;
    let said = app.thread(&card).await;
    let wanted = ["Asked", "<@U0BOB> approved", "<@U0CAROL> approved", "Revoked by <@U0BOB>"];
    assert_eq!(said.len(), wanted.len(), "{said:#?}");
    assert!(said.iter().zip(wanted).all(|(reply, begins)| reply.starts_with(begins)), "{said:#?}");
}

/// The requester hears: received and who is asked, decided and by whom, and what was changed.
pub async fn the_requester_is_told() {
    let app = app().await;
    app.ask(&alice("plain:x plain:y")).await.pending();
    let received = app.direct("U0ALICE").await.pop().expect("a message");
    assert!(received.contains("received") && received.contains("<!subteam^S0LEADS>"), "{received}");
    app.click("U0BOB", &app.card(DESK).await, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["0"], "note": "Half of it." })).await;
    let decided = app.direct("U0ALICE").await.pop().expect("a message");
    for said in ["approved", "<@U0BOB>", "Half of it.", "plain:y"] {
        assert!(decided.contains(said), "`{said}` is missing: {decided}");
    }
    app.click("U0BOB", &app.card(DESK).await, "revoke").await;
    assert!(app.direct("U0ALICE").await.pop().expect("a message").contains("evoked"));
}

/// The card says who decided, when, what was changed and why, and keeps the facts.
pub async fn the_card_says_who_decided() {
    let app = app().await;
    app.ask(&alice("ledger:write plain:x")).await.pending();
    let before = app.card(LEDGER).await;
    app.click("U0BOB", &before, "changes").await;
    app.fill("U0BOB", json!({ "scopes": ["0"], "note": "Only the ledger." })).await;
    let after = app.card(LEDGER).await;
    assert_eq!((&before.channel, &before.ts), (&after.channel, &after.ts), "edited in place");
    for said in [
        "Approved by <@U0BOB>",
        "<!date^",
        "took out",
        "plain:x",
        "Only the ledger.",
        "ledger-cli",
        "PAY-7",
        "alice@example.com",
    ] {
        assert!(after.says.contains(said), "`{said}` is missing: {}", after.says);
    }
}

/// However long what a client writes: somebody is told, and all of it can be read.
pub async fn long_text() {
    let app = app().await;
    let reason = format!("PAY-7 {}", "because of the month end ".repeat(115));
    let scopes: Vec<String> = (0..40).map(|n| format!("plain:{n:02}-{}", "x".repeat(40))).collect();
    let body = but(alice(&scopes.join(" ")), json!({ "reason": reason, "client_id": "c".repeat(200) }));
    app.ask(&body).await.pending();
    let card = app.card(DESK).await;
    app.click("U0BOB", &card, "details").await;
    let all = app.form("U0BOB").await.to_string();
    assert!(all.matches("because of the month end").count() >= 110, "all of it stands there");
    app.approve("U0BOB", &card).await;
    app.ask(&body).await.granted();
}

/// Slack does not take the card: it is posted plainly, and its buttons work.
pub async fn a_plain_card_rather_than_none() {
    let app = app().await;
    app.fault(json!({ "method": "chat.postMessage", "kind": "not_ok", "error": "invalid_blocks", "times": 1 })).await;
    let job = crate::support::asking::job("plain:x");
    app.ask(&job).await.pending();
    let card = app.card(DESK).await;
    assert!(card.says.contains("build-job") && card.buttons().contains(&"approve"), "{}", card.says);
    app.approve("U0BOB", &card).await;
    app.ask(&job).await.granted();
}

/// At every step the card shows what is stored, also where an edit failed.
pub async fn the_card_tells_the_truth() {
    let app = app().await;
    let request = app.ask(&alice("ledger:close")).await.pending();
    let agrees = async || {
        let stored = app.stands(&request).await["status"].as_str().unwrap_or_default().to_owned();
        let shown = app.card(DESK).await.message["metadata"]["event_payload"]["state"].clone();
        assert_eq!(json!(stored), shown);
        stored
    };
    assert_eq!(agrees().await, "pending");
    app.approve("U0BOB", &app.card(DESK).await).await;
    assert_eq!(agrees().await, "pending", "one of two");
    // The outcome cannot be shown just now: nothing is shown that is not so, and then it is.
    app.fault(json!({ "method": "chat.update", "kind": "http_500", "times": 2 })).await;
    app.press("U0CAROL", &app.card(DESK).await, "approve").await;
    app.until("the edit", async || app.card(DESK).await.head().starts_with("Approved").then_some(())).await;
    assert_eq!(agrees().await, "approved");
}

/// What a scope can do, how risky it is, and what would be less: in words of the policy.
pub async fn the_catalogue_explains() {
    let app = app().await;
    app.ask(&but(alice("ledger:pay ledger:write"), json!({ "reason": "PAY-7" }))).await.pending();
    let card = app.card(DESK).await;
    for said in ["Pay bills", "Book entries in the ledger", "high"] {
        assert!(card.says.contains(said), "`{said}` is missing: {}", card.says);
    }
    app.click("U0BOB", &card, "changes").await;
    let form = app.form("U0BOB").await.to_string();
    assert!(form.contains("Suggest instead") && form.contains("ledger:read"), "{form}");
}

/// What is unusual: the first time, and what is wider than the last time.
pub async fn what_is_unusual() {
    let app = app().await;
    app.ask(&but(alice("plain:a"), json!({ "expires_in": 10 }))).await.pending();
    assert!(app.card_of(DESK, 0).await.says.contains("First time"), "{}", app.card_of(DESK, 0).await.says);
    app.approve("U0BOB", &app.card_of(DESK, 0).await).await;
    app.ask(&alice("plain:a")).await.granted();
    app.ask(&but(alice("plain:a plain:b"), json!({ "expires_in": 3_600 }))).await.pending();
    let wider = app.card_of(DESK, 1).await;
    assert!(
        wider.says.contains("First time for plain:b") && wider.says.contains("1 hour instead of"),
        "{}",
        wider.says
    );
}

/// App Home: what waits for me, what I wait for, what I have.
pub async fn app_home() {
    let app = app().await;
    app.opens_home("U0BOB").await;
    app.opens_home("U0ALICE").await;
    app.ask(&alice("plain:x")).await.pending();
    app.until("Bob's Home", async || {
        app.home("U0BOB").await.to_string().contains("Waiting for you* (1)").then_some(())
    })
    .await;
    app.until("Alice's Home", async || {
        app.home("U0ALICE").await.to_string().contains("Waiting for others* (1)").then_some(())
    })
    .await;
    app.presses_at_home("U0BOB", "approve").await;
    app.ask(&alice("plain:x")).await.granted();
    app.until("what she has", async || {
        app.home("U0ALICE").await.to_string().contains("Active grants* (1)").then_some(())
    })
    .await;
}

/// The policy names the approvers: groups or people; whoever asks names nobody.
pub async fn the_policy_names_the_approvers() {
    let app = app().await;
    app.ask(&but(alice("ledger:write"), json!({ "approvers": ["U0NORA"] }))).await.pending();
    let card = app.card(LEDGER).await;
    assert!(card.says.contains("<!subteam^S0LEADS>") && !card.says.contains("U0NORA"), "{}", card.says);
    app.ask(&alice("ledger:export")).await.pending();
    assert!(app.card(DESK).await.says.contains("<@U0CAROL>"), "named by the rule");
}

/// Which channel hears of it is a rule's to say.
pub async fn routed_by_rule() {
    assert!(POLICY.contains("channel = \"C0LEDGER\"") && policy().contains("channel = \"C0LEDGER\""));
    let app = app().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    assert_eq!((app.cards(LEDGER).await.len(), app.cards(DESK).await.len()), (1, 1));
}
