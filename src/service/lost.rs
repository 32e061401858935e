//! Messages whose answer was lost. Slack offers no idempotent post, so each post carries the key of its row in its
//! metadata: where an answer never came, the message is looked for by that key and adopted; where we may not look, it is
//! posted again, and both work.

use serde_json::json;

use super::perform::Delivered;
use super::workspaces::Place;
use crate::domain::access_request::MessageRef;
use crate::domain::ids::{SlackChannelId, SlackUserId};
use crate::slack::{Message, SlackError};
use crate::store::Claimed;

/// What a message of this delivery is found by. Every app of the channel can read it, so it is nothing but names.
fn key(row: &Claimed) -> String {
    format!("{}.{}", row.request_id, row.id)
}

/// The message, so that it can be found again.
pub(super) fn keyed(row: &Claimed, mut message: Message) -> Message {
    let key = key(row);
    match &mut message.metadata {
        Some(metadata) => metadata["event_payload"]["key"] = json!(key),
        None => {
            let payload = json!({ "request_id": row.request_id.as_str(), "key": key });
            message.metadata = Some(json!({ "event_type": "countersign_note", "event_payload": payload }));
        }
    }
    message
}

/// The message of an earlier attempt in a channel, or beneath a message there.
pub(super) async fn find(
    row: &Claimed,
    place: &Place,
    channel: &str,
    thread: Option<&str>,
) -> Result<Option<MessageRef>, Delivered> {
    let again = row.unsure || (thread.is_some() && row.attempts > 0);
    let Some(channel) = SlackChannelId::parse(channel).ok().filter(|_| again) else { return Ok(None) };
    let (slack, app) = (&place.workspace.slack, &place.workspace.app_id);
    match slack.find_posted(&channel, thread, &key(row), app, row.created_at).await {
        Ok(found) => Ok(found),
        // Without the scope nobody can look; the worst is a second message that works as well.
        Err(SlackError::Permanent(code)) => {
            tracing::debug!(error = code, "a message whose answer was lost cannot be looked for");
            Ok(None)
        }
        Err(error) => Err(Delivered::Failed(error)),
    }
}

/// The same in the direct messages with a person.
pub(super) async fn find_direct(
    row: &Claimed,
    place: &Place,
    user: &SlackUserId,
) -> Result<Option<MessageRef>, Delivered> {
    if !row.unsure {
        return Ok(None);
    }
    match place.workspace.slack.open_direct(user).await {
        Ok(channel) => find(row, place, channel.as_str(), None).await,
        // Without the scope nobody can look there either.
        Err(SlackError::Permanent(_)) => Ok(None),
        Err(error) => Err(Delivered::Failed(error)),
    }
}
