//! How somebody asks.

use serde_json::json;

use super::{app, policy};
use crate::support::asker::{blocks, option, says};
use crate::support::asking::{Answer, alice, but, job};
use crate::support::now;
use crate::support::world::{AUDIENCE, DESK, LEDGER};

/// A reason must say something: required, and of the shape that the policy wants.
pub async fn reasons_with_content() {
    let app = app().await;
    for reason in [json!(null), json!(""), json!("x"), json!("because")] {
        let refused = app.ask(&but(alice("ledger:pay"), json!({ "reason": reason }))).await;
        assert!(refused.denied().contains("Name the ticket"), "{reason}: {}", refused.text);
    }
    assert!(app.cards(DESK).await.is_empty(), "nobody was bothered");
    app.ask(&but(alice("ledger:pay"), json!({ "reason": "PAY-4821, refund" }))).await.pending();
    assert!(app.card(DESK).await.says.contains("PAY-4821, refund"));
}

/// One line in Slack asks, and says who is asked; the client's next call collects it.
pub async fn one_line() {
    let app = app().await;
    let said = app.types("U0ALICE", "ledger-cli ledger:write for 1h because PAY-4821").await;
    assert!(said.contains("Sent") && said.contains("<!subteam^S0LEADS>"), "{said}");
    assert!(app.whispers("U0BOB", DESK).await.is_empty(), "only she sees the answer");
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    assert_eq!(app.ask(&alice("ledger:write")).await.granted()["scope"], "ledger:write");
}

/// Who may ask: full members with an identity, for what the policy offers them; everybody else is told why not.
pub async fn who_may_ask() {
    let app = app().await;
    for (person, why) in [("U0GREG", "Guests"), ("U0UMA", "not mapped"), ("U0ROBO", "bots")] {
        assert!(app.types(person, "ledger-cli ledger:write for 1h because x").await.contains(why), "{person}");
    }
    assert!(app.types("U0ALICE", "ledger-cli ledger:close").await.contains("there is no"), "not offered");
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.is_empty());
}

/// The form says who will be asked before anything is sent, and offers only what this person may ask for.
pub async fn the_form_says_who_is_asked() {
    let app = app().await;
    let form = app.opens_the_form("U0ALICE").await;
    let view = &form["view"];
    let scopes = blocks(view).find(|id| id.starts_with("scopes")).expect("scopes").to_owned();
    let mut values = json!({ "time": { "time": "3600" }, "reason": { "reason": "PAY-7" } });
    values[&scopes] = json!({ "scopes": [option(view, "ledger:write")] });
    values["client"] = json!({ "client": option(view, "ledger-cli") });
    values["resource"] = json!({ "resource": option(view, AUDIENCE) });
    let drawn = app.chooses("U0ALICE", "scopes", "scopes", values.clone()).await;
    assert!(says(&drawn["view"]).contains("<!subteam^S0LEADS>"), "{drawn:#}");
    assert!(app.cards(LEDGER).await.is_empty(), "nothing was sent yet");
    app.sends("U0ALICE", values).await;
    assert_eq!(app.cards(LEDGER).await.len(), 1);
    // Nobody to ask for anything: words, never a menu without options.
    let nothing = app.opens_the_form("U0GREG").await;
    assert!(says(&nothing).contains("Guests"), "{nothing:#}");
}

/// For somebody else, where a rule says so: both are on record, and neither decides.
pub async fn on_behalf_of_another() {
    let app = app().await;
    let said = app.types("U0ALICE", "ledger-cli behalf:x for 1h as bob@example.com because PAY-1").await;
    assert!(said.contains("Sent"), "{said}");
    let card = app.card(DESK).await;
    assert!(card.says.contains("bob@example.com") && card.says.contains("<@U0ALICE>"), "{}", card.says);
    for party in ["U0ALICE", "U0BOB"] {
        app.click(party, &card, "approve").await;
    }
    assert_eq!(app.times("request.approved").await, 0);
    app.approve("U0CAROL", &card).await;
    app.ask(&but(alice("behalf:x"), json!({ "subject": "bob@example.com" }))).await.granted();
    assert!(
        app.types("U0ALICE", "ledger-cli plain:x for 1h as bob@example.com because x").await.contains("somebody else")
    );
}

/// A start that lies ahead: not usable before, and those who approved are looked at again when it comes.
pub async fn a_scheduled_start() {
    let app = app().await;
    let form = app.opens_the_form("U0ALICE").await;
    let view = &form["view"];
    let scopes = blocks(view).find(|id| id.starts_with("scopes")).expect("scopes").to_owned();
    let start = now().timestamp() + 5;
    let mut values =
        json!({ "time": { "time": "3600" }, "reason": { "reason": "PAY-7" }, "start": { "start": start } });
    values[&scopes] = json!({ "scopes": [option(view, "plain:x")] });
    values["client"] = json!({ "client": option(view, "ledger-cli") });
    values["resource"] = json!({ "resource": option(view, AUDIENCE) });
    let sent = app.sends("U0ALICE", values).await;
    assert_eq!(sent["status"], 200, "{sent}");
    app.approve("U0BOB", &app.card(DESK).await).await;
    assert_eq!(app.times("grant.started").await, 0, "not before its time");
    // Bob is no approver any more when it starts.
    app.page("/page/admin", json!({ "do": "change_group", "group": "S0LEADS", "users": ["U0CAROL"] })).await;
    app.until("the start", async || (app.times("grant.revoked").await == 1).then_some(())).await;
    assert_ne!(app.ask(&alice("plain:x")).await.status, 200);
}

