//! The integration tests: one binary, so that everything is linked once.
//!
//! The service as its users meet it: real HTTP in both directions, a real SQLite file, and a stand-in for Slack.
//! [`story`] tells what happens when nobody misbehaves; [`clicks`], [`doors`] and [`hooks`] what happens when
//! somebody does; [`faults`] what happens when machines do; [`policy_tools`] what those who write policy are told. The
//! others hold the source and what is shipped to
//! what is said about it.

#![expect(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on has failed")]

mod clicks;
mod deployment;
mod documents;
mod doors;
mod faults;
mod hooks;
mod layering;
mod oidc_provider;
mod openapi;
mod policy_keys;
mod policy_tools;
mod story;
mod support;
mod workspaces;
