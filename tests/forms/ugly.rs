//! What strangers can write, at its worst: the texts, and token requests made of them.

use countersign::domain::scope::ScopeSet;
use countersign::domain::token_request::TokenRequest;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

/// Markup of every kind, characters that hide or reorder, and what looks like our own words. Ids of strangers say EVIL,
/// by which the lint knows them.
pub const HOSTILE: &str = "<!channel> <@U0EVIL> <!subteam^S0EVIL> <#C0EVIL> <https://evil.example|Approved by CISO> \
    `code` *bold* _it_ ~no~ & &lt;!here&gt; \u{202e}desrever\u{2066} @everyone :white_check_mark: ```x``` > quote\u{0}\
    \u{200b}\r\n\u{2028}<!date^1^x|y>";

/// Right to left, combining marks that stack, scripts that join, and pictures made of several characters.
pub const SCRIPTS: &str = "شركة الدفع עברית ไม่ได้ ภาษาไทย e\u{301}\u{302}\u{303}\u{304}\u{305}\u{306}\u{307} Z̸̢̛a̷l̵g̶o̴ bіlling 名前 한글 👩\u{200d}👩\u{200d}👧 🏳\u{fe0f}\u{200d}🌈 ﷽";

/// Pieces that texts are put together from.
const PIECES: [&str; 22] = [
    HOSTILE, SCRIPTS, "", " ", "\n", "\n\n\n", "`", "``", "```", "<", ">", "&", "&amp", "<@", "<!", "|", ":", ":tada:",
    "*", "\u{202e}", "\u{301}", "👍",
];

/// Any text: a few pieces or characters, now and then of ten thousand characters.
pub fn text() -> impl Strategy<Value = String> {
    let piece = prop_oneof![
        3 => select(&PIECES[..]).prop_map(str::to_owned),
        2 => "\\PC{0,40}",
        2 => "[a-z0-9@._:/-]{1,60}",
        1 => any::<String>(),
    ];
    let some = vec(piece, 0..6).prop_map(|pieces| pieces.concat());
    let long = (some.clone(), 2..400_usize).prop_map(|(text, times)| text.repeat(times).chars().take(10_000).collect());
    prop_oneof![6 => some, 1 => long]
}

/// Any set of scopes that a token request may name: none to fifty, short or as long as all may be together.
pub fn scopes() -> impl Strategy<Value = ScopeSet> {
    let token = prop_oneof![
        4 => "[a-z]{1,8}:[a-z.]{1,12}",
        2 => "[!#-\\[\\]-~]{1,49}",
        1 => select(&["<!channel>", "`&`", "x|y>", "*b*", ":tada:"][..]).prop_map(str::to_owned),
    ];
    let few = vec(token.clone(), 0..12);
    let many = vec(token, 0..=50);
    let fitting = |tokens: Vec<String>| {
        let mut left = 2_500;
        let kept: Vec<&str> = tokens.iter().map(String::as_str).take_while(|token| fits(token, &mut left)).collect();
        ScopeSet::collect(kept.into_iter()).expect("within the limits")
    };
    prop_oneof![4 => few, 1 => many, 1 => Just(vec!["&".repeat(2_500)])].prop_map(fitting)
}

fn fits(token: &str, left: &mut usize) -> bool {
    let fits = token.len() < *left + 1;
    *left = left.saturating_sub(token.len() + 1);
    fits
}

/// Any token request.
pub fn asked() -> impl Strategy<Value = TokenRequest> {
    let maybe = || proptest::option::weighted(0.7, text());
    let people = (text(), maybe(), text(), maybe(), any::<bool>());
    let lists = (vec(text(), 0..4), vec(text(), 0..7), vec(text(), 0..3), vec((text(), text()), 0..8));
    let claims = (maybe(), maybe(), maybe(), proptest::option::of(1..10_000_000_u64));
    (people, lists, claims, scopes()).prop_map(|(people, lists, claims, scopes)| {
        let (client, name, subject, email, is_person) = people;
        let (actor, audience, details, context) = lists;
        let (issuer, reason, number, lifetime) = claims;
        let details: Vec<Value> = details.into_iter().map(|text| json!({ "type": text, "n": 1 })).collect();
        let context: serde_json::Map<String, Value> = context.into_iter().map(|(k, v)| (k, json!([v]))).collect();
        read(json!({
            "hook": "billing", "issuer": issuer, "grant_type": "client_credentials",
            "client": { "id": client, "name": name },
            "subject": { "kind": if is_person { "user" } else { "client" }, "id": subject, "email": email },
            "actor": actor, "scopes": scopes, "audience": audience, "authorization_details": details,
            "binding_message": number, "requested_lifetime": lifetime, "reason": reason, "context": context,
        }))
    })
}

