//! Forms (modals) and Home tabs: opening with a trigger, updating, stacking, closing, and what a
//! filled form looks like when it is sent.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::workspace::{Refused, Workspace};
use crate::clock::Timestamp;

/// How long a trigger can open a form (docs.slack.dev, handling-user-interaction).
const TRIGGER_LASTS: Duration = Duration::from_secs(3);

/// How many triggers are remembered, used ones included.
const TRIGGERS_MAX: usize = 500;

/// How many forms may lie on top of each other (docs.slack.dev, modals).
const STACK_MAX: usize = 3;

/// What lets the app open one form for the person who just did something.
#[derive(Debug, Clone)]
pub struct Trigger {
    id: String,
    person: String,
    made: Timestamp,
    used: bool,
}

/// A form on somebody's screen, or a Home tab.
#[derive(Debug, Clone)]
pub struct OpenView {
    /// `V…`
    pub id: String,
    /// The form at the bottom of the stack.
    pub root: String,
    /// The form beneath.
    pub previous: Option<String>,
    /// Changes with each change of the view.
    pub hash: String,
    /// The view as the app gave it, with ids filled in.
    pub view: Value,
    /// What is wrong with what was entered, by block id.
    pub errors: Map<String, Value>,
}

impl Workspace {
    /// A new trigger for `person`, who just did something.
    pub fn trigger(&mut self, person: &str, now: Timestamp) -> String {
        let id = format!("{}.{}.{}", now.timestamp_millis(), self.triggers.len(), super::random_hex());
        if self.triggers.len() >= TRIGGERS_MAX {
            self.triggers.pop_front();
        }
        self.triggers.push_back(Trigger { id: id.clone(), person: person.to_owned(), made: now, used: false });
        id
    }

    /// Uses up a trigger; answers whose it was.
    fn spend(&mut self, id: &str, now: Timestamp) -> Result<String, Refused> {
        let trigger = self.triggers.iter_mut().find(|trigger| trigger.id == id);
        let trigger = trigger.ok_or(Refused::from("invalid_trigger_id"))?;
        if trigger.used {
            return Err("exchanged_trigger_id".into());
        }
        let age = now.signed_duration_since(trigger.made).to_std().unwrap_or(Duration::MAX);
        if age > TRIGGER_LASTS {
            return Err("expired_trigger_id".into());
        }
        trigger.used = true;
        Ok(trigger.person.clone())
    }

    /// Opens a form for whoever the trigger belongs to. A form that was open there goes away.
    pub fn open_view(&mut self, trigger: &str, view: Value, now: Timestamp) -> Result<Value, Refused> {
        let person = self.spend(trigger, now)?;
        let opened = fresh(view, None, None);
        let shown = self.view_object(&person, &opened);
        self.views.insert(person, vec![opened]);
        Ok(shown)
    }

    /// Puts a form on top of the person's stack.
    pub fn push_view(&mut self, person: &str, view: Value) -> Result<Value, Refused> {
        let stack = self.views.entry(person.to_owned()).or_default();
        if stack.len() >= STACK_MAX {
            return Err("push_limit_reached".into());
        }
        let (root, previous) = (stack.first().map(|view| view.root.clone()), stack.last().map(|view| view.id.clone()));
        let opened = fresh(view, root, previous);
        stack.push(opened.clone());
        Ok(self.view_object(person, &opened))
    }

    /// Replaces a form that is open on somebody's screen. With a `hash`, only if nothing changed since.
    pub fn update_view(&mut self, id: &str, hash: Option<&str>, view: Value) -> Result<Value, Refused> {
        let found = self
            .views
            .iter_mut()
            .find_map(|(person, stack)| stack.iter_mut().find(|open| open.id == id).map(|open| (person.clone(), open)));
        let (person, open) = found.ok_or(Refused::from("not_found"))?;
        if hash.is_some_and(|hash| hash != open.hash) {
            return Err("hash_conflict".into());
        }
        (open.view, open.hash) = (view, super::random_hex());
        open.errors.clear();
        let open = open.clone();
        Ok(self.view_object(&person, &open))
    }

