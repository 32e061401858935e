//! What shows that it was really the approver who approved: the outcome of a ceremony.

use serde::{Deserialize, Serialize};

use crate::domain::Timestamp;
use crate::domain::policy::Ceremony;

/// What an approval comes with. Made only where the ceremony was carried out.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The button, and the dialog where there is one.
    #[default]
    Click,
    /// The number that the client shows was typed.
    Number,
    /// The approver authenticated anew at the OpenID provider.
    StepUp(StepUp),
}

/// An authentication, as the provider's ID token says (OpenID Connect Core 1.0, section 2).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepUp {
    /// `iss`: the provider.
    pub issuer: String,
    /// `sub`: who, in the provider's words.
    pub subject: String,
    /// `acr`: how strongly, where the provider says.
    pub acr: Option<String>,
    /// `amr`: by which means.
    pub amr: Vec<String>,
    /// `auth_time`: when.
    pub auth_time: Timestamp,
}

impl Proof {
    /// Whether it is as strong as a ceremony demands. The dialog of `confirm` is Slack's to show; nothing comes back of it.
    pub fn satisfies(&self, ceremony: Ceremony) -> bool {
        match (ceremony, self) {
            (Ceremony::Click | Ceremony::Confirm, _)
            | (Ceremony::Match, Self::Number | Self::StepUp(_))
            | (Ceremony::StepUp, Self::StepUp(_)) => true,
            (Ceremony::Match, Self::Click) | (Ceremony::StepUp, Self::Click | Self::Number) => false,
        }
    }
}
