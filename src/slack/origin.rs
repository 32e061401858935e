//! Who did something in Slack, from which workspace and through which app, and whether that can be for us at all.

use thiserror::Error;

use crate::domain::ids::SlackUserId;

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
///
/// In the order in which it is looked at: a later one comes closer to being ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Error)]
pub enum Foreign {
    /// It says that it is of a workspace of ours, and another one's secret signed it.
    #[error("another workspace's secret signed it")]
    OtherSignature,
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
            Self::OtherSignature => "other_signature",
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
