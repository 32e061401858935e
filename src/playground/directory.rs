//! The methods that read who and what there is: people, user groups, conversations, teams.

use serde_json::{Value, json};

use super::arguments::{Arguments, flag, page, text};
use super::records::{Channel, ChannelKind, Group, Message, Person, Refused};
use super::workspace::Workspace;

/// How many there are on a page when nobody says.
const PAGE: usize = 100;

/// `auth.test`
pub fn auth_test(workspace: &Workspace) -> Value {
    let team = &workspace.team;
    let mut answer = json!({
        "url": format!("https://{}.slack.com/", team.domain), "team": team.name, "team_id": team.id,
        "user": workspace.app_name().to_lowercase(), "user_id": workspace.bot_user, "bot_id": workspace.bot_id,
        "is_enterprise_install": workspace.is_organization_wide(), "stand_in": true,
    });
    if let Some(organization) = &workspace.organization {
        answer["enterprise_id"] = json!(organization.id);
        if workspace.is_organization_wide() {
            // As Slack answers for an organization: its id stands where a team's would.
            answer["team_id"] = json!(organization.id);
            answer["team"] = json!(organization.name);
        }
    }
    answer
}

/// `team.info`
pub fn team_info(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let team = match text(a, "team") {
        "" => Some(&workspace.team),
        id => workspace.team_of(id),
    };
    let team = team.ok_or(Refused::from("team_not_found"))?;
    let mut object = json!({ "id": team.id, "name": team.name, "domain": team.domain });
    if let Some(organization) = workspace.organization.as_ref().filter(|_| workspace.owns_team(&team.id)) {
        (object["enterprise_id"], object["enterprise_name"]) = (json!(organization.id), json!(organization.name));
    }
    Ok(json!({ "team": object }))
}

/// `bots.info`
pub fn bot_info(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    if text(a, "bot") != workspace.bot_id {
        return Err("bot_not_found".into());
    }
    Ok(json!({ "bot": {
        "id": workspace.bot_id, "deleted": false, "name": workspace.app_name(), "app_id": workspace.app_id,
        "user_id": workspace.bot_user,
    } }))
}

/// `users.info`
pub fn user_info(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    Ok(json!({ "user": user(workspace, workspace.person(text(a, "user"))?) }))
}

/// A person as `users.info` and the event `user_change` show them.
pub fn user(workspace: &Workspace, person: &Person) -> Value {
    let mut object = person.user_object();
    if let Some(organization) = workspace.organization.as_ref().filter(|_| workspace.owns_team(&person.team_id)) {
        object["enterprise_user"] = json!({
            "id": person.id, "enterprise_id": organization.id, "enterprise_name": organization.name,
            "is_admin": false, "is_owner": false, "is_primary_owner": false, "teams": [person.team_id],
        });
    }
    object
}

/// `users.lookupByEmail`: as in Slack, an active account of ours, whatever the case of its address.
pub fn user_by_address(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let address = text(a, "email");
    let holds = |person: &&Person| {
        let own = person.email.as_deref().is_some_and(|email| email.eq_ignore_ascii_case(address));
        own && !person.deleted && workspace.owns_team(&person.team_id)
    };
    let found = workspace.people.values().find(holds).ok_or(Refused::from("users_not_found"))?;
    Ok(json!({ "user": user(workspace, found) }))
}

/// `users.list`
pub fn users(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let team = named_team(workspace, a)?;
    let ours = |person: &&Person| match team {
        Some(team) => person.team_id == team,
        None => workspace.owns_team(&person.team_id),
    };
    let all: Vec<Value> = workspace.people.values().filter(ours).map(|person| user(workspace, person)).collect();
    let (members, next) = page(a, all, PAGE)?;
    Ok(json!({ "members": members, "response_metadata": { "next_cursor": next } }))
}

/// The workspace of the organization that a call is about. A token of the whole organization must say.
fn named_team<'a>(workspace: &Workspace, a: &'a Arguments) -> Result<Option<&'a str>, Refused> {
    match (text(a, "team_id"), workspace.is_organization_wide()) {
        ("", true) => Err(Refused::because("missing_argument", vec!["[ERROR] missing required field: team_id".into()])),
        ("", false) => Ok(None),
        (team, _) if workspace.owns_team(team) => Ok(Some(team)),
        (_, true) => Err("team_access_not_granted".into()),
        // A token of one workspace ignores the argument.
        (_, false) => Ok(None),
    }
}

/// `usergroups.users.list`
pub fn group_users(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let team = named_team(workspace, a)?;
    let id = text(a, "usergroup");
    let here = workspace.groups.get(id).filter(|_| team.is_none_or(|team| workspace.home_of(id) == team));
    Ok(json!({ "users": here.ok_or(Refused::from("no_such_subteam"))?.users }))
}

/// `usergroups.list`
pub fn groups(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let team = named_team(workspace, a)?;
    let here = |group: &&Group| team.is_none_or(|team| workspace.home_of(&group.id) == team);
    let groups = workspace.groups.values().filter(here).map(|group| {
        let mut object = json!({
            "id": group.id, "team_id": workspace.home_of(&group.id), "is_usergroup": true, "name": group.name,
            "handle": group.handle, "description": "", "is_external": false, "date_delete": 0,
            "user_count": group.users.len(),
        });
        if flag(a, "include_users") {
            object["users"] = json!(group.users);
        }
        object
    });
    Ok(json!({ "usergroups": groups.collect::<Vec<_>>() }))
}

/// `conversations.info`
pub fn conversation(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    Ok(json!({ "channel": conversation_object(workspace, known(workspace, text(a, "channel"))?) }))
}

