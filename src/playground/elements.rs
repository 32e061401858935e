//! Checks of Block Kit elements: buttons, menus, inputs and what they consist of.

use serde_json::Value;

use super::blocks::Findings;

/// The kind of block that an element stands in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// An `actions` block.
    Actions,
    /// The accessory of a section.
    Section,
    /// The element of an `input` block.
    Input,
}

/// Members that several elements share.
const COMMON: [&str; 5] = ["type", "action_id", "confirm", "focus_on_load", "placeholder"];

/// Checks one interactive element (or the image of a section).
pub fn check(element: &Value, at: &str, place: Place, f: &mut Findings) {
    let kind = element["type"].as_str().unwrap_or_default();
    if kind == "image" && place == Place::Section {
        return image(element, at, f);
    }
    f.string(element, at, "action_id", 255, false);
    f.text_if_there(element, at, "placeholder", 150, true);
    confirm(element, at, f);
    dispatch(element, at, f);
    if element["focus_on_load"] == true {
        f.focused += 1;
    }
    match (kind, place) {
        ("button", Place::Actions | Place::Section) => button(element, at, f),
        ("overflow", Place::Actions | Place::Section) => {
            f.members(element, at, &["type", "action_id", "confirm", "options"]);
            options(element, at, Options::Overflow, f);
        }
        ("static_select" | "external_select", _) => menu(element, at, kind, false, f),
        ("multi_static_select" | "multi_external_select", Place::Section | Place::Input) => {
            menu(element, at, kind, true, f);
        }
        ("checkboxes" | "radio_buttons", _) => choice(element, at, kind, f),
        ("plain_text_input", Place::Input) => text_input(element, at, f),
        ("email_text_input" | "url_text_input", Place::Input) => {
            members(element, at, &["initial_value", "dispatch_action_config"], f);
        }
        ("number_input", Place::Input) => number_input(element, at, f),
        ("users_select", _) => members(element, at, &["initial_user"], f),
        ("multi_users_select", Place::Section | Place::Input) => {
            members(element, at, &["initial_users", "max_selected_items"], f);
        }
        ("conversations_select", _) => {
            let own = ["initial_conversation", "default_to_current_conversation", "response_url_enabled", "filter"];
            members(element, at, &own, f);
        }
        ("channels_select", _) => members(element, at, &["initial_channel", "response_url_enabled"], f),
        ("datepicker", _) => {
            members(element, at, &["initial_date"], f);
            let date = |text: &str| chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").is_ok();
            written_as(element, at, "initial_date", "YYYY-MM-DD", date, f);
        }
        ("timepicker", _) => {
            members(element, at, &["initial_time", "timezone"], f);
            let time = |text: &str| chrono::NaiveTime::parse_from_str(text, "%H:%M").is_ok() && text.len() == 5;
            written_as(element, at, "initial_time", "HH:mm", time, f);
        }
        ("datetimepicker", Place::Actions | Place::Input) => {
            members(element, at, &["initial_date_time"], f);
            let seconds =
                |value: &Value| value.as_i64().is_some_and(|at| (1_000_000_000..=9_999_999_999).contains(&at));
            if element.get("initial_date_time").is_some_and(|value| !seconds(value)) {
                f.wrong(at, "initial_date_time must be a Unix time of ten digits");
            }
        }
        (kind, _) => f.wrong(&format!("{at}/type"), format_args!("unsupported type of element here: {kind}")),
    }
}

fn members(element: &Value, at: &str, own: &[&str], f: &mut Findings) {
    f.members(element, at, &[COMMON.as_slice(), own].concat());
}

/// A text member that must be written in a certain way, if it is there.
fn written_as(element: &Value, at: &str, name: &str, form: &str, fits: impl Fn(&str) -> bool, f: &mut Findings) {
    if element.get(name).is_some_and(|value| !value.as_str().is_some_and(&fits)) {
        f.wrong(at, format_args!("{name} must be written as {form}"));
    }
}

