//! The deployment that the stories play in: the two files, the secrets, and who works there.

use std::collections::HashMap;

use countersign::domain::hashing::sha256_hex;
use countersign::playground::workspace::{Channel, ChannelKind, Group, Person, Team, Workspace};

pub const AUDIENCE: &str = "https://ledger.test";
/// The usual channel, and the one of the rules about writing.
pub const DESK: &str = "C0DESK";
pub const LEDGER: &str = "C0LEDGER";

/// Every secret is marked, so that a test can look for one where none may be.
pub const SHOP_TOKEN: &str = "CANARY-shop-token-0123456789";
pub const SIGNING_SECRET: &str = "CANARY-signing-secret-0123456789";
pub const OLD_SIGNING_SECRET: &str = "CANARY-old-signing-secret-012345";
pub const BOT_TOKEN: &str = "CANARY-bot-token-0123456789";
pub const APP_TOKEN: &str = "xapp-CANARY-app-token-0123456789";
pub const BOREAS_SIGNING_SECRET: &str = "CANARY-boreas-signing-secret-0123";
pub const BOREAS_BOT_TOKEN: &str = "CANARY-boreas-bot-token-0123456789";
pub const BOREAS_APP_TOKEN: &str = "xapp-CANARY-boreas-app-token-01234";
pub const HYDRA_KEY: &str = "CANARY-hydra-key-0123456789";
pub const PEP_TOKEN: &str = "CANARY-pep-token-0123456789";
pub const OPERATOR_KEY: &str = "CANARY-operator-key-0123456789";
pub const VIEWER_KEY: &str = "CANARY-viewer-key-0123456789";
/// Standard Webhooks: base64 of 32 bytes.
pub const OLD_SECRET: &str = "whsec_Q0FOQVJZLW9sZC13ZWJob29rLXNlY3JldC0wMDAwMDA=";
pub const NEW_SECRET: &str = "whsec_Q0FOQVJZLW5ldy13ZWJob29rLXNlY3JldC0wMDAwMDA=";

const CONFIG: &str = r#"
[server]
listen = "{{listen}}"
public_url = "http://{{listen}}"

[database]
url = "sqlite://{{database}}"

[policy]
file = "policy.toml"

[slack]
api_url = "{{slack}}/api"
team_id = "T0ACME"
app_id = "A0COUNTERSIGN"
channel = "C0DESK"
allow_shared_channels = true
burst = 1000
command = "/access"
bot_token = { env = "BOT_TOKEN" }
signing_secrets = [{ env = "OLD_SIGNING_SECRET" }, { env = "SIGNING_SECRET" }]

[[hook]]
name = "shop"
dialect = "generic"
bearer = { env = "SHOP_TOKEN" }
hold = "25s"

[[hook]]
name = "brief"
dialect = "generic"
bearer = { env = "SHOP_TOKEN" }
hold = "1s"

[[hook]]
name = "watch"
dialect = "generic"
bearer = { env = "SHOP_TOKEN" }
mode = "observe"

[[hook]]
name = "signed"
dialect = "generic"
secret = [{ env = "OLD_SECRET" }, { env = "NEW_SECRET" }]
hold = "25s"

[[hook]]
name = "hydra"
dialect = "hydra"
api_key = { header = "X-Countersign-Key", value = { env = "HYDRA_KEY" } }
admin_url = "http://127.0.0.1:4445"
hold = "8s"

[[hook]]
name = "pep"
dialect = "authzen"
bearer = { env = "PEP_TOKEN" }
hold = "25s"

[identity]
email = "off"
[identity.users]
"U0ALICE" = "alice@example.com"
"U0ALICE2" = "alice@example.com"
"U0BOB" = "bob@example.com"
"U0CAROL" = "carol@example.com"
"U0DORA" = "dora@example.com"
"U0NORA" = "nora@example.com"
"U0GREG" = "greg@example.com"
"U0ROBO" = "robo@example.com"
"U0GONE" = "gone@example.com"
"U0EVE" = "eve@partner.example"

[api]
keys = [
  { name = "ops", role = "operator", sha256 = "{{operator}}" },
  { name = "eyes", role = "viewer", sha256 = "{{viewer}}" },
]
"#;

pub const POLICY: &str = r#"
[approvers.leads]
slack_groups = ["S0LEADS"]
[approvers.owners]
slack_users = ["U0CAROL"]

[[resource]]
audience = "https://ledger.test"
name = "Ledger"
hooks = ["shop"]
[[resource.scope]]
name = "ledger:read"
says = "Read the ledger"
risk = "low"
[[resource.scope]]
name = "ledger:write"
says = "Book entries in the ledger"
risk = "high"

[[rule]]
name = "machines never export"
when = 'scope == "ledger:export" && subject.kind == "client"'
deny = "Exports are made by people."

[[rule]]
name = "reading is free"
when = 'scope.endsWith(":read")'
allow = { max_duration = "8h", max_token_lifetime = "10m" }

[[rule]]
name = "writing"
when = 'scope == "ledger:write"'
[rule.ask]
approvers = ["leads"]
approvals = 1
max_duration = "2h"
max_token_lifetime = "10m"
decide_within = "30m"
collect_within = "15m"
ceremony = "confirm"
channel = "C0LEDGER"

