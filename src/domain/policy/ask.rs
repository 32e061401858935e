//! What an *ask* rule demands: who, how surely, how long, and who is told.

use serde::{Deserialize, Serialize};

use super::{Bounds, Ceremony, Requirement};
use crate::domain::ids::{SetName, SlackChannelId};

/// What an *ask* rule demands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Who must agree. `scopes` stays empty here and is filled in by the sum.
    pub requirements: Vec<Requirement>,
    /// What the grant may be.
    pub bounds: Bounds,
    /// How long people have, in seconds.
    pub decide_within: u64,
    /// How sure we must be.
    pub ceremony: Ceremony,
    /// What the reason must be, if anything.
    pub reason: Option<ReasonRule>,
    /// Where the card goes, unless to the usual channel.
    pub channel: Option<SlackChannelId>,
    /// Whether whoever asked may decide.
    pub self_approval: SelfApproval,
    /// Who is told again when nobody decides, in order of time.
    pub reminders: Vec<Reminder>,
    /// Who is told of the card, and how.
    pub notify: Notify,
    /// What becomes of the grant when its subject's or an approver's account is deactivated.
    pub on_deactivation: OnDeactivation,
    /// Whether `/access` may ask for somebody else under this rule.
    pub on_behalf: bool,
}

impl Ask {
    /// How many different people must agree at the least. Where one person may count for several requirements
    /// (`shared`), whoever is in all of the sets meets them together.
    pub(super) fn people_needed(&self, shared: bool) -> u32 {
        let counts = self.requirements.iter().map(|wanted| u32::from(wanted.count.get()));
        if shared { counts.max().unwrap_or_default() } else { counts.sum() }
    }
}

/// What a reason must be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReasonRule {
    /// Whether one must be given at all.
    pub required: bool,
    /// A pattern that must be found in it.
    pub matches: Option<String>,
    /// What to tell those who did not give one.
    pub says: String,
}

/// Whether whoever asked, the subject, an actor or the client's owner may decide. In growing trust.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SelfApproval {
    /// Never.
    #[default]
    Never,
    /// When the approval comes with a reason of its own.
    WithReason,
    /// Like everybody else in the approver sets.
    Allowed,
}

/// People are told that nobody has decided yet.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Reminder {
    /// How long after the request was opened, in seconds.
    pub after: u64,
    /// Who is told besides: an escalation. Empty reminds those who were asked. Being told permits nothing.
    pub to: Vec<SetName>,
}

/// Who is told of a new card. Who may decide is another question.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Notify {
    /// Whom the card mentions, or who gets it directly; empty means the approver sets.
    pub to: Vec<SetName>,
    /// How.
    pub by: NotifyBy,
}

/// How people hear of a new card.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum NotifyBy {
    /// The card in the channel is enough.
    #[default]
    Channel,
    /// Each person gets a card of their own as a direct message; the channel gets none.
    Direct,
    /// Both.
    Both,
}

/// What becomes of a grant when its subject's or an approver's account is deactivated. In growing caution.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnDeactivation {
    /// It lives on; only a pending request is withdrawn.
    #[default]
    Keep,
    /// It is revoked.
    Revoke,
}