    /// Shows `view` as the Home tab of `person`.
    pub fn publish_home(&mut self, person: &str, hash: Option<&str>, view: Value) -> Result<Value, Refused> {
        self.person(person)?;
        let mut home = fresh(view, None, None);
        if let Some(earlier) = self.homes.get(person) {
            if hash.is_some_and(|hash| hash != earlier.hash) {
                return Err("hash_conflict".into());
            }
            (home.id, home.root) = (earlier.id.clone(), earlier.id.clone());
        }
        let shown = self.view_object(person, &home);
        self.homes.insert(person.to_owned(), home);
        Ok(shown)
    }

    /// The form on top of the person's screen.
    pub fn top_view(&self, person: &str) -> Option<&OpenView> {
        self.views.get(person).and_then(|stack| stack.last())
    }

    /// The person's form or Home tab of that id.
    pub fn view_of(&self, person: &str, id: &str) -> Option<&OpenView> {
        let forms = self.views.get(person).into_iter().flatten();
        forms.chain(self.homes.get(person)).find(|view| view.id == id)
    }

    /// Closes the top form, or all of them.
    pub fn close_views(&mut self, person: &str, all: bool) {
        if let Some(stack) = self.views.get_mut(person) {
            stack.pop();
            if all {
                stack.clear();
            }
        }
    }

    /// Writes what is wrong beside the fields of an open form.
    pub fn mark_errors(&mut self, person: &str, id: &str, errors: Map<String, Value>) {
        let stack = self.views.get_mut(person).into_iter().flatten();
        for view in stack.filter(|view| view.id == id) {
            view.errors.clone_from(&errors);
        }
    }

    /// A view as Slack sends it. The team is the other side's for a partner's people; ours stands in
    /// `app_installed_team_id` (docs.slack.dev, slack-connect).
    pub fn view_object(&self, person: &str, open: &OpenView) -> Value {
        let team = self.people.get(person).map_or(&self.team.id, |person| &person.team_id);
        let mut object = json!({
            "private_metadata": "", "callback_id": "", "clear_on_close": false, "notify_on_close": false,
            "title": null, "submit": null, "close": null, "external_id": "",
        });
        for (key, value) in open.view.as_object().into_iter().flatten() {
            object[key] = value.clone();
        }
        let facts = json!({
            "id": open.id, "team_id": team, "app_id": self.app_id, "bot_id": self.bot_id, "hash": open.hash,
            "state": { "values": {} }, "root_view_id": open.root, "previous_view_id": open.previous,
            "app_installed_team_id": self.team.id,
        });
        super::merge(&mut object, &facts);
        object
    }
}

fn fresh(view: Value, root: Option<String>, previous: Option<String>) -> OpenView {
    let id = format!("V{}", super::random_hex().to_uppercase());
    OpenView {
        root: root.unwrap_or_else(|| id.clone()),
        id,
        previous,
        hash: super::random_hex(),
        view,
        errors: Map::new(),
    }
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
        let length = state["value"].as_str().map_or(0, |text| text.chars().count() as u64);
        let wrong = match (is_empty(state), block["optional"] == true) {
            (true, true) => None,
            (true, false) => Some("Please complete this required field.".to_owned()),
            (false, _) => out_of_bounds(&block["element"], length),
        };
        if let Some(wrong) = wrong {
            found.insert(id.to_owned(), json!(wrong));
        }
    }
    found
}

fn out_of_bounds(element: &Value, length: u64) -> Option<String> {
    if element["type"] != "plain_text_input" {
        return None;
    }
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
        "static_select" | "radio_buttons" => ("selected_option", one("initial_option")),
        "checkboxes" | "multi_static_select" => ("selected_options", several()),
        "users_select" => ("selected_user", given("initial_user")),
        "multi_users_select" => ("selected_users", given("initial_users")),
        "conversations_select" => ("selected_conversation", given("initial_conversation")),
        "channels_select" => ("selected_channel", given("initial_channel")),
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
    plain.chain(grouped).find(|option| option["value"] == *value).cloned().unwrap_or(Value::Null)
}
