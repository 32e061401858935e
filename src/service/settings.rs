//! What the service is told at its start: its hooks, who people are, where it can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::identity::Directory;
use crate::domain::ids::{HookName, SlackChannelId};
use crate::domain::policy::Mode;
use crate::hooks::{Dialect, HookAuth};

/// A hook as it is configured.
pub struct Hook {
    /// Its name.
    pub name: HookName,
    /// How its server speaks.
    pub dialect: Dialect,
    /// How its server proves who it is.
    pub auth: HookAuth,
    /// How long a call may be held.
    pub hold: Duration,
    /// Whether the policy is enforced for its calls, or only recorded.
    pub mode: Mode,
}

/// What the service is made of.
pub struct Settings {
    /// The hooks, by name.
    pub hooks: BTreeMap<HookName, Arc<Hook>>,
    /// Who Slack users are.
    pub directory: Directory,
    /// The workspace.
    pub team_id: String,
    /// The app.
    pub app_id: String,
    /// Where cards go unless a rule says otherwise.
    pub channel: SlackChannelId,
    /// How long before the end of a grant its requester is told, in seconds.
    pub warn_before_end: u64,
    /// How clients reach this service, without a slash at the end.
    pub public_url: String,
}
