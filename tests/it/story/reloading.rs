//! The policy, and who is who, change while the service runs.

use serde_json::json;

use crate::support::asking::{Answer, alice, but};
use crate::support::slack::Card;
use crate::support::world::{DESK, LEDGER, POLICY};
use crate::support::{TestApp, minutes, seconds};

impl TestApp {
    /// The policy file changes, and the service is told (SIGHUP). Answers whether it is in force.
    async fn policy_becomes(&self, policy: &str) -> bool {
        std::fs::write(self.file("policy.toml"), policy).expect("a policy");
        self.running().reload().await.expect("it is written down")
    }

    /// A passage of `countersign.toml` changes, and the service is told (SIGHUP). Answers whether it is in force.
    pub async fn directory_becomes(&self, passage: &str, other: &str) -> bool {
        let file = self.file("countersign.toml");
        let config = std::fs::read_to_string(&file).expect("a file");
        assert!(config.contains(passage), "no {passage:?}");
        std::fs::write(&file, config.replace(passage, other)).expect("it is written");
        let reloaded = self.running().reload().await.expect("it is written down");
        self.settle().await;
        reloaded
    }

    async fn degraded(&self) -> serde_json::Value {
        Answer::of(self.http.get(self.url("/readyz"))).await.body["degraded"].clone()
    }
}

#[tokio::test]
async fn a_policy_that_is_read_anew_counts_at_the_next_call() {
    let app = TestApp::start().await;
    app.ask(&alice("fresh:scope")).await.denied();
    let more = format!(
        "{POLICY}\n[[rule]]\nname = \"fresh\"\nwhen = 'scope == \"fresh:scope\"'\nallow = {{ max_duration = \"1h\" }}\n"
    );
    assert!(app.policy_becomes(&more).await);
    app.ask(&alice("fresh:scope")).await.granted();
    let entry = app.audit().await.into_iter().find(|entry| entry["kind"] == "policy.reloaded").expect("an entry");
    let hash = countersign::domain::hashing::sha256_hex;
    let versions =
        json!({ "file": hash(more.as_bytes()), "policy": hash(more.as_bytes()), "before": hash(POLICY.as_bytes()) });
    assert_eq!(entry["detail"], versions, "hashes and nothing of the file");
}

#[tokio::test]
async fn a_policy_that_cannot_be_used_keeps_the_old_one_and_says_so_until_it_is_mended() {
    let app = TestApp::start().await;
    let broken = POLICY.replace("approvals = 2", "approvals = 0");
    for bad in [broken.as_str(), &POLICY[..POLICY.len() / 2], "\u{0}", ""] {
        let kept = app.policy_becomes(bad).await;
        // An empty file is a policy without rules: it can be used, and refuses everything.
        assert_eq!(kept, bad.is_empty(), "{bad:.40}");
        if bad.is_empty() {
            app.ask(&alice("ledger:read")).await.denied();
        } else {
            app.ask(&alice("ledger:read")).await.granted();
            assert_eq!(app.degraded().await, json!(["policy"]));
        }
    }
    for bytes in ["#".repeat(10 << 20).into_bytes(), [b"# \xff\xfe\n", POLICY.as_bytes()].concat()] {
        std::fs::write(app.file("policy.toml"), bytes).expect("a file");
        assert!(!app.running().reload().await.expect("it is written down"));
        assert_eq!(app.degraded().await, json!(["policy"]));
    }
    std::fs::remove_file(app.file("policy.toml")).expect("it was there");
    assert!(!app.running().reload().await.expect("it is written down"));
    assert_eq!(app.degraded().await, json!(["policy"]));
    assert!(app.policy_becomes(POLICY).await);
    assert_eq!(app.degraded().await, json!([]));
    let audit = app.audit().await;
    let refused: Vec<_> = audit.iter().filter(|entry| entry["kind"] == "policy.refused").collect();
    assert_eq!(refused.len(), 6);
    for entry in &refused {
        assert!(!entry.to_string().contains("approvals"), "no word of the file: {entry}");
    }
    assert_eq!(refused[0]["detail"]["file"], countersign::domain::hashing::sha256_hex(broken.as_bytes()));
    assert_eq!(refused[5]["detail"]["file"], "unreadable");
    let metrics = Answer::of(app.http.get(app.url("/metrics"))).await.text;
    assert!(metrics.contains("countersign_policy_reloads_total{outcome=\"refused\"}"), "{metrics}");
}

