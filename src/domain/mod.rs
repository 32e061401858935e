//! What is true: pure, synchronous, total. `now` is an argument; there is no input or output, no clock and
//! no randomness in this folder, so nothing in it can fail for a reason outside of its arguments.
//!
//! Three things can happen to an access request: a hook asks, a person clicks, time passes. Each is an
//! [`access_request::Event`]; [`access_request::AccessRequest::apply`] answers with a
//! [`access_request::Step`]: the next state, its audit entry and its effects as data. The shell commits
//! all three in one transaction and only then tells anybody.
//!
//! ```mermaid
//! stateDiagram-v2
//!   [*] --> pending: policy says ask
//!   pending --> approved: every requirement met
//!   pending --> denied: an approver denies
//!   pending --> expired: nobody decided in time
//!   pending --> cancelled: withdrawn
//!   approved --> [*]: its grant lives on
//! ```

#![warn(clippy::wildcard_enum_match_arm)]

pub mod ids;
pub mod scope;
pub mod token_request;

pub mod identity;
pub mod policy;

pub mod access_request;
pub mod grant;
pub mod hand_over;
pub mod quorum;
pub mod review;

pub mod audit;
pub mod hashing;

#[cfg(test)]
mod properties;

pub use crate::clock::Timestamp;
