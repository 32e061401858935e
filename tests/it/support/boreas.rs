//! A second workspace in the same service: Boreas, with an app, people and a hook of its own.

use countersign::playground::Installation;
use countersign::playground::workspace::{Channel, ChannelKind, Group, Person, Team, Workspace};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::TestApp;
use super::asking::Answer;
use super::slack::Card;
use super::world::{AUDIENCE, BOREAS_APP_TOKEN, BOREAS_BOT_TOKEN, BOREAS_SIGNING_SECRET};

pub const BOREAS: &str = "T0BOREAS";
/// Its usual channel.
pub const QUAY: &str = "C0QUAY";

const CONFIG: &str = r#"
[[slack]]
name = "boreas"
api_url = "{{slack}}/api"
team_id = "T0BOREAS"
app_id = "A0NORTHWIND"
channel = "C0QUAY"
burst = 1000
bot_token = { env = "BOREAS_BOT_TOKEN" }
signing_secrets = [{ env = "BOREAS_SIGNING_SECRET" }]
{{app_token}}
[slack.users]
"U0YURI" = "yuri@boreas.example"
"U0ZOE" = "zoe@boreas.example"
"U0BOB" = "bobby@boreas.example"
"U0ALIX" = "alice@example.com"

[[hook]]
name = "yard"
slack = "boreas"
dialect = "generic"
bearer = { env = "SHOP_TOKEN" }
hold = "25s"

"#;

/// The configuration with both workspaces.
pub fn config(one: &str, slack: &str, sockets: bool) -> String {
    let app_token = if sockets { "app_token = { env = \"BOREAS_APP_TOKEN\" }" } else { "" };
    let second = CONFIG.replace("{{slack}}", slack).replace("{{app_token}}", app_token);
    let both = one.replacen("[slack]\n", "[[slack]]\nname = \"acme\"\n", 1);
    both.replacen("[[hook]]", &format!("{second}[[hook]]"), 1)
}

/// Where the stand-in has it installed. Bobby has the id of Acme's Bob, and their user groups are called the same.
pub fn installation(sockets: bool) -> Installation {
    let team = Team { id: BOREAS.to_owned(), domain: "boreas".to_owned(), name: "Boreas".to_owned() };
    let member = |id: &str, name: &str| Person::member(BOREAS, id, name, "boreas.example");
    let people = vec![
        member("U0YURI", "Yuri Yard"),
        member("U0ZOE", "Zoe Zinc"),
        member("U0BOB", "Bobby Breeze"),
        member("U0ALIX", "Alice of Acme"),
        Person { is_bot: true, email: None, ..member("U0NORTHWIND", "Northwind") },
    ];
    let members = people.iter().map(|person| person.id.clone()).collect();
    let mut workspace = Workspace::new(team, "A0NORTHWIND", "U0NORTHWIND", people);
    let users = ["U0YURI", "U0BOB"].map(str::to_owned).to_vec();
    let leads = Group { id: "S0LEADS".to_owned(), handle: "leads".to_owned(), name: "Leads".to_owned(), users };
    workspace.groups.insert(leads.id.clone(), leads);
    let quay = Channel {
        id: QUAY.to_owned(),
        name: "quay".to_owned(),
        kind: ChannelKind::Channel,
        members,
        is_ext_shared: false,
        is_archived: false,
    };
    workspace.channels.insert(QUAY.to_owned(), quay);
    let one =
        Installation::new(SecretString::from(BOREAS_SIGNING_SECRET), SecretString::from(BOREAS_BOT_TOKEN), workspace);
    if sockets { one.with_app_token(SecretString::from(BOREAS_APP_TOKEN)) } else { one }
}

/// Zoe's terminal asks for a scope of the ledger.
pub fn zoe(scope: &str) -> Value {
    json!({
        "grant_type": "client_credentials", "client_id": "ledger-cli", "subject": "zoe@boreas.example",
        "scope": scope, "audience": [AUDIENCE], "reason": "the quay, PAY-9",
    })
}

impl TestApp {
    /// Asks the hook whose people are those of Boreas.
    pub async fn ask_boreas(&self, body: &Value) -> Answer {
        let answer = Answer::of(self.hook("yard", body)).await;
        self.settle().await;
        answer
    }

    /// The cards at the quay, oldest first.
    pub async fn at_the_quay(&self) -> Vec<Card> {
        let mut all = self.messages("U0YURI", QUAY).await;
        all.retain(|card| card.message["ephemeral"] != true && card.message.get("thread_ts").is_none());
        all
    }

    /// The only card there.
    pub async fn quay_card(&self) -> Card {
        let mut all = self.at_the_quay().await;
        assert_eq!(all.len(), 1, "{all:#?}");
        all.remove(0)
    }

    /// Somebody of Boreas types `/access` and something; answers what only they see then.
    pub async fn types_in_boreas(&self, person: &str, text: &str) -> String {
        let before = self.whispers(person, QUAY).await.len();
        let typed = json!({ "as": person, "team": BOREAS, "channel": QUAY, "command": "/access", "text": text });
        let report = self.page("/page/command", typed).await;
        assert_eq!(report["status"], 200, "{text}: {report}");
        self.settle().await;
        self.whispers(person, QUAY).await.get(before).cloned().unwrap_or_default()
    }
}
