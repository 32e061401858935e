//! The card where Slack does not take the real one (`invalid_blocks`, `msg_too_long`): plain text and the same
//! buttons. It still says everything that would be granted, because people decide by it.

use serde_json::{Value, json};

use super::Message;
use super::blocks::plain;
use super::cards::CardFacts;
use super::text::{clean, cut, duration, escape, utc};

/// Characters of one block of text.
const TEXT_MAX: usize = 2_900;
/// Characters of each of the lines that are not scopes.
const LINE_MAX: usize = 200;

/// A card of plain text. The buttons are those of `card`, without anything that could be what Slack refused.
pub fn card(facts: &CardFacts<'_>, card: &Message) -> Message {
    let (request, asked) = (facts.request, &facts.request.asked);
    let scopes = facts.grant.map_or(&request.question.terms.scopes, |grant| &grant.scopes);
    let line = |name: &str, value: &str| format!("{name}: {}", cut(&clean(value), LINE_MAX).0);
    let audience = asked.audience.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let lines = [
        line("For", &asked.subject.id),
        line("Through", &asked.client.id),
        line("At", if audience.is_empty() { "no audience named" } else { &audience }),
        line("Time", &duration(request.duration)),
        line("Decide by", &utc(request.decide_by)),
        line("The client says", asked.reason.as_deref().unwrap_or("nothing")),
        line("Request", request.id.as_str()),
    ];
    let head = card.text.split(':').next().unwrap_or("Request").to_owned();
    let mut blocks = vec![text("plain_head", &format!("{}\n{}", clean(&head), lines.join("\n")))];
    // A scope is never cut: all of them together have a limit that two blocks hold.
    let all: Vec<char> = format!("Scopes: {}", clean(&scopes.to_string())).chars().collect();
    for (n, piece) in all.chunks(TEXT_MAX).enumerate() {
        blocks.push(text(&format!("plain_scopes_{n}"), &piece.iter().collect::<String>()));
    }
    let buttons = card.blocks.iter().filter(|block| block["type"] == "actions");
    blocks.extend(buttons.cloned().map(|mut block| {
        if let Some(elements) = block["elements"].as_array_mut() {
            // A menu holds nothing that decides.
            elements.retain(|element| element["type"] == "button");
            elements.iter_mut().for_each(bare);
        }
        block["block_id"] = json!("plain_act");
        block
    }));
    let text = escape(&format!("{} (request {})", clean(&head), request.id));
    Message { text, blocks, metadata: card.metadata.clone() }
}

/// Any other message as nothing but its fallback text.
pub fn message(message: &Message) -> Message {
    // What marks code elsewhere is only a sign here.
    let words = cut(&clean(&message.text).replace('`', ""), TEXT_MAX).0;
    Message {
        blocks: vec![text("plain_text", &words)],
        text: escape(&cut(&words, LINE_MAX).0),
        metadata: message.metadata.clone(),
    }
}

fn text(id: &str, words: &str) -> Value {
    json!({ "type": "section", "block_id": id, "text": plain_lines(words) })
}

fn plain_lines(words: &str) -> Value {
    json!({ "type": "plain_text", "text": cut(words, 3_000).0, "emoji": false })
}

/// A button with its words, its label, its value and its dialog, all of them short.
fn bare(element: &mut Value) {
    let word = element["text"]["text"].as_str().unwrap_or("Open").to_owned();
    let label = cut(element["accessibility_label"].as_str().unwrap_or(&word), 75).0;
    let mut button = json!({
        "type": "button", "action_id": element["action_id"], "value": element["value"], "text": plain(&word, 40),
        "accessibility_label": label,
    });
    if element.get("confirm").is_some() {
        button["confirm"] = json!({
            "title": plain("Are you sure?", 100), "text": plain(&word, 300), "confirm": plain(&word, 30),
            "deny": plain("Cancel", 30),
        });
    }
    *element = button;
}
