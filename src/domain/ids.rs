//! Names of things, each parsed once at the edge into a type that cannot be wrong.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// A text that is not a name of the kind it was given for.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("`{found}` is not {wanted}")]
pub struct NotAName {
    /// What was found, cut to 80 characters.
    pub found: String,
    /// What would have been a name, in words.
    pub wanted: &'static str,
}

macro_rules! name {
    ($(#[$doc:meta])* $type:ident, $wanted:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $type(String);

        impl $type {
            /// Takes a text that has this form.
            ///
            /// # Errors
            /// [`NotAName`] when it has not.
            pub fn parse(text: impl Into<String>) -> Result<Self, NotAName> {
                let text = text.into();
                let check: fn(&str) -> bool = $check;
                if check(&text) {
                    Ok(Self(text))
                } else {
                    Err(NotAName { found: text.chars().take(80).collect(), wanted: $wanted })
                }
            }

            /// The text of the name.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $type {
            type Error = NotAName;
            fn try_from(text: String) -> Result<Self, NotAName> {
                Self::parse(text)
            }
        }

        impl From<$type> for String {
            fn from(name: $type) -> Self {
                name.0
            }
        }

        impl fmt::Display for $type {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

fn plain(text: &str, longest: usize) -> bool {
    (1..=longest).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_')
}

fn prefixed(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|rest| rest.len() == 32 && rest.bytes().all(|b| b.is_ascii_hexdigit()))
}

fn slack(text: &str, firsts: &str) -> bool {
    (3..=24).contains(&text.len())
        && text.chars().next().is_some_and(|c| firsts.contains(c))
        && text.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
}

name!(
    /// The name of a hook in the configuration, and in its address `POST /hooks/{name}`.
    HookName,
    "a hook's name (1 to 40 of a-z, 0-9, - and _)",
    |t| plain(t, 40)
);
name!(
    /// The name of a Slack workspace in the configuration.
    WorkspaceName,
    "a workspace's name (1 to 40 of a-z, 0-9, - and _)",
    |t| plain(t, 40)
);
name!(
    /// The name of an approver set in the policy.
    SetName,
    "an approver set's name (1 to 80 of a-z, 0-9, - and _)",
    |t| plain(t, 80)
);
name!(
    /// The identifier of an access request: `req_` and 32 hexadecimal digits (a version 7 UUID).
    RequestId,
    "an access request's identifier (req_ and 32 hexadecimal digits)",
    |t| prefixed(t, "req_")
);
name!(
    /// The identifier of a grant: `grn_` and 32 hexadecimal digits (a version 7 UUID).
    GrantId,
    "a grant's identifier (grn_ and 32 hexadecimal digits)",
    |t| prefixed(t, "grn_")
);
name!(
    /// A Slack user id. Never a handle: handles can be taken over.
    SlackUserId,
    "a Slack user id (U or W and capitals or digits)",
    |t| slack(t, "UW")
);
name!(
    /// A Slack user-group id.
    SlackGroupId,
    "a Slack user-group id (S and capitals or digits)",
    |t| slack(t, "S")
);
name!(
    /// A Slack conversation id: channel, private group or direct message.
    SlackChannelId,
    "a Slack channel id (C, D or G and capitals or digits)",
    |t| slack(t, "CDG")
);
name!(
    /// A Slack workspace id.
    SlackTeamId,
    "a Slack workspace id (T and capitals or digits)",
    |t| slack(t, "T")
);
