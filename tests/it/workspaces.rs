//! Several workspaces in one service: each asks its own people, and nobody of one does anything in another.

mod each_its_own;

use serde_json::{Value, json};
use sqlx::Connection;

use crate::support::asking::{Answer, alice};
use crate::support::boreas::{BOREAS, QUAY, zoe};
use crate::support::looking::why;
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER, OPERATOR_KEY};
use crate::support::{TestApp, minutes, seconds};

async fn both() -> TestApp {
    TestApp::stage().two_workspaces().start().await
}

/// Which workspace the operators' list names for an access request.
async fn workspace_of(app: &TestApp, request: &str) -> Value {
    app.operator_sees(&format!("/v1/requests/{request}")).await["workspace"].clone()
}

#[tokio::test]
async fn each_hook_asks_the_people_of_its_own_workspace() {
    let app = both().await;
    let (ours, theirs) = (app.ask(&alice("plain:x")).await.pending(), app.ask_boreas(&zoe("plain:x")).await.pending());
    assert_eq!(workspace_of(&app, &ours).await, "T0ACME");
    assert_eq!(workspace_of(&app, &theirs).await, BOREAS);
    let (desk, quay) = (app.card(DESK).await, app.quay_card().await);
    assert!(desk.says.contains(&ours) && !desk.says.contains(&theirs), "{}", desk.says);
    assert!(quay.says.contains(&theirs) && !quay.says.contains(&ours), "{}", quay.says);
    app.approve("U0YURI", &quay).await;
    app.ask_boreas(&zoe("plain:x")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &desk).await;
    app.ask(&alice("plain:x")).await.granted();
    assert!(app.direct("U0ZOE").await.last().expect("a message").contains("is approved"));
    assert!(app.quay_card().await.head().starts_with("Approved"));
    // A restart changes nothing about it.
    let mut app = app;
    app.restart().await;
    app.ask_boreas(&zoe("ledger:close")).await.pending();
    let card = app.at_the_quay().await.pop().expect("a card");
    app.approve("U0YURI", &card).await;
    app.ask_boreas(&zoe("ledger:close")).await.pending();
    // Bobby, whom Acme's Bob has nothing to do with but the id.
    app.click_forged("U0BOB", &card, "approve", json!({ "team": BOREAS })).await;
    app.ask_boreas(&zoe("ledger:close")).await.granted();
}

#[tokio::test]
async fn a_channel_that_is_not_there_falls_back_to_one_of_the_same_workspace() {
    let app = both().await;
    app.ask_boreas(&zoe("ledger:write")).await.pending();
    assert!(app.cards(LEDGER).await.is_empty(), "that channel is Acme's");
    app.approve("U0YURI", &app.quay_card().await).await;
    app.ask_boreas(&zoe("ledger:write")).await.granted();
}

/// One refusal: who presses what on which card, how it is forged, and the word in the audit.
struct Row {
    what: &'static str,
    /// Who presses, and in which workspace: its app's secret signs.
    person: &'static str,
    team: &'static str,
    /// Whether the button is on Acme's card; else on Boreas's.
    on_acmes: bool,
    forgery: Value,
    why: &'static str,
}

/// The payload says to be of Acme in everything; it stands on the card whose button is pressed.
fn as_acme(card: &Card, user: Value) -> Value {
    json!({
        "team": { "id": "T0ACME" }, "api_app_id": "A0COUNTERSIGN", "user": user,
        "channel": { "id": card.channel }, "container": { "channel_id": card.channel, "message_ts": card.ts },
        "message": { "ts": card.ts },
    })
}

/// The payload says to come from that card.
fn there(card: &Card) -> Value {
    json!({
        "channel": { "id": card.channel }, "container": { "channel_id": card.channel, "message_ts": card.ts },
        "message": { "ts": card.ts },
    })
}

