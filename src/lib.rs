//! Countersign makes an OAuth 2.0 authorization server ask a human before it issues a powerful token.
//!
//! A token-issuance hook comes in ([`door`], [`hooks`], [`authzen`]), the policy judges it and people are asked
//! ([`domain`]), an interactive message goes out to Slack and a click comes back ([`slack`]), everything is
//! written down first ([`store`]), and the hook is answered with the granted scope and its expiry. [`service`]
//! is where these meet; [`http`] and [`worker`] drive it; [`app`] builds it all from the configuration.
//!
//! Read `domain::access_request`, then `service`, then `tests/it/story.rs`.

pub mod domain;

pub mod service;

pub mod authzen;
pub mod door;
pub mod hooks;
pub mod openid;
pub mod slack;
pub mod store;

pub mod http;
pub mod playground;
pub mod worker;

pub mod app;
pub mod cli;
pub mod demo;
pub mod policy_tools;
pub mod remote;
pub mod report;

pub mod clock;
pub mod config;
pub mod telemetry;