fn number_input(element: &Value, at: &str, f: &mut Findings) {
    let own = ["is_decimal_allowed", "initial_value", "min_value", "max_value", "dispatch_action_config"];
    members(element, at, &own, f);
    if !element["is_decimal_allowed"].is_boolean() {
        f.wrong(at, "missing required field: is_decimal_allowed");
    }
    for name in ["initial_value", "min_value", "max_value"] {
        written_as(element, at, name, "a number in a text", |text| text.parse::<f64>().is_ok(), f);
    }
    let bound = |name: &str| element[name].as_str().and_then(|bound| bound.parse::<f64>().ok());
    if let (Some(min), Some(max)) = (bound("min_value"), bound("max_value"))
        && min > max
    {
        f.wrong(at, "min_value must not be more than max_value");
    }
}

/// When an input tells the app before its form is sent.
fn dispatch(element: &Value, at: &str, f: &mut Findings) {
    let Some(config) = element.get("dispatch_action_config") else { return };
    let at = format!("{at}/dispatch_action_config");
    f.members(config, &at, &["trigger_actions_on"]);
    for when in f.list(config, &at, "trigger_actions_on", 1, 2) {
        if when != "on_enter_pressed" && when != "on_character_entered" {
            f.wrong(&at, "must be one of on_enter_pressed, on_character_entered");
        }
    }
}

/// An image element, in a context block or as an accessory.
pub fn image(element: &Value, at: &str, f: &mut Findings) {
    f.members(element, at, &["type", "image_url", "alt_text"]);
    f.string(element, at, "image_url", 3000, true);
    f.string(element, at, "alt_text", 2000, true);
}

fn button(element: &Value, at: &str, f: &mut Findings) {
    let known = ["type", "action_id", "text", "value", "url", "style", "confirm", "accessibility_label"];
    f.members(element, at, &known);
    f.text(element, at, "text", 75, true);
    f.string(element, at, "value", 2000, false);
    f.string(element, at, "url", 3000, false);
    f.string(element, at, "accessibility_label", 75, false);
    f.one_of(element, at, "style", &["primary", "danger"]);
}

fn confirm(element: &Value, at: &str, f: &mut Findings) {
    let Some(confirm) = element.get("confirm") else { return };
    let at = format!("{at}/confirm");
    f.members(confirm, &at, &["title", "text", "confirm", "deny", "style"]);
    f.text(confirm, &at, "title", 100, true);
    f.text(confirm, &at, "text", 300, false);
    f.text(confirm, &at, "confirm", 30, true);
    f.text(confirm, &at, "deny", 30, true);
    f.one_of(confirm, &at, "style", &["primary", "danger"]);
}

fn text_input(element: &Value, at: &str, f: &mut Findings) {
    members(element, at, &["initial_value", "multiline", "min_length", "max_length", "dispatch_action_config"], f);
    let min = element["min_length"].as_u64().unwrap_or(0);
    let max = element["max_length"].as_u64().unwrap_or(3000);
    if min > 3000 || !(1..=3000).contains(&max) {
        f.wrong(at, "min_length must be 0 to 3000 and max_length 1 to 3000");
    }
    if min > max {
        f.wrong(at, "min_length must not be more than max_length");
    }
    if element.get("initial_value").is_some_and(|value| value != "") {
        f.string(element, at, "initial_value", 3000, false);
    }
}

fn choice(element: &Value, at: &str, kind: &str, f: &mut Findings) {
    let initial = if kind == "checkboxes" { "initial_options" } else { "initial_option" };
    f.members(element, at, &["type", "action_id", "confirm", "focus_on_load", "options", initial]);
    options(element, at, Options::Choice, f);
    initial_choice(element, at, f);
}