fn rows(acmes: &Card, boreas: &Card) -> Vec<Row> {
    let row = |what, person, team, on_acmes, over: Value, why| Row {
        what,
        person,
        team,
        on_acmes,
        forgery: json!({ "override": over }),
        why,
    };
    let bob = json!({ "id": "U0BOB", "team_id": "T0ACME" });
    vec![
        row("a lead of Boreas on Acme's card", "U0YURI", BOREAS, true, there(acmes), "of_another_workspace"),
        row("the same id in both, on Acme's card", "U0BOB", BOREAS, true, there(acmes), "of_another_workspace"),
        row("Acme's button pressed on a card of Boreas", "U0YURI", BOREAS, true, json!({}), "of_another_workspace"),
        row("a lead of Acme on the card of Boreas", "U0BOB", "T0ACME", false, there(boreas), "of_another_workspace"),
        row(
            "Boreas's secret on Acme's payload",
            "U0YURI",
            BOREAS,
            true,
            as_acme(acmes, bob.clone()),
            "other_signature",
        ),
        row(
            "Boreas's secret on Acme's payload, on the card of Boreas",
            "U0YURI",
            BOREAS,
            false,
            as_acme(boreas, bob.clone()),
            "other_signature",
        ),
        row(
            "Acme's secret on the payload of Boreas",
            "U0CAROL",
            "T0ACME",
            false,
            json!({ "team": { "id": BOREAS }, "api_app_id": "A0NORTHWIND", "user": { "id": "U0YURI", "team_id": BOREAS } }),
            "other_signature",
        ),
        row(
            "Acme's app, and its own team",
            "U0YURI",
            BOREAS,
            true,
            json!({ "api_app_id": "A0COUNTERSIGN" }),
            "other_app",
        ),
        row(
            "Acme's team, and its own app",
            "U0YURI",
            BOREAS,
            true,
            json!({ "team": { "id": "T0ACME" } }),
            "other_workspace",
        ),
        row("a person who says to be of Acme", "U0YURI", BOREAS, true, json!({ "user": bob }), "other_workspace_user"),
        row(
            "a team that is neither",
            "U0YURI",
            BOREAS,
            false,
            json!({ "team": { "id": "T0OTHER" } }),
            "other_workspace",
        ),
        row(
            "a person of neither",
            "U0YURI",
            BOREAS,
            false,
            json!({ "user": { "team_id": "T0OTHER" } }),
            "other_workspace_user",
        ),
        row(
            "an organization that is neither",
            "U0YURI",
            BOREAS,
            false,
            json!({ "team": null, "enterprise": { "id": "E0OTHER" }, "user": { "team_id": "T0OTHER" } }),
            "other_workspace_user",
        ),
        row("a requester of Boreas on her own card", "U0ZOE", BOREAS, false, json!({}), "own_request"),
    ]
}

#[tokio::test]
async fn nobody_of_one_workspace_decides_in_another_whatever_they_send() {
    let app = both().await;
    let request = app.ask(&alice("plain:x")).await.pending();
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let (acmes, boreas) = (app.card(DESK).await, app.quay_card().await);
    for row in rows(&acmes, &boreas) {
        let what = row.what;
        app.clock.advance(seconds(10));
        let (before, seq) = (app.decided().await, app.audited().await);
        let card = if row.on_acmes { &acmes } else { &boreas };
        let (block, value) = card.button("approve");
        // Everybody can press only what their Slack shows; what they send is forged from there.
        let shown = if row.team == BOREAS { &boreas } else { &acmes };
        let mut click = json!({
            "as": row.person, "team": row.team, "channel": shown.channel, "ts": shown.ts, "block_id": shown.button("approve").0,
            "action_id": "approve", "value": shown.button("approve").1,
        });
        click["override"] = row.forgery["override"].clone();
        let action = json!([{ "type": "button", "action_id": "approve", "block_id": block, "value": value }]);
        click["override"]["actions"] = action;
        let report = app.page("/page/click", click).await;
        app.settle().await;
        assert_eq!(report["status"], 200, "{what}: {report}");
        assert_eq!(app.decided().await, before, "{what}: something was decided");
        let entries = app.audit_after(seq).await;
        assert_eq!(entries.len(), 1, "{what}: {entries:?}");
        assert_eq!((&entries[0]["kind"], why(&entries[0])), (&json!("click.refused"), row.why), "{what}");
        assert_eq!(entries[0]["detail"]["through"], row.team, "{what}");
        // Where nobody can tell what is meant, the request of another workspace's button is none of its business.
        if row.why != "of_another_workspace" && (row.team == "T0ACME") != row.on_acmes {
            assert_eq!(entries[0]["request_id"], Value::Null, "{what}");
        }
        // Whoever comes from another workspace learns nothing of the request, the auditor does.
        if row.why == "of_another_workspace" && row.on_acmes {
            assert_eq!(entries[0]["request_id"], request.as_str(), "{what}");
        }
    }
    let told: String = app.messages("U0YURI", QUAY).await.into_iter().map(|message| message.says).collect();
    assert!(!told.contains(&request) && !told.contains("alice@example.com"), "{told}");
    app.approve("U0BOB", &acmes).await;
    app.ask(&alice("plain:x")).await.granted();
    app.approve("U0YURI", &boreas).await;
    app.ask_boreas(&zoe("plain:x")).await.granted();
}

