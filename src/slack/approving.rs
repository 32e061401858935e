//! The form behind Approve, where something has to be filled in: what is left of the scopes and the time, why, and
//! the number that the client shows. Pure. Options name places in the stored request, never a scope.

use serde_json::{Value, json};

use super::blocks::{bold, line, named, plain, quote, rich, run, section};
use super::cards::CardFacts;
use super::parts::{Parts, risk_word};
use super::text::{clean, clean_lines, code, cut, duration};
use crate::domain::access_request::AccessRequest;
use crate::domain::policy::{Ceremony, Risk};
use crate::domain::scope::Scope;

/// The `callback_id` of the form that takes a number or a reason with an approval of all that is shown.
pub const APPROVE_FORM: &str = "approve";
/// The `callback_id` of the form for approving less.
pub const CHANGES_FORM: &str = "changes";
/// The block and the action of the scopes that are left.
pub const SCOPES: &str = "scopes";
/// The block and the action of the time.
pub const TIME: &str = "time";
/// The block and the action of what could be asked for instead.
pub const INSTEAD: &str = "instead";
/// The block and the action of the approver's words.
pub const NOTE: &str = "note";
/// The block and the action of the number.
pub const NUMBER: &str = "number";
/// Characters of the approver's words.
pub const NOTE_LENGTH: std::ops::RangeInclusive<usize> = 3..=500;
/// Characters of a number.
const NUMBER_MAX: usize = 40;
/// Slack's most for checkboxes; more are a menu of which several can be chosen.
const CHECKBOXES_MAX: usize = 10;
/// Slack's most for an option's text and for its description.
const OPTION_MAX: usize = 75;
/// The times that are offered, where they are shorter than what is shown.
const TIMES: [u64; 12] = [604_800, 259_200, 86_400, 43_200, 28_800, 14_400, 7_200, 3_600, 1_800, 900, 300, 60];

/// Whether a form offers to approve less.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Changes {
    /// All that is shown, or nothing.
    Not,
    /// Scopes can be taken out, and the time made shorter.
    Offered,
}

/// Whether less than what is shown can be granted, or at least offered, at all.
pub fn can_change(request: &AccessRequest, alternatives: usize) -> bool {
    let fewer = request.question.terms.scopes.len() > 1 || alternatives > 0;
    let shorter = times(request).len() > 1;
    fewer || shorter
}

/// Whether the form lists scopes.
pub fn offers_scopes(request: &AccessRequest) -> bool {
    !request.question.terms.scopes.is_empty()
}

/// The times on offer, in seconds: what is shown, and shorter ones where the server can be told.
pub fn times(request: &AccessRequest) -> Vec<u64> {
    let shorter = TIMES.into_iter().filter(|time| request.server.set_lifetime && *time < request.duration);
    std::iter::once(request.duration).chain(shorter).collect()
}

/// Lower scopes of the catalogue that could be asked for instead, each with the scope that it is less than. What is
/// asked for anyway needs no offer: it is kept or not.
pub fn alternatives(facts: &CardFacts<'_>) -> Vec<(Scope, Scope)> {
    let asked = &facts.request.asked.scopes;
    let mut all: Vec<(Scope, Scope)> = Vec::new();
    for scope in facts.request.question.terms.scopes.iter() {
        let lower = (facts.texts)(scope).and_then(|text| text.less).filter(|lower| !asked.contains(lower));
        if let Some(lower) = lower
            && all.len() < CHECKBOXES_MAX
            && !all.iter().any(|(_, known)| *known == lower)
        {
            all.push((scope.clone(), lower));
        }
    }
    all
}

/// The form. `own` says that whoever fills it in is a party to the request and must say why.
pub fn approve_form(private_metadata: &str, facts: &CardFacts<'_>, changes: Changes, own: bool) -> Value {
    let request = facts.request;
    let mut parts = Parts::new(facts);
    let lead = format!("{} · through {} · as {}", code(&parts.title()), parts.client_id(), parts.subject_id());
    let mut shown = vec![("lead", section(&lead))];
    let is_cut = |scope: &Scope| scope.as_str().chars().count() > OPTION_MAX;
    if changes == Changes::Not || !offers_scopes(request) || request.question.terms.scopes.iter().any(is_cut) {
        let title = format!("Grants for {}", duration(request.duration));
        shown.push(("all", parts.scopes(&title, &request.question.terms.scopes)));
    }
    shown.extend(claimed(request).map(|block| ("why", block)));
    let step_up = request.question.ceremony == Ceremony::StepUp;
    let mut blocks = risky(facts).into_iter().collect::<Vec<_>>();
    blocks.extend(named(shown, request.shown_version));
    if request.question.ceremony == Ceremony::Match {
        blocks.push(number());
    }
    if changes == Changes::Offered {
        blocks.extend(scopes(facts));
        blocks.extend(time(request));
        blocks.extend(instead(facts));
    }
    blocks.push(note(own, request));
    let (callback, title, submit) = match changes {
        // What is granted is approved in the browser.
        Changes::Not if step_up => (APPROVE_FORM, "Approve request", "Next"),
        Changes::Offered if step_up && request.server.narrow_scope => (CHANGES_FORM, "Approve with changes", "Next"),
        Changes::Not => (APPROVE_FORM, "Approve request", "Approve"),
        Changes::Offered if request.server.narrow_scope => (CHANGES_FORM, "Approve with changes", "Approve"),
        Changes::Offered => (CHANGES_FORM, "Offer less", "Send"),
    };
    json!({
        "type": "modal", "callback_id": callback, "private_metadata": private_metadata, "notify_on_close": false,
        "title": plain(title, 24), "submit": plain(submit, 24), "close": plain("Back", 24), "blocks": blocks,
    })
}

