//! The two files that a deployment consists of: `countersign.toml` and `policy.toml`.

pub mod policy_file;
mod reader;
mod rule_file;
mod values;

pub use reader::{ConfigError, ConfigErrors};
