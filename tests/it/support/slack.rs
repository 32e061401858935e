//! What people see and do in Slack, through the stand-in's HTTP.

use serde_json::{Value, json};

use super::TestApp;

/// A message as somebody sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Card {
    pub channel: String,
    pub ts: String,
    /// Every text of it, one after the other.
    pub says: String,
    pub message: Value,
}

impl Card {
    fn of(channel: &str, message: Value) -> Self {
        let mut says = message["text"].as_str().unwrap_or_default().to_owned();
        texts(&message["blocks"], &mut says);
        Self { channel: channel.to_owned(), ts: message["ts"].as_str().expect("a ts").to_owned(), says, message }
    }

    /// The headline.
    pub fn head(&self) -> &str {
        self.message["blocks"][0]["text"]["text"].as_str().unwrap_or_default()
    }

    /// Whether it is the card of several access requests.
    pub fn is_digest(&self) -> bool {
        self.says.contains("(digest `")
    }

    /// The buttons' actions, in order.
    pub fn buttons(&self) -> Vec<&str> {
        self.elements().filter_map(|(_, element)| element["action_id"].as_str()).collect()
    }

    /// A button's block and value.
    #[track_caller]
    pub fn button(&self, action: &str) -> (String, String) {
        let found = self.elements().find(|(_, element)| element["action_id"] == action);
        let (block, element) = found.unwrap_or_else(|| panic!("no button {action} on: {}", self.says));
        (block.to_owned(), element["value"].as_str().expect("a value").to_owned())
    }

    /// The menu's block and the value of one of its choices, none where it is not offered.
    pub fn choice(&self, word: &str) -> Option<(String, String)> {
        let menu = self.elements().find(|(_, element)| element["type"] == "overflow");
        let (block, menu) = menu?;
        let mut values = menu["options"].as_array().into_iter().flatten().filter_map(|o| o["value"].as_str());
        let value = values.find(|value| value.split('.').next() == Some(word))?;
        Some((block.to_owned(), value.to_owned()))
    }

    /// The block and the value of the button of a digest that opens an access request, where there is one.
    pub fn opener(&self, request: &str) -> Option<(String, String)> {
        let opens = |element: &Value| element["value"].as_str().is_some_and(|value| value.ends_with(request));
        let (block, element) = self.elements().find(|(_, element)| element["action_id"] == "open" && opens(element))?;
        Some((block.to_owned(), element["value"].as_str()?.to_owned()))
    }

    fn elements(&self) -> impl Iterator<Item = (&str, &Value)> {
        let blocks = self.message["blocks"].as_array().into_iter().flatten();
        blocks.flat_map(|block| {
            let id = block["block_id"].as_str().unwrap_or_default();
            let in_a_row = block["elements"].as_array().filter(|_| block["type"] == "actions");
            in_a_row.into_iter().flatten().chain(block.get("accessory")).map(move |element| (id, element))
        })
    }
}

