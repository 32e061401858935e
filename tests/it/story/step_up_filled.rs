//! Signing in again for less than was asked, and for one's own request: what was filled in is what the page shows and
//! what the confirmation approves.

use serde_json::{Value, json};

use super::step_up::{BOB, Stage, csrf, policy};
use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::world::LEDGER;

/// Writing and something plain, for an hour.
fn two() -> Value {
    but(alice("ledger:write plain:x"), json!({ "expires_in": 3_600 }))
}

/// Two must approve, and each signs in again.
fn two_people() -> String {
    let one = "approvals = 1\nmax_duration = \"2h\"\nmax_token_lifetime = \"10m\"\ndecide_within";
    assert!(policy().contains(one));
    policy().replacen(one, &one.replace("approvals = 1", "approvals = 2"), 1)
}

/// Whoever asks may approve, if they say why.
fn own_with_reason() -> String {
    policy().replacen("ceremony = \"step_up\"", "ceremony = \"step_up\"\nself_approval = \"with_reason\"", 1)
}

/// What the audit says about the approval.
async fn approved(app: &TestApp) -> Value {
    let audit = app.audit().await;
    audit.into_iter().find(|entry| entry["kind"] == "request.approved").expect("an approval")["detail"].clone()
}

impl Stage {
    /// Somebody presses a button that opens a form, and sends it; answers the link that takes the form's place.
    async fn fills(&self, person: &str, button: &str, values: Value) -> Option<String> {
        self.app.click(person, &self.app.card(LEDGER).await, button).await;
        let sent = self.app.fill(person, values).await;
        assert_eq!(sent["status"], 200, "{sent}");
        self.link_of(person).await
    }
}

#[tokio::test]
async fn less_is_approved_by_signing_in_again_and_the_page_shows_what_is_left() {
    let stage = Stage::with(policy(), &two()).await;
    // The form gives way to the link, which says what is left already. Nothing is decided by either.
    let less = json!({ "scopes": ["0"], "time": "2", "note": "Writing alone is enough." });
    let link = stage.fills("U0BOB", "changes", less).await.expect("a link");
    let shown = stage.app.form("U0BOB").await.to_string();
    assert!(shown.contains("ledger:write") && !shown.contains("plain:x"), "{shown}");
    let (status, page, cookie) = stage.goes(&link, BOB).await;
    assert_eq!(status, 200, "{page}");
    for said in [
        "<li><code>ledger:write</code>",
        "Taken out",
        "<code>plain:x</code>",
        "<dd>15m</dd>",
        "Writing alone is enough.",
    ] {
        assert!(page.contains(said), "`{said}` is missing: {page}");
    }
    assert!(!page.contains("<li><code>plain:x</code>") && !page.contains("<dd>1h</dd>"), "{page}");
    assert!(stage.app.card(LEDGER).await.head().starts_with("Approval needed"));

    assert_eq!(stage.confirms(&csrf(&page), &cookie).await.status(), 200);
    let granted = stage.app.ask(&two()).await.granted().clone();
    assert_eq!(granted["scope"], "ledger:write");
    let detail = approved(&stage.app).await;
    assert_eq!((&detail["removed"], &detail["duration"]), (&json!(["plain:x"]), &json!(900)));
    assert_eq!(
        (&detail["note"], &detail["proof"]["step_up"]["acr"]),
        (&json!("Writing alone is enough."), &json!("urn:example:strong"))
    );
}

#[tokio::test]
async fn what_was_narrowed_by_somebody_else_meanwhile_is_not_what_is_confirmed() {
    let stage = Stage::with(two_people(), &two()).await;
    // Bob left for the provider with everything, Dora with less time; both have their pages before them.
    stage.app.click("U0BOB", &stage.app.card(LEDGER).await, "approve").await;
    let bob = stage.goes(&stage.link_of("U0BOB").await.expect("a link"), BOB).await;
    let dora = stage.fills("U0DORA", "changes", json!({ "time": "1" })).await.expect("a link");
    let carol = stage.fills("U0CAROL", "changes", json!({ "scopes": ["0"] })).await.expect("a link");
    let (status, page, cookie) = stage.goes(&carol, "carol@example.com").await;
    assert_eq!(status, 200, "{page}");
    let narrowed = stage.confirms(&csrf(&page), &cookie).await;
    assert!(narrowed.text().await.unwrap().contains("Other people must approve as well"));
    assert!(stage.app.card(LEDGER).await.says.contains("took out"));

    // What Bob confirms is not what is asked any more, and Dora is not even shown it.
    let late = stage.confirms(&csrf(&bob.1), &bob.2).await;
    assert_eq!(late.status(), 403);
    assert!(late.text().await.unwrap().contains("out of date"));
    let (status, page, _) = stage.goes(&dora, "dora@example.com").await;
    assert_eq!(status, 403, "{page}");
    assert!(page.contains("out of date") && !page.contains("csrf"), "{page}");
    assert!(stage.app.card(LEDGER).await.head().starts_with("Approval needed"));

    // A card from before, which Bob's screen still shows, gives him no link.
    let before = stage.link_of("U0BOB").await;
    stage.app.click("U0BOB", &stage.card, "approve").await;
    assert_eq!(stage.link_of("U0BOB").await, before);

    // From the newest card Bob approves what Carol left, and no more is granted.
    stage.app.click("U0BOB", &stage.app.card(LEDGER).await, "approve").await;
    let (_, page, cookie) = stage.goes(&stage.link_of("U0BOB").await.expect("a link"), BOB).await;
    assert!(page.contains("ledger:write") && !page.contains("plain:x"), "{page}");
    assert_eq!(stage.confirms(&csrf(&page), &cookie).await.status(), 200);
    assert_eq!(stage.app.ask(&two()).await.granted()["scope"], "ledger:write");
}

