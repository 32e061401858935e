//! The service as its users meet it: real HTTP in both directions, a real SQLite file, and a stand-in for Slack.
//!
//! [`story`] tells what happens when nobody misbehaves; [`clicks`], [`doors`] and [`hooks`] what happens when
//! somebody does; [`faults`] what happens when machines do.

#[cfg(test)]
mod clicks;
#[cfg(test)]
mod doors;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod hooks;
#[cfg(test)]
mod story;
#[cfg(test)]
mod support;
