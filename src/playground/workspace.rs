//! What the stand-in's workspace holds: people, user groups, channels, messages, forms and Home
//! tabs. Pure functions over plain data; the time is an argument. What is done with messages is in
//! [`super::messages`], with forms in [`super::views`].
//!
//! Shapes follow docs.slack.dev (user object, message, conversation, view). What a real Slack would
//! refuse is refused here with Slack's own error code, so that mistakes show in a test and not in
//! somebody's workspace.

use std::collections::{BTreeMap, HashMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use super::messages::MESSAGES_MAX;
pub use super::records::{Channel, ChannelKind, Draft, Group, Install, Message, Organization, Person, Refused, Team};
use super::views::{OpenView, Trigger};

/// Everything that the stand-in's Slack knows.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Where the app is installed.
    pub team: Team,
    /// Workspaces that people of shared channels come from.
    pub partners: Vec<Team>,
    /// The organization that the workspace belongs to, if it does.
    pub organization: Option<Organization>,
    /// User groups and channels of the organization's other workspaces: the team by their id.
    pub elsewhere: BTreeMap<String, String>,
    /// `A…`
    pub app_id: String,
    /// The app's bot user, which must be among the people.
    pub bot_user: String,
    /// `B…`
    pub bot_id: String,
    /// People by id, bots included.
    pub people: BTreeMap<String, Person>,
    /// User groups by id.
    pub groups: BTreeMap<String, Group>,
    /// Conversations by id.
    pub channels: BTreeMap<String, Channel>,
    pub(super) messages: HashMap<String, VecDeque<Message>>,
    /// Open forms by person, the top one last.
    pub(super) views: HashMap<String, Vec<OpenView>>,
    /// Home tabs by person.
    pub(super) homes: HashMap<String, OpenView>,
    /// What may still open a form, oldest first.
    pub(super) triggers: VecDeque<Trigger>,
    /// Options that the app gave to menus, by where the menu stands.
    pub(super) suggested: HashMap<String, Vec<Value>>,
    pub(super) last_micros: i64,
}

impl Workspace {
    /// A workspace where `people` have a direct-message channel with the app each.
    pub fn new(team: Team, app_id: &str, bot_user: &str, people: Vec<Person>) -> Self {
        let mut workspace = Self {
            team,
            partners: Vec::new(),
            organization: None,
            elsewhere: BTreeMap::new(),
            app_id: app_id.to_owned(),
            bot_user: bot_user.to_owned(),
            bot_id: format!("B{}", bot_user.get(1..).unwrap_or_default()),
            people: people.into_iter().map(|person| (person.id.clone(), person)).collect(),
            groups: BTreeMap::new(),
            channels: BTreeMap::new(),
            messages: HashMap::new(),
            views: HashMap::new(),
            homes: HashMap::new(),
            triggers: VecDeque::new(),
            suggested: HashMap::new(),
            last_micros: 0,
        };
        let people: Vec<Person> = workspace.people.values().filter(|person| !person.is_bot).cloned().collect();
        for person in &people {
            workspace.open_direct(person);
        }
        workspace
    }

    /// The workspace that a person belongs to, if it is known here.
    pub fn team_of(&self, team_id: &str) -> Option<&Team> {
        std::iter::once(&self.team).chain(self.siblings()).chain(&self.partners).find(|team| team.id == team_id)
    }

    fn siblings(&self) -> impl Iterator<Item = &Team> {
        self.organization.iter().flat_map(|organization| &organization.teams)
    }

    /// Whether that team is ours: the one where the app is installed, or another of the organization.
    pub fn owns_team(&self, team_id: &str) -> bool {
        self.team.id == team_id || self.siblings().any(|team| team.id == team_id)
    }

    /// The team that a user group or a channel belongs to.
    pub fn home_of(&self, id: &str) -> &str {
        self.elsewhere.get(id).map_or(&self.team.id, String::as_str)
    }

    /// Whether one installation serves all workspaces of the organization.
    pub fn is_organization_wide(&self) -> bool {
        self.organization.as_ref().is_some_and(|one| one.install == Install::OrganizationWide)
    }

    /// Where the app is installed: the team's id, or the organization's.
    pub fn installed_in(&self) -> &str {
        match &self.organization {
            Some(organization) if organization.install == Install::OrganizationWide => &organization.id,
            _ => &self.team.id,
        }
    }

    /// The person of that id, or Slack's `user_not_found`.
    pub fn person(&self, id: &str) -> Result<&Person, Refused> {
        self.people.get(id).ok_or_else(|| "user_not_found".into())
    }

    /// The name that the bot user goes by.
    pub fn app_name(&self) -> &str {
        self.people.get(&self.bot_user).map_or("app", |bot| bot.real_name.as_str())
    }

    fn open_direct(&mut self, person: &Person) -> String {
        let id = person.direct_channel();
        let name = self.app_name().to_owned();
        let members = vec![person.id.clone(), self.bot_user.clone()];
        self.channels.entry(id.clone()).or_insert_with(|| Channel {
            id: id.clone(),
            name,
            kind: ChannelKind::Dm,
            members,
            is_ext_shared: false,
            is_archived: false,
        });
        id
    }

    /// Opens the direct messages with a person, as `conversations.open` does; answers the channel id.
    pub fn direct_with(&mut self, person: &str) -> Result<String, Refused> {
        let person = self.person(person)?.clone();
        match (person.is_bot, person.deleted) {
            (true, _) => Err("cannot_dm_bot".into()),
            (_, true) => Err("user_disabled".into()),
            (false, false) => Ok(self.open_direct(&person)),
        }
    }

    /// The conversations that a person sees.
    pub fn channels_of(&self, person: &str) -> impl Iterator<Item = &Channel> {
        self.channels.values().filter(move |channel| channel.has(person))
    }

    /// Changes some members of a person's record. Says what is wrong with a member that does not exist.
    pub fn change_person(&mut self, id: &str, set: &Map<String, Value>) -> Result<(), String> {
        let person = self.people.get_mut(id).ok_or("there is no such person")?;
        *person = changed(person, set)?;
        Ok(())
    }

    /// Changes some members of a channel's record.
    pub fn change_channel(&mut self, id: &str, set: &Map<String, Value>) -> Result<(), String> {
        let channel = self.channels.get_mut(id).ok_or("there is no such channel")?;
        *channel = changed(channel, set)?;
        Ok(())
    }

    /// Gives a channel another id; its messages move along.
    pub fn rename_channel(&mut self, id: &str, to: &str) -> Result<(), String> {
        if self.channels.contains_key(to) {
            return Err("there is a channel of that id already".to_owned());
        }
        let channel = self.channels.remove(id).ok_or("there is no such channel")?;
        self.channels.insert(to.to_owned(), Channel { id: to.to_owned(), ..channel });
        if let Some(messages) = self.messages.remove(id) {
            self.messages.insert(to.to_owned(), messages);
        }
        Ok(())
    }

    /// Replaces the members of a user group.
    pub fn change_group(&mut self, id: &str, users: Vec<String>) -> Result<(), String> {
        self.groups.get_mut(id).ok_or("there is no such user group")?.users = users;
        Ok(())
    }
}

fn changed<T: Serialize + for<'de> Deserialize<'de>>(record: &T, set: &Map<String, Value>) -> Result<T, String> {
    if set.contains_key("id") {
        return Err("an id does not change".to_owned());
    }
    let mut whole = serde_json::to_value(record).map_err(|error| error.to_string())?;
    for (key, value) in set {
        whole[key] = value.clone();
    }
    serde_json::from_value(whole).map_err(|error| error.to_string())
}
