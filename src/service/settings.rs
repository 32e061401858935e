//! What the service is told at its start: its hooks, and where it can be reached.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::domain::ids::{HookName, SlackTeamId};
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
    /// The workspace whose people decide.
    pub workspace: SlackTeamId,
}

/// What the service is made of.
pub struct Settings {
    /// The hooks, by name.
    pub hooks: BTreeMap<HookName, Arc<Hook>>,
    /// How clients reach this service, without a slash at the end.
    pub public_url: String,
}
