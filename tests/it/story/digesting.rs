//! More cards than the policy lets anybody have within an hour: what is above the limit shares one card, the digest.

use serde_json::json;

use crate::support::asking::{alice, but, job};
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{Stage, TestApp, minutes, seconds};

fn at_most(cards: u32) -> String {
    format!("{POLICY}cards_per_approver_per_hour = {cards}\n")
}

fn stage(cards: u32) -> Stage {
    TestApp::stage().policy(at_most(cards))
}

/// Alice's terminal asks for the nth of many plain scopes.
async fn ask(app: &TestApp, n: usize) -> String {
    app.ask(&alice(&format!("plain:{n}"))).await.pending()
}

async fn digest(app: &TestApp, channel: &str) -> Card {
    let mut all = app.cards(channel).await;
    all.retain(Card::is_digest);
    assert_eq!(all.len(), 1, "one digest: {all:#?}");
    all.remove(0)
}

async fn own_cards_at(app: &TestApp, channel: &str) -> usize {
    app.cards(channel).await.iter().filter(|card| !card.is_digest()).count()
}

#[tokio::test]
async fn above_the_limit_requests_join_one_digest_from_which_each_is_opened_and_decided() {
    let mut app = stage(2).start().await;
    let mut requests = Vec::new();
    for n in 0..5 {
        requests.push(ask(&app, n).await);
    }
    assert_eq!(own_cards_at(&app, DESK).await, 2, "two cards of their own");
    let shown = digest(&app, DESK).await;
    assert!(shown.head().starts_with("3 more requests need approval"), "{}", shown.head());
    for said in ["<!subteam^S0LEADS>", "at most 2 cards", "ledger-cli", "plain:3", "<@U0ALICE>"] {
        assert!(shown.says.contains(said), "`{said}` is missing: {}", shown.says);
    }
    assert!(requests[..2].iter().all(|request| shown.opener(request).is_none()), "those have a card");
    assert_eq!(shown.buttons(), ["open"; 3], "nothing is decided on it");

    // Bob opens one of them: its card comes to him, and works like any other.
    app.open("U0BOB", &shown, &requests[3]).await;
    assert!(app.whisper_comes("U0BOB", DESK).await.contains("direct messages"));
    let cards = app.own_cards("U0BOB").await;
    assert_eq!(cards.len(), 1);
    assert!(cards[0].says.contains(&requests[3]) && cards[0].says.contains("plain:3"), "{}", cards[0].says);
    assert!(app.own_cards("U0CAROL").await.is_empty(), "nobody else is bothered");
    // Opened twice it is still one card.
    app.open("U0BOB", &shown, &requests[3]).await;
    assert_eq!(app.own_cards("U0BOB").await.len(), 1);
    app.approve("U0BOB", &cards[0]).await;
    app.ask(&alice("plain:3")).await.granted();
    assert!(app.own_cards("U0BOB").await[0].head().starts_with("Approved"));

    // The digest says so in place. What it offers for what is granted is the card with which it is revoked.
    app.restart().await;
    let after = digest(&app, DESK).await;
    assert_eq!((after.ts.as_str(), &after.head()[..14]), (shown.ts.as_str(), "2 more request"));
    assert!(after.says.contains("Approved by <@U0BOB>"), "{}", after.says);
    app.open("U0CAROL", &after, &requests[3]).await;
    let carols = app.own_cards("U0CAROL").await;
    assert_eq!(carols[0].buttons(), ["revoke"]);
    app.click("U0CAROL", &carols[0], "revoke").await;
    let revoked = digest(&app, DESK).await;
    assert!(revoked.says.contains("Revoked by <@U0CAROL>") && revoked.opener(&requests[3]).is_none());

    // The others are denied and expire: no button is left.
    app.open("U0CAROL", &revoked, &requests[2]).await;
    let card = app.own_cards("U0CAROL").await.pop().expect("a card");
    app.deny_with("U0CAROL", &card, "not now").await;
    app.advance(minutes(31)).await;
    let settled = digest(&app, DESK).await;
    assert!(settled.head().starts_with("Digest: all 3 requests are settled"), "{}", settled.head());
    assert!(settled.buttons().is_empty() && settled.says.contains("Denied by <@U0CAROL>"), "{}", settled.says);
    assert!(settled.says.contains("Nobody decided before"), "{}", settled.says);
}

