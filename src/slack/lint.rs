//! For the tests of cards and forms: Slack's limits, and the mistakes that no published checker finds.

use std::collections::HashSet;

use serde_json::{Value, json};
use slack_morphism::blocks::SlackBlock;

use super::Message;

fn walk<'a>(value: &'a Value, see: &mut impl FnMut(&'a serde_json::Map<String, Value>)) {
    match value {
        Value::Object(members) => {
            see(members);
            members.values().for_each(|member| walk(member, see));
        }
        Value::Array(all) => all.iter().for_each(|one| walk(one, see)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// The markup that is left in mrkdwn, `<…>` by `<…>`.
pub fn tokens(text: &str) -> Vec<String> {
    text.split('<').skip(1).map(|rest| rest.split('>').next().unwrap_or_default().to_owned()).collect()
}

fn lint(blocks: &[Value], most: usize) -> Vec<String> {
    let mut bad = Vec::new();
    let mut wrong = |is: bool, what: String| {
        if is {
            bad.push(what)
        }
    };
    wrong(blocks.is_empty() || blocks.len() > most, format!("{} blocks", blocks.len()));
    let (mut block_ids, mut action_ids, mut styles) = (HashSet::new(), HashSet::new(), HashSet::new());
    for block in blocks {
        let id = block["block_id"].as_str().unwrap_or_default();
        wrong(id.is_empty() || id.len() > 255 || !block_ids.insert(id), format!("block_id {id:?}"));
        let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
        wrong(block["type"] == "section" && chars(&block["text"]["text"]) > 3_000, format!("{id} is too long"));
        wrong(block["type"] == "header" && chars(&block["text"]["text"]) > 150, format!("{id} is too long"));
        wrong(block["fields"].as_array().is_some_and(|fields| fields.len() > 10), "more than ten fields".to_owned());
        for field in block["fields"].as_array().into_iter().flatten() {
            wrong(chars(&field["text"]) > 2_000, format!("a field of {id} is too long"));
        }
        let mut rich = 0;
        walk(block, &mut |o| {
            let text = o.get("text").and_then(Value::as_str).unwrap_or_default();
            match o.get("type").and_then(Value::as_str) {
                Some("mrkdwn") => {
                    wrong(o.get("verbatim") != Some(&json!(true)), format!("{id} is not verbatim"));
                    wrong(
                        text.is_empty() || text.chars().count() > 3_000,
                        format!("{id} has {} characters", text.len()),
                    );
                    for token in tokens(text) {
                        let known = ["@U0ALICE", "@U0BOB", "@U0CAROL", "!subteam^S0PAYLEADS"].contains(&token.as_str());
                        let ours = token.starts_with("!date^17954") && token.ends_with("UTC");
                        wrong(!known && !ours, format!("{id} has <{token}>"));
                    }
                }
                Some("plain_text") => {
                    wrong(text.trim().is_empty(), format!("{id} has an empty plain text"));
                    wrong(o.get("emoji") != Some(&json!(false)), format!("{id} allows emoji"));
                }
                Some("text") => {
                    rich += text.chars().count();
                    wrong(text.is_empty(), format!("{id} has an empty run"));
                }
                Some("button") => {
                    let label = o["accessibility_label"].as_str().unwrap_or_default();
                    wrong(!label.contains("req_") || label.chars().count() > 75, format!("label {label:?}"));
                    wrong(chars(&o["text"]["text"]) > 75, "button text".to_owned());
                    wrong(
                        !action_ids.insert(o["action_id"].as_str().unwrap_or_default()),
                        "action_id twice".to_owned(),
                    );
                    let style = o.get("style").and_then(Value::as_str);
                    wrong(style.is_some_and(|style| !styles.insert(style)), "a style twice".to_owned());
                }
                _ => {}
            }
            if let Some(dialog) = o.get("confirm").filter(|confirm| confirm.get("title").is_some()) {
                wrong(chars(&dialog["text"]["text"]) > 300, "confirm text".to_owned());
                wrong(chars(&dialog["title"]["text"]) > 100, "confirm title".to_owned());
                wrong(
                    chars(&dialog["confirm"]["text"]) > 30 || chars(&dialog["deny"]["text"]) > 30,
                    "confirm".to_owned(),
                );
            }
            let hidden = |c: char| {
                (c.is_control() && c != '\n')
                    || matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
            };
            wrong(text.contains(hidden), format!("{id} has hidden characters"));
        });
        wrong(rich > 12_000, format!("{id} has {rich} characters of rich text"));
        match serde_json::from_value::<SlackBlock>(block.clone()) {
            Ok(SlackBlock::Unknown(_)) | Err(_) => {
                wrong(block["type"] != "input" && block["type"] != "alert", format!("{id} is unknown to slack-morphism"))
            }
            Ok(known) => {
                let back = serde_json::to_value(known).unwrap();
                wrong(back != *block, format!("{id} is not the same after a round trip: {back} {block}"));
            }
        }
    }
    bad
}

pub fn check(name: &str, message: &Message) {
    let mut bad = lint(&message.blocks, 50);
    if message.text.trim().is_empty() || message.text.chars().count() > 3_000 {
        bad.push("fallback text".to_owned());
    }
    bad.extend(tokens(&message.text).into_iter().filter(|token| !token.starts_with("!date^17954")));
    assert!(bad.is_empty(), "{name}: {bad:#?}\n{}", serde_json::to_string_pretty(message).unwrap());
}

pub fn check_view(name: &str, view: &Value) {
    let mut bad = lint(view["blocks"].as_array().unwrap(), 100);
    for (member, most) in [("title", 24), ("submit", 24), ("close", 24)] {
        let text = view[member]["text"].as_str();
        bad.extend(text.filter(|text| text.chars().count() > most).map(|_| format!("{member} is too long")));
    }
    assert!(bad.is_empty(), "{name}: {bad:#?}");
    assert!(view.to_string().len() < 250_000, "{name} is too large");
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
