//! Hooks of authorization servers: one file per dialect, each a pure pair of `parse` and `render`.
//!
//! ```text
//! headers, bytes ─ authenticate ─▶ Verified ─ parse ─▶ TokenRequest ─ (the service) ─▶ Answer ─ render ─▶ Rendered
//! ```

pub mod generic;
pub mod hydra;
mod prefer;

pub use crate::door::{
    Abilities, Answer, Body, Denied, DeniedKind, Dialect, Granted, HookAuth, Observed, ParseError, Pending,
    PendingRest, Problem, Problems, Rendered, UnusableAuth, Verified, WEBHOOK_ID_MAX, authenticate,
};
pub use prefer::preferred_wait;
