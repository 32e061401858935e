//! Countersign makes an OAuth 2.0 authorization server ask a human before it issues a powerful token.

pub mod clock;
pub mod domain;
pub mod playground;
