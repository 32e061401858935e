//! The wire forms of what Slack sends, and how they become the types of [`super::click`].

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, Deserializer};
use serde_json::Value;

use super::click::{ClickUser, Origin, Press, PressedView, Submission, Suggestion};
use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// A member of an unexpected type counts as absent.
pub(super) fn lenient<'de, D: Deserializer<'de>, T: DeserializeOwned>(from: D) -> Result<Option<T>, D::Error> {
    Ok(serde_json::from_value(Value::deserialize(from)?).ok())
}

macro_rules! wire {
    ($type:ident { $($(#[$attr:meta])* $field:ident: $of:ty),* $(,)? }) => {
        #[derive(Debug, Default, Clone, Deserialize)]
        #[serde(default)]
        pub(super) struct $type {
            $($(#[$attr])* #[serde(deserialize_with = "crate::slack::inbound::lenient")] pub $field: Option<$of>,)*
        }
    };
}

pub(super) use wire;

wire!(Payload {
    #[serde(rename = "type")]
    kind: String,
    user: WireUser,
    team: WireId,
    enterprise: WireId,
    api_app_id: String,
    actions: Vec<Value>,
    container: WireContainer,
    channel: WireId,
    message: WireMessage,
    trigger_id: String,
    view: WireView,
    action_id: String,
    value: String,
});
wire!(WireId { id: String });
wire!(WireUser { id: String, team_id: String });
wire!(WireMessage { ts: String });
wire!(WireContainer {
    #[serde(rename = "type")]
    kind: String,
    channel_id: String,
    message_ts: String,
    is_ephemeral: bool,
});
wire!(WireAction { action_id: String, value: String, selected_option: WireOption });
wire!(WireOption { value: String });
wire!(WireView {
    id: String,
    hash: String,
    #[serde(rename = "type")]
    kind: String,
    callback_id: String,
    private_metadata: String,
    app_id: String,
    app_installed_team_id: String,
    state: WireState,
});
wire!(WireState { values: BTreeMap<String, BTreeMap<String, Value>>, });
impl Payload {
    fn origin(&self) -> Origin {
        let user = self.user.clone().unwrap_or_default();
        let id = user.id.and_then(|id| SlackUserId::parse(id).ok());
        Origin {
            user: id.map(|id| ClickUser { id, team_id: user.team_id }),
            team: self.team.clone().and_then(|team| team.id),
            enterprise: self.enterprise.clone().and_then(|enterprise| enterprise.id),
            app: self.api_app_id.clone(),
            view_app: self.view.as_ref().and_then(|view| view.app_id.clone()),
            installed_team: self.view.as_ref().and_then(|view| view.app_installed_team_id.clone()),
        }
    }

    /// The message that was clicked. Two places say so; where they differ, neither is believed.
    fn clicked(&self) -> Option<MessageRef> {
        let container = self.container.clone().unwrap_or_default();
        let elsewhere = container.kind.as_deref().is_some_and(|kind| kind != "message");
        if elsewhere || container.is_ephemeral == Some(true) {
            return None;
        }
        let channel = agreed(container.channel_id, self.channel.clone().and_then(|channel| channel.id))?;
        let ts = agreed(container.message_ts, self.message.clone().and_then(|message| message.ts))?;
        Some(MessageRef { channel: SlackChannelId::parse(channel).ok()?, ts })
    }

    /// A button was pressed.
    pub fn press(self) -> Press {
        let actions = self.actions.as_deref().unwrap_or_default();
        let first = actions.first().and_then(|action| WireAction::deserialize(action).ok()).unwrap_or_default();
        let channel = self.channel.clone().and_then(|channel| channel.id);
        let channel = channel.or_else(|| self.container.clone().and_then(|container| container.channel_id));
        Press {
            action: first.action_id.unwrap_or_default(),
            // A menu's choice is its value.
            value: first.value.or(first.selected_option.and_then(|chosen| chosen.value)).unwrap_or_default(),
            actions: actions.len(),
            origin: self.origin(),
            message: self.clicked(),
            view: self.view.as_ref().map(pressed_view),
            channel: channel.and_then(|id| SlackChannelId::parse(id).ok()),
            trigger_id: self.trigger_id,
        }
    }

    /// A form was sent.
    pub fn submission(self) -> Submission {
        let origin = self.origin();
        let view = self.view.unwrap_or_default();
        let PressedView { values, lists, .. } = pressed_view(&view);
        Submission {
            lists,
            callback_id: view.callback_id.unwrap_or_default(),
            private_metadata: view.private_metadata.unwrap_or_default(),
            values,
            origin,
            view_id: view.id,
            trigger_id: self.trigger_id,
        }
    }
}

impl Payload {
    /// Somebody types into a menu whose options are searched.
    pub fn suggestion(self) -> Suggestion {
        Suggestion {
            action: self.action_id.clone().unwrap_or_default(),
            typed: self.value.clone().unwrap_or_default(),
            origin: self.origin(),
            view: self.view.as_ref().map(pressed_view),
        }
    }
}

/// A view with what was filled in so far: single texts and choices, and lists of which several can be chosen.
fn pressed_view(view: &WireView) -> PressedView {
    let state = view.state.clone().unwrap_or_default().values.unwrap_or_default();
    let text = |element: &Value| {
        let text = element["value"].as_str().or_else(|| element["selected_option"]["value"].as_str());
        let text = text.or_else(|| element["selected_user"].as_str()).map(str::to_owned);
        text.or_else(|| element["selected_date_time"].as_i64().map(|at| at.to_string()))
    };
    let list = |element: &Value| -> Option<Vec<String>> {
        let options = element["selected_options"].as_array()?;
        Some(options.iter().filter_map(|option| option["value"].as_str().map(str::to_owned)).collect())
    };
    let mut filled = PressedView {
        id: view.id.clone(),
        hash: view.hash.clone(),
        callback_id: view.callback_id.clone().unwrap_or_default(),
        private_metadata: view.private_metadata.clone().unwrap_or_default(),
        ..PressedView::default()
    };
    for (block, of) in &state {
        let texts = of.iter().filter_map(|(action, element)| Some((action.clone(), text(element)?))).collect();
        let lists = of.iter().filter_map(|(action, element)| Some((action.clone(), list(element)?))).collect();
        filled.values.insert(block.clone(), texts);
        filled.lists.insert(block.clone(), lists);
    }
    filled
}

fn agreed(one: Option<String>, other: Option<String>) -> Option<String> {
    match (one, other) {
        (Some(one), Some(other)) if one != other => None,
        (Some(one), _) => Some(one),
        (None, other) => other,
    }
}
