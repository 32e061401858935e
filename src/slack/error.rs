//! What a failed call to Slack means for whoever made it: try again, or do not, and may it have been done?

use std::time::Duration;

use slack_morphism::errors::SlackClientError;
use thiserror::Error;

use super::connector::Lost;

/// The longest that a `Retry-After` is honoured: a longer one would outlive most access requests.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(60);

/// Why a call to Slack did not succeed. No variant carries an answer's body, an address or a token.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SlackError {
    /// Slack asks to wait; nothing was done, and it is no failure of the message.
    #[error("Slack asks to wait")]
    RateLimited {
        /// For how long, at most [`RETRY_AFTER_MAX`]; none where Slack did not say so readably.
        after: Option<Duration>,
    },
    /// It was not done; try again.
    #[error("Slack could not be asked: {0}")]
    Temporary(String),
    /// No readable answer came after sending: it may have been done.
    #[error("Slack's answer is unknown: {0}")]
    OutcomeUnknown(String),
    /// It was not done and trying again will not help. Holds Slack's error code.
    #[error("Slack refuses: {0}")]
    Permanent(String),
}

impl SlackError {
    /// Whether Slack knows no user group of that id, or it is switched off: then nobody is in it.
    pub fn says_there_is_no_group(&self) -> bool {
        matches!(self.code(), "no_such_subteam" | "subteam_not_found" | "subteam_disabled")
    }

    /// Whether Slack knows no account of that id.
    pub fn says_there_is_no_account(&self) -> bool {
        matches!(self.code(), "user_not_found" | "users_not_found" | "user_not_visible")
    }

    /// Slack's word for it, or ours, for a metric's label: a small closed vocabulary plus Slack's codes.
    pub fn code(&self) -> &str {
        match self {
            Self::RateLimited { .. } => "rate_limited",
            Self::Temporary(why) | Self::OutcomeUnknown(why) | Self::Permanent(why) => why,
        }
    }

    /// What is wrong, where trying again will not help.
    pub fn fault(&self) -> Option<Fault> {
        match self {
            Self::RateLimited { .. } | Self::Temporary(_) | Self::OutcomeUnknown(_) => None,
            Self::Permanent(code) => Some(match kind_of(code) {
                Kind::Never(fault) => fault,
                Kind::NotDone | Kind::MayBeDone => Fault::Other,
            }),
        }
    }
}

/// What is wrong where trying again will not help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// The app or its token: nothing can be said in this workspace until somebody mends that.
    Token,
    /// The conversation: it is not there any more, or may not be written to.
    Place,
    /// The message that was to be changed or answered is gone.
    Message,
    /// What was sent can never be accepted: something plainer may be.
    Content,
    /// Anything else.
    Other,
}

/// What one of Slack's error codes says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    NotDone,
    MayBeDone,
    Never(Fault),
}