#[tokio::test]
async fn what_was_approved_before_is_handed_over_under_the_policy_of_now() {
    let app = TestApp::start().await;
    for scope in ["plain:x", "plain:y", "plain:z"] {
        app.ask(&alice(scope)).await.pending();
    }
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    app.ask(&alice("plain:x")).await.granted();
    let rule = "when = 'scope.startsWith(\"plain:\")'\nask = { approvers = [\"leads\"], approvals = 1,";
    let two = rule.replace("approvals = 1", "approvals = 2");
    assert!(app.policy_becomes(&POLICY.replace(rule, &two)).await);
    // Handed over before: a policy that wants more people is not met by the one who decided; so for a refresh.
    for grant_type in ["refresh_token", "urn:ietf:params:oauth:grant-type:token-exchange"] {
        app.ask(&but(alice("plain:x"), json!({ "grant_type": grant_type }))).await.denied();
    }
    // Not handed over yet: void.
    app.ask(&alice("plain:y")).await.pending();
    // The old policy again: what was handed over counts again, what was void is gone.
    assert!(app.policy_becomes(POLICY).await);
    app.ask(&alice("plain:x")).await.granted();
    app.ask(&but(alice("plain:x"), json!({ "grant_type": "refresh_token" }))).await.granted();
    // A rule that refuses now outweighs what was granted.
    let closed = POLICY.replace("[[rule]]\nname = \"anything plain\"", "[[rule]]\nname = \"shut\"\nwhen = 'scope == \"plain:z\"'\ndeny = \"Shut.\"\n\n[[rule]]\nname = \"anything plain\"");
    assert!(app.policy_becomes(&closed).await);
    assert_eq!(app.ask(&alice("plain:z")).await.denied(), "Shut.");
}

#[tokio::test]
async fn a_policy_that_allows_more_gives_nothing_more_to_what_was_granted_before() {
    let rule = |duration: &str, token: &str, collect: &str| {
        let rule = format!(
            "[[rule]]\nname = \"times\"\nwhen = 'scope.startsWith(\"times\")'\nask = {{ approvers = [\"leads\"], approvals = 1, max_duration = \"{duration}\", max_token_lifetime = \"{token}\", collect_within = \"{collect}\" }}\n"
        );
        POLICY.replacen("[[rule]]", &format!("{rule}\n[[rule]]"), 1)
    };
    let app = TestApp::stage().policy(rule("1h", "7m", "5m")).start().await;
    for scope in ["times", "times:later"] {
        app.ask(&alice(scope)).await.pending();
    }
    for card in app.cards(DESK).await {
        app.approve("U0BOB", &card).await;
    }
    app.ask(&alice("times")).await.granted();
    assert!(app.policy_becomes(&rule("8h", "30m", "4h")).await);
    assert_eq!(app.ask(&alice("times")).await.granted()["expires_in"], 420);
    app.advance(minutes(5)).await;
    app.ask(&alice("times:later")).await.pending();
    app.advance(minutes(54)).await;
    assert_eq!(app.ask(&alice("times")).await.granted()["expires_in"], 60);
    app.advance(minutes(1)).await;
    app.ask(&alice("times")).await.pending();
}

