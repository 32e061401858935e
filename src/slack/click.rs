//! What Slack sends us, read leniently after [`super::signature::verify`] has said that Slack sent it.
//!
//! Every member is optional and a member of an unexpected type counts as absent: organization-wide installs
//! send `team: null`, a form without inputs has `state: {}`, and next year there will be more. What is absent
//! is refused later, where it matters. The `response_url` is not read at all: whoever holds it can write into
//! the channel.

use std::collections::BTreeMap;

use serde_json::Value;
use thiserror::Error;

pub use super::command::{Command, Event, What};
use super::inbound::Payload;
use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};

/// A payload that cannot be understood at all. Never holds any of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the payload is not understood: {0}")]
pub struct NotUnderstood(pub(super) &'static str);

/// Something a person did in Slack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Interaction {
    /// A button was pressed.
    Pressed(Press),
    /// A form was sent.
    Submitted(Submission),
    /// A form was closed without sending it.
    Closed,
    /// Somebody types into a menu whose options are searched.
    Suggested(Suggestion),
    /// Something that this service has no use for, by its type.
    Other(String),
}

/// A form or a Home tab, as it was when something happened in it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PressedView {
    /// Its identifier at Slack.
    pub id: Option<String>,
    /// Changes with each change of it.
    pub hash: Option<String>,
    /// Which form.
    pub callback_id: String,
    /// What we gave it to carry; it comes back through the client.
    pub private_metadata: String,
    /// What was filled in so far: block, action, text.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// What was chosen from lists of which several can be: block, action, values.
    pub lists: BTreeMap<String, BTreeMap<String, Vec<String>>>,
}

/// Somebody types into a menu whose options are searched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Suggestion {
    /// The menu's `action_id`.
    pub action: String,
    /// What was typed.
    pub typed: String,
    /// Who, and from where.
    pub origin: Origin,
    /// The form that it stands in.
    pub view: Option<PressedView>,
}

/// A button that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Press {
    /// The button's `action_id`, empty if there was none.
    pub action: String,
    /// The button's `value`, empty if there was none. It comes back through the client: an opaque text.
    pub value: String,
    /// How many actions the payload holds. Anything but one is to be refused.
    pub actions: usize,
    /// Who, and from where.
    pub origin: Origin,
    /// The message it stands on; none on a form, on an ephemeral message, or where the payload contradicts itself.
    pub message: Option<MessageRef>,
    /// The form or Home tab it stands on.
    pub view: Option<PressedView>,
    /// The conversation it happened in, for answering the person there.
    pub channel: Option<SlackChannelId>,
    /// What allows opening one form, for three seconds.
    pub trigger_id: Option<String>,
}

/// A form that was sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Submission {
    /// Which form.
    pub callback_id: String,
    /// What we gave the form to carry; it comes back through the client.
    pub private_metadata: String,
    /// What was filled in: block, action, text.
    pub values: BTreeMap<String, BTreeMap<String, String>>,
    /// What was chosen from lists of which several can be: block, action, values.
    pub lists: BTreeMap<String, BTreeMap<String, Vec<String>>>,
    /// Who, and from where.
    pub origin: Origin,
    /// The form's identifier at Slack.
    pub view_id: Option<String>,
}

impl Submission {
    /// What was filled in at a place; empty where nothing was.
    pub fn value(&self, block: &str, action: &str) -> &str {
        self.values.get(block).and_then(|actions| actions.get(action)).map_or("", String::as_str)
    }

    /// What was chosen from a list; none where the form has no such list.
    pub fn list(&self, block: &str, action: &str) -> Option<&[String]> {
        self.lists.get(block).and_then(|actions| actions.get(action)).map(Vec::as_slice)
    }
}

/// Who did it, from which workspace, through which app: as the payload says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The person.
    pub user: Option<ClickUser>,
    /// `team.id`: the workspace; absent on organization-wide installs, the other side's in Slack Connect.
    pub team: Option<String>,
    /// `enterprise.id`.
    pub enterprise: Option<String>,
    /// `api_app_id`.
    pub app: Option<String>,
    /// `view.app_id`, on forms.
    pub view_app: Option<String>,
    /// `view.app_installed_team_id`, on forms: the workspace that the app is installed in.
    pub installed_team: Option<String>,
}

/// A person who clicked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClickUser {
    /// The account.
    pub id: SlackUserId,
    /// The workspace of the account.
    pub team_id: Option<String>,
}

/// Why a click cannot be one of ours, before anybody is asked about the person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum Foreign {
    /// It was made for another app, or does not say for which.
    #[error("it was made for another app")]
    OtherApp,
    /// It comes from another workspace.
    #[error("it comes from another workspace")]
    OtherWorkspace,
    /// It does not say who clicked.
    #[error("it does not say who clicked")]
    Nobody,
    /// Whoever clicked belongs to another workspace, or it does not say to which.
    #[error("whoever clicked belongs to another workspace")]
    Stranger,
}

