//! Countersign makes an OAuth 2.0 authorization server ask a human before it issues a powerful token.

pub mod authzen;
pub mod clock;
pub mod domain;
pub mod door;
pub mod hooks;
pub mod store;
