//! What requesters do in Slack: type the command, fill its form, open Home, press what a message offers.

use serde_json::{Value, json};

use super::TestApp;
use super::slack::Card;
use super::world::DESK;

impl TestApp {
    /// Somebody types `/access` and something; answers what only they see then.
    pub async fn types(&self, person: &str, text: &str) -> String {
        let before = self.whispers(person, DESK).await.len();
        let typed = json!({ "as": person, "channel": DESK, "command": "/access", "text": text });
        let report = self.page("/page/command", typed).await;
        assert_eq!(report["status"], 200, "{text}: {report}");
        self.settle().await;
        let after = self.whispers(person, DESK).await;
        after.get(before).cloned().unwrap_or_default()
    }

    /// Somebody types `/access` alone; answers the form once it is filled in.
    pub async fn opens_the_form(&self, person: &str) -> Value {
        let typed = json!({ "as": person, "channel": DESK, "command": "/access", "text": "" });
        let report = self.page("/page/command", typed).await;
        assert_eq!(report["status"], 200, "{report}");
        self.until("a form", async || {
            let view = self.open_view(person).await;
            (!view["view"]["blocks"].to_string().contains("One moment")).then_some(view)
        })
        .await
    }

    /// The form on somebody's screen.
    pub async fn open_view(&self, person: &str) -> Value {
        self.screen(person).await["view"].clone()
    }

    /// Somebody chooses something in the form, which is drawn anew for it.
    pub async fn chooses(&self, person: &str, block: &str, action: &str, values: Value) -> Value {
        let form = self.open_view(person).await;
        let hash = form["view"]["hash"].clone();
        let block = blocks(&form["view"]).find(|id| id.starts_with(block)).expect("such a block").to_owned();
        let value = values[&block][action].clone();
        let click = json!({
            "as": person, "view_id": form["id"], "block_id": block, "action_id": action, "value": value, "values": values,
        });
        let report = self.page("/page/click", click).await;
        assert_eq!(report["status"], 200, "{report}");
        self.until("the form anew", async || {
            let now = self.open_view(person).await;
            (now["view"]["hash"] != hash).then_some(now)
        })
        .await
    }

    /// Somebody sends the form on their screen.
    pub async fn sends(&self, person: &str, values: Value) -> Value {
        let form = self.open_view(person).await;
        let sent = json!({ "as": person, "view_id": form["id"], "values": values });
        let report = self.page("/page/submit", sent).await;
        self.settle().await;
        report
    }

    /// Slack says that somebody's account changed.
    pub async fn account_event(&self, person: &str) {
        let event = json!({
            "type": "event_callback", "team_id": "T0ACME", "api_app_id": "A0COUNTERSIGN", "event_id": format!("Ev{person}"),
            "event": { "type": "user_change", "user": { "id": person } },
        });
        let raw = json!({ "path": "/slack/events", "content_type": "application/json", "body": event.to_string() });
        let report = self.page("/page/raw", raw).await;
        assert_eq!(report["status"], 200, "{report}");
        self.settle().await;
    }

    /// The last direct message to a person, with its buttons.
    pub async fn last_direct(&self, person: &str) -> Card {
        let channel = format!("D{}", &person[1..]);
        self.messages(person, &channel).await.pop().expect("a direct message")
    }

    /// Somebody opens App Home; answers what it shows.
    pub async fn opens_home(&self, person: &str) -> Value {
        let report = self.page("/page/home", json!({ "as": person })).await;
        assert_eq!(report["status"], 200, "{report}");
        self.settle().await;
        self.home(person).await
    }

    /// What somebody's App Home shows.
    pub async fn home(&self, person: &str) -> Value {
        self.screen(person).await["home"].clone()
    }

    /// Somebody presses the first button of that action in their Home.
    pub async fn presses_at_home(&self, person: &str, action: &str) -> Value {
        let home = self.home(person).await;
        let all = home["blocks"].as_array().expect("blocks");
        let found = all.iter().find_map(|block| {
            let element = block["elements"].as_array()?.iter().find(|element| element["action_id"] == action)?;
            Some((block["block_id"].clone(), element["value"].clone()))
        });
        let (block, value) = found.unwrap_or_else(|| panic!("no {action} at home: {home:#}"));
        let click = json!({
            "as": person, "view_id": home["id"], "block_id": block, "action_id": action, "value": value,
        });
        let report = self.page("/page/click", click).await;
        self.settle().await;
        report
    }
}

/// The ids of the blocks of a view.
pub fn blocks(view: &Value) -> impl Iterator<Item = &str> {
    view["blocks"].as_array().into_iter().flatten().filter_map(|block| block["block_id"].as_str())
}

/// The value of an option by its text.
pub fn option(view: &Value, text: &str) -> Value {
    fn find(value: &Value, text: &str) -> Option<Value> {
        match value {
            Value::Object(members) => {
                if members.get("text").is_some_and(|t| t["text"] == text) && members.contains_key("value") {
                    return members.get("value").cloned();
                }
                members.values().find_map(|member| find(member, text))
            }
            Value::Array(items) => items.iter().find_map(|item| find(item, text)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
        }
    }
    find(view, text).unwrap_or_else(|| panic!("no option {text}: {view:#}"))
}

/// Every text of a view.
pub fn says(view: &Value) -> String {
    view.to_string()
}