impl Foreign {
    /// A word for an audit entry and a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OtherApp => "other_app",
            Self::OtherWorkspace => "other_workspace",
            Self::Nobody => "no_user",
            Self::Stranger => "other_workspace_user",
        }
    }
}

/// The first checks of a click, in order: our app, our workspace, a user of our workspace.
///
/// For an app that is installed in one workspace, `team` may be null, but never another's; the user's own workspace
/// must always be named and ours. For one that is installed in an organization, the organization must be named and ours;
/// the user's workspace is any of it, which `users.info` has to confirm afterwards.
pub fn origin_refusal(origin: &Origin, app_id: &str, team_id: &str, organization: Option<&str>) -> Option<Foreign> {
    let mut apps = [&origin.app, &origin.view_app].into_iter().flatten();
    let for_our_app = (origin.app.is_some() || origin.view_app.is_some()) && apps.all(|app| app == app_id);
    let mut teams = [&origin.team, &origin.installed_team].into_iter().flatten();
    if !for_our_app {
        return Some(Foreign::OtherApp);
    }
    let ours = match organization {
        // In Slack Connect the other side's organization is named.
        Some(_) => origin.enterprise.as_deref() == organization,
        None => teams.all(|team| team == team_id),
    };
    if !ours {
        return Some(Foreign::OtherWorkspace);
    }
    match &origin.user {
        None => Some(Foreign::Nobody),
        Some(user) if organization.is_some() && user.team_id.is_some() => None,
        Some(user) if user.team_id.as_deref() == Some(team_id) => None,
        Some(_) => Some(Foreign::Stranger),
    }
}

impl Interaction {
    /// Reads the verified body of `POST /slack/interactions`: a form with exactly one `payload`.
    ///
    /// # Errors
    /// [`NotUnderstood`], which holds nothing of what was sent.
    pub fn parse(body: &[u8]) -> Result<Self, NotUnderstood> {
        let mut payloads = url::form_urlencoded::parse(body).filter(|(name, _)| name == "payload");
        let (_, payload) = payloads.next().ok_or(NotUnderstood("there is no payload"))?;
        if payloads.next().is_some() {
            return Err(NotUnderstood("there are two payloads"));
        }
        Self::of(serde_json::from_str(&payload).map_err(|_| NotUnderstood("the payload is not JSON"))?)
    }

