//! Nobody decides: who is told again, and what a machine that keeps asking leaves behind.

use serde_json::json;

use crate::support::asking::{alice, but};
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

fn reminding() -> String {
    let quiet = "ceremony = \"confirm\"\nchannel = \"C0LEDGER\"";
    assert!(POLICY.contains(quiet));
    POLICY.replace(
        quiet,
        &format!("{quiet}\nremind_after = \"10m\"\nescalate = [{{ after = \"20m\", to = [\"owners\"] }}, {{ after = \"25m\", to = [\"leads\", \"owners\"] }}]"),
    )
}

#[tokio::test]
async fn those_who_were_asked_are_reminded_and_then_others_are_told_who_may_not_decide() {
    let app = TestApp::stage().policy(reminding()).start().await;
    app.group_is("S0LEADS", &["U0BOB", "U0DORA"]).await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let before = app.thread(&card).await.len();
    app.advance(minutes(9)).await;
    assert_eq!(app.thread(&card).await.len(), before, "nothing yet");
    app.advance(minutes(1)).await;
    let thread = app.thread(&card).await;
    let reminder = &thread[before];
    for said in ["<!subteam^S0LEADS>", "for 10 min", "because you are asked", "expires"] {
        assert!(reminder.contains(said), "`{said}` is missing: {reminder}");
    }
    app.advance(minutes(10)).await;
    let told = app.thread(&card).await[before + 1].clone();
    for said in
        ["<@U0CAROL>", "escalates it to `owners`", "Being told is not being asked", "<!subteam^S0LEADS> can decide"]
    {
        assert!(told.contains(said), "`{said}` is missing: {told}");
    }
    // Carol was told, and may not decide all the same.
    app.click("U0CAROL", &card, "approve").await;
    assert!(app.whisper_comes("U0CAROL", LEDGER).await.contains("can't decide"));
    app.approve("U0BOB", &card).await;
    app.advance(minutes(30)).await;
    let reminders = app.happened_to(&request).await.into_iter().filter(|kind| kind == "request.reminded").count();
    assert_eq!(reminders, 2, "decided: nobody is told a third time");
}

#[tokio::test]
async fn time_that_jumps_past_several_reminders_sends_each_once_and_in_order() {
    let mut app = TestApp::stage().policy(reminding()).start().await;
    let request = app.ask(&alice("ledger:write")).await.pending();
    let card = app.card(LEDGER).await;
    let before = app.thread(&card).await.len();
    app.clock.advance(minutes(26));
    app.settle().await;
    app.restart().await;
    app.settle().await;
    let thread = app.thread(&card).await.split_off(before);
    let said: Vec<&str> =
        thread.iter().map(|text| if text.contains("reminded") { "reminded" } else { "told" }).collect();
    assert_eq!(said, ["reminded", "told", "told"], "{thread:?}");
    let reminded: Vec<_> = app.audit().await.into_iter().filter(|entry| entry["kind"] == "request.reminded").collect();
    assert_eq!(
        reminded.iter().map(|entry| entry["detail"]["number"].clone()).collect::<Vec<_>>(),
        [json!(1), json!(2), json!(3)]
    );
    // Past the deadline nobody is reminded of what nobody can decide any more.
    app.advance(minutes(4)).await;
    assert_eq!(app.happened_to(&request).await.last().map(String::as_str), Some("request.expired"));
    app.ask(&alice("ledger:write")).await.pending();
    app.advance(minutes(60)).await;
    assert_eq!(app.audit().await.iter().filter(|entry| entry["kind"] == "request.reminded").count(), 3);
}

#[tokio::test]
async fn a_machine_that_keeps_asking_shows_as_a_number_on_one_card() {
    let app = TestApp::start().await;
    let request = app.ask(&alice("plain:x")).await.pending();
    for _ in 0..6 {
        assert_eq!(app.ask(&alice("plain:x")).await.pending(), request);
    }
    // Nothing is written for each of them.
    assert_eq!(app.happened_to(&request).await, ["request.opened"]);
    app.advance(seconds(60)).await;
    let card = app.card(DESK).await;
    assert!(card.says.contains("Asked 7 times, last"), "{}", card.says);
    assert_eq!(app.happened_to(&request).await, ["request.opened", "request.joined"]);
    app.advance(minutes(3)).await;
    assert_eq!(app.happened_to(&request).await.len(), 2, "nothing new, nothing written");
    // Another reason is noted in the thread, as before.
    app.ask(&but(alice("plain:x"), json!({ "reason": "PAY-8" }))).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    app.advance(minutes(3)).await;
    assert!(app.card(DESK).await.head().starts_with("Approved"));
}
