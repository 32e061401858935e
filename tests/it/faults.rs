//! What machines do: Slack is down, the disk is full, the file is damaged. Nothing that was acknowledged is lost,
//! and nothing is taken for done that was not.

mod inbound;
mod slack;
mod store;
mod transport;
