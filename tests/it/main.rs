//! The integration tests: one binary, so that everything is linked once.

mod deployment;
mod layering;
mod oidc_provider;
mod openapi;
