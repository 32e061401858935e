//! The main story on real input: npm `oidc-provider` asks, npm `openid-client` is the client, a person clicks in the
//! stand-in. The scenarios are told in `tests/servers/oidc-provider/scenarios.mjs`.

use std::process::Command;

use crate::deployment::{Deployment, HOOK_TOKEN, PEP_TOKEN, STEP_UP_SECRET};

/// What the scenarios' README asks of the policy: a refund needs Bob, reading is free, nothing closes the ledger.
const POLICY: &str = r#"
[approvers.payments-leads]
slack_groups = ["S0PAYLEADS"]

[[rule]]
name = "reads are free"
when = 'scope.endsWith(":read")'
allow = { max_duration = "8h", max_token_lifetime = "10m" }

[[rule]]
name = "refunds"
when = 'scope == "payments:refund"'
[rule.ask]
approvers = ["payments-leads"]
approvals = 1
max_duration = "2h"
max_token_lifetime = "10m"
ceremony = "confirm"
reason = { required = true, matches = 'PAY-[0-9]+', says = "Name the ticket" }
channel = "C0PAYMENTS"
"#;

#[ignore = "needs Node.js and installs npm packages: tests/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn a_client_of_oidc_provider_gets_its_token_after_a_person_has_clicked() {
    // Short enough to be waited for once, long enough to click within on a busy machine.
    let deployment = Deployment::start(POLICY, "5s").await;
    let mut scenarios = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/oidc-provider/run.sh"));
    scenarios
        .env("COUNTERSIGN_URL", &deployment.service)
        .env("PLAYGROUND_URL", &deployment.playground)
        .env("PEP_TOKEN", PEP_TOKEN)
        .env("APPROVER", "U0BOB")
        .env("MAX_TOKEN_LIFETIME", "600")
        .env("MAX_GRANT", "7200");
    // The test runner of node writes to the terminal itself, so its own closing lines are seen.
    let ended = tokio::task::spawn_blocking(move || scenarios.status()).await.unwrap().unwrap();
    deployment.stop().await;
    assert!(ended.success(), "the scenarios ended with {ended}");
}

/// A refund needs Bob, who must sign in again.
const STEP_UP_POLICY: &str = r#"
[approvers.payments-leads]
slack_groups = ["S0PAYLEADS"]

[[rule]]
name = "refunds"
when = 'scope == "payments:refund"'
ask = { approvers = ["payments-leads"], approvals = 1, max_duration = "1h", ceremony = "step_up" }
"#;

#[ignore = "needs Node.js and installs npm packages: tests/run runs it"]
#[tokio::test(flavor = "multi_thread")]
async fn an_approver_signs_in_again_at_oidc_provider() {
    // The provider starts after Countersign, which asks it only when somebody clicks.
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let step_up = format!(
        "[step_up]\nissuer = \"http://127.0.0.1:{port}\"\nclient_id = \"countersign\"\n\
         client_secret = {{ env = \"STEP_UP_SECRET\" }}\nacr_values = [\"urn:example:strong\"]\n"
    );
    let deployment = Deployment::start_with(STEP_UP_POLICY, "5s", &step_up).await;
    let mut scenarios = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/servers/oidc-provider/run.sh"));
    scenarios
        .arg("step_up")
        .env("COUNTERSIGN_URL", &deployment.service)
        .env("PLAYGROUND_URL", &deployment.playground)
        .env("HOOK_TOKEN", HOOK_TOKEN)
        .env("STEP_UP_SECRET", STEP_UP_SECRET)
        .env("STEP_UP_PORT", port.to_string())
        .env("APPROVER", "U0BOB");
    let ended = tokio::task::spawn_blocking(move || scenarios.status()).await.unwrap().unwrap();
    deployment.stop().await;
    assert!(ended.success(), "the scenarios ended with {ended}");
}
