//! What people enter in forms and menus: the state of each element in Slack's shape, and what Slack's
//! own form complains about before anything is sent.

use serde_json::{Map, Value, json};

use super::workspace::Workspace;

/// How many menus are remembered with the options that the app gave them.
const SUGGESTED_MAX: usize = 500;

impl Workspace {
    /// Remembers the options that the app gave a menu, so that one of them can be chosen.
    pub fn suggest(&mut self, holder: &str, block: &str, action: &str, options: Vec<Value>) {
        if self.suggested.len() >= SUGGESTED_MAX {
            self.suggested.clear();
        }
        let known = self.suggested.entry(format!("{holder} {block} {action}")).or_default();
        for option in options {
            if !known.contains(&option) {
                known.push(option);
            }
        }
    }

    /// The view or message with the options that its menus were given by the app.
    pub fn with_suggestions(&self, holder: &str, shown: &Value) -> Value {
        let mut shown = shown.clone();
        for block in shown["blocks"].as_array_mut().into_iter().flatten() {
            let id = block["block_id"].as_str().unwrap_or_default().to_owned();
            let Some(block) = block.as_object_mut() else { continue };
            for name in ["element", "accessory", "elements"] {
                let held = match block.get_mut(name) {
                    Some(Value::Array(list)) => list.as_mut_slice(),
                    Some(one) => std::slice::from_mut(one),
                    None => continue,
                };
                for element in held.iter_mut().filter(|element| is_external(element)) {
                    let action = element["action_id"].as_str().unwrap_or_default();
                    let given = self.suggested.get(&format!("{holder} {id} {action}"));
                    element["options"] = json!(given.cloned().unwrap_or_default());
                }
            }
        }
        shown
    }
}

/// Whether the app is asked for the options of this menu.
pub fn is_external(element: &Value) -> bool {
    element["type"] == "external_select" || element["type"] == "multi_external_select"
}

/// The `state.values` of a filled form. `entered` holds a text, an option's value, a list of them or
/// null (emptied) by block and action; what it leaves out has the element's initial value.
pub fn filled(view: &Value, entered: &Value) -> Value {
    let mut values = json!({});
    for block in view["blocks"].as_array().into_iter().flatten() {
        let held = block.get("element").into_iter().chain(block.get("accessory"));
        for element in held.chain(block["elements"].as_array().into_iter().flatten()) {
            let (Some(block_id), Some(action)) = (block["block_id"].as_str(), element["action_id"].as_str()) else {
                continue;
            };
            if let Some(state) = element_state(element, entered.get(block_id).and_then(|held| held.get(action))) {
                values[block_id][action] = state;
            }
        }
    }
    values
}

/// What Slack's own form would complain about before sending: required fields that are empty and
/// texts that are too short or too long. By block id.
pub fn complaints(view: &Value, values: &Value) -> Map<String, Value> {
    let mut found = Map::new();
    for block in view["blocks"].as_array().into_iter().flatten().filter(|block| block["type"] == "input") {
        let (Some(id), Some(action)) = (block["block_id"].as_str(), block["element"]["action_id"].as_str()) else {
            continue;
        };
        let state = &values[id][action];
        let wrong = match (is_empty(state), block["optional"] == true) {
            (true, true) => None,
            (true, false) => Some("Please complete this required field.".to_owned()),
            (false, _) => unacceptable(&block["element"], state),
        };
        if let Some(wrong) = wrong {
            found.insert(id.to_owned(), json!(wrong));
        }
    }
    found
}

fn unacceptable(element: &Value, state: &Value) -> Option<String> {
    let text = state["value"].as_str().unwrap_or_default();
    let fine = |fine: bool, what: &str| (!fine).then(|| what.to_owned());
    match element["type"].as_str()? {
        "plain_text_input" => out_of_bounds(element, text.chars().count() as u64),
        "number_input" => not_a_number(element, text),
        "email_text_input" => {
            let (name, host) = text.split_once('@').unwrap_or_default();
            fine(!name.is_empty() && host.contains('.'), "Please enter a valid email address.")
        }
        "url_text_input" => {
            let http = text.starts_with("http://") || text.starts_with("https://");
            fine(http, "Please enter a valid URL.")
        }
        "datepicker" => {
            let date = state["selected_date"].as_str().unwrap_or_default();
            fine(chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok(), "Please choose a date.")
        }
        "timepicker" => {
            let time = state["selected_time"].as_str().unwrap_or_default();
            fine(chrono::NaiveTime::parse_from_str(time, "%H:%M").is_ok(), "Please choose a time.")
        }
        "datetimepicker" => fine(state["selected_date_time"].is_i64(), "Please choose a date and time."),
        "multi_static_select" | "multi_external_select" | "multi_users_select" => {
            let chosen = state["selected_options"].as_array().or(state["selected_users"].as_array());
            let most = element["max_selected_items"].as_u64().unwrap_or(u64::MAX);
            let count = chosen.map_or(0, |chosen| chosen.len() as u64);
            (count > most).then(|| format!("Please choose at most {most}."))
        }
        _ => None,
    }
}