fn menu(element: &Value, at: &str, kind: &str, several: bool, f: &mut Findings) {
    let own: &[&str] = match several {
        true => &["options", "option_groups", "initial_options", "max_selected_items", "min_query_length"],
        false => &["options", "option_groups", "initial_option", "min_query_length"],
    };
    members(element, at, own, f);
    if several && element.get("max_selected_items").is_some_and(|max| max.as_u64().is_none_or(|max| max == 0)) {
        f.wrong(at, "max_selected_items must be at least 1");
    }
    if kind.ends_with("external_select") {
        if element.get("options").or(element.get("option_groups")).is_some() {
            f.wrong(at, "the app is asked for these options: there must be none");
        }
        if element.get("min_query_length").is_some_and(|least| !least.is_u64()) {
            f.wrong(at, "min_query_length must be a whole number");
        }
        return;
    }
    if element.get("min_query_length").is_some() {
        f.wrong(at, "invalid additional property: min_query_length");
    }
    match (element.get("options"), element.get("option_groups")) {
        (Some(_), None) => options(element, at, Options::Menu, f),
        (None, Some(_)) => groups(element, at, f),
        (None, None) | (Some(_), Some(_)) => f.wrong(at, "must have either options or option_groups"),
    }
    initial_choice(element, at, f);
}

/// Checks the options that the app answers to a `block_suggestion`: at most 100, or 100 groups.
///
/// # Errors
/// Everything that Slack would complain about.
pub fn suggested_options(answer: &Value) -> Result<Value, Vec<String>> {
    let mut findings = Findings::default();
    let f = &mut findings;
    f.members(answer, "", &["options", "option_groups"]);
    match (answer.get("options"), answer.get("option_groups")) {
        // Nothing found is an answer too, here and nowhere else.
        (Some(Value::Array(list)), None) if list.is_empty() => {}
        (Some(_), None) => options(answer, "", Options::Menu, f),
        (None, Some(_)) => groups(answer, "", f),
        (None, None) | (Some(_), Some(_)) => f.wrong("", "must have either options or option_groups"),
    }
    if findings.found.is_empty() { Ok(answer.clone()) } else { Err(findings.found) }
}

fn groups(holder: &Value, at: &str, f: &mut Findings) {
    for (index, group) in f.list(holder, at, "option_groups", 1, 100).iter().enumerate() {
        let at = format!("{at}/option_groups/{index}");
        f.members(group, &at, &["label", "options"]);
        f.text(group, &at, "label", 75, true);
        options(group, &at, Options::Menu, f);
    }
}

/// Whose options they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Options {
    /// Up to five, in plain text, perhaps with an address.
    Overflow,
    /// Up to ten checkboxes or radio buttons, which may be formatted.
    Choice,
    /// Up to a hundred, in plain text.
    Menu,
}

fn options(holder: &Value, at: &str, whose: Options, f: &mut Findings) {
    let (max, plain, known): (_, _, &[&str]) = match whose {
        Options::Overflow => (5, true, &["text", "value", "description", "url"]),
        Options::Choice => (10, false, &["text", "value", "description"]),
        Options::Menu => (100, true, &["text", "value", "description"]),
    };
    let mut seen = std::collections::HashSet::new();
    for (index, option) in f.list(holder, at, "options", 1, max).iter().enumerate() {
        let at = format!("{at}/options/{index}");
        f.members(option, &at, known);
        f.text(option, &at, "text", 75, plain);
        f.text_if_there(option, &at, "description", 75, plain);
        f.string(option, &at, "url", 3000, false);
        f.string(option, &at, "value", 150, true);
        if !seen.insert(option["value"].as_str()) {
            f.wrong(&at, "an option with this value already exists");
        }
    }
}

/// What is chosen at first must be one of the options, member for member.
fn initial_choice(element: &Value, at: &str, f: &mut Findings) {
    let plain = element["options"].as_array().into_iter().flatten();
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let all: Vec<&Value> =
        plain.chain(groups.flat_map(|group| group["options"].as_array().into_iter().flatten())).collect();
    let chosen = element.get("initial_option").into_iter();
    for option in chosen.chain(element["initial_options"].as_array().into_iter().flatten()) {
        if !all.contains(&option) {
            f.wrong(at, "the initial option is not one of the options");
        }
    }
}
