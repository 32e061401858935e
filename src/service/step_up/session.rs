//! What is kept between the pages of a step-up, and why one of them shows nothing to confirm.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::access_request::{Filled, MessageRef, Proof};
use crate::domain::identity::Principal;
use crate::domain::ids::SlackUserId;
use crate::domain::scope::{Scope, ScopeSet};
use crate::openid::NotProven;
use crate::service::Error;

/// What is kept of an authentication under way.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Session {
    /// Who clicked.
    pub user: SlackUserId,
    /// The directory identity that must come back.
    pub who: Principal,
    /// The button that was clicked, by its hash.
    pub button: String,
    /// The message it stands on.
    pub message: MessageRef,
    /// The version that was shown.
    pub shown_version: u32,
    /// The browser that went to the provider, by the hash of its cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub browser: Option<String>,
    /// What must come back in the ID token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<String>,
    /// The verifier of PKCE.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verifier: Option<String>,
    /// When the browser was sent away.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sent_at: Option<Timestamp>,
    /// What the provider said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<Proof>,
    /// What the approver filled in before: it is what the page shows, and what is approved.
    #[serde(default)]
    pub left: Left,
}

/// What an approver leaves of what is shown, and why. There is no number here: signing in is stronger than that.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Left {
    keep: Option<ScopeSet>,
    duration: Option<u64>,
    suggest: BTreeSet<Scope>,
    note: Option<String>,
}

impl From<Filled> for Left {
    fn from(filled: Filled) -> Self {
        let Filled { keep, duration, suggest, note, number: _ } = filled;
        Self { keep, duration, suggest, note }
    }
}

impl From<Left> for Filled {
    fn from(left: Left) -> Self {
        let Left { keep, duration, suggest, note } = left;
        Self { keep, duration, suggest, note, number: None }
    }
}

impl Session {
    /// As it is kept.
    pub fn body(&self) -> Result<String, Error> {
        serde_json::to_string(self).map_err(|_| Error::Busy)
    }
}

/// Why a page of this ceremony shows nothing to confirm. Nothing was decided.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoStepUp {
    /// Unknown, used or too old.
    #[error("This link is used up or too old. Click Approve on the card again.")]
    Gone,
    /// It came back to another browser than the one that was sent.
    #[error("You came back in another browser than you left with. Click Approve on the card again.")]
    OtherBrowser,
    /// The provider did not authenticate anybody.
    #[error("The sign-in was not completed. Click Approve on the card again.")]
    NotSignedIn,
    /// Somebody else signed in.
    #[error("You signed in as somebody else than the approver who clicked. Click Approve on the card again.")]
    SomebodyElse,
    /// The provider's answer does not count.
    #[error("The sign-in does not count: {0}.")]
    NotProven(NotProven),
    /// The click does not count any more; the words say why.
    #[error("{0}")]
    Refused(String),
}

impl NoStepUp {
    /// A word for the record.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Gone => "step_up_gone",
            Self::OtherBrowser => "step_up_other_browser",
            Self::NotSignedIn => "step_up_not_signed_in",
            Self::SomebodyElse => "step_up_somebody_else",
            Self::NotProven(NotProven::Stale) => "step_up_stale",
            Self::NotProven(NotProven::Weak) => "step_up_weak",
            Self::NotProven(_) => "step_up_not_proven",
            Self::Refused(_) => "step_up_refused",
        }
    }
}