    /// Reads the payload itself.
    ///
    /// # Errors
    /// [`NotUnderstood`], which holds nothing of what was sent.
    pub fn of(payload: Value) -> Result<Self, NotUnderstood> {
        let payload: Payload =
            serde_json::from_value(payload).map_err(|_| NotUnderstood("the payload is not a JSON object"))?;
        let kind = payload.kind.clone().ok_or(NotUnderstood("the payload has no type"))?;
        Ok(match kind.as_str() {
            "block_actions" => Self::Pressed(payload.press()),
            "view_submission" => Self::Submitted(payload.submission()),
            "view_closed" => Self::Closed,
            "block_suggestion" => Self::Suggested(payload.suggestion()),
            _ => Self::Other(kind.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '_').take(40).collect()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn body(payload: &Value) -> Vec<u8> {
        url::form_urlencoded::Serializer::new(String::new())
            .append_pair("payload", &payload.to_string())
            .finish()
            .into_bytes()
    }

    fn read(payload: &Value) -> Interaction {
        Interaction::parse(&body(payload)).unwrap()
    }

    fn press(payload: &Value) -> Press {
        match read(payload) {
            Interaction::Pressed(press) => press,
            other => panic!("{other:?}"),
        }
    }

    fn submission(payload: &Value) -> Submission {
        match read(payload) {
            Interaction::Submitted(submission) => submission,
            other => panic!("{other:?}"),
        }
    }

    fn click() -> Value {
        json!({
            "type": "block_actions", "api_app_id": "A0COUNTERSIGN", "token": "old", "trigger_id": "1.2.abc",
            "team": {"id": "T0ACME", "domain": "acme"}, "enterprise": null, "is_enterprise_install": false,
            "user": {"id": "U0BOB", "username": "bob", "team_id": "T0ACME"},
            "container": {"type": "message", "message_ts": "1795460000.000100", "channel_id": "C0PAY", "is_ephemeral": false},
            "channel": {"id": "C0PAY", "name": "pay"},
            "message": {"ts": "1795460000.000100", "blocks": [{"type": "new in 2027"}], "metadata": {"event_payload": {"n": 1, "o": {}}}},
            "state": {"values": {}}, "response_url": "https://hooks.slack.com/actions/T/1/secret",
            "actions": [{"type": "button", "action_id": "approve", "value": "opaque", "block_id": "act", "action_ts": "1.1"}]
        })
    }

    fn form() -> Value {
        json!({
            "type": "view_submission", "api_app_id": "A0COUNTERSIGN", "team": {"id": "T0ACME"},
            "user": {"id": "U0BOB", "team_id": "T0ACME"}, "response_urls": [],
            "view": {
                "id": "V0X", "callback_id": "deny", "private_metadata": "opaque", "previous_view_id": null, "hash": "1.a",
                "app_id": "A0COUNTERSIGN", "app_installed_team_id": "T0ACME", "team_id": "T0ACME",
                "state": {"values": {"reason": {"reason": {"type": "plain_text_input", "value": "no ticket"}},
                                     "life": {"v": {"type": "static_select", "selected_option": {"value": "900"}}},
                                     "none": {"v": {"type": "plain_text_input", "value": null}}}}
            }
        })
    }

    fn refusal(origin: &Origin) -> Option<Foreign> {
        origin_refusal(origin, "A0COUNTERSIGN", "T0ACME", None)
    }

    #[test]
    fn an_ordinary_click_is_read_with_the_message_it_stands_on() {
        let press = press(&click());
        assert_eq!((press.action.as_str(), press.value.as_str(), press.actions), ("approve", "opaque", 1));
        let message = press.message.unwrap();
        assert_eq!((message.channel.as_str(), message.ts.as_str()), ("C0PAY", "1795460000.000100"));
        assert_eq!(press.trigger_id.as_deref(), Some("1.2.abc"));
        assert_eq!(refusal(&press.origin), None);
    }

    #[test]
    fn an_ordinary_form_is_read_with_what_was_filled_in() {
        let form = submission(&form());
        assert_eq!((form.callback_id.as_str(), form.private_metadata.as_str()), ("deny", "opaque"));
        assert_eq!(form.value("reason", "reason"), "no ticket");
        assert_eq!(form.value("life", "v"), "900");
        assert_eq!((form.value("none", "v"), form.value("absent", "v")), ("", ""));
        assert_eq!(refusal(&form.origin), None);
    }

    #[test]
    fn of_an_organization_anybody_may_click_and_nobody_of_another() {
        let mut payload = click();
        payload["team"] = Value::Null;
        payload["enterprise"] = json!({"id": "E0ACME"});
        payload["user"]["team_id"] = json!("T0ACMEEU");
        let of = |payload: &Value| origin_refusal(&press(payload).origin, "A0COUNTERSIGN", "T0ACME", Some("E0ACME"));
        assert_eq!(of(&payload), None);
        payload["enterprise"] = json!({"id": "E0PARTNER"});
        assert_eq!(of(&payload), Some(Foreign::OtherWorkspace));
        payload["enterprise"] = Value::Null;
        assert_eq!(of(&payload), Some(Foreign::OtherWorkspace));
        payload["enterprise"] = json!({"id": "E0ACME"});
        payload["user"]["team_id"] = Value::Null;
        assert_eq!(of(&payload), Some(Foreign::Stranger));
    }

    #[test]
    fn an_organization_wide_install_sends_no_team_and_is_still_understood() {
        for mut payload in [click(), form()] {
            payload["team"] = Value::Null;
            payload["enterprise"] = json!({"id": "E0ACME", "name": "Acme"});
            payload["is_enterprise_install"] = json!(true);
            let origin = match read(&payload) {
                Interaction::Pressed(press) => press.origin,
                Interaction::Submitted(form) => form.origin,
                other => panic!("{other:?}"),
            };
            assert_eq!((origin.team.clone(), origin.enterprise.as_deref()), (None, Some("E0ACME")));
            assert_eq!(refusal(&origin), None);
            payload["user"]["team_id"] = json!("T0SISTER");
            assert!(
                matches!(read(&payload), Interaction::Pressed(p) if refusal(&p.origin) == Some(Foreign::Stranger))
                    || matches!(read(&payload), Interaction::Submitted(f) if refusal(&f.origin) == Some(Foreign::Stranger))
            );
        }
    }

    #[test]
    fn who_and_where_are_refused_in_order_and_what_is_missing_refuses() {
        type Change = fn(&mut Value);
        let table: [(Change, Foreign); 10] = [
            (|p| p["api_app_id"] = json!("A0OTHER"), Foreign::OtherApp),
            (|p| p["api_app_id"] = Value::Null, Foreign::OtherApp),
            (|p| p["team"]["id"] = json!("T0OTHER"), Foreign::OtherWorkspace),
            (|p| p["view"] = json!({"app_installed_team_id": "T0OTHER"}), Foreign::OtherWorkspace),
            (|p| p["view"] = json!({"app_id": "A0OTHER"}), Foreign::OtherApp),
            (|p| p["user"] = Value::Null, Foreign::Nobody),
            (|p| p["user"]["id"] = json!("bob"), Foreign::Nobody),
            (|p| p["user"] = json!({"id": "U0BOB"}), Foreign::Stranger),
            (|p| p["user"]["team_id"] = json!("T0OTHER"), Foreign::Stranger),
            (|p| p["user"]["team_id"] = json!(7), Foreign::Stranger),
        ];
        for (n, (change, expected)) in table.iter().enumerate() {
            let mut payload = click();
            change(&mut payload);
            assert_eq!(refusal(&press(&payload).origin), Some(*expected), "row {n}");
        }
        let mut connect = form();
        connect["team"]["id"] = json!("T0PARTNER");
        connect["user"]["team_id"] = json!("T0PARTNER");
        assert_eq!(refusal(&submission(&connect).origin), Some(Foreign::OtherWorkspace));
    }

    #[test]
    fn a_message_that_is_ephemeral_or_contradicts_itself_is_no_message() {
        type Change = fn(&mut Value);
        let changes: [Change; 5] = [
            |p| p["container"]["is_ephemeral"] = json!(true),
            |p| p["message"]["ts"] = json!("1795460000.000200"),
            |p| p["channel"]["id"] = json!("C0OTHER"),
            |p| p["container"] = json!({"type": "view", "view_id": "V0X"}),
            |p| p["container"]["channel_id"] = json!("not a channel"),
        ];
        for (n, change) in changes.iter().enumerate() {
            let mut payload = click();
            if n == 3 {
                payload["message"] = Value::Null;
            }
            change(&mut payload);
            assert_eq!(press(&payload).message, None, "change {n}");
        }
    }

    #[test]
    fn odd_payloads_are_read_as_far_as_they_go() {
        let mut none = click();
        none["actions"] = json!([]);
        assert_eq!(press(&none).actions, 0);
        let mut two = click();
        two["actions"] = json!([click()["actions"][0], {"action_id": "deny"}]);
        assert_eq!(press(&two).actions, 2);
        let mut empty = form();
        empty["view"]["state"] = json!({});
        assert_eq!(submission(&empty).values.len(), 0);
        let bare = press(&json!({"type": "block_actions"}));
        assert_eq!((bare.actions, bare.message, bare.origin), (0, None, Origin::default()));
        assert_eq!(read(&json!({"type": "view_closed", "team": null})), Interaction::Closed);
        assert_eq!(read(&json!({"type": "message_action"})), Interaction::Other("message_action".to_owned()));
        let Interaction::Suggested(bare) = read(&json!({"type": "block_suggestion"})) else { panic!("no search") };
        assert_eq!((bare.action.as_str(), bare.typed.as_str(), bare.view), ("", "", None));
    }

    #[test]
    fn what_cannot_be_understood_is_an_error_and_never_a_panic() {
        let deep = format!("payload={}", "[".repeat(100_000));
        let twice = format!("payload={0}&payload={0}", "%7B%22type%22%3A%22view_closed%22%7D");
        for bad in [
            &b""[..],
            b"payload=",
            b"payload=%7B",
            b"payload=[]",
            b"payload=null",
            b"payload=%7B%7D",
            b"\xff\xfe=%zz",
            b"{\"type\":\"block_actions\"}",
            deep.as_bytes(),
            twice.as_bytes(),
        ] {
            let shown = String::from_utf8_lossy(&bad[..bad.len().min(40)]).into_owned();
            assert!(Interaction::parse(bad).is_err(), "{shown}");
            assert!(Event::parse(bad).is_err() || bad.starts_with(b"{"), "{shown}");
            let _ = Command::parse(bad);
        }
    }

    #[test]
    fn commands_and_events_are_read() {
        let command = Command::parse(
            b"command=%2Faccess&text=payments&user_id=U0BOB&team_id=T0ACME&api_app_id=A0COUNTERSIGN&channel_id=C0X&trigger_id=1.2",
        );
        assert_eq!((command.command.as_str(), command.text.as_str()), ("/access", "payments"));
        assert_eq!(refusal(&command.origin), None);
        assert!(Command::parse(b"ssl_check=1&token=x").ssl_check);
        let challenge = br#"{"type":"url_verification","challenge":"abc"}"#;
        assert_eq!(Event::parse(challenge), Ok(Event::Challenge("abc".to_owned())));
        let event = br#"{"type":"event_callback","event_id":"Ev1","api_app_id":"A0COUNTERSIGN","team_id":"T0ACME",
            "authorizations":[{"team_id":null}],"event":{"type":"user_change","user":{"id":"U0BOB","deleted":true}}}"#;
        match Event::parse(event) {
            Ok(Event::Happened { event_id, what, .. }) => {
                assert_eq!(event_id.as_deref(), Some("Ev1"));
                assert_eq!(what, What::AccountChanged(SlackUserId::parse("U0BOB").unwrap(), true));
            }
            other => panic!("{other:?}"),
        }
    }
}
