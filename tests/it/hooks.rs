//! The dialects with contracts of their own, over HTTP.

mod authzen;
mod hydra;
