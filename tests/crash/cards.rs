//! The cards as they stand in the stand-in: what people see, and what they can still press.

use std::collections::BTreeMap;

use countersign::playground::Playground;
use countersign::playground::workspace::{ChannelKind, Message};
use serde_json::Value;

/// One card.
#[derive(Debug, Clone)]
pub struct Card {
    /// The channel.
    pub channel: String,
    /// Its identity there.
    pub ts: String,
    /// The access request.
    pub request: String,
    /// The state that it shows.
    pub state: String,
    /// The buttons that change something.
    pub buttons: Vec<Button>,
    /// Every text of it, one after the other.
    pub words: String,
}

/// A button as somebody sees it: what they press is what they saw, also where the card was edited meanwhile.
#[derive(Debug, Clone)]
pub struct Button {
    /// Its block.
    pub block: String,
    /// Its action.
    pub action: String,
    /// What it carries.
    pub value: String,
}

impl Card {
    /// Whether it has this button.
    pub fn button(&self, action: &str) -> Option<&Button> {
        self.buttons.iter().find(|button| button.action == action)
    }

    /// Whether it shows this stage and offers what belongs to it, no more and no less.
    pub fn shows(&self, stage: &str) -> bool {
        let mut offered: Vec<&str> = self.buttons.iter().map(|button| button.action.as_str()).collect();
        offered.sort_unstable();
        let wanted: &[&str] = match stage {
            "pending" => &["approve", "deny"],
            "approved" => &["revoke"],
            _ => &[],
        };
        // What else can be done while people decide differs by server and by who has voted.
        let also: &[&str] = if stage == "pending" { &["changes", "more"] } else { &[] };
        offered.retain(|action| !also.contains(action));
        self.state == stage && offered == wanted
    }
}

/// The cards of every access request, oldest first.
pub fn by_request(playground: &Playground) -> BTreeMap<String, Vec<Card>> {
    let mut all: BTreeMap<String, Vec<Card>> = BTreeMap::new();
    playground.look(|workspace| {
        for channel in workspace.channels.values().filter(|channel| channel.kind == ChannelKind::Channel) {
            for card in workspace.messages_in(&channel.id).filter_map(|message| card(&channel.id, message)) {
                all.entry(card.request.clone()).or_default().push(card);
            }
        }
    });
    all
}

/// The cards of one channel that still have a button.
pub fn live_in(playground: &Playground, channel: &str) -> Vec<Card> {
    playground.look(|workspace| {
        let cards = workspace.messages_in(channel).filter_map(|message| card(channel, message));
        cards.filter(|card| !card.buttons.is_empty()).collect()
    })
}

/// The replies beneath the cards of each access request: in which thread, and the key that names the delivery.
pub fn replies_by_request(playground: &Playground) -> BTreeMap<String, Vec<(String, String)>> {
    let mut all: BTreeMap<String, Vec<(String, String)>> = BTreeMap::new();
    playground.look(|workspace| {
        for channel in workspace.channels.values().filter(|channel| channel.kind == ChannelKind::Channel) {
            for reply in workspace.messages_in(&channel.id) {
                let Some(thread) = &reply.thread_ts else { continue };
                let payload = reply.metadata.as_ref().map(|metadata| metadata["event_payload"].clone());
                let payload = payload.unwrap_or_default();
                let text = |name: &str| payload[name].as_str().map(str::to_owned);
                if let (Some(request), Some(key)) = (text("request_id"), text("key")) {
                    all.entry(request).or_default().push((format!("{}/{thread}", channel.id), key));
                }
            }
        }
    });
    all
}

/// The access requests whose requester was told by direct message.
pub fn told(playground: &Playground, person: &str) -> Vec<String> {
    let channel = format!("D{}", &person[1..]);
    playground.look(|workspace| workspace.messages_in(&channel).filter_map(request_of).collect())
}

fn request_of(message: &Message) -> Option<String> {
    let metadata = message.metadata.as_ref()?;
    (metadata["event_type"] == "countersign_request")
        .then(|| metadata["event_payload"]["request_id"].as_str().map(str::to_owned))?
}

fn card(channel: &str, message: &Message) -> Option<Card> {
    if message.thread_ts.is_some() || message.only_for.is_some() {
        return None;
    }
    let state = message.metadata.as_ref()?["event_payload"]["state"].as_str()?.to_owned();
    let (request, ts) = (request_of(message)?, message.ts.clone());
    let buttons = message.blocks.as_array().into_iter().flatten().flat_map(buttons).collect();
    let mut words = String::new();
    texts(&message.blocks, &mut words);
    Some(Card { channel: channel.to_owned(), ts, request, state, buttons, words })
}

/// Collects the texts of blocks, whatever they are nested in.
fn texts(value: &Value, all: &mut String) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, all)),
        Value::Object(members) => {
            for (name, member) in members {
                match member {
                    Value::String(text) if name == "text" => {
                        all.push_str(text);
                        all.push('\n');
                    }
                    other => texts(other, all),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn buttons(block: &Value) -> Vec<Button> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let id = text(&block["block_id"]).unwrap_or_default();
    let elements = block["elements"].as_array().into_iter().flatten();
    let all = elements.filter_map(|element| {
        let (action, value) = (text(&element["action_id"])?, text(&element["value"]).unwrap_or_default());
        Some(Button { block: id.clone(), action, value })
    });
    // Looking at the details changes nothing and stays.
    all.filter(|button| button.action != "details").collect()
}
