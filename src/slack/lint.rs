//! For the tests of cards and forms: what is drawn keeps our rules, which `tests/forms/lint.rs` holds, and slack-morphism
//! knows it.

use serde_json::Value;
use slack_morphism::blocks::SlackBlock;

use super::Message;
use super::rules::{problems, walk};

pub use super::rules::tokens;

pub fn check(name: &str, message: &Message) {
    let value = serde_json::to_value(message).unwrap();
    let mut bad = problems(&value);
    bad.extend(unknown(&message.blocks));
    assert!(bad.is_empty(), "{name}: {bad:#?}\n{}", serde_json::to_string_pretty(message).unwrap());
}

pub fn check_view(name: &str, view: &Value) {
    let mut bad = problems(view);
    bad.extend(unknown(view["blocks"].as_array().unwrap()));
    assert!(bad.is_empty(), "{name}: {bad:#?}");
}

/// What slack-morphism does not know, or loses. Of inputs it knows other elements than we use, and alerts not at all.
fn unknown(blocks: &[Value]) -> Vec<String> {
    let mut bad = Vec::new();
    for block in blocks.iter().filter(|block| block["type"] != "input" && block["type"] != "alert") {
        let id = &block["block_id"];
        match serde_json::from_value::<SlackBlock>(block.clone()) {
            Ok(SlackBlock::Unknown(_)) | Err(_) => bad.push(format!("{id} is unknown to slack-morphism")),
            Ok(known) if serde_json::to_value(&known).unwrap() != *block => {
                bad.push(format!("{id} is not the same after a round trip"));
            }
            Ok(_) => {}
        }
    }
    bad
}

/// All the text that a person can read in a value.
pub fn readable(value: &Value) -> String {
    let mut all = String::new();
    walk(value, &mut |o| {
        if let Some(text) = o.get("text").and_then(Value::as_str) {
            all.push_str(text);
            all.push('\n');
        }
    });
    all
}