/// A banner where a mistake would be bad.
fn risky(facts: &CardFacts<'_>) -> Option<Value> {
    let scopes = facts.request.question.terms.scopes.judged();
    let worst = scopes.iter().filter_map(|scope| {
        let risk = (facts.texts)(scope)?.risk?;
        (risk >= Risk::High).then(|| (risk, scope.clone()))
    });
    let (risk, scope) = worst.max_by_key(|(risk, _)| *risk)?;
    let says = format!(
        "{} has {} risk. Grant it only if the reason needs it.",
        cut(&clean(scope.as_str()), 120).0,
        risk_word(risk)
    );
    let says = cut(&says, 200).0;
    Some(json!({ "type": "alert", "block_id": "risk", "level": "warning", "text": plain(&says, 200) }))
}

fn claimed(request: &AccessRequest) -> Option<Value> {
    let reason = clean_lines(request.asked.reason.as_deref()?);
    let title = vec![bold("Reason"), run(" (the client's claim, not verified)")];
    (!reason.is_empty()).then(|| rich(vec![line(title), quote(&cut(&reason, 300).0)]))
}

fn input(block: &str, label: &str, hint: Option<&str>, optional: bool, element: Value) -> Value {
    let mut input = json!({ "type": "input", "block_id": block, "label": plain(label, 100), "element": element });
    if let Some(hint) = hint {
        input["hint"] = plain(hint, 200);
    }
    if optional {
        input["optional"] = json!(true);
    }
    input
}

fn number() -> Value {
    let element = json!({
        "type": "plain_text_input", "action_id": NUMBER, "min_length": 1, "max_length": NUMBER_MAX, "focus_on_load": true,
    });
    let hint =
        "Ask the person who made this request, not a message. One wrong number and you can't approve it any more.";
    input(NUMBER, "Number that the client shows", Some(hint), false, element)
}

fn option(place: usize, text: &str, description: Option<&str>) -> Value {
    let mut option = json!({ "text": plain(text, OPTION_MAX), "value": place.to_string() });
    if let Some(description) = description.map(clean).filter(|text| !text.is_empty()) {
        option["description"] = plain(&description, OPTION_MAX);
    }
    option
}

fn scopes(facts: &CardFacts<'_>) -> Option<Value> {
    let request = facts.request;
    if !offers_scopes(request) {
        return None;
    }
    let each = |(place, scope): (usize, &Scope)| {
        let known = (facts.texts)(scope);
        let risk = known.as_ref().and_then(|text| text.risk).map(|risk| format!("risk {}: ", risk_word(risk)));
        let says = known.map_or_else(|| "not described by the policy".to_owned(), |text| text.says);
        option(place, scope.as_str(), Some(&format!("{}{says}", risk.unwrap_or_default())))
    };
    let options: Vec<Value> = request.question.terms.scopes.iter().enumerate().map(each).collect();
    let mut element = json!({ "action_id": SCOPES, "initial_options": options, "options": options });
    element["type"] = json!(if options.len() > CHECKBOXES_MAX { "multi_static_select" } else { "checkboxes" });
    let (label, hint) = if request.server.narrow_scope {
        ("Scopes to grant", "Take out what is not needed. Nothing can be added.")
    } else {
        (
            "Scopes to offer",
            "This server can only issue all or nothing: this call is refused, naming what you leave here.",
        )
    };
    Some(input(SCOPES, label, Some(hint), true, element))
}

fn time(request: &AccessRequest) -> Option<Value> {
    let times = times(request);
    if times.len() < 2 {
        return None;
    }
    let each = |(place, seconds): (usize, &u64)| {
        let words = duration(*seconds);
        option(place, &if place == 0 { format!("{words}, as shown") } else { words }, None)
    };
    let options: Vec<Value> = times.iter().enumerate().map(each).collect();
    let element = json!({
        "type": "static_select", "action_id": TIME, "initial_option": options.first(), "options": options,
    });
    Some(input(TIME, "For how long", None, false, element))
}

fn instead(facts: &CardFacts<'_>) -> Option<Value> {
    let alternatives = alternatives(facts);
    let each = |(place, (scope, lower)): (usize, &(Scope, Scope))| {
        let says = (facts.texts)(lower).map(|text| clean(&text.says)).filter(|says| !says.is_empty());
        let says = says.map(|says| format!(": {says}")).unwrap_or_default();
        option(place, lower.as_str(), Some(&format!("instead of {scope}{says}")))
    };
    let options: Vec<Value> = alternatives.iter().enumerate().map(each).collect();
    let element = json!({ "type": "checkboxes", "action_id": INSTEAD, "options": options });
    let hint = "Was not asked for, so it can't be granted now: the requester is told to ask for it.";
    (!options.is_empty()).then(|| input(INSTEAD, "Suggest instead", Some(hint), true, element))
}

fn note(own: bool, request: &AccessRequest) -> Value {
    // The number is the first thing to fill in; where there is none, nothing is focused but a reason that is needed.
    let focus = own && request.question.ceremony != Ceremony::Match;
    let mut element = json!({
        "type": "plain_text_input", "action_id": NOTE, "multiline": true, "min_length": NOTE_LENGTH.start(),
        "max_length": NOTE_LENGTH.end(),
    });
    if focus {
        element["focus_on_load"] = json!(true);
    }
    let (label, hint) = if own {
        ("Why you approve your own request", "You are a party to it. Shown on the card and kept in the audit log.")
    } else {
        ("Note", "Shown on the card and to the requester, and kept in the audit log.")
    };
    input(NOTE, label, Some(hint), !own, element)
}
