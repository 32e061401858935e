//! The way to start: what would have been asked is written down, and the server issues as before.

use serde_json::json;

use crate::support::TestApp;
use crate::support::asking::{Answer, alice, but, job};
use crate::support::world::{AUDIENCE, DESK, HYDRA_KEY, LEDGER, PEP_TOKEN, POLICY};

fn observed(rules: &[&str]) -> String {
    rules.iter().fold(POLICY.to_owned(), |policy, rule| {
        let name = format!("name = \"{rule}\"\n");
        assert!(policy.contains(&name), "{rule}");
        policy.replace(&name, &format!("{name}mode = \"observe\"\n"))
    })
}

#[tokio::test]
async fn an_observed_hook_asks_nobody_refuses_nothing_and_remembers_what_it_would_have_done() {
    let app = TestApp::start().await;
    let watch = async |body: serde_json::Value| {
        let answer = Answer::of(app.hook("watch", &body)).await;
        app.settle().await;
        answer
    };
    let before = app.decided().await;
    // What people would have been asked about passes with what was asked, and the server's own lifetime holds.
    let passed = watch(alice("ledger:write plain:x")).await.granted().clone();
    assert_eq!(passed, json!({ "decision": "granted", "scope": "ledger:write plain:x", "observed": true }));
    let timed = watch(but(alice("ledger:close"), json!({ "expires_in": 7200 }))).await.granted().clone();
    assert_eq!(timed["expires_in"], 7200);
    // So does what would have been refused, and what would have been allowed.
    for body in [
        alice("unheard:of"),
        job("ledger:export"),
        alice("ledger:read"),
        but(alice("ledger:pay"), json!({ "reason": "" })),
    ] {
        watch(body).await.granted();
    }
    assert!(app.cards(LEDGER).await.is_empty() && app.cards(DESK).await.is_empty());
    assert_eq!(app.decided().await, before, "no request, no grant, no delivery");

    let audit = app.audit().await;
    let verdicts: Vec<_> =
        audit.iter().map(|entry| entry["detail"]["observed"]["verdict"].as_str().expect("one")).collect();
    assert_eq!(verdicts, ["asked", "asked", "refused", "refused", "allowed", "refused"]);
    assert!(audit.iter().all(|entry| entry["kind"] == "observed"));
    let first = &audit[0]["detail"]["observed"];
    assert_eq!(first["requirements"][0]["approvers"], json!(["leads"]));
    assert_eq!(first["people"], json!({ "leads": ["S0LEADS"] }));
    // Another hook, the same policy: enforced.
    app.ask(&alice("ledger:write")).await.pending();

    let report = countersign::report::Report::read(&app.file("countersign.db"), chrono::DateTime::UNIX_EPOCH)
        .await
        .expect("a report");
    assert_eq!(
        (report.token_requests, report.asked_of["leads"].requests, report.asked_of["leads"].approvals),
        (6, 2, 3)
    );
    let told = report.told(std::time::Duration::from_secs(7 * 86_400));
    for line in
        ["6 token requests", "would have waited for people", "leads (S0LEADS)", "closing takes two", "ledger-cli"]
    {
        assert!(told.contains(line), "{line}: {told}");
    }
    assert_eq!(serde_json::to_value(&report).expect("JSON")["lines"].as_array().expect("a list").len(), 7);
}

#[tokio::test]
async fn an_observed_rule_lets_its_scopes_pass_and_the_enforced_ones_decide_the_others() {
    let app = TestApp::stage().policy(observed(&["writing", "machines never export"])).start().await;
    assert_eq!(app.ask(&alice("ledger:write")).await.granted()["observed"], true);
    assert_eq!(app.ask(&job("ledger:export")).await.granted()["observed"], true);
    // Beside an allowed scope there is a grant, and what is observed passes with it and is on record with it.
    let mixed = app.ask(&alice("ledger:read ledger:write")).await.granted().clone();
    assert_eq!((&mixed["scope"], &mixed["expires_in"]), (&json!("ledger:read ledger:write"), &json!(600)));
    let issued = app.audit().await.into_iter().rfind(|entry| entry["kind"] == "token.issued").expect("an entry");
    assert_eq!(issued["detail"]["observed"]["scopes"][0]["rule"], "writing");
    // Beside an asked one it waits for the people, who are asked by the enforced rule alone.
    app.ask(&alice("ledger:write plain:x")).await.pending();
    let card = app.card(DESK).await;
    assert!(app.cards(LEDGER).await.is_empty(), "the observed rule's channel is not used");
    app.approve("U0BOB", &card).await;
    assert_eq!(app.ask(&alice("ledger:write plain:x")).await.granted()["scope"], "ledger:write plain:x");
    // What an enforced rule refuses drops out all the same.
    assert_eq!(app.ask(&alice("ledger:write unheard:of")).await.granted()["scope"], "ledger:write");
}

#[tokio::test]
async fn each_dialect_says_issue_as_before_in_its_own_words() {
    let app = TestApp::stage().policy(observed(&["writing"])).start().await;
    let hydra = json!({
        "session": { "client_id": "ledger-ui", "id_token": { "id_token_claims": { "sub": "alice@example.com" }, "subject": "alice@example.com" } },
        "request": { "client_id": "ledger-ui", "granted_scopes": ["ledger:write"], "granted_audience": [AUDIENCE], "grant_types": ["authorization_code"], "payload": {} },
    });
    let call = app.http.post(app.url("/hooks/hydra")).header("X-Countersign-Key", HYDRA_KEY).json(&hydra);
    let answer = Answer::of(call).await;
    assert_eq!((answer.status, answer.text.as_str()), (204, ""));
    let pep = json!({
        "subject": { "type": "user", "id": "alice@example.com" }, "resource": { "type": "audience", "id": AUDIENCE },
        "context": { "client_id": "ledger-ui" },
        "evaluations": [{ "action": { "name": "issue:access_token:authorization_code" } }, { "action": { "name": "ledger:write" } }],
    });
    let call = app.http.post(app.url("/access/v1/evaluations")).bearer_auth(PEP_TOKEN).json(&pep);
    let answer = Answer::of(call).await;
    let decisions = answer.body["evaluations"].as_array().expect("a list");
    assert!(decisions.iter().all(|decision| decision["decision"] == true), "{}", answer.text);
    assert_eq!(decisions[0]["context"], json!({ "issuance": { "granted_scope": "ledger:write" }, "observed": true }));
    assert_eq!(app.happened().await, ["observed"; 2]);
}
