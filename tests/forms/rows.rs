//! What is drawn of many things: the forms of the slash command, and App Home.

use countersign::slack::access_form::{Choice, Form, found};
use countersign::slack::home::{Home, Part, Row, RowButton, scopes};
use countersign::slack::text::{code, cut, date};
use serde_json::{Value, json};

use super::scene::{Scene, at, text_of};

/// `count` different things to choose.
fn choices(s: &Scene, count: usize) -> Vec<Choice> {
    let nth = |n: usize| {
        let name = format!("{n:03} {}", s.request.asked.client.id);
        text_of(n).map_or_else(|| Choice::named(&name), |text| Choice::scope(&name, &text))
    };
    (0..count).map(nth).collect()
}

/// The form of the slash command, with so many clients, resources and scopes to choose from; `chosen` of the scopes are.
pub fn access_form(s: &Scene, count: usize, chosen: usize) -> Value {
    let all = choices(s, count);
    let form = Form {
        clients: all.clone(),
        client: all.first().cloned(),
        resources: all.clone(),
        resource: all.last().cloned(),
        scopes: all.clone(),
        chosen: all.iter().take(chosen).cloned().collect(),
        time: Some(3_600),
        start: Some(at(3_600).timestamp()),
        reason: s.frame.reason.clone(),
        who: s.approver_words(),
    };
    form.view()
}

/// The same before anything is chosen.
pub fn empty_access_form(s: &Scene) -> Value {
    Form { clients: choices(s, 2), ..Form::default() }.view()
}

/// What a menu that is searched answers, in a menu, so that the oracles know what it is; none where it finds nothing.
pub fn search(s: &Scene, typed: &str) -> Option<Value> {
    let options = found(&choices(s, 300), typed);
    let label = json!({ "type": "plain_text", "text": "What is found", "emoji": false });
    (!options.is_empty()).then(|| {
        let menu = json!({ "type": "static_select", "action_id": "found", "options": options });
        json!({
            "type": "modal", "callback_id": "found", "title": label, "submit": label, "close": label,
            "blocks": [{ "type": "input", "block_id": "found", "label": label, "element": menu }],
        })
    })
}

fn row(s: &Scene, n: usize) -> Row {
    let asked = &s.request.asked;
    let button = |action: &'static str, text: &'static str, takes_away: bool| RowButton {
        action,
        text,
        value: format!("b_{n:032}"),
        label: format!("{text} request number {n}"),
        confirm: takes_away
            .then(|| ("Revoke this access?".to_owned(), "No new token is issued for it.".to_owned(), "Revoke")),
        takes_away,
    };
    let names: Vec<&str> = asked.scopes.iter().map(|scope| scope.as_str()).collect();
    let names = scopes(names.into_iter());
    Row {
        words: format!("{names} through {} until {}", code(&cut(&asked.client.id, 80).0), date(at(3_600))),
        buttons: vec![button("extend", "Extend…", false), button("revoke", "Revoke…", true)],
    }
}

/// App Home with so many rows, in one part or spread over all, at a page.
pub fn home(s: &Scene, count: usize, spread: usize, page: usize) -> Value {
    let titles =
        ["Waiting for you", "Waiting for others", "Active access", "Overdue reviews", "Decided lately", "More"];
    let part = |(nth, title): (usize, &&'static str)| Part {
        title,
        nothing: "There is nothing.",
        rows: (0..count).filter(|n| n % spread == nth).map(|n| row(s, n)).collect(),
    };
    let parts = titles.iter().enumerate().map(part).collect();
    Home { refused: None, parts, page, value: "b_home".to_owned(), now: s.now }.view()
}

/// App Home of somebody who can do nothing there.
pub fn home_refused(s: &Scene) -> Value {
    let refused = Some(s.approver_words());
    Home { refused, parts: Vec::new(), page: 0, value: "b_home".to_owned(), now: s.now }.view()
}