#[tokio::test]
async fn the_count_is_of_an_hour_outlives_a_restart_and_begins_anew_afterwards() {
    let mut app = stage(2).start().await;
    ask(&app, 0).await;
    app.advance(minutes(20)).await;
    ask(&app, 1).await;
    app.restart().await;
    ask(&app, 2).await;
    assert_eq!((own_cards_at(&app, DESK).await, digest(&app, DESK).await.buttons().len()), (2, 1));
    // Both are decided long since: that makes no room, an hour does, for as many as are past it.
    app.advance(minutes(39) + seconds(59)).await;
    ask(&app, 3).await;
    let first = digest(&app, DESK).await;
    assert_eq!((own_cards_at(&app, DESK).await, first.buttons().len()), (2, 1), "the other one has expired");
    app.advance(seconds(1)).await;
    ask(&app, 4).await;
    assert_eq!(own_cards_at(&app, DESK).await, 3, "the first card is an hour old");
    ask(&app, 5).await;
    assert_eq!(own_cards_at(&app, DESK).await, 3, "and one more would be the third within an hour");
    assert_eq!(digest(&app, DESK).await.ts, first.ts, "the digest is not yet an hour old");
    app.advance(minutes(60)).await;
    for n in 6..9 {
        ask(&app, n).await;
    }
    assert_eq!(own_cards_at(&app, DESK).await, 5);
    let digests: Vec<Card> = app.cards(DESK).await.into_iter().filter(Card::is_digest).collect();
    assert_eq!(digests.len(), 2, "another hour, another digest");
    assert!(digests[0].buttons().is_empty() && digests[1].buttons() == ["open"]);
}

#[tokio::test]
async fn each_approver_is_counted_for_whatever_channel_and_set_the_card_came_through() {
    let app = stage(2).start().await;
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL"]).await;
    // Two cards in two channels: Bob and Carol have had two. The export asks Carol alone, and she has.
    ask(&app, 0).await;
    app.ask(&alice("ledger:write")).await.pending();
    let export = app.ask(&alice("ledger:export")).await.pending();
    assert_eq!((own_cards_at(&app, DESK).await, own_cards_at(&app, LEDGER).await), (1, 1));
    let shown = digest(&app, DESK).await;
    assert!(shown.opener(&export).is_some() && shown.says.contains("<@U0CAROL>"), "{}", shown.says);
    // Bob may not decide it, and so does not open it. The channel of the ledger has a digest of its own.
    app.open("U0BOB", &shown, &export).await;
    assert!(app.whisper_comes("U0BOB", DESK).await.contains("can't decide"));
    assert!(app.own_cards("U0BOB").await.is_empty());
    let other = app.ask(&but(alice("ledger:write"), json!({ "client_id": "other-cli" }))).await.pending();
    assert!(digest(&app, LEDGER).await.opener(&other).is_some());
    // Dora joins the leads. She has had no card, but the others have.
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL", "U0DORA"]).await;
    app.advance(seconds(61)).await;
    ask(&app, 1).await;
    assert_eq!(own_cards_at(&app, DESK).await, 1);
    // A set in which nobody has had two gets cards.
    app.group_is("S0LEADS", &["U0DORA"]).await;
    app.advance(seconds(61)).await;
    ask(&app, 2).await;
    assert_eq!(own_cards_at(&app, DESK).await, 2);
}

#[tokio::test]
async fn where_each_is_told_alone_each_has_a_limit_and_a_digest_of_their_own() {
    let plain = "when = 'scope.startsWith(\"plain:\")'\nask = { ";
    let policy = at_most(1).replace(plain, &format!("{plain}notify = {{ by = \"direct\" }}, "));
    let app = TestApp::stage().policy(policy).start().await;
    app.group_is("S0LEADS", &["U0BOB"]).await;
    ask(&app, 0).await;
    app.group_is("S0LEADS", &["U0BOB", "U0CAROL"]).await;
    app.advance(seconds(61)).await;
    let second = ask(&app, 1).await;
    assert_eq!((app.own_cards("U0BOB").await.len(), app.own_cards("U0CAROL").await.len()), (1, 1));
    let mine = digest(&app, "D0BOB").await;
    app.open("U0BOB", &mine, &second).await;
    let card = app.own_cards("U0BOB").await.pop().expect("a card");
    assert!(card.says.contains(&second));
    app.approve("U0CAROL", &app.own_cards("U0CAROL").await[0]).await;
    // One decision settles all of it: both cards and the digest.
    let bobs = app.own_cards("U0BOB").await;
    assert!(bobs.iter().any(|card| card.says.contains(&second) && card.head().starts_with("Approved")), "{bobs:#?}");
    assert!(digest(&app, "D0BOB").await.says.contains("Approved by <@U0CAROL>"));
}