fn read(value: Value) -> TokenRequest {
    serde_json::from_value(value).expect("a token request")
}

/// As most people would write it.
pub fn plain() -> TokenRequest {
    read(json!({
        "hook": "billing", "grant_type": "client_credentials", "client": {"id": "billing-cli", "name": "Billing"},
        "subject": {"kind": "user", "id": "alice@example.com"}, "scopes": ["payments:refund", "plain:read"],
        "audience": ["https://payments.example.com"], "reason": "refund PAY-4821", "requested_lifetime": 7200,
        "binding_message": "42", "context": {"ip": "203.0.113.7", "acr": "urn:acme:2fa", "amr": ["otp"]}
    }))
}

/// All of it in one text, and `many` of what there may be several of.
fn everywhere(text: &str, many: usize) -> TokenRequest {
    let of = |n: usize| format!("{n}{text}");
    let mut asked = plain();
    asked.issuer = Some(of(1));
    asked.client.id = of(2);
    asked.client.name = Some(of(3));
    asked.subject.id = of(4);
    asked.subject.email = Some(of(5));
    asked.actor = (0..many).map(of).collect();
    asked.audience = (0..many).map(of).collect();
    asked.reason = Some(of(6));
    asked.binding_message = Some(of(7));
    asked.authorization_details = vec![json!({ of(8): of(9) })];
    asked.cnf = Some(json!({ "jkt": of(10) }));
    asked.context = (0..many).map(|n| (of(n), json!([of(n), n]))).collect();
    asked.context.insert("ip".to_owned(), json!(of(11)));
    asked.requested_lifetime = Some(1_000_000);
    asked
}

/// `count` scopes that are told apart by a number, filled up with `of`.
fn numbered(count: usize, of: &str) -> ScopeSet {
    let filled = |n: usize| format!("{n:02}{}", of.repeat(50)).chars().take(49).collect::<String>();
    let all: Vec<String> = (0..count).map(filled).collect();
    ScopeSet::collect(all.iter().map(String::as_str)).expect("within the limits")
}

fn without_anything(text: Option<&str>) -> TokenRequest {
    let text = text.map(str::to_owned);
    let mut asked = plain();
    asked.scopes = ScopeSet::default();
    asked.requested_lifetime = None;
    asked.context.clear();
    asked.audience = text.iter().cloned().collect();
    asked.actor = text.iter().cloned().collect();
    (asked.client.name, asked.subject.email, asked.issuer) = (text.clone(), text.clone(), text.clone());
    (asked.reason, asked.binding_message) = (text.clone(), text.clone());
    if let Some(text) = text {
        (asked.client.id, asked.subject.id) = (text.clone(), text.clone());
        asked.context.insert(text.clone(), json!(text));
    }
    asked
}

/// The corners, each with its name: they are drawn in every state.
pub fn corners() -> Vec<(&'static str, TokenRequest)> {
    let with = |mut asked: TokenRequest, scopes: ScopeSet| {
        asked.scopes = scopes;
        asked
    };
    let mut itself = plain();
    itself.subject.kind = countersign::domain::token_request::SubjectKind::Client;
    let mut wordy = plain();
    wordy.reason = Some("Because of the refund. ".repeat(131).chars().take(3_000).collect());
    let one = |scope: &str| ScopeSet::parse(scope).expect("a scope");
    vec![
        ("ordinary", plain()),
        ("the client itself", itself),
        ("a reason of 3,000 characters", wordy),
        ("nothing is given", without_anything(None)),
        ("everything is empty", without_anything(Some(""))),
        ("everything is invisible", without_anything(Some("\u{200b}\u{202e} \n"))),
        ("hostile, 50 scopes", with(everywhere(HOSTILE, 20), numbered(50, "<!channel>`&"))),
        ("10,000 characters of markup, 50 scopes", with(everywhere(&"&<`x ".repeat(2_000), 2), numbered(50, "&"))),
        ("10,000 characters in one word, one scope", with(everywhere(&"W".repeat(10_000), 2), one(&"&".repeat(2_500)))),
        ("many scripts, 10 scopes", with(everywhere(SCRIPTS, 7), numbered(10, "x"))),
        ("backticks only, one scope", with(everywhere("````", 5), one("`````"))),
        ("pictures only", with(everywhere("🚀👍", 5), one(":+1:"))),
    ]
}
