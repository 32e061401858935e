//! One deployment as the benchmarks run it: its two configuration files, and calls and clicks as the authorization
//! server and Slack would sign them.

use std::fmt::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use countersign::clock::{Clock, SystemClock};
use serde_json::json;
use tempfile::TempDir;

use crate::client::post;
use crate::servers::{HOOK_SECRET, SLACK_SECRET};

/// The workspace.
pub const TEAM: &str = "T0BENCH";
/// The app.
pub const APP: &str = "A0BENCH";
/// The channel of all cards.
pub const CHANNEL: &str = "C0BENCH";

/// The policy.
pub const POLICY: &str = r#"
[approvers.payments-leads]
slack_groups = ["S0LEADS"]

[[resource]]
audience = "https://payments.example.com"
name = "Payments"
[[resource.scope]]
name = "payments:refund"
says = "Send money back to customers"
risk = "high"

[[rule]]
name = "reading invoices"
when = 'scope == "invoices:read" && subject.kind == "user"'
allow = { max_duration = "8h", max_token_lifetime = "15m" }

[[rule]]
name = "refunds"
when = 'scope == "payments:refund" && grant_type == "client_credentials"'
[rule.ask]
approvers = ["payments-leads"]
approvals = 1
max_duration = "4h"
max_token_lifetime = "15m"
decide_within = "1h"
collect_within = "1h"
"#;

/// A folder with a configuration, on the disk that the project is on: its speed is part of what is measured.
pub struct Deployment {
    folder: TempDir,
}

impl Deployment {
    /// Writes the files. These people are mapped to identities, so that they can decide.
    pub fn new(slack: SocketAddr, people: &[String]) -> anyhow::Result<Self> {
        let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
        std::fs::create_dir_all(target)?;
        let folder = TempDir::new_in(target)?;
        let mut config = format!(
            r#"
[server]
listen = "127.0.0.1:0"
public_url = "http://127.0.0.1"
[database]
url = "sqlite://countersign.db"
[policy]
file = "policy.toml"
[slack]
api_url = "http://{slack}/api"
team_id = "{TEAM}"
app_id = "{APP}"
channel = "{CHANNEL}"
allow_shared_channels = true
burst = 1000000
bot_token = {{ env = "SLACK_BOT_TOKEN" }}
signing_secrets = [{{ env = "SLACK_SIGNING_SECRET" }}]
[[hook]]
name = "billing"
dialect = "generic"
secret = {{ env = "BILLING_HOOK_SECRET" }}
hold = "60s"
[identity]
email = "off"
[identity.users]
"#
        );
        for (n, person) in people.iter().enumerate() {
            writeln!(config, "\"{person}\" = \"lead{n}@example.com\"")?;
        }
        std::fs::write(folder.path().join("countersign.toml"), config)?;
        std::fs::write(folder.path().join("policy.toml"), POLICY)?;
        Ok(Self { folder })
    }

    /// Replaces a passage of the configuration, which must be there.
    pub fn change(&self, passage: &str, other: &str) -> anyhow::Result<()> {
        let file = self.folder.path().join("countersign.toml");
        let config = std::fs::read_to_string(&file)?;
        anyhow::ensure!(config.contains(passage), "the configuration has no {passage:?}");
        Ok(std::fs::write(&file, config.replacen(passage, other, 1))?)
    }

    /// The folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// The database file.
    pub fn database(&self) -> PathBuf {
        self.folder.path().join("countersign.db")
    }
}

/// The ids of so many people.
pub fn people(count: usize) -> Vec<String> {
    (0..count).map(|n| format!("U0LEAD{n}")).collect()
}

/// The seconds since 1970.
pub fn now() -> i64 {
    SystemClock.now().timestamp()
}

/// Signs calls to the hook.
pub struct Signer {
    key: hmac::Key,
    run: String,
    signed: u64,
}

impl Signer {
    /// With identifiers that no other signer uses.
    pub fn new() -> anyhow::Result<Self> {
        let secret = STANDARD.decode(HOOK_SECRET.trim_start_matches("whsec_"))?;
        let run = uuid::Uuid::new_v4().simple().to_string();
        Ok(Self { key: hmac::Key::new(hmac::HMAC_SHA256, &secret), run, signed: 0 })
    }

    /// A call with an identifier of its own; `headers` each end in `\r\n`.
    pub fn call(&mut self, body: &str, headers: &str) -> Bytes {
        self.signed += 1;
        let (id, at) = (format!("msg_{}_{}", self.run, self.signed), now());
        let tag = hmac::sign(&self.key, format!("{id}.{at}.{body}").as_bytes());
        let tag = STANDARD.encode(tag.as_ref());
        let signed = format!("webhook-id: {id}\r\nwebhook-timestamp: {at}\r\nwebhook-signature: v1,{tag}\r\n");
        post("/hooks/billing", &format!("{signed}content-type: application/json\r\n{headers}"), body)
    }
}

/// A token request as a billing system would send it, for one of its people.
pub fn token_request(person: usize) -> String {
    json!({
        "grant_type": "client_credentials", "client_id": "billing-cli",
        "subject": format!("person{person}@example.com"), "scope": "invoices:read payments:refund",
        "audience": ["https://payments.example.com"], "expires_in": 3600, "reason": "refund PAY-4821",
        "binding_message": "42", "context": { "ip": "203.0.113.7", "acr": "urn:example:loa:2", "amr": ["pwd", "otp"] }
    })
    .to_string()
}

/// A click on Approve, to `path`.
pub fn click(path: &str, user: &str, value: &str, ts: &str) -> Bytes {
    let payload = json!({
        "type": "block_actions", "api_app_id": APP, "token": "unused",
        // Slack gives each press one of its own, and the same again counts for nothing.
        "trigger_id": format!("{ts}.{user}"),
        "team": { "id": TEAM, "domain": "bench" }, "enterprise": null, "is_enterprise_install": false,
        "user": { "id": user, "username": user, "name": user, "team_id": TEAM },
        "container": { "type": "message", "message_ts": ts, "channel_id": CHANNEL, "is_ephemeral": false },
        "channel": { "id": CHANNEL, "name": "bench" }, "message": { "ts": ts, "type": "message" },
        "state": { "values": {} },
        "actions": [{ "type": "button", "action_id": "approve", "block_id": "decide", "value": value,
                      "action_ts": "1795460000.000100", "text": { "type": "plain_text", "text": "Approve" } }]
    });
    let body =
        url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &payload.to_string()).finish();
    let at = now();
    let key = hmac::Key::new(hmac::HMAC_SHA256, SLACK_SECRET.as_bytes());
    let tag = hmac::sign(&key, format!("v0:{at}:{body}").as_bytes());
    let tag = tag.as_ref().iter().fold(String::new(), |mut hex, byte| {
        let _ = write!(hex, "{byte:02x}");
        hex
    });
    let signed = format!("x-slack-request-timestamp: {at}\r\nx-slack-signature: v0={tag}\r\n");
    post(path, &format!("{signed}content-type: application/x-www-form-urlencoded\r\n"), &body)
}
