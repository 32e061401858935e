//! Text that somebody hopes Slack will act upon.

use serde_json::{Value, json};

use crate::support::TestApp;
use crate::support::asking::{alice, but};
use crate::support::slack::Card;
use crate::support::world::DESK;

/// What nobody may smuggle into a message as markup.
const HOSTILE: [&str; 14] = [
    "<!channel> <!here> <!everyone> pay now",
    "<@U0CAROL> <#C0DESK> <!subteam^S0OTHER|leads>",
    "<https://evil.test|Approve here> https://evil.test mailto:a@evil.test",
    "*bold* _it_ ~no~ `code` ```fence``` > quote\n> quote\n• list",
    "``` \n*Approved by* <@U0BOB>\n```",
    "&lt;!channel&gt; &amp;lt;!channel&gt;",
    "\u{202e}drawkcab\u{202c} \u{2066}isolated\u{2069} \u{200b}zero\u{200b}width\u{feff} \u{00ad}soft",
    "line\r\nline\u{2028}line\u{2029}line\u{85}line\u{b}line",
    ":rotating_light: :white_check_mark: @here #general",
    "\u{1b}[31mred\u{1b}[0m \u{7}bell \u{0}nul",
    "<!date^0^{date_num}|yesterday>",
    "e\u{301}\u{301}\u{301}\u{301}\u{301}\u{301} Z\u{351}\u{36b}\u{343}\u{36a}\u{302}",
    "{\"type\":\"actions\"}",
    "%s %n ${jndi:ldap://evil.test} '; DROP TABLE grants; --",
];

/// Every text object that Slack would read as markup, and every plain one.
fn texts<'a>(value: &'a Value, markup: &mut Vec<&'a str>, all: &mut Vec<&'a str>) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| texts(item, markup, all)),
        Value::Object(members) => {
            if let Some(text) = members.get("text").and_then(Value::as_str) {
                all.push(text);
                if members.get("type").is_some_and(|kind| kind == "mrkdwn") {
                    assert_eq!(members.get("verbatim"), Some(&json!(true)), "{text}");
                    markup.push(text);
                }
            }
            members.values().for_each(|member| texts(member, markup, all));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// Asserts that a message or view holds no markup but ours, and no character that turns or hides text.
#[track_caller]
fn is_inert(message: &Value, what: &str) {
    let (mut markup, mut all) = (Vec::new(), Vec::new());
    texts(message, &mut markup, &mut all);
    for text in &markup {
        assert!(!text.contains("```"), "{what}: {text}");
    }
    // The text of the notification is no block: it may look odd, and mention or link nobody.
    markup.extend(message["text"].as_str());
    for text in &markup {
        for found in text.split('<').skip(1) {
            let ours = ["!subteam^S0LEADS>", "@U0", "!date^1"].iter().any(|known| found.starts_with(known));
            assert!(ours && !found.starts_with("@U0CAROL"), "{what}: <{found} in {text}");
        }
    }
    for text in all {
        let turns = |c: char| matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200b}' | '\u{feff}' | '\u{0}'..='\u{8}' | '\u{b}' | '\u{1b}');
        assert!(!text.chars().any(turns), "{what}: {text:?}");
    }
}

#[tokio::test]
async fn whatever_a_client_writes_is_shown_and_does_nothing() {
    let app = TestApp::start().await;
    let mut seen = 0;
    for text in HOSTILE {
        // Identifiers refuse control characters; everything else is taken as it comes.
        let id: String = text.chars().filter(|c| !c.is_control()).collect();
        let body = but(
            alice("plain:x"),
            json!({
                "client_id": id, "subject": id, "audience": [id, "https://ledger.test"], "actor": [id, "agent"],
                "reason": text, "binding_message": id.chars().take(64).collect::<String>(),
                "context": { "ip": text, "acr": text, "amr": [text], text: text },
                "authorization_details": [{ "type": id, text: [text, { text: text }] }],
                "cnf": { "jkt": text },
            }),
        );
        let request = app.ask(&body).await.pending();
        seen += 1;
        let cards = app.cards(DESK).await;
        assert_eq!(cards.len(), seen, "the card for {text:?} was refused by Slack");
        is_inert(&cards[seen - 1].message, "the card");
        // Asked again with another hostile reason: the note in the thread.
        app.ask(&but(body.clone(), json!({ "reason": format!("{text} again") }))).await.pending();
        for message in app.messages("U0BOB", DESK).await {
            is_inert(&message.message, "the thread");
        }
        // Settled with words of an approver that are no better.
        let deny = app.deny_with("U0BOB", &cards[seen - 1], &format!("{text} no")).await;
        assert_eq!(deny["status"], 200, "{text:?}: {deny}");
        is_inert(&app.card_of(DESK, seen - 1).await.message, "the denied card");
        assert!(app.card_of(DESK, seen - 1).await.head().starts_with("Denied"), "{text:?}");
        assert_eq!(app.happened_to(&request).await.last().map(String::as_str), Some("request.denied"));
    }
    assert_eq!(app.operator_sees("/v1/outbox").await["dead"], json!([]), "Slack took everything");
}

#[tokio::test]
async fn what_is_long_is_cut_on_the_card_and_there_in_full_behind_a_button() {
    let app = TestApp::start().await;
    let reason: String =
        (0..).map(|n| format!("word{n} ")).flat_map(|w| w.chars().collect::<Vec<_>>()).take(10_000).collect();
    let long = |n: usize| format!("{}end", "x".repeat(n - 3));
    let body = but(
        alice("plain:x"),
        json!({
            "reason": reason, "client_id": long(1_000), "subject": long(1_000), "actor": vec![long(900); 20],
            "audience": (0..50).map(|n| format!("https://{n}.test/{}", long(500))).collect::<Vec<_>>(),
            "authorization_details": (0..50).map(|n| json!({ "type": "payment", "n": n, "memo": long(900) })).collect::<Vec<_>>(),
            "context": { "ip": long(5_000), "more": long(20_000) },
        }),
    );
    app.ask(&body).await.pending();
    let card = app.card(DESK).await;
    assert!(card.buttons().contains(&"details"), "{:?}", card.buttons());
    assert!(!card.says.contains(reason.trim()));
    app.click("U0BOB", &card, "details").await;
    let view = app.screen("U0BOB").await["view"]["view"].clone();
    is_inert(&view, "the full view");
    let (mut markup, mut all) = (Vec::new(), Vec::new());
    texts(&view, &mut markup, &mut all);
    let shown = all.join("").replace("(continued)", "");
    let squeezed = |text: &str| text.split_whitespace().collect::<String>();
    assert!(squeezed(&shown).contains(&squeezed(&reason)), "the reason is not there in full");
    // Looking is for those who may decide; and it decides nothing.
    app.click("U0NORA", &card, "details").await;
    app.approve("U0BOB", &card).await;
    app.ask(&body).await.granted();
    let approved: Card = app.card(DESK).await;
    assert!(approved.head().starts_with("Approved"));
}
