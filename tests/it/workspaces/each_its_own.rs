//! What belongs to one workspace, where somebody has the same id in another or is the same person there: reviews, what
//! was asked for, digests, Homes, and what Slack or a directory says of accounts.

use serde_json::{Value, json};
use sqlx::Connection;

use super::{as_acme, both, there};
use crate::support::asker::says;
use crate::support::asking::{Answer, alice, but};
use crate::support::boreas::{BOREAS, QUAY, zoe};
use crate::support::looking::why;
use crate::support::world::{DESK, LEDGER, OPERATOR_KEY, POLICY};
use crate::support::{TestApp, seconds};

const GLASS: &str = r#"
[[rule]]
name = "glass"
when = 'scope == "prod:admin" && has(context.emergency)'
break_glass = { max_duration = "30m", requesters = ["leads"], tell = ["leads"], review_within = "24h" }
"#;

const SEALED: &str = r#"
[[rule]]
name = "sealed"
when = 'scope == "ledger:seal"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", on_deactivation = "revoke" }
"#;

fn with(rules: &str) -> String {
    POLICY.replacen("\n[limits]", &format!("{rules}\n[limits]"), 1)
}

/// Somebody's terminal in an emergency.
fn emergency(body: Value, whose: &str) -> Value {
    but(body, json!({ "subject": whose, "reason": "the tills are down", "context": { "emergency": true } }))
}

/// With a client that may be asked for in Slack, through a hook of each workspace.
async fn both_may_ask() -> TestApp {
    let hooks = "hooks = [\"shop\", \"yard\"]\nclients = [\"ledger-cli\"]";
    let policy = POLICY.replace("hooks = [\"shop\"]", hooks);
    TestApp::stage().two_workspaces().policy(policy).start().await
}

#[tokio::test]
async fn what_is_typed_shown_and_pressed_is_of_one_workspace_only() {
    let app = both_may_ask().await;
    // The same person has an account in each: Alice in Acme, Alix in Boreas.
    let short = but(alice("plain:x"), json!({ "expires_in": 600 }));
    let ours = app.ask(&short).await.pending();
    assert!(app.types_in_boreas("U0ALIX", "status").await.contains("not asked for anything"));
    assert!(app.types("U0ALICE", "status").await.contains(&ours));
    app.approve("U0BOB", &app.card(DESK).await).await;
    let grant = app.ask(&short).await.granted()["grant_id"].as_str().expect("a grant").to_owned();
    assert!(app.types_in_boreas("U0ALIX", "grants").await.contains("no access"));
    assert!(
        app.types_in_boreas("U0ALIX", &format!("done {grant}")).await.contains("no "),
        "there is no such grant here"
    );
    app.ask(&short).await.granted();

    // What is asked in Boreas is asked of its people, and collected through its hook.
    let said = app.types_in_boreas("U0ALIX", "ledger-cli ledger:write for 1h because PAY-7").await;
    assert!(said.contains("Sent."), "{said}");
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.len() == 1);
    let card = app.at_the_quay().await.pop().expect("a card");
    assert!(!card.says.contains("last grant"), "that it is longer than in Acme is nothing to show here: {}", card.says);
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0YURI", &card).await;
    let here = but(zoe("ledger:write"), json!({ "subject": "alice@example.com" }));
    app.ask_boreas(&here).await.granted();

    // Home shows Yuri what waits in Boreas, and Bob what waits in Acme.
    app.ask_boreas(&zoe("plain:y")).await.pending();
    let yuri = app.opens_home("U0YURI").await.to_string();
    assert!(yuri.contains("plain:y") && !yuri.contains("alice@example.com is"), "{yuri}");
    assert!(!yuri.contains(&grant));
    let bob = app.opens_home("U0BOB").await.to_string();
    assert!(bob.contains("ledger:write") && !bob.contains("plain:y"), "{bob}");
    app.presses_at_home("U0YURI", "approve").await;
    app.ask_boreas(&zoe("plain:y")).await.granted();
}