/// Collects the texts of blocks, whatever they are nested in.
fn texts(value: &Value, all: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "text" => {
                        all.push('\n');
                        all.push_str(text);
                    }
                    other => texts(other, all),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

impl TestApp {
    /// Asks the stand-in to do something.
    pub async fn page(&self, path: &str, body: Value) -> Value {
        let response = self.http.post(format!("{}{path}", self.slack_url)).json(&body).send().await.expect("an answer");
        let status = response.status();
        assert!(status.is_success(), "{path}: {status} {}", response.text().await.unwrap_or_default());
        serde_json::from_str(&response.text().await.expect("a body")).unwrap_or(Value::Null)
    }

    pub async fn page_get(&self, path: &str) -> Value {
        let response = self.http.get(format!("{}{path}", self.slack_url)).send().await.expect("an answer");
        response.json().await.expect("JSON")
    }

    /// The sockets that are open.
    pub async fn sockets(&self) -> Vec<Value> {
        self.page_get("/page/socket").await["connections"].as_array().cloned().unwrap_or_default()
    }

    /// What went down the sockets, with what became of it.
    pub async fn envelopes(&self) -> Vec<Value> {
        self.page_get("/page/socket").await["envelopes"].as_array().cloned().unwrap_or_default()
    }

    /// Everything on somebody's screen.
    pub async fn screen(&self, person: &str) -> Value {
        self.page_get(&format!("/page/state?as={person}")).await
    }

    /// All messages that somebody sees in a channel, oldest first.
    pub async fn messages(&self, person: &str, channel: &str) -> Vec<Card> {
        let mut screen = self.screen(person).await;
        let Value::Array(messages) = screen["messages"][channel].take() else { return Vec::new() };
        messages.into_iter().map(|message| Card::of(channel, message)).collect()
    }

    /// The cards of a channel, oldest first: what everybody there sees that is no reply.
    pub async fn cards(&self, channel: &str) -> Vec<Card> {
        let mut all = self.messages("U0BOB", channel).await;
        all.retain(|card| card.message["ephemeral"] != true && card.message.get("thread_ts").is_none());
        all
    }

    /// The only card of a channel.
    #[track_caller]
    pub fn card<'a>(&'a self, channel: &'a str) -> impl Future<Output = Card> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let mut all = self.cards(channel).await;
            assert_eq!(all.len(), 1, "one card in {channel}, at {caller}: {all:#?}");
            all.remove(0)
        }
    }

    /// The card at the desk that says something.
    pub async fn card_with(&self, said: &str) -> Card {
        let all = self.cards(super::world::DESK).await;
        all.into_iter().find(|card| card.says.contains(said)).expect("such a card")
    }

    /// A card of a channel by its place, the oldest being 0.
    pub async fn card_of(&self, channel: &str, place: usize) -> Card {
        self.cards(channel).await.swap_remove(place)
    }

    /// Waits for the only card of a channel: for calls that are held.
    pub async fn card_comes(&self, channel: &str) -> Card {
        self.until("a card", async || self.cards(channel).await.pop()).await
    }

    /// What was written beneath a card.
    pub async fn thread(&self, card: &Card) -> Vec<String> {
        let all = self.messages("U0BOB", &card.channel).await;
        all.into_iter().filter(|reply| reply.message["thread_ts"] == card.ts.as_str()).map(|reply| reply.says).collect()
    }

    /// What only this person sees in a channel.
    pub async fn whispers(&self, person: &str, channel: &str) -> Vec<String> {
        let all = self.messages(person, channel).await;
        all.into_iter().filter(|message| message.message["ephemeral"] == true).map(|message| message.says).collect()
    }

    /// Waits for what only this person sees.
    pub async fn whisper_comes(&self, person: &str, channel: &str) -> String {
        self.until("a whisper", async || self.whispers(person, channel).await.pop()).await
    }

    /// The direct messages to a person.
    pub async fn direct(&self, person: &str) -> Vec<String> {
        let channel = format!("D{}", &person[1..]);
        self.messages(person, &channel).await.into_iter().map(|message| message.says).collect()
    }

    /// Somebody presses a button; answers how the service took it.
    pub async fn click(&self, person: &str, card: &Card, action: &str) -> Value {
        self.click_forged(person, card, action, json!({})).await
    }

    /// The same with a forged payload: `override` and `remove` as the stand-in takes them, or another `value`.
    pub async fn click_forged(&self, person: &str, card: &Card, action: &str, forgery: Value) -> Value {
        let (block, value) = card.button(action);
        let mut click = json!({
            "as": person, "channel": card.channel, "ts": card.ts, "block_id": block, "action_id": action,
            "value": value,
        });
        for (name, member) in forgery.as_object().expect("an object") {
            click[name] = member.clone();
        }
        let report = self.page("/page/click", click).await;
        self.settle().await;
        report
    }

    /// Somebody opens an access request from a digest; answers how the service took it.
    pub async fn open(&self, person: &str, digest: &Card, request: &str) -> Value {
        let (block, value) = digest.opener(request).unwrap_or_else(|| panic!("no button: {}", digest.says));
        let click = json!({
            "as": person, "channel": digest.channel, "ts": digest.ts, "block_id": block, "action_id": "open",
            "value": value,
        });
        let report = self.page("/page/click", click).await;
        self.settle().await;
        report
    }

    /// The cards in somebody's direct messages, oldest first, with what they say now.
    pub async fn own_cards(&self, person: &str) -> Vec<Card> {
        let all = self.messages(person, &format!("D{}", &person[1..])).await;
        all.into_iter().filter(|card| !card.head().is_empty() && !card.is_digest()).collect()
    }

    /// Somebody chooses from the menu of a card.
    pub async fn choose(&self, person: &str, card: &Card, word: &str) -> Value {
        let (block, value) = card.choice(word).unwrap_or_else(|| panic!("no choice {word} on: {}", card.says));
        let click = json!({
            "as": person, "channel": card.channel, "ts": card.ts, "block_id": block, "action_id": "more",
            "value": value,
        });
        let report = self.page("/page/click", click).await;
        self.settle().await;
        report
    }

    /// The form on somebody's screen.
    pub async fn form(&self, person: &str) -> Value {
        self.screen(person).await["view"]["view"].clone()
    }

    /// Sends the form on somebody's screen, with these values by block; what is left out stays as it was drawn.
    pub async fn fill(&self, person: &str, values: Value) -> Value {
        self.fill_forged(person, values, json!({})).await
    }

    /// The same with a forged payload.
    pub async fn fill_forged(&self, person: &str, values: Value, over: Value) -> Value {
        let screen = self.screen(person).await;
        let view = screen["view"]["id"].as_str().unwrap_or_else(|| panic!("no form on the screen of {person}"));
        let named: serde_json::Map<String, Value> = values
            .as_object()
            .expect("an object")
            .iter()
            .map(|(block, value)| (block.clone(), json!({ block: value })))
            .collect();
        let mut form = json!({ "as": person, "view_id": view, "values": named });
        // Only what is forged skips the form's own complaints.
        if over.as_object().is_some_and(|over| !over.is_empty()) {
            form["override"] = over;
        }
        let report = self.page("/page/submit", form).await;
        self.settle().await;
        report
    }

    /// Somebody approves, and the service takes it.
    pub async fn approve(&self, person: &str, card: &Card) {
        let report = self.click(person, card, "approve").await;
        assert_eq!(report["status"], 200, "{report}");
    }

    /// Somebody presses Deny…, fills the form in and sends it.
    pub async fn deny_with(&self, person: &str, card: &Card, reason: &str) -> Value {
        self.click(person, card, "deny").await;
        self.submit_reason(person, reason).await
    }

    /// Sends the form for a denial that is on somebody's screen.
    pub async fn submit_reason(&self, person: &str, reason: &str) -> Value {
        let screen = self.screen(person).await;
        let view = screen["view"]["id"].as_str().unwrap_or_else(|| panic!("no form on the screen of {person}"));
        let form = json!({ "as": person, "view_id": view, "values": { "reason": { "reason": reason } } });
        let report = self.page("/page/submit", form).await;
        self.settle().await;
        report
    }

    /// Switches a fault of Slack on.
    pub async fn fault(&self, fault: Value) {
        self.page("/faults", fault).await;
    }

    /// Switches all faults off.
    pub async fn faults_end(&self) {
        let cleared = self.http.delete(format!("{}/faults", self.slack_url)).send().await.expect("an answer");
        assert_eq!(cleared.status(), 204);
    }

    /// The Web API calls of a method that arrived: what each was answered.
    pub async fn slack_calls(&self, method: &str) -> Vec<String> {
        let log = self.page_get("/log").await;
        let all = log.as_array().expect("a list").iter().filter(|call| call["method"] == method);
        all.map(|call| call["answered"].as_str().unwrap_or_default().to_owned()).collect()
    }

    /// Everything that the service ever sent to Slack, as text.
    pub async fn slack_log(&self) -> String {
        self.page_get("/log").await.to_string()
    }

    /// Somebody's record changes.
    pub async fn person_becomes(&self, id: &str, set: Value) {
        self.page("/page/person", json!({ "id": id, "set": set })).await;
    }

    /// A user group changes.
    pub async fn group_is(&self, id: &str, users: &[&str]) {
        self.page("/page/group", json!({ "id": id, "users": users })).await;
    }
}
