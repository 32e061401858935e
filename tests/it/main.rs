//! The integration tests: one binary, so that everything is linked once.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod deployment;
mod layering;
mod oidc_provider;
mod openapi;