#[tokio::test]
async fn a_button_of_a_direct_message_counts_for_nobody_of_the_same_id_elsewhere() {
    let app = both().await;
    let bob = but(alice("plain:x"), json!({ "subject": "bob@example.com" }));
    app.ask(&bob).await.pending();
    let message = app.last_direct("U0BOB").await;
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let quay = app.quay_card().await;
    let (block, value) = message.button("my_withdraw");
    let withdraw = json!([{ "type": "button", "action_id": "my_withdraw", "block_id": block, "value": value }]);
    let seq = app.audited().await;
    let forged = json!({ "team": BOREAS, "override": { "actions": withdraw } });
    app.click_forged("U0BOB", &quay, "approve", forged).await;
    assert_eq!(app.audit_after(seq).await.iter().map(why).collect::<Vec<_>>(), ["unknown_button"]);
    app.ask(&bob).await.pending();
    app.click("U0BOB", &message, "my_withdraw").await;
    assert!(app.card(DESK).await.head().starts_with("Withdrawn"), "{}", app.card(DESK).await.says);
}

#[tokio::test]
async fn what_one_workspace_says_of_its_people_concerns_nobody_of_another() {
    let app = both().await;
    app.ask(&alice("ledger:close")).await.pending();
    let card = app.card(DESK).await;
    app.approve("U0BOB", &card).await;
    // Boreas deactivates its Bobby, who has the id of Acme's Bob, and its Alix, who is Acme's Alice.
    for user in ["U0BOB", "U0ALIX"] {
        app.page("/page/admin", json!({ "do": "deactivate_user", "user": user, "team": BOREAS })).await;
        app.settle().await;
    }
    assert!(app.card(DESK).await.says.contains("1 of 2"), "the vote stands: {}", app.card(DESK).await.says);
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn a_broken_glass_is_reviewed_by_people_of_its_own_workspace() {
    let app = TestApp::stage().two_workspaces().policy(with(GLASS)).start().await;
    app.ask(&emergency(alice("prod:admin"), "carol@example.com")).await.granted();
    app.ask_boreas(&emergency(zoe("prod:admin"), "bobby@boreas.example")).await.granted();
    let (acmes, boreas) = (app.card(DESK).await, app.quay_card().await);
    assert!(boreas.head().starts_with("Glass broken") && !boreas.says.contains("U0CAROL"), "{}", boreas.says);
    // A lead of Boreas, and one who has the id of a lead of Acme, press what stands on Acme's card.
    let (block, value) = acmes.button("review_justified");
    let mut over = there(&acmes);
    over["actions"] = json!([{ "type": "button", "action_id": "review_justified", "block_id": block, "value": value }]);
    for person in ["U0YURI", "U0BOB"] {
        let seq = app.audited().await;
        let forged = json!({ "team": BOREAS, "override": over });
        app.click_forged(person, &boreas, "review_justified", forged).await;
        let refused: Vec<Value> = app.audit_after(seq).await;
        assert_eq!(refused.iter().map(why).collect::<Vec<_>>(), ["of_another_workspace"], "{person}");
    }
    // At home each sees the one of their own workspace.
    for person in ["U0YURI", "U0BOB"] {
        let home = says(&app.opens_home(person).await);
        assert!(home.contains("Waiting for your review* (1)"), "{person}: {home}");
    }
    for (person, card) in [("U0YURI", &boreas), ("U0BOB", &acmes)] {
        app.click(person, card, "review_justified").await;
        app.fill(person, json!({ "note": "They were down." })).await;
    }
    assert!(app.card(DESK).await.says.contains("<@U0BOB>"), "{}", app.card(DESK).await.says);
    assert!(app.quay_card().await.says.contains("<@U0YURI>"), "{}", app.quay_card().await.says);
}

#[tokio::test]
async fn somebody_has_nothing_in_one_workspace_of_what_is_theirs_in_another() {
    let app = both_may_ask().await;
    let request = app.ask(&alice("plain:x")).await.pending();
    app.types_in_boreas("U0ALIX", &format!("withdraw {request}")).await;
    assert_eq!(app.ask(&alice("plain:x")).await.pending(), request);
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    app.ask(&alice("plain:y")).await.pending();
    app.deny_with("U0BOB", &app.card_with("plain:y").await, "Not today.").await;
    // Her Home in Acme shows what she has and how it ended, and the one in Boreas nothing of both.
    let hers = says(&app.opens_home("U0ALICE").await);
    assert!(hers.contains("Active grants* (1)") && hers.contains("plain:y"), "{hers}");
    let other = says(&app.opens_home("U0ALIX").await);
    assert!(other.contains("You wait for nobody") && !other.contains("plain:"), "{other}");
}

#[tokio::test]
async fn a_home_is_drawn_anew_for_what_happens_in_its_workspace() {
    let app = both().await;
    app.opens_home("U0YURI").await;
    app.ask(&alice("plain:x")).await.pending();
    app.advance(seconds(5)).await;
    assert!(says(&app.home("U0YURI").await).contains("Nothing waits for you"));
    app.ask_boreas(&zoe("plain:y")).await.pending();
    app.advance(seconds(5)).await;
    let home = says(&app.home("U0YURI").await);
    assert!(home.contains("Waiting for you* (1)") && home.contains("plain:y"), "{home}");
}

#[tokio::test]
async fn who_leaves_one_directory_leaves_nothing_but_its_workspace() {
    // Bob has an account of the same id in both, and is the same person.
    let bobby = ("\"U0BOB\" = \"bobby@boreas.example\"", "\"U0BOB\" = \"bob@example.com\"");
    let stage = TestApp::stage().two_workspaces().policy(with(SEALED)).change_config(bobby.0, bobby.1);
    let app = stage.start().await;
    app.ask(&alice("ledger:close")).await.pending();
    app.ask(&alice("ledger:seal")).await.pending();
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    app.ask(&alice("ledger:seal")).await.granted();
    app.ask_boreas(&zoe("plain:z")).await.pending();
    let three = format!("\"U0ZOE\" = \"zoe@boreas.example\"\n{}\n\"U0ALIX\" = \"alice@example.com\"\n", bobby.1);
    assert!(app.directory_becomes(&three, "").await);
    assert!(app.quay_card().await.head().starts_with("Withdrawn"), "{}", app.quay_card().await.says);
    let card = app.card_of(DESK, 0).await;
    assert!(card.head().starts_with("Approval needed") && card.says.contains("1 of 2"), "{}", card.says);
    app.ask(&alice("ledger:seal")).await.granted();
    app.approve("U0CAROL", &card).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn an_event_counts_for_the_workspace_whose_secret_signed_it_and_whose_app_it_names() {
    let app = both().await;
    let degraded = async || Answer::of(app.http.get(app.url("/readyz"))).await.body["degraded"].clone();
    let told = async |signed_by: &str, team: &str, app_id: &str, id: &str, kind: &str| {
        let event = json!({
            "type": "event_callback", "team_id": team, "api_app_id": app_id, "event_id": id,
            "event": { "type": kind, "user": { "id": "U0NORA" } },
        });
        let raw = json!({
            "team": signed_by, "path": "/slack/events", "content_type": "application/json", "body": event.to_string(),
        });
        assert_eq!(app.page("/page/raw", raw).await["status"], 200);
        app.settle().await;
    };
    for (n, (team, app_id)) in [
        ("T0ACME", "A0COUNTERSIGN"),
        ("T0ACME", "A0NORTHWIND"),
        (BOREAS, "A0COUNTERSIGN"),
        (BOREAS, "A0OTHER"),
        ("T0OTHER", "A0NORTHWIND"),
    ]
    .into_iter()
    .enumerate()
    {
        told(BOREAS, team, app_id, &format!("Ev{n}"), "app_uninstalled").await;
        assert_eq!(degraded().await, json!([]), "{team} {app_id}");
    }
    // Another app's events have identifiers of their own.
    told("T0ACME", "T0ACME", "A0COUNTERSIGN", "Ev7", "user_change").await;
    told(BOREAS, BOREAS, "A0NORTHWIND", "Ev7", "app_uninstalled").await;
    assert_eq!(degraded().await, json!(["slack_token"]));
    // Boreas waits, Acme goes on.
    app.ask_boreas(&zoe("plain:x")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    assert!(app.at_the_quay().await.is_empty());
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
}

#[tokio::test]
async fn above_the_limit_each_workspace_has_a_digest_and_a_count_of_its_own() {
    let policy = format!("{POLICY}cards_per_approver_per_hour = 1\n");
    let app = TestApp::stage().two_workspaces().policy(policy).start().await;
    for n in 0..2 {
        app.ask(&alice(&format!("plain:{n}"))).await.pending();
    }
    assert!(app.card_of(DESK, 1).await.is_digest());
    // Bobby has the id of Acme's Bob, and has had no card yet.
    app.ask_boreas(&zoe("plain:0")).await.pending();
    assert!(!app.quay_card().await.is_digest(), "{}", app.quay_card().await.says);
    let second = app.ask_boreas(&zoe("plain:1")).await.pending();
    let digest = app.at_the_quay().await.pop().expect("a digest");
    assert!(digest.is_digest() && digest.head().starts_with("1 more request"), "{}", digest.says);
    assert!(!digest.says.contains("U0ALICE"), "nothing of Acme's: {}", digest.says);
    // Acme's Bob opens nothing of it; Yuri does, and decides.
    let (block, value) = digest.opener(&second).expect("a button");
    let forged = json!({
        "as": "U0BOB", "channel": QUAY, "ts": digest.ts, "block_id": block, "action_id": "open", "value": value,
        "override": as_acme(&digest, json!({ "id": "U0BOB", "team_id": "T0ACME" })),
    });
    app.page("/page/click", forged).await;
    app.settle().await;
    assert!(app.own_cards("U0BOB").await.is_empty(), "it is none of his");
    app.open("U0YURI", &digest, &second).await;
    let card = app.own_cards("U0YURI").await.pop().expect("a card");
    app.approve("U0YURI", &card).await;
    app.ask_boreas(&zoe("plain:1")).await.granted();
    app.ask(&alice("plain:1")).await.pending();
}

#[tokio::test]
async fn whoever_is_taken_out_of_one_workspaces_table_is_gone_there_alone_at_a_reload() {
    let app = both().await;
    app.ask(&alice("ledger:close")).await.pending();
    app.ask_boreas(&zoe("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.click_forged("U0BOB", &app.quay_card().await, "approve", json!({ "team": BOREAS })).await;
    assert!(app.card(DESK).await.says.contains("1 of 2") && app.quay_card().await.says.contains("1 of 2"));
    assert!(app.directory_becomes("\"U0BOB\" = \"bobby@boreas.example\"\n", "").await);
    assert!(app.card(DESK).await.says.contains("1 of 2"), "Acme's Bob is still there");
    let quay = app.quay_card().await;
    assert!(quay.says.contains("0 of 2") && !quay.says.contains("Approved so far"), "{}", quay.says);
    assert!(app.happened().await.contains(&"vote.struck".to_owned()));
    // One table that cannot be used keeps both as they are.
    assert!(!app.directory_becomes("\"U0YURI\" = \"yuri@boreas.example\"", "\"U0YURI\" = 7").await);
    app.approve("U0YURI", &app.quay_card().await).await;
    assert!(app.quay_card().await.says.contains("1 of 2"));
    app.approve("U0CAROL", &app.card(DESK).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn nothing_is_moved_to_another_workspace_by_hand() {
    let app = TestApp::stage().two_workspaces().policy(with(GLASS)).start().await;
    let request = app.ask_boreas(&zoe("plain:x")).await.pending();
    app.ask_boreas(&emergency(zoe("prod:admin"), "bobby@boreas.example")).await.granted();
    let mut database = app.database().await;
    for sql in ["UPDATE access_requests SET workspace = 'T0ACME'", "UPDATE reviews SET workspace = 'T0ACME'"] {
        let refused = sqlx::query(sql).execute(&mut database).await.expect_err(sql).to_string();
        assert!(refused.contains("does not move to another workspace"), "{refused}");
    }
    // What is written in a row says the same as its column, or nobody acts on it.
    for sql in [
        "UPDATE access_requests SET version = version + 1, body = json_set(body, '$.deciding.workspace', 'T0ACME')",
        "UPDATE reviews SET version = version + 1, body = json_set(body, '$.workspace', 'T0ACME')",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    database.close().await.expect("it closes");
    for path in [format!("/v1/requests/{request}"), "/v1/reviews".to_owned()] {
        let answer = Answer::of(app.http.get(app.url(&path)).bearer_auth(OPERATOR_KEY)).await;
        assert!(answer.status >= 500, "{path}: {}", answer.text);
    }
}