#[tokio::test]
async fn a_reload_that_lowers_the_uses_counts_those_from_before() {
    let rule = "when = 'scope == \"vault:open\"'\nask = { approvers = [\"leads\"], approvals = 1, max_duration = \"30m\", uses = \"single\"";
    assert!(POLICY.contains(rule));
    let with = |uses: &str| POLICY.replace(rule, &rule.replace("\"single\"", uses));
    let app = TestApp::stage().policy(with("5")).start().await;
    app.ask(&alice("vault:open")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    for call in ["one", "two", "three"] {
        app.ask_as(call, &alice("vault:open")).await.granted();
    }
    assert!(app.policy_becomes(&with("\"single\"")).await);
    // The third call again is no fourth use; another call is one, and people are asked about it.
    app.ask_as("three", &alice("vault:open")).await.granted();
    app.ask_as("four", &alice("vault:open")).await.pending();
    // The grant stays what it is: it has two uses left where the policy allows five again.
    assert!(app.policy_becomes(&with("5")).await);
    app.ask_as("five", &alice("vault:open")).await.granted();
    app.ask_as("six", &alice("vault:open")).await.granted();
    app.ask_as("seven", &alice("vault:open")).await.pending();
}

#[tokio::test]
async fn a_click_meets_the_ceremony_the_trust_and_the_people_of_the_stricter_policy() {
    let plain = "when = 'scope.startsWith(\"plain:\")'\nask = { ";
    let both = "[[rule]]\nname = \"both\"\nwhen = 'scope == \"both\"'\nask_all = [{ approvers = [\"leads\"], approvals = 1 }, { approvers = [\"owners\"], approvals = 1 }]\nlimits = { max_duration = \"1h\" }\n";
    let with = |shared: bool, says: &str| {
        let rules =
            POLICY.replace(plain, &format!("{plain}{says}")).replacen("[[rule]]", &format!("{both}\n[[rule]]"), 1);
        format!("shared = {shared}\n{rules}")
    };
    let app = TestApp::stage().policy(with(true, "self_approval = \"allowed\", ")).start().await;
    app.ask(&alice("plain:x")).await.pending();
    app.ask(&alice("both")).await.pending();
    let (x, both) = (app.card_of(DESK, 0).await, app.card_of(DESK, 1).await);
    let why = async |person: &str, card: &Card| {
        let seq = app.audited().await;
        app.click(person, card, "approve").await;
        app.audit_after(seq).await[0]["detail"]["why"].clone()
    };
    assert!(app.policy_becomes(&with(true, "self_approval = \"allowed\", ceremony = \"confirm\", ")).await);
    assert_eq!(why("U0BOB", &x).await, "policy_wants_more_now", "a stronger ceremony");
    assert!(app.policy_becomes(&with(false, "self_approval = \"allowed\", ")).await);
    assert_eq!(why("U0CAROL", &both).await, "policy_wants_more_now", "two people");
    assert!(app.policy_becomes(&with(true, "")).await);
    assert_eq!(why("U0ALICE", &x).await, "policy_wants_more_now", "nobody on their own request");
    assert!(app.policy_becomes(&with(true, "self_approval = \"allowed\", ")).await);
    app.approve("U0ALICE", &x).await;
    app.approve("U0CAROL", &both).await;
    app.ask(&alice("plain:x")).await.granted();
    app.ask(&alice("both")).await.granted();
}

#[tokio::test]
async fn an_approval_by_a_weaker_ceremony_than_the_policy_wants_now_is_void() {
    let app = TestApp::start().await;
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    let stronger = POLICY.replace(
        "when = 'scope.startsWith(\"plain:\")'\nask = { approvers = [\"leads\"],",
        "when = 'scope.startsWith(\"plain:\")'\nask = { ceremony = \"confirm\", approvers = [\"leads\"],",
    );
    assert_ne!(stronger, POLICY);
    assert!(app.policy_becomes(&stronger).await);
    app.ask(&alice("plain:x")).await.pending();
    assert!(app.card_of(DESK, 0).await.head().starts_with("Revoked"));
}

#[tokio::test]
async fn a_policy_that_asks_for_fewer_now_does_not_make_up_for_somebody_who_left() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:close")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.approve("U0CAROL", &app.card(DESK).await).await;
    // Bob leaves the leads; the service learns of it because somebody else's click makes it ask.
    app.group_is("S0LEADS", &["U0CAROL"]).await;
    app.clock.advance(seconds(6));
    app.ask(&alice("plain:x")).await.pending();
    app.click("U0NORA", &app.card_of(DESK, 1).await, "approve").await;
    // Carol would do from now on. What was asked was two.
    assert!(app.policy_becomes(&POLICY.replace("approvals = 2", "approvals = 1")).await);
    app.ask(&alice("ledger:close")).await.pending();
    assert!(app.card_of(DESK, 0).await.head().starts_with("Revoked"));
    app.approve("U0CAROL", &app.card_of(DESK, 2).await).await;
    app.ask(&alice("ledger:close")).await.granted();
}

#[tokio::test]
async fn a_clock_that_goes_back_after_an_approval_revives_nothing() {
    let app = TestApp::start().await;
    app.ask(&alice("ledger:write")).await.pending();
    app.approve("U0BOB", &app.card(LEDGER).await).await;
    app.ask(&alice("ledger:write")).await.granted();
    app.advance(minutes(119)).await;
    let last = app.ask(&alice("ledger:write")).await.granted().clone();
    app.clock.set(countersign::clock::Clock::now(&app.clock) - minutes(60));
    let again = app.ask(&alice("ledger:write")).await.granted().clone();
    assert_eq!(again["grant_expires_at"], last["grant_expires_at"]);
    assert!(again["expires_in"].as_u64() <= last["expires_in"].as_u64(), "{again} {last}");
    app.clock.advance(minutes(61));
    app.ask(&alice("ledger:write")).await.pending();
}

/// Closing takes two; what is sealed ends with those who approved it.
fn sealing() -> String {
    let sealed = "[[rule]]\nname = \"sealed\"\nwhen = 'scope == \"ledger:seal\"'\nask = { approvers = [\"leads\"], approvals = 1, max_duration = \"1h\", on_deactivation = \"revoke\" }\n";
    POLICY.replacen("[[rule]]", &format!("{sealed}\n[[rule]]"), 1)
}

