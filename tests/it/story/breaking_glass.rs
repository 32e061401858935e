//! An emergency: granted at once to whom a rule names, everybody is told, and somebody must review it.

use serde_json::{Value, json};

use crate::support::asker::says;
use crate::support::asking::{Answer, alice, but};
use crate::support::slack::Card;
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, POLICY};
use crate::support::{TestApp, minutes};

const GLASS: &str = r#"
[approvers.on-call]
slack_groups = ["S0ONCALL"]
slack_users = ["U0ALICE2"]

[[rule]]
name = "glass"
when = 'scope == "prod:admin" && has(context.break_glass) && context.break_glass'
break_glass = { max_duration = "30m", requesters = ["on-call"], tell = ["leads", "owners"], review_within = "24h" }

[[rule]]
name = "prod by day"
when = 'scope == "prod:admin"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "2h" }
"#;

async fn start() -> TestApp {
    let rules = POLICY.find("\n[limits]").expect("limits");
    let policy = format!("{}{GLASS}{}", &POLICY[..rules], &POLICY[rules..]);
    let app = TestApp::stage().policy(policy).start().await;
    app.group_is("S0ONCALL", &["U0DORA"]).await;
    app.group_is("S0LEADS", &["U0BOB", "U0DORA", "U0ALICE"]).await;
    app
}

/// Dora's terminal in an emergency.
fn emergency(changes: Value) -> Value {
    let body = but(
        alice("prod:admin"),
        json!({
            "subject": "dora@example.com", "reason": "the tills are down", "context": { "break_glass": true },
        }),
    );
    but(body, changes)
}

impl TestApp {
    async fn review(&self, person: &str, card: &Card, button: &str, note: &str) -> Value {
        self.click(person, card, button).await;
        let screen = self.screen(person).await;
        let Some(view) = screen["view"]["id"].as_str() else { return Value::Null };
        let form = json!({ "as": person, "view_id": view, "values": { "note": { "note": note } } });
        let report = self.page("/page/submit", form).await;
        self.settle().await;
        report
    }
}

#[tokio::test]
async fn dora_breaks_the_glass_everybody_is_told_and_bob_reviews_it() {
    let app = start().await;
    let granted = app.ask(&emergency(json!({}))).await.granted().clone();
    assert_eq!(
        (&granted["scope"], &granted["expires_in"], granted.get("request_id")),
        (&json!("prod:admin"), &json!(600), None)
    );
    let grant = granted["grant_id"].as_str().expect("a grant").to_owned();
    assert_eq!(app.operator_sees(&format!("/v1/grants/{grant}")).await["source"], "break_glass");
    // The same call again, and a refresh: the same grant, no second card.
    for grant_type in ["client_credentials", "refresh_token"] {
        let again = app.ask(&emergency(json!({ "grant_type": grant_type }))).await;
        assert_eq!(again.granted()["grant_id"], grant);
    }
    let card = app.card(DESK).await;
    for said in ["Glass broken", "<@U0DORA>", "prod:admin", "the tills are down", "<!subteam^S0LEADS>", "<@U0CAROL>"] {
        assert!(card.says.contains(said), "`{said}` is missing: {}", card.says);
    }
    assert_eq!(card.buttons(), ["review_justified", "review_not_justified"]);
    // Everybody in `tell`, once; not whoever broke it.
    for person in ["U0BOB", "U0CAROL", "U0ALICE"] {
        let told = app.direct(person).await;
        assert_eq!(told.iter().filter(|text| text.contains("broke the glass")).count(), 1, "{person}: {told:?}");
    }
    assert!(app.direct("U0DORA").await.is_empty());
    let open = app.operator_sees("/v1/reviews?state=open").await["reviews"].clone();
    assert_eq!(
        (&open[0]["status"], &open[0]["broken_by"], &open[0]["grant_id"]),
        (&json!("open"), &json!("dora@example.com"), &json!(grant))
    );

    // Neither Dora, who did it (she is in a set that was told), nor Nora, who was not told, reviews it.
    for (person, words) in [("U0DORA", "did yourself"), ("U0NORA", "can't answer this review"), ("U0GREG", "guests")] {
        app.click(person, &card, "review_justified").await;
        assert!(app.whisper_comes(person, DESK).await.contains(words), "{person}");
    }
    assert!(app.opens_home("U0BOB").await.to_string().contains("Waiting for your review"));
    app.review("U0BOB", &card, "review_justified", "The tills were down indeed.").await;
    let done = app.card(DESK).await;
    assert!(done.head().starts_with("Reviewed: justified") && done.says.contains("<@U0BOB>"), "{}", done.says);
    assert!(done.buttons().is_empty() && done.says.contains("indeed"), "{}", done.says);
    app.ask(&emergency(json!({}))).await.granted();
    // Answered: nobody is told again, however long it is.
    app.advance(minutes(3 * 24 * 60)).await;
    let kinds = [
        "glass.broken",
        "token.issued",
        "token.issued",
        "token.issued",
        "review.answered",
        "token.issued",
        "grant.ended",
    ];
    let happened: Vec<String> = app.happened().await.into_iter().filter(|kind| kind != "click.refused").collect();
    assert_eq!(happened, kinds);
}