/// The table. A code that is not in it is tried again with backoff and ends as a dead letter: a new code
/// must neither lose a message at once nor block its lane for ever.
fn kind_of(code: &str) -> Kind {
    match code {
        // Slack documents both as: some aspect of it may have succeeded before the error.
        "fatal_error" | "internal_error" => Kind::MayBeDone,
        "service_unavailable" | "request_timeout" | "team_added_to_org" | "accesslimited" => Kind::NotDone,
        // Where it should go does not exist or may not be written to.
        "channel_not_found"
        | "not_in_channel"
        | "is_archived"
        | "user_not_in_channel"
        | "user_not_found"
        | "users_not_found"
        | "user_not_visible"
        | "user_disabled"
        | "messages_tab_disabled"
        | "cannot_dm_bot"
        | "restricted_action"
        | "restricted_action_read_only_channel"
        | "restricted_action_thread_only_channel"
        | "restricted_action_non_threadable_channel"
        | "restricted_action_thread_locked"
        | "channel_type_not_supported"
        | "externally_shared"
        | "sharing_unknown"
        | "team_not_found" => Kind::Never(Fault::Place),
        "message_not_found" | "thread_not_found" | "cant_update_message" | "edit_window_closed" => {
            Kind::Never(Fault::Message)
        }
        "no_such_subteam" | "subteam_not_found" | "subteam_disabled" => Kind::Never(Fault::Other),
        // What was sent can never be accepted.
        "msg_too_long"
        | "msg_blocks_too_long"
        | "no_text"
        | "invalid_blocks"
        | "invalid_blocks_format"
        | "invalid_arguments"
        | "invalid_array_arg"
        | "invalid_charset"
        | "invalid_json"
        | "json_not_object"
        | "invalid_metadata_format"
        | "invalid_metadata_schema"
        | "metadata_too_large"
        | "view_too_large" => Kind::Never(Fault::Content),
        "invalid_post_type"
        | "missing_post_type"
        | "metadata_must_be_sent_from_app"
        | "duplicate_external_id"
        | "invalid_arg_name"
        | "missing_args"
        | "unknown_method"
        | "method_deprecated"
        | "deprecated_endpoint" => Kind::Never(Fault::Other),
        // A dialog may be opened within three seconds of a click, once.
        "expired_trigger_id"
        | "trigger_expired"
        | "trigger_exchanged"
        | "exchanged_trigger_id"
        | "invalid_trigger_id"
        | "invalid_trigger"
        | "push_limit_reached" => Kind::Never(Fault::Other),
        // The app or its token may do nothing at all.
        "invalid_auth"
        | "not_authed"
        | "account_inactive"
        | "token_revoked"
        | "token_expired"
        | "not_allowed_token_type"
        | "org_login_required"
        | "enterprise_is_restricted"
        | "ekm_access_denied"
        | "team_access_not_granted"
        | "two_factor_setup_required" => Kind::Never(Fault::Token),
        // It may not do this.
        "missing_scope" | "no_permission" | "access_denied" | "is_bot" => Kind::Never(Fault::Other),
        _ => Kind::NotDone,
    }
}

impl From<SlackClientError> for SlackError {
    fn from(error: SlackClientError) -> Self {
        match error {
            SlackClientError::RateLimitError(limit) => {
                Self::RateLimited { after: limit.retry_after.map(|wait| wait.min(RETRY_AFTER_MAX)) }
            }
            SlackClientError::ApiError(api) => match kind_of(&api.code) {
                Kind::NotDone => Self::Temporary(api.code),
                Kind::MayBeDone => Self::OutcomeUnknown(api.code),
                Kind::Never(_) => Self::Permanent(api.code),
            },
            // A gateway in between may have passed the call on before it gave up.
            SlackClientError::HttpError(http) if http.status_code.is_server_error() => {
                Self::OutcomeUnknown(format!("http_{}", http.status_code.as_u16()))
            }
            SlackClientError::HttpError(http) => Self::Temporary(format!("http_{}", http.status_code.as_u16())),
            SlackClientError::HttpProtocolError(protocol) => {
                match protocol.cause.as_deref().and_then(|cause| cause.downcast_ref::<Lost>()) {
                    Some(lost @ Lost::BeforeSending) => Self::Temporary(lost.to_string()),
                    Some(lost @ (Lost::TimedOut | Lost::Broken)) => Self::OutcomeUnknown(lost.to_string()),
                    // The crate could not build the call: nothing was sent.
                    None => Self::Temporary("the call could not be built".to_owned()),
                }
            }
            SlackClientError::ProtocolError(protocol) => {
                Self::OutcomeUnknown(format!("the answer cannot be read: {}", protocol.json_error))
            }
            SlackClientError::EndOfStream(_)
            | SlackClientError::SystemError(_)
            | SlackClientError::SocketModeProtocolError(_) => Self::Temporary("the call could not be made".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use slack_morphism::errors::SlackClientApiError;

    fn told(code: &str) -> SlackError {
        SlackClientError::ApiError(SlackClientApiError::new(code.to_owned())).into()
    }

    #[test]
    fn what_can_never_succeed_is_not_tried_again() {
        for code in [
            "message_not_found",
            "channel_not_found",
            "is_archived",
            "not_in_channel",
            "account_inactive",
            "token_revoked",
            "token_expired",
            "invalid_auth",
            "msg_too_long",
            "invalid_blocks",
        ] {
            assert_eq!(told(code), SlackError::Permanent(code.to_owned()));
        }
    }

    #[test]
    fn a_code_that_nobody_knows_is_tried_again() {
        assert_eq!(told("brand_new_code"), SlackError::Temporary("brand_new_code".to_owned()));
    }

    #[test]
    fn what_slack_calls_partly_done_is_not_taken_for_undone() {
        assert_eq!(told("fatal_error"), SlackError::OutcomeUnknown("fatal_error".to_owned()));
    }
}