const BOB: &str = "\"U0BOB\" = \"bob@example.com\"\n";

#[tokio::test]
async fn whoever_is_taken_out_of_the_directory_is_gone_at_a_reload() {
    let app = TestApp::stage().policy(sealing()).start().await;
    for scope in ["ledger:close", "ledger:seal", "plain:x"] {
        app.ask(&alice(scope)).await.pending();
    }
    let cards = app.cards(DESK).await;
    for card in &cards {
        app.approve("U0BOB", card).await;
    }
    app.ask(&alice("ledger:seal")).await.granted();
    assert!(app.directory_becomes(BOB, "").await);
    // Bob's vote counts no more, what he sealed is revoked, and what nobody has collected yet is void.
    let happened = app.happened().await;
    for kind in ["vote.struck", "grant.revoked", "directory.changed"] {
        assert!(happened.iter().any(|one| one == kind), "{kind}: {happened:?}");
    }
    assert!(app.card_of(DESK, 1).await.says.contains("is not in the directory any more"));
    app.approve("U0CAROL", &app.card_of(DESK, 0).await).await;
    app.ask(&alice("ledger:close")).await.pending();
    app.ask(&alice("plain:x")).await.pending();
    let seq = app.audited().await;
    app.click("U0BOB", &app.card_of(DESK, 0).await, "approve").await;
    assert_eq!(app.audit_after(seq).await[0]["detail"]["why"], "not_mapped");
    // Alice leaves with one of her accounts, and is still there with the other; then with that one, too.
    assert!(app.directory_becomes("\"U0ALICE\" = \"alice@example.com\"\n", "").await);
    assert!(app.card_of(DESK, 0).await.head().starts_with("Approval needed"));
    assert!(app.directory_becomes("\"U0ALICE2\" = \"alice@example.com\"\n", "").await);
    assert!(app.card_of(DESK, 0).await.head().starts_with("Withdrawn"));
    // Bob is back: nothing that ended begins anew, and he may decide again.
    assert!(app.directory_becomes("[identity.users]\n", &format!("[identity.users]\n{BOB}")).await);
    let carols = json!({ "subject": "carol@example.com" });
    app.ask(&but(alice("ledger:seal"), carols.clone())).await.pending();
    app.approve("U0BOB", &app.cards(DESK).await.pop().expect("a card")).await;
    app.ask(&but(alice("ledger:seal"), carols)).await.granted();
}

#[tokio::test]
async fn where_addresses_count_slack_is_asked_who_somebody_is_that_the_table_names_no_more() {
    let app = TestApp::stage().policy(sealing()).change_config("email = \"off\"", "email = \"verified\"").start().await;
    app.ask(&alice("ledger:seal")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("ledger:seal")).await.granted();
    // Slack does not answer: nothing ends yet, and nothing is forgotten.
    app.clock.advance(seconds(61));
    app.fault(json!({ "method": "users.info", "kind": "http_503" })).await;
    assert!(app.directory_becomes(BOB, "").await);
    app.faults_end().await;
    app.ask(&alice("ledger:seal")).await.granted();
    // By his address he is who he was.
    app.clock.advance(seconds(61));
    assert!(app.running().reload().await.expect("it is written down"));
    app.ask(&alice("ledger:seal")).await.granted();
    // Back in the table, and out again with another address: nobody.
    assert!(app.directory_becomes("[identity.users]\n", &format!("[identity.users]\n{BOB}")).await);
    app.person_becomes("U0BOB", json!({ "email": "robert@example.com" })).await;
    app.clock.advance(seconds(61));
    assert!(app.directory_becomes(BOB, "").await);
    assert!(app.card(DESK).await.head().starts_with("Revoked"));
}

#[tokio::test]
async fn a_directory_that_cannot_be_used_keeps_the_old_one_and_the_old_policy() {
    let app = TestApp::start().await;
    std::fs::write(app.file("policy.toml"), "").expect("a policy");
    assert!(!app.directory_becomes(BOB, "\"bob\" = \"bob@example.com\"\n").await);
    assert_eq!(app.degraded().await, json!(["policy"]));
    app.ask(&alice("ledger:read")).await.granted();
    app.ask(&alice("plain:x")).await.pending();
    app.approve("U0BOB", &app.card(DESK).await).await;
    app.ask(&alice("plain:x")).await.granted();
    assert!(!app.directory_becomes("team_id = \"T0ACME\"", "team_id = \"T0OTHER\"").await);
    assert_eq!(app.happened().await.iter().filter(|kind| *kind == "policy.refused").count(), 2);
}