#[tokio::test]
async fn a_digest_opens_nothing_for_others_and_its_value_decides_nothing() {
    let app = stage(1).start().await;
    ask(&app, 0).await;
    let request = ask(&app, 1).await;
    let shown = digest(&app, DESK).await;
    let (_, value) = shown.opener(&request).expect("a button");
    let secret = value.split('.').next().expect("a value").to_owned();
    for person in ["U0NORA", "U0ALICE", "U0UMA", "U0GREG", "U0EVE"] {
        app.open(person, &shown, &request).await;
        assert!(app.own_cards(person).await.iter().all(|card| !card.buttons().contains(&"approve")), "{person}");
    }
    // Neither as another button, nor on another message, nor for a request that stands elsewhere.
    let before = app.decided().await;
    for (action, value) in [("approve", &value), ("approve", &secret), ("deny", &value), ("revoke", &secret)] {
        let forged = json!({ "override": { "actions": [{ "action_id": action, "value": value, "block_id": "x", "type": "button", "action_ts": "1.1" }] } });
        app.click_forged("U0BOB", &shown, "open", forged).await;
    }
    let card = app.cards(DESK).await.into_iter().find(|card| !card.is_digest()).expect("a card");
    let on_the_card = json!({ "override": { "actions": [{ "action_id": "open", "value": value, "block_id": "x", "type": "button", "action_ts": "1.1" }] } });
    app.click_forged("U0BOB", &card, "approve", on_the_card).await;
    let (_, of_the_card) = card.button("approve");
    for stray in [format!("{secret}.req_{}", "0".repeat(32)), format!("{of_the_card}.{request}"), "x".to_owned()] {
        let forged = json!({ "override": { "actions": [{ "action_id": "open", "value": stray, "block_id": "x", "type": "button", "action_ts": "1.1" }] } });
        app.click_forged("U0BOB", &shown, "open", forged).await;
    }
    assert_eq!(app.decided().await, before);
    assert!(app.own_cards("U0BOB").await.is_empty());
    // What was granted or refused meanwhile is not opened from an old picture of the digest.
    app.advance(minutes(30)).await;
    let forged = json!({ "value": value });
    app.page("/page/click", json!({ "as": "U0BOB", "channel": shown.channel, "ts": shown.ts, "block_id": "x", "action_id": "open", "value": forged["value"] })).await;
    assert!(app.own_cards("U0BOB").await.is_empty());
}

#[tokio::test]
async fn reminders_of_what_stands_on_a_digest_are_said_beneath_it_by_name() {
    let quiet = "ceremony = \"confirm\"\nchannel = \"C0LEDGER\"";
    let policy = at_most(1).replace(quiet, &format!("{quiet}\nremind_after = \"10m\""));
    let app = TestApp::stage().policy(policy).start().await;
    ask(&app, 0).await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let shown = digest(&app, LEDGER).await;
    app.advance(minutes(10)).await;
    let thread = app.thread(&shown).await;
    assert_eq!(thread.len(), 1, "{thread:?}");
    for said in ["<!subteam^S0LEADS>", &request, "for 10 min"] {
        assert!(thread[0].contains(said), "`{said}` is missing: {}", thread[0]);
    }
}

#[tokio::test]
async fn a_digest_that_is_full_deleted_or_in_a_closed_channel_loses_nothing() {
    let app = stage(1).start().await;
    app.ask(&but(alice("plain:x"), json!({ "subject": "carol@example.com" }))).await.pending();
    for n in 0..20 {
        ask(&app, n).await;
    }
    let last = app.ask(&but(alice("plain:y"), json!({ "subject": "carol@example.com" }))).await.pending();
    let digests: Vec<Card> = app.cards(DESK).await.into_iter().filter(Card::is_digest).collect();
    assert_eq!(digests.iter().map(|card| card.buttons().len()).collect::<Vec<_>>(), [20, 1]);
    // Somebody deletes it: the next change finds that out, and what waits stands on another one.
    let gone = json!({ "kind": "not_ok", "method": "chat.update", "error": "message_not_found", "times": 1 });
    app.fault(gone).await;
    let other = app.ask(&but(alice("plain:z"), json!({ "subject": "carol@example.com" }))).await.pending();
    let again = app.cards(DESK).await.into_iter().rfind(Card::is_digest).expect("a digest");
    assert!(again.ts != digests[1].ts && again.opener(&last).is_some() && again.opener(&other).is_some());
}

#[tokio::test]
async fn a_digest_whose_answer_was_lost_is_found_again_and_where_nobody_may_look_both_work() {
    let lost = json!({ "kind": "lost_answer", "method": "chat.postMessage", "times": 1 });
    let app = stage(1).start().await;
    app.ask(&job("plain:0")).await.pending();
    app.fault(lost.clone()).await;
    let request = app.ask(&job("plain:1")).await.pending();
    app.advance(minutes(1)).await;
    app.open("U0BOB", &digest(&app, DESK).await, &request).await;
    assert_eq!(app.own_cards("U0BOB").await.len(), 1);

    let app = stage(1).start().await;
    let scopes = ["chat:write", "users:read", "usergroups:read", "im:write"];
    app.page("/page/app", json!({ "scopes": scopes })).await;
    app.ask(&job("plain:0")).await.pending();
    app.fault(lost).await;
    let request = app.ask(&job("plain:1")).await.pending();
    app.advance(minutes(1)).await;
    let digests = async || app.cards(DESK).await.into_iter().filter(Card::is_digest).collect::<Vec<_>>();
    let both = digests().await;
    assert_eq!(both.len(), 2);
    // A click on the one that nobody knew of tells where it is: from then on it is kept up to date, too.
    app.open("U0BOB", &both[0], &request).await;
    app.approve("U0BOB", &app.own_cards("U0BOB").await[0]).await;
    for card in digests().await {
        assert!(card.says.contains("Approved by <@U0BOB>"), "{}", card.says);
    }
}