/// The same call again is the same request: one card, however often a machine asks.
pub async fn repeats_are_one_card() {
    let app = app().await;
    let first = app.ask(&alice("plain:x")).await.pending();
    for _ in 0..20 {
        assert_eq!(app.ask_unsettled(&alice("plain:x")).await.pending(), first);
    }
    app.settle().await;
    assert_eq!((app.cards(DESK).await.len(), app.direct("U0ALICE").await.len()), (1, 1));
}

/// A client that asks for too much at once is told to wait, and nobody is bothered.
pub async fn a_flood_is_bounded() {
    let app = app().await;
    for n in 0..3 {
        app.ask(&job(&format!("plain:{n}"))).await.pending();
    }
    let refused = app.ask(&job("plain:4")).await;
    assert_eq!(refused.status, 429, "{}", refused.text);
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds > 0));
    assert_eq!(app.cards(DESK).await.len(), 3);
}

/// Held while somebody decides quickly; else pending with a handle, and the retry finds the decision.
pub async fn held_then_deferred() {
    let app = app().await;
    let held = app.ask_held(&alice("ledger:write"), 20);
    let card = app.card_comes(LEDGER).await;
    app.approve("U0BOB", &card).await;
    held.answer().await.granted();
    let deferred = app.ask_held(&alice("plain:x"), 1).answer().await;
    let request = deferred.pending();
    let status = deferred.body["status_url"].as_str().expect("a place to look").to_owned();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let path = status.split_once("/hooks/").map(|(_, rest)| format!("/hooks/{rest}")).expect("our own");
    let stands = Answer::of(app.http.get(app.url(&path)).bearer_auth(crate::support::world::SHOP_TOKEN)).await;
    assert_eq!(stands.status, 200, "{}", stands.text);
    assert_eq!(app.ask(&alice("plain:x")).await.granted()["request_id"], json!(request));
}

/// The same call identifier is the same call, also after a restart; another body under it is a conflict.
pub async fn idempotent_calls() {
    let mut app = app().await;
    let first = app.ask_as("call-1", &alice("plain:x")).await.pending();
    app.crash().await;
    assert_eq!(app.ask_as("call-1", &alice("plain:x")).await.pending(), first);
    app.ask_as("call-1", &alice("plain:y")).await.problem(409);
    assert_eq!(app.times("request.opened").await, 1);
}

/// Conditions know the hour of any time zone.
pub async fn time_windows() {
    let hour: u32 = now().format("%H").to_string().parse().expect("an hour");
    // Tokyo is nine hours ahead, all year. The second hour is there for a test that runs across the full hour.
    let office = |hour: u32| {
        format!(
            "[[rule]]\nname = \"office hours\"\nwhen = 'scope == \"office:x\" && now.getHours(\"Asia/Tokyo\") in [{}, {}]'\n\
             allow = {{ max_duration = \"1h\" }}\n\n[[rule]]\nname = \"at night\"\nwhen = 'scope == \"office:x\"'\n\
             deny = \"The office is closed.\"\n\n",
            hour % 24,
            (hour + 1) % 24
        )
    };
    let with = |rules: &str| policy().replacen("\n[[rule]]", &format!("\n{rules}[[rule]]"), 1);
    let open = crate::support::stage(&with(&office(hour + 9))).start().await;
    open.ask(&alice("office:x")).await.granted();
    let closed = crate::support::stage(&with(&office(hour + 9 + 12))).start().await;
    assert!(closed.ask(&alice("office:x")).await.denied().contains("The office is closed."));
}

/// The requester follows each step, and can withdraw.
pub async fn status_and_withdrawal() {
    let app = app().await;
    app.types("U0ALICE", "ledger-cli plain:x for 1h because PAY-1").await;
    assert!(app.types("U0ALICE", "status").await.contains("*pending*"));
    assert!(app.types("U0ALICE", "withdraw").await.contains("Withdrawn"));
    assert!(app.types("U0ALICE", "status").await.contains("*cancelled*"));
    assert!(app.card(DESK).await.buttons().is_empty());
    assert!(app.types("U0ALICE", "help").await.contains("You may ask for"));
}

/// What is mistyped is said, and nothing is asked.
pub async fn mistakes_are_said() {
    let app = app().await;
    for (text, says) in [
        ("plain:x for tomorrow", "no length of time"),
        ("plain:x for -1h", "less than nothing"),
        ("plain:x for 1h because \"open", "not closed"),
        ("nobody-cli plain:x", "there is no"),
    ] {
        let said = app.types("U0ALICE", text).await;
        assert!(said.contains(says), "{text}: {said}");
    }
    assert!(app.types("U0ALICE", &"x".repeat(3_000)).await.contains("too long"));
    assert!(app.happened().await.is_empty());
}

/// Where nobody can decide, that is said at once; whoever is missing does not keep the others from deciding.
pub async fn nobody_to_decide() {
    let app = app().await;
    let refused = app.ask(&alice("ghost:x")).await;
    assert_eq!(refused.status, 403, "{}", refused.text);
    assert!(app.cards(DESK).await.is_empty(), "no silent wait");
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    assert!(metrics.contains("nobody_can_decide"), "somebody is alarmed");
    app.ask(&alice("half:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("half:x")).await.granted();
}