[[rule]]
name = "paying needs a ticket"
when = 'scope == "ledger:pay"'
[rule.ask]
approvers = ["leads"]
approvals = 1
max_duration = "1h"
reason = { required = true, matches = 'PAY-[0-9]+', says = "Name the ticket, like PAY-1" }

[[rule]]
name = "closing takes two"
when = 'scope == "ledger:close"'
ask = { approvers = ["leads"], approvals = 2, max_duration = "30m" }

[[rule]]
name = "opening the vault once"
when = 'scope == "vault:open"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "30m", uses = "single" }

[[rule]]
name = "exporting"
when = 'scope == "ledger:export"'
ask = { approvers = ["owners"], approvals = 1, max_duration = "15m" }

[[rule]]
name = "anything plain"
when = 'scope.startsWith("plain:")'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h" }

[[rule]]
name = "elsewhere"
when = 'scope == "gone:channel"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", channel = "C0ARCHIVED" }

[limits]
pending_per_subject = 20
pending_per_client = 3
denial_cooldown = "10m"
"#;

/// The text of `countersign.toml`.
pub fn config(listen: &str, slack: &str, database: &str) -> String {
    let hash = |key: &str| sha256_hex(key.as_bytes());
    CONFIG
        .replace("{{listen}}", listen)
        .replace("{{slack}}", slack)
        .replace("{{database}}", database)
        .replace("{{operator}}", &hash(OPERATOR_KEY))
        .replace("{{viewer}}", &hash(VIEWER_KEY))
}

/// The environment that it is started with.
pub fn environment() -> HashMap<&'static str, &'static str> {
    HashMap::from([
        ("BOT_TOKEN", BOT_TOKEN),
        ("APP_TOKEN", APP_TOKEN),
        ("SIGNING_SECRET", SIGNING_SECRET),
        ("OLD_SIGNING_SECRET", OLD_SIGNING_SECRET),
        ("SHOP_TOKEN", SHOP_TOKEN),
        ("OLD_SECRET", OLD_SECRET),
        ("NEW_SECRET", NEW_SECRET),
        ("HYDRA_KEY", HYDRA_KEY),
        ("PEP_TOKEN", PEP_TOKEN),
        ("BOREAS_BOT_TOKEN", BOREAS_BOT_TOKEN),
        ("BOREAS_APP_TOKEN", BOREAS_APP_TOKEN),
        ("BOREAS_SIGNING_SECRET", BOREAS_SIGNING_SECRET),
        ("STEP_UP_SECRET", super::provider::CLIENT_SECRET),
    ])
}

/// Acme. Everybody who must not decide is in the approvers' group all the same, so that only the one check that
/// is meant for them stands in their way. Nora is in no group, Uma is not in the directory.
pub fn workspace() -> Workspace {
    let team = Team { id: "T0ACME".to_owned(), domain: "acme".to_owned(), name: "Acme".to_owned() };
    let member = |id: &str, name: &str| Person::member("T0ACME", id, name, "example.com");
    let people = vec![
        member("U0ALICE", "Alice Adler"),
        member("U0ALICE2", "Alice Again"),
        member("U0BOB", "Bob Berger"),
        member("U0CAROL", "Carol Chen"),
        member("U0DORA", "Dora Diaz"),
        member("U0NORA", "Nora Nobody"),
        member("U0UMA", "Uma Unmapped"),
        Person { is_restricted: true, ..member("U0GREG", "Greg Guest") },
        Person { is_app_user: true, ..member("U0ROBO", "Robo App") },
        Person { deleted: true, ..member("U0GONE", "Gone Gretel") },
        Person::member("T0PARTNER", "U0EVE", "Eve Ellis", "partner.example"),
        Person { is_bot: true, email: None, is_email_confirmed: false, ..member("U0COUNTERSIGN", "Countersign") },
    ];
    let all: Vec<String> = people.iter().map(|person| person.id.clone()).collect();
    let mut workspace = Workspace::new(team, "A0COUNTERSIGN", "U0COUNTERSIGN", people);
    let partner = Team { id: "T0PARTNER".to_owned(), domain: "partner".to_owned(), name: "Partner Ltd".to_owned() };
    workspace.partners.push(partner);
    let leads = all.iter().filter(|id| !["U0NORA", "U0COUNTERSIGN"].contains(&id.as_str()));
    let leads = Group {
        id: "S0LEADS".to_owned(),
        handle: "leads".to_owned(),
        name: "Leads".to_owned(),
        users: leads.cloned().collect(),
    };
    workspace.groups.insert(leads.id.clone(), leads);
    let on_call = Group {
        id: "S0ONCALL".to_owned(),
        handle: "on-call".to_owned(),
        name: "On call".to_owned(),
        users: vec!["U0DORA".to_owned()],
    };
    workspace.groups.insert(on_call.id.clone(), on_call);
    for (id, name, is_archived) in [(DESK, "desk", false), (LEDGER, "ledger", false), ("C0ARCHIVED", "old", true)] {
        let channel = Channel {
            id: id.to_owned(),
            name: name.to_owned(),
            kind: ChannelKind::Channel,
            members: all.clone(),
            is_ext_shared: true,
            is_archived,
        };
        workspace.channels.insert(id.to_owned(), channel);
    }
    workspace
}