#[tokio::test]
async fn what_was_not_justified_is_revoked_and_cools_down() {
    let app = start().await;
    app.ask(&emergency(json!({}))).await.granted();
    let card = app.card(DESK).await;
    app.review("U0CAROL", &card, "review_not_justified", "Nothing was down.").await;
    let done = app.card(DESK).await;
    assert!(
        done.head().starts_with("Reviewed: not justified") && done.says.contains("It was revoked"),
        "{}",
        done.says
    );
    assert!(app.ask(&emergency(json!({}))).await.denied().contains("denied"));
    assert_eq!(app.operator_sees("/v1/cooldowns").await["cooldowns"][0]["denials"], 1);
    // The second word about it counts for nothing.
    let before = app.decided().await;
    app.click_forged("U0BOB", &card, "review_justified", json!({})).await;
    assert_eq!(app.decided().await, before);
    app.advance(minutes(10)).await;
    app.ask(&emergency(json!({}))).await.granted();
}

#[tokio::test]
async fn only_a_named_person_with_a_reason_breaks_it_and_slack_must_say_so_now() {
    let app = start().await;
    for (changes, words) in [
        (json!({ "subject": null }), "cannot break the glass for itself"),
        (json!({ "reason": "  " }), "needs a reason"),
        (json!({ "subject": "bob@example.com" }), "not one of those who may break"),
        (json!({ "subject": "stranger@example.com" }), "Nobody in Slack is known"),
    ] {
        let refused = app.ask(&emergency(changes.clone())).await;
        assert!(refused.denied().contains(words), "{changes}: {}", refused.text);
    }
    let refresh = app.ask(&emergency(json!({ "grant_type": "refresh_token" }))).await;
    assert_eq!(refresh.text("error"), "invalid_grant");
    // Alice's second account is named, and it is hers.
    app.ask(&emergency(json!({ "subject": "alice@example.com" }))).await.granted();
    // An account that Slack says is deactivated, and a Slack that does not answer.
    app.person_becomes("U0DORA", json!({ "deleted": true })).await;
    app.clock.advance(minutes(2));
    assert!(app.ask(&emergency(json!({}))).await.denied().contains("not one of those"));
    app.person_becomes("U0DORA", json!({ "deleted": false })).await;
    app.clock.advance(minutes(2));
    app.fault(json!({ "kind": "http_503", "method": "users.info" })).await;
    assert!(app.ask(&emergency(json!({}))).await.denied().contains("could not be asked"));
    app.faults_end().await;
    app.ask(&emergency(json!({}))).await.granted();
}

#[tokio::test]
async fn an_emergency_does_not_wait_for_what_people_think_over_and_gives_nothing_by_day() {
    let app = start().await;
    let by_day = emergency(json!({ "context": {} }));
    let request = app.ask(&by_day).await.pending();
    app.ask(&emergency(json!({}))).await.granted();
    // Without the emergency people are asked still: the broken glass covers nothing then.
    assert_eq!(app.ask(&by_day).await.pending(), request);
    // Beside what people must be asked, it is left out, and a server that cannot narrow is refused.
    let mixed = app.ask(&emergency(json!({ "scope": "prod:admin plain:x" }))).await;
    mixed.pending();
    let hydra = json!({
        "session": { "client_id": "ledger-ui", "id_token": { "id_token_claims": { "sub": "dora@example.com" }, "subject": "dora@example.com" } },
        "request": { "client_id": "ledger-ui", "granted_scopes": ["prod:admin", "plain:x"], "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"], "payload": {} },
    });
    let call = app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).json(&hydra);
    assert_eq!(Answer::of(call).await.status, 403);
}