#[tokio::test]
async fn a_form_that_is_sent_in_one_workspace_decides_nothing_in_another() {
    let app = both().await;
    app.ask(&alice("plain:x")).await.pending();
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let (acmes, boreas) = (app.card(DESK).await, app.quay_card().await);
    app.click("U0YURI", &boreas, "deny").await;
    let carried = json!({ "v": acmes.button("deny").1, "c": acmes.channel, "t": acmes.ts }).to_string();
    let seq = app.audited().await;
    let forged = json!({ "view": { "private_metadata": carried } });
    app.fill_forged("U0YURI", json!({ "reason": "Because." }), forged).await;
    let entries = app.audit_after(seq).await;
    assert_eq!(entries.iter().map(why).collect::<Vec<_>>(), ["of_another_workspace"]);
    assert!(app.form("U0YURI").await.to_string().contains("another workspace"), "{}", app.form("U0YURI").await);
    assert!(app.card(DESK).await.head().starts_with("Approval needed"));
}

#[tokio::test]
async fn an_app_that_is_removed_from_one_workspace_leaves_the_other_working() {
    let app = both().await;
    app.page("/page/admin", json!({ "do": "uninstall", "team": BOREAS })).await;
    app.settle().await;
    app.ask_boreas(&zoe("plain:x")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    assert!(app.at_the_quay().await.is_empty());
    let ready = Answer::of(app.http.get(app.url("/readyz"))).await;
    assert_eq!((ready.status, &ready.body["degraded"]), (200, &json!(["slack_token"])), "{}", ready.text);
    app.page("/page/admin", json!({ "do": "reinstall", "team": BOREAS })).await;
    app.advance(minutes(2)).await;
    app.approve("U0YURI", &app.quay_card().await).await;
    app.ask_boreas(&zoe("plain:x")).await.granted();
}

#[tokio::test]
async fn rebuilding_draws_what_is_open_in_one_workspace_into_a_channel_of_it() {
    let app = both().await;
    app.ask(&alice("plain:x")).await.pending();
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let rebuild = async |body: Value| {
        let call = app.http.post(app.url("/v1/slack/rebuild")).bearer_auth(OPERATOR_KEY).json(&body);
        let answer = Answer::of(call).await;
        app.settle().await;
        answer
    };
    let rebuilt = rebuild(json!({ "channel": LEDGER })).await;
    assert_eq!((rebuilt.status, &rebuilt.body["cards"]), (200, &json!(1)), "{}", rebuilt.text);
    let rebuilt = rebuild(json!({ "workspace": "boreas", "channel": QUAY })).await;
    assert_eq!((rebuilt.status, &rebuilt.body["cards"]), (200, &json!(1)), "{}", rebuilt.text);
    assert_eq!((app.cards(LEDGER).await.len(), app.at_the_quay().await.len()), (1, 1), "none of it elsewhere or twice");
    rebuild(json!({ "workspace": "aeolus", "channel": QUAY })).await.problem(400);
    rebuild(json!({ "workspace": 7, "channel": QUAY })).await.problem(400);
}

#[tokio::test]
async fn the_doctor_looks_at_each_workspace_and_finds_each_id_in_one_of_them() {
    let app = both().await;
    let env = |name: &str| crate::support::world::environment().get(name).map(|secret| (*secret).to_owned());
    let loaded = countersign::config::Config::load(&app.file("countersign.toml"), &env).expect("it loads");
    let (lines, _) = countersign::app::examine_slack(&loaded).await.expect("findings");
    let all = lines.join("\n");
    for said in [
        "-- workspace acme (T0ACME)",
        "-- workspace boreas (T0BOREAS)",
        "ok     the bot token is of T0BOREAS",
        "ok     it is the app A0NORTHWIND",
        "ok     channel C0QUAY",
        "ok     channel C0LEDGER, in acme",
        "ok     person U0CAROL, in acme",
        "WRONG  in no workspace, and in acme: the channel C0ARCHIVED is archived",
    ] {
        assert!(all.contains(said), "{said}: {all}");
    }
    assert!(!all.contains("CANARY"));
}

#[tokio::test]
async fn what_belongs_to_a_workspace_that_is_gone_is_decided_by_nobody() {
    let mut app = both().await;
    app.ask_boreas(&zoe("plain:x")).await.pending();
    app.ask_boreas(&zoe("plain:y")).await.pending();
    let cards = app.at_the_quay().await;
    app.approve("U0YURI", &cards[0]).await;
    // Its card is not even posted.
    Answer::of(app.hook("yard", &zoe("plain:z"))).await.pending();
    app.stop().await;
    let file = app.file("countersign.toml");
    let text = std::fs::read_to_string(&file).expect("the file");
    let (before, rest) = text.split_once("\n[[slack]]\nname = \"boreas\"").expect("Boreas");
    let (_, rest) = rest.split_once("[[hook]]\nname = \"yard\"\nslack = \"boreas\"").expect("its hook");
    // The hook is Acme's from now on: what it was asked before stays what it is.
    std::fs::write(&file, format!("{before}\n[[hook]]\nname = \"yard\"{rest}")).expect("the file");
    app.run().await.expect("it starts");
    app.settle().await;
    let retried = app.ask_boreas(&zoe("plain:x")).await;
    assert_ne!(retried.text("decision"), "granted", "those who approved are nobody's approvers now: {}", retried.text);
    app.click("U0BOB", &app.card(DESK).await, "approve").await;
    app.ask_boreas(&zoe("plain:x")).await.granted();
    app.advance(minutes(31)).await;
    let dead = app.operator_sees("/v1/outbox").await["dead"].clone();
    let dead: Vec<_> = dead.as_array().expect("a list").iter().map(|row| row["last_error"].clone()).collect();
    assert!(!dead.is_empty() && dead.iter().all(|error| error == "workspace_not_configured"), "{dead:?}");
}

#[tokio::test]
async fn what_was_asked_before_there_were_several_belongs_to_the_first() {
    let mut app = both().await;
    app.ask(&alice("plain:x")).await.pending();
    let card = app.card(DESK).await;
    app.opens_home("U0BOB").await;
    app.stop().await;
    // As the version before left it: no row names a workspace.
    let mut database = app.database().await;
    for sql in [
        "DROP TRIGGER access_requests_stay_there",
        "UPDATE access_requests SET workspace = NULL, version = version + 1,
           body = json_set(json_remove(body, '$.deciding.workspace'), '$.version', version + 1)",
        "UPDATE homes SET workspace = ''",
        "UPDATE controls SET workspace = ''",
        "UPDATE outbox SET lane = substr(lane, instr(lane, '/') + 1)",
        "DELETE FROM facts WHERE name = 'workspace'",
    ] {
        sqlx::query(sql).execute(&mut database).await.unwrap_or_else(|error| panic!("{sql}: {error}"));
    }
    database.close().await.expect("it closes");
    app.run().await.expect("it starts");
    let seq = app.audited().await;
    let forged = json!({ "as": "U0BOB", "team": BOREAS, "channel": QUAY });
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let quay = app.quay_card().await;
    let (block, value) = card.button("approve");
    let action = json!([{ "type": "button", "action_id": "approve", "block_id": block, "value": value }]);
    let mut forged_on_theirs = forged.clone();
    forged_on_theirs["override"] = json!({ "actions": action });
    app.click_forged("U0BOB", &quay, "approve", forged_on_theirs).await;
    let refused: Vec<Value> =
        app.audit_after(seq).await.into_iter().filter(|entry| entry["kind"] == "click.refused").collect();
    assert_eq!(refused.iter().map(why).collect::<Vec<_>>(), ["of_another_workspace"]);
    app.approve("U0BOB", &card).await;
    app.ask(&alice("plain:x")).await.granted();
    assert!(app.card(DESK).await.head().starts_with("Approved"));
}

#[tokio::test]
async fn through_sockets_each_app_has_its_own_and_says_nothing_for_another() {
    let app = TestApp::stage().two_workspaces().sockets().start().await;
    app.until_real(seconds(10), async || app.sockets().await.len() == 4).await;
    app.ask(&alice("plain:x")).await.pending();
    app.ask_boreas(&zoe("plain:x")).await.pending();
    let (acmes, boreas) = (app.card(DESK).await, app.quay_card().await);
    let seq = app.audited().await;
    let over = as_acme(&acmes, json!({ "id": "U0BOB", "team_id": "T0ACME" }));
    let (block, value) = acmes.button("approve");
    let mut over = over;
    over["actions"] = json!([{ "type": "button", "action_id": "approve", "block_id": block, "value": value }]);
    app.click_forged("U0YURI", &boreas, "approve", json!({ "override": over })).await;
    assert_eq!(app.audit_after(seq).await.iter().map(why).collect::<Vec<_>>(), ["other_signature"]);
    app.approve("U0YURI", &boreas).await;
    app.ask_boreas(&zoe("plain:x")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &acmes).await;
    app.ask(&alice("plain:x")).await.granted();
}
