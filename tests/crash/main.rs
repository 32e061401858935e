//! The crash harness: the real binary is killed while it works, and judged after each start.
//!
//! `CRASH_KILLS` says how often (200), `CRASH_SEED` repeats the choices of an earlier run (its timing is the
//! system's), `CRASH_BINARY` names another build of the service, to see the harness fail.

mod cards;
mod child;
mod dice;
mod facts;
mod journal;
mod kills;
mod load;
mod oracle;
mod shown;
mod starts;
mod world;

use std::io::Write;

/// Says something even where the test passes: the standard macros are captured then.
pub fn say(what: &str) {
    // Nobody may be listening.
    let _ = writeln!(std::io::stderr(), "{what}");
}
