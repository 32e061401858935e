//! Forms (modals) and Home tabs: opening with a trigger, updating, stacking, closing. What is entered in
//! them is in [`super::entries`].

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
        a_form(&view)?;
        self.external_id_is_free(&view, None)?;
        let person = self.spend(trigger, now)?;
        let opened = fresh(view, None, None);
        let shown = self.view_object(&person, &opened);
        self.views.insert(person, vec![opened]);
        Ok(shown)
    }

    /// Puts a form on top of the stack of whoever the trigger belongs to.
    pub fn push_with_trigger(&mut self, trigger: &str, view: Value, now: Timestamp) -> Result<Value, Refused> {
        a_form(&view)?;
        self.external_id_is_free(&view, None)?;
        let person = self.spend(trigger, now)?;
        if self.views.get(&person).is_none_or(Vec::is_empty) {
            return Err("not_found".into());
        }
        self.push_view(&person, view)
    }

    /// Puts a form on top of the person's stack.
    pub fn push_view(&mut self, person: &str, view: Value) -> Result<Value, Refused> {
        a_form(&view)?;
        self.external_id_is_free(&view, None)?;
        let stack = self.views.entry(person.to_owned()).or_default();
        if stack.len() >= STACK_MAX {
            return Err("push_limit_reached".into());
        }
        let (root, previous) = (stack.first().map(|view| view.root.clone()), stack.last().map(|view| view.id.clone()));
        let opened = fresh(view, root, previous);
        stack.push(opened.clone());
        Ok(self.view_object(person, &opened))
    }

    /// The id of the open form that goes by this id or that external id.
    pub fn view_named(&self, id: &str, external: &str) -> Result<String, Refused> {
        match (id, external) {
            ("", "") => Err("invalid_arguments".into()),
            ("", external) => {
                let named = |open: &&OpenView| open.view["external_id"] == external;
                let found = self.views.values().flatten().find(named);
                Ok(found.ok_or(Refused::from("not_found"))?.id.clone())
            }
            (id, _) => Ok(id.to_owned()),
        }
    }

    /// An external id names one view of the app in the whole workspace.
    fn external_id_is_free(&self, view: &Value, except: Option<&str>) -> Result<(), Refused> {
        let Some(external) = view["external_id"].as_str().filter(|id| !id.is_empty()) else { return Ok(()) };
        let all = self.views.values().flatten().chain(self.homes.values());
        let taken = |open: &OpenView| Some(open.id.as_str()) != except && open.view["external_id"] == external;
        match all.into_iter().any(taken) {
            true => Err("duplicate_external_id".into()),
            false => Ok(()),
        }
    }

    /// Replaces a form that is open on somebody's screen. With a `hash`, only if nothing changed since.
    pub fn update_view(&mut self, id: &str, hash: Option<&str>, view: Value) -> Result<Value, Refused> {
        a_form(&view)?;
        self.external_id_is_free(&view, Some(id))?;
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
        if view["type"] != "home" {
            return Err(Refused::because("invalid_arguments", vec!["[ERROR] a Home tab must be of type home".into()]));
        }
        self.person(person)?;
        self.external_id_is_free(&view, self.homes.get(person).map(|home| home.id.as_str()))?;
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
            "app_installed_team_id": self.installed_in(),
        });
        super::merge(&mut object, &facts);
        object
    }
}

/// Only a modal opens as a form.
fn a_form(view: &Value) -> Result<(), Refused> {
    match view["type"] == "modal" {
        true => Ok(()),
        false => Err(Refused::because("invalid_arguments", vec!["[ERROR] only a modal can be opened".into()])),
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