#[tokio::test]
async fn a_review_that_nobody_answers_is_told_again_daily_and_never_expires() {
    let mut app = start().await;
    app.ask(&emergency(json!({}))).await.granted();
    let card = app.card(DESK).await;
    let metric = async |app: &TestApp| {
        Answer::of(app.http.get(app.url("/metrics"))).await.text.contains("countersign_reviews_overdue 1")
    };
    assert!(!metric(&app).await);
    app.advance(minutes(24 * 60)).await;
    app.restart().await;
    app.settle().await;
    assert!(metric(&app).await);
    assert_eq!(app.operator_sees("/v1/reviews").await["reviews"][0]["status"], "overdue");
    assert!(app.card(DESK).await.head().starts_with("Review overdue"));
    let thread = app.thread(&card).await;
    assert!(thread.len() == 1 && thread[0].contains("<!subteam^S0LEADS>"), "{thread:?}");
    let told = async |app: &TestApp| app.direct("U0CAROL").await.iter().filter(|text| text.contains("overdue")).count();
    assert_eq!(told(&app).await, 1);
    app.advance(minutes(24 * 60)).await;
    assert_eq!((told(&app).await, app.thread(&card).await.len()), (2, 2));
    // Three days at once are one more word, not three.
    app.advance(minutes(3 * 24 * 60)).await;
    assert_eq!(told(&app).await, 3);
    app.review("U0CAROL", &app.card(DESK).await, "review_justified", "Late, but fine.").await;
    app.advance(minutes(24 * 60)).await;
    assert_eq!(told(&app).await, 3);
}

#[tokio::test]
async fn calls_of_the_same_instant_break_it_once_and_a_revoked_one_says_so() {
    let app = start().await;
    let body = emergency(json!({}));
    let (one, two, three) = tokio::join!(app.ask_unsettled(&body), app.ask_unsettled(&body), app.ask_unsettled(&body));
    let grant = one.granted()["grant_id"].as_str().expect("a grant").to_owned();
    assert_eq!((&two.granted()["grant_id"], &three.granted()["grant_id"]), (&json!(grant), &json!(grant)));
    app.settle().await;
    assert_eq!(app.cards(DESK).await.len(), 1);
    app.operator_revokes(&grant, "it is over").await;
    assert!(app.card(DESK).await.says.contains("It was revoked"));
    assert!(app.ask(&body).await.denied().contains("revoked"));
    app.advance(minutes(40)).await;
    assert_eq!(
        app.operator_sees("/v1/reviews?state=open").await["reviews"].as_array().expect("a list").len(),
        1,
        "still to review"
    );
}

#[tokio::test]
async fn a_review_stands_in_the_home_of_whoever_may_answer_it_and_is_answered_there() {
    let app = start().await;
    for person in ["U0BOB", "U0DORA", "U0NORA"] {
        app.opens_home(person).await;
    }
    app.ask(&emergency(json!({}))).await.granted();
    app.advance(minutes(1)).await;
    let his = says(&app.home("U0BOB").await);
    assert!(his.contains("Waiting for your review* (1)") && his.contains("To be reviewed by"), "{his}");
    for other in ["U0DORA", "U0NORA"] {
        assert!(!says(&app.home(other).await).contains("your review"), "{other}");
    }
    app.advance(minutes(24 * 60)).await;
    let his = says(&app.home("U0BOB").await);
    assert!(his.contains("*Overdue* since") && his.contains("It ended"), "{his}");
    // Dora presses what stands in Bob's Home: it is not hers.
    let before = app.decided().await;
    let home = app.home("U0BOB").await;
    let row =
        home["blocks"].as_array().expect("blocks").iter().find(|block| block.to_string().contains("review_justified"));
    let row = row.expect("a row");
    app.page(
        "/page/click",
        json!({
            "as": "U0BOB", "view_id": home["id"], "block_id": row["block_id"], "action_id": "review_justified",
            "value": row["elements"][0]["value"], "override": { "user": { "id": "U0DORA" } },
        }),
    )
    .await;
    assert_eq!(app.decided().await, before);
    app.presses_at_home("U0BOB", "review_justified").await;
    app.fill("U0BOB", json!({ "note": "The tills were down indeed." })).await;
    assert!(app.card(DESK).await.head().starts_with("Reviewed: justified"));
    app.advance(minutes(1)).await;
    assert!(!says(&app.home("U0BOB").await).contains("your review"));
    // A Home that was left open is told so, and nothing is reviewed twice.
    let before = app.decided().await;
    app.page(
        "/page/click",
        json!({
            "as": "U0BOB", "view_id": home["id"], "block_id": row["block_id"], "action_id": "review_justified",
            "value": row["elements"][0]["value"],
        }),
    )
    .await;
    app.settle().await;
    let (now, then): (Vec<_>, Vec<_>) = (app.decided().await, before);
    let reviews = |all: &[(&'static str, Option<String>)]| all.iter().find(|(table, _)| *table == "reviews").cloned();
    assert_eq!(reviews(&now), reviews(&then));
    assert!(app.form("U0BOB").await.to_string().contains("already answered"), "{}", app.form("U0BOB").await);
}