fn not_a_number(element: &Value, text: &str) -> Option<String> {
    let Ok(number) = text.parse::<f64>() else { return Some("Please enter a number.".to_owned()) };
    if element["is_decimal_allowed"] != true && number.fract() != 0.0 {
        return Some("Please enter a whole number.".to_owned());
    }
    let bound = |name: &str| element[name].as_str().and_then(|bound| bound.parse::<f64>().ok());
    match (bound("min_value"), bound("max_value")) {
        (Some(min), _) if number < min => Some(format!("Please enter at least {min}.")),
        (_, Some(max)) if number > max => Some(format!("Please enter at most {max}.")),
        _ => None,
    }
}

fn out_of_bounds(element: &Value, length: u64) -> Option<String> {
    let (min, max) = (element["min_length"].as_u64().unwrap_or(0), element["max_length"].as_u64().unwrap_or(3000));
    match (length < min, length > max) {
        (true, _) => Some(format!("Please enter at least {min} characters.")),
        (_, true) => Some(format!("Please enter at most {max} characters.")),
        (false, false) => None,
    }
}

fn is_empty(state: &Value) -> bool {
    let held = state.as_object().into_iter().flatten().filter(|(key, _)| *key != "type");
    held.map(|(_, value)| value).all(|value| match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(list) => list.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => false,
    })
}

/// What one element holds, in Slack's shape; `None` for elements that hold nothing, such as buttons.
pub fn element_state(element: &Value, entered: Option<&Value>) -> Option<Value> {
    let kind = element["type"].as_str()?;
    let given = |initial: &str| entered.cloned().unwrap_or_else(|| element[initial].clone());
    let one = |initial: &str| match entered {
        Some(value) => option(element, value),
        None => element[initial].clone(),
    };
    let several = || match entered {
        Some(list) => {
            list.as_array().into_iter().flatten().map(|v| option(element, v)).filter(|o| !o.is_null()).collect()
        }
        None if element["initial_options"].is_array() => element["initial_options"].clone(),
        None => json!([]),
    };
    let (member, value) = match kind {
        "plain_text_input" | "email_text_input" | "url_text_input" | "number_input" => {
            ("value", given("initial_value"))
        }
        "static_select" | "radio_buttons" | "external_select" => ("selected_option", one("initial_option")),
        "checkboxes" | "multi_static_select" | "multi_external_select" => ("selected_options", several()),
        "users_select" => ("selected_user", given("initial_user")),
        "multi_users_select" => ("selected_users", given("initial_users")),
        "conversations_select" => ("selected_conversation", given("initial_conversation")),
        "channels_select" => ("selected_channel", given("initial_channel")),
        "rich_text_input" => ("rich_text_value", given("initial_value")),
        "datepicker" => ("selected_date", given("initial_date")),
        "timepicker" => ("selected_time", given("initial_time")),
        "datetimepicker" => ("selected_date_time", given("initial_date_time")),
        _ => return None,
    };
    Some(json!({ "type": kind, member: value }))
}

/// The whole option with that value, as Slack sends it; null when there is none.
fn option(element: &Value, value: &Value) -> Value {
    let plain = element["options"].as_array().into_iter().flatten();
    let groups = element["option_groups"].as_array().into_iter().flatten();
    let grouped = groups.flat_map(|group| group["options"].as_array().into_iter().flatten());
    let first = element.get("initial_option").into_iter();
    let first = first.chain(element["initial_options"].as_array().into_iter().flatten());
    plain.chain(grouped).chain(first).find(|option| option["value"] == *value).cloned().unwrap_or(Value::Null)
}