/// A conversation that the app may know of: private ones only where it is a member.
fn known<'a>(workspace: &'a Workspace, id: &str) -> Result<&'a Channel, Refused> {
    let channel = workspace.channels.get(id).filter(|held| !held.is_private() || held.has(&workspace.bot_user));
    channel.ok_or("channel_not_found".into())
}

fn conversation_object(workspace: &Workspace, channel: &Channel) -> Value {
    let direct = channel.kind == ChannelKind::Dm;
    let mut object = json!({
        "id": channel.id, "is_channel": !direct, "is_group": false, "is_im": direct, "is_mpim": false,
        "is_private": direct || channel.is_private(), "is_archived": channel.is_archived,
        "is_member": channel.has(&workspace.bot_user), "is_ext_shared": channel.is_ext_shared,
        "is_shared": channel.is_ext_shared, "is_org_shared": false,
        "context_team_id": workspace.home_of(&channel.id),
    });
    if channel.is_ext_shared {
        let others = workspace.partners.iter().map(|team| &team.id);
        object["connected_team_ids"] = json!(others.collect::<Vec<_>>());
    }
    match direct {
        true => object["user"] = json!(channel.members.iter().find(|member| **member != workspace.bot_user)),
        false => object["name"] = json!(channel.name),
    }
    object
}

/// `conversations.list`: the channels that the app may know of; no direct messages unless asked for.
pub fn conversations(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let team = named_team(workspace, a)?;
    let types = match text(a, "types") {
        "" => "public_channel",
        types => types,
    };
    let wanted = |channel: &&Channel| {
        let kind = match (channel.kind, channel.is_private()) {
            (ChannelKind::Dm, _) => "im",
            (ChannelKind::Channel, true) => "private_channel",
            (ChannelKind::Channel, false) => "public_channel",
        };
        types.split(',').any(|named| named.trim() == kind)
            && team.is_none_or(|team| workspace.home_of(&channel.id) == team)
            && !(flag(a, "exclude_archived") && channel.is_archived)
            && known(workspace, &channel.id).is_ok()
    };
    let all = workspace.channels.values().filter(wanted).map(|held| conversation_object(workspace, held)).collect();
    let (channels, next) = page(a, all, PAGE)?;
    Ok(json!({ "channels": channels, "response_metadata": { "next_cursor": next } }))
}

/// `conversations.members`
pub fn members(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let channel = known(workspace, text(a, "channel"))?;
    let (members, next) = page(a, channel.members.clone(), PAGE)?;
    Ok(json!({ "members": members, "response_metadata": { "next_cursor": next } }))
}

/// `conversations.history` and `conversations.replies`. Metadata comes along only when it is asked for.
pub fn history(workspace: &Workspace, a: &Arguments, thread: Option<&str>) -> Result<Value, Refused> {
    let (oldest, latest) = (moment(a, "oldest")?, moment(a, "latest")?);
    let inclusive = flag(a, "inclusive");
    let within = |message: &&&Message| {
        let at = micros(&message.ts).unwrap_or(0);
        let after = oldest.is_none_or(|oldest| at > oldest || (inclusive && at == oldest));
        after && latest.is_none_or(|latest| at < latest || (inclusive && at == latest))
    };
    let all = workspace.history(text(a, "channel"), thread)?;
    let shown = all.iter().filter(within).map(|message| {
        let mut object = workspace.message_object(message);
        if !flag(a, "include_all_metadata")
            && let Some(members) = object.as_object_mut()
        {
            members.remove("metadata");
        }
        object
    });
    let (messages, next) = page(a, shown.collect(), PAGE)?;
    Ok(json!({
        "messages": messages, "has_more": !next.is_empty(), "response_metadata": { "next_cursor": next },
    }))
}

fn moment(a: &Arguments, name: &str) -> Result<Option<i64>, Refused> {
    match a.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() || text == "0" => Ok(None),
        Some(Value::String(text)) => micros(text).map(Some).ok_or_else(|| invalid_ts(name)),
        Some(value) => micros(&value.to_string()).map(Some).ok_or_else(|| invalid_ts(name)),
    }
}

fn invalid_ts(name: &str) -> Refused {
    Refused::from(if name == "oldest" { "invalid_ts_oldest" } else { "invalid_ts_latest" })
}

/// A message's time in microseconds: seconds, and up to six digits after a dot.
fn micros(ts: &str) -> Option<i64> {
    let (seconds, fraction) = ts.split_once('.').unwrap_or((ts, "0"));
    let digits = fraction.get(..fraction.len().min(6))?;
    let scale = 10_i64.checked_pow(u32::try_from(6 - digits.len()).ok()?)?;
    seconds.parse::<i64>().ok()?.checked_mul(1_000_000)?.checked_add(digits.parse::<i64>().ok()?.checked_mul(scale)?)
}

/// `chat.getPermalink`
pub fn permalink(workspace: &Workspace, a: &Arguments) -> Result<Value, Refused> {
    let (channel, ts) = (text(a, "channel"), text(a, "message_ts"));
    known(workspace, channel)?;
    let message = workspace.message(channel, ts).filter(|message| message.only_for.is_none());
    let message = message.ok_or(Refused::from("message_not_found"))?;
    let mut link = format!("https://{}.slack.com/archives/{channel}/p{}", workspace.team.domain, ts.replace('.', ""));
    if let Some(thread) = &message.thread_ts {
        link.push_str(&format!("?thread_ts={thread}&cid={channel}"));
    }
    Ok(json!({ "channel": channel, "permalink": link }))
}