#[tokio::test]
async fn a_form_that_adds_or_leaves_nothing_gets_no_link() {
    let stage = Stage::with(policy(), &two()).await;
    let states = |scopes: Value, time: &str| {
        json!({ "view": { "state": { "values": {
            "scopes": { "scopes": { "type": "checkboxes", "selected_options": scopes } },
            "time": { "time": { "type": "static_select", "selected_option": { "value": time } } },
        } } } })
    };
    let place = |n: &str| json!([{ "value": n }]);
    for (what, forged) in [
        ("a scope that is not there", states(place("7"), "0")),
        ("a time that is not there", states(place("0"), "99")),
        ("no scopes", states(json!([]), "0")),
    ] {
        stage.app.click("U0BOB", &stage.app.card(LEDGER).await, "changes").await;
        stage.app.fill_forged("U0BOB", json!({}), forged).await;
        assert_eq!(stage.link_of("U0BOB").await, None, "{what}");
    }
    assert_eq!(stage.app.happened().await.iter().filter(|kind| *kind == "click.refused").count(), 3);
    assert!(stage.app.card(LEDGER).await.head().starts_with("Approval needed"));
}

#[tokio::test]
async fn a_party_that_may_approve_with_a_reason_says_it_first_and_it_is_kept() {
    let stage = Stage::with(own_with_reason(), &alice("ledger:write")).await;
    stage.app.click("U0ALICE", &stage.card, "approve").await;
    let form = stage.app.form("U0ALICE").await;
    assert!(form.to_string().contains("Why you approve your own request"), "{form}");
    assert_eq!(stage.link_of("U0ALICE").await, None, "not before she says why");
    // Without a reason, or with spaces for one, there is no link.
    for missing in
        [json!({ "note": null }), json!({ "note": { "note": { "type": "plain_text_input", "value": "   " } } })]
    {
        let forged = json!({ "view": { "state": { "values": missing } } });
        stage.app.click("U0ALICE", &stage.card, "approve").await;
        stage.app.fill_forged("U0ALICE", json!({ "note": "will not be sent" }), forged).await;
        assert_eq!(stage.link_of("U0ALICE").await, None);
    }
    let audit = json!(stage.app.audit().await).to_string();
    assert!(audit.contains("reason_needed"), "{audit}");

    let because = "Nobody else is awake, PAY-7 is due.";
    let link = stage.fills("U0ALICE", "approve", json!({ "note": because })).await.expect("a link");
    // Signing in as another approver does not do: the link is hers.
    let (status, page, _) = stage.goes(&link, BOB).await;
    assert_eq!(status, 403, "{page}");
    let link = stage.fills("U0ALICE", "approve", json!({ "note": because })).await.expect("a link");
    let (status, page, cookie) = stage.goes(&link, "alice@example.com").await;
    assert_eq!(status, 200, "{page}");
    assert!(page.contains("Your words") && page.contains(because), "{page}");
    assert_eq!(stage.confirms(&csrf(&page), &cookie).await.status(), 200);
    let detail = approved(&stage.app).await;
    assert_eq!((&detail["note"], &detail["self_approval"]), (&json!(because), &json!(true)));
    assert!(detail["proof"]["step_up"].is_object(), "{detail}");
    stage.app.ask(&alice("ledger:write")).await.granted();
    assert!(stage.app.card(LEDGER).await.says.contains(because));
}

#[tokio::test]
async fn whoever_is_no_party_signs_in_without_a_form_and_a_refusal_needs_no_signing_in() {
    let stage = Stage::with(own_with_reason(), &alice("ledger:write")).await;
    stage.app.click("U0BOB", &stage.card, "approve").await;
    assert!(stage.link_of("U0BOB").await.is_some());
    // Leaving nothing and naming what to ask for instead is a denial.
    let lower = policy().replace(
        "risk = \"high\"",
        "risk = \"high\"\nless = \"ledger:peek\"\n[[resource.scope]]\nname = \"ledger:peek\"\nsays = \"Look at one entry\"",
    );
    let stage = Stage::with(lower, &alice("ledger:write")).await;
    assert_eq!(stage.fills("U0BOB", "changes", json!({ "scopes": [], "instead": ["0"] })).await, None);
    assert!(stage.app.ask(&alice("ledger:write")).await.denied().contains("a short while ago"));
    assert!(stage.app.card(LEDGER).await.head().starts_with("Denied"));
}
