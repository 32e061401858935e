//! Which permission each method of the Web API needs, as docs.slack.dev/reference/methods has them.

use super::records::{Channel, ChannelKind};

/// Every bot scope that the stand-in knows.
pub const ALL: [&str; 17] = [
    "channels:history",
    "channels:read",
    "chat:write",
    "commands",
    "groups:history",
    "groups:read",
    "im:history",
    "im:read",
    "im:write",
    "mpim:read",
    "metadata.message:read",
    "team:read",
    "usergroups:read",
    "users:read",
    "users:read.email",
    "chat:write.public",
    "reactions:write",
];

/// The scope that a call of `method` needs, if it needs one. What is read of a conversation depends on
/// its kind; one that does not exist counts as a public channel.
pub fn needed(method: &str, channel: Option<&Channel>) -> Option<&'static str> {
    let by_kind = |public, private, direct| match channel.map(|channel| (channel.kind, channel.is_private())) {
        Some((ChannelKind::Dm, _)) => direct,
        Some((ChannelKind::Channel, true)) => private,
        Some((ChannelKind::Channel, false)) | None => public,
    };
    match method {
        "chat.postMessage" | "chat.update" | "chat.delete" | "chat.postEphemeral" => Some("chat:write"),
        "conversations.open" => Some("im:write"),
        "conversations.info" | "conversations.members" | "conversations.list" => {
            Some(by_kind("channels:read", "groups:read", "im:read"))
        }
        "conversations.history" | "conversations.replies" => {
            Some(by_kind("channels:history", "groups:history", "im:history"))
        }
        "users.info" | "users.list" | "bots.info" => Some("users:read"),
        "users.lookupByEmail" => Some("users:read.email"),
        "usergroups.list" | "usergroups.users.list" => Some("usergroups:read"),
        "team.info" => Some("team:read"),
        _ => None,
    }
}
