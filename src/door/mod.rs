//! What all doors for authorization servers share: who may knock, what an answer says, how it is written down.
//!
//! A call comes in as headers and bytes. [`mod@authenticate`] turns them into [`Verified`], the only thing that a
//! dialect's `parse` accepts, so that bytes nobody vouches for are never read. The dialect hands a token request
//! to the service, the service decides on an [`Answer`], and the dialect's `render` says it as its server expects.
//! Everything in here is a pure function of its arguments, save the age of a signature, which the crate
//! `standardwebhooks` measures against the machine's clock.

mod answer;
mod authenticate;
mod members;
mod reading;
mod rendered;

#[cfg(test)]
pub(crate) mod for_tests;

pub use answer::{Answer, Denied, DeniedKind, Granted, Observed, Pending, PendingRest};
pub use authenticate::{HookAuth, UnusableAuth, Verified, WEBHOOK_ID_MAX, authenticate};
pub use members::{BINDING_MESSAGE_MAX, LIFETIME_MAX, LIST_MAX, REASON_MAX};
pub use reading::{Body, ParseError, Problem, Problems};
pub use rendered::Rendered;

use std::time::Duration;

use crate::domain::access_request::ServerAbilities;

/// Which language an authorization server speaks. One variant per file of `hooks/`, and `authzen/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// Our own JSON, for servers without a dialect of their own: `POST /hooks/{name}`.
    Generic,
    /// Ory Hydra's token hook: `POST /hooks/{name}`.
    Hydra,
    /// The AuthZEN Authorization API: `POST /access/v1/evaluation` and `/evaluations`.
    Authzen,
}

/// What a dialect's server can do with an answer. People are offered no more than this.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// It can issue fewer scopes than were asked for.
    pub narrow_scope: bool,
    /// It can issue a token that lives as long as we say.
    pub set_lifetime: bool,
    /// It can tell its client "not yet": pending is another answer than denied.
    pub pending_on_wire: bool,
    /// The longest that its call can be held before it, or what stands behind it, hangs up.
    pub hold_longest: Duration,
    /// It expects to be called back when a decision is made.
    pub callback: bool,
    /// It can put claims into the token.
    pub claims: bool,
    /// It issues tokens when Countersign does not answer.
    pub fails_open: bool,
    /// Countersign can tell it to revoke what it issued.
    pub revoke: bool,
}

impl Dialect {
    /// Every dialect, for messages that list them.
    pub const ALL: [Self; 3] = [Self::Generic, Self::Hydra, Self::Authzen];

    /// The word in the configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Hydra => "hydra",
            Self::Authzen => "authzen",
        }
    }

    /// The dialect with this word in the configuration.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dialect| dialect.as_str() == word)
    }

    /// What its server can do.
    pub fn abilities(self) -> Abilities {
        match self {
            // The caller is written for this contract, so it can do all that the contract says. Five minutes is
            // what common proxies can be set to wait; whoever is silent longer is better asked again.
            Self::Generic | Self::Authzen => Abilities {
                narrow_scope: true,
                set_lifetime: true,
                pending_on_wire: true,
                hold_longest: Duration::from_secs(300),
                callback: false,
                claims: false,
                fails_open: false,
                revoke: false,
            },
            // The token hook may only add claims. Hydra's own connection to the client is cut after 10 s, and it
            // answers its client with an error unless the hook says yes.
            Self::Hydra => Abilities {
                narrow_scope: false,
                set_lifetime: false,
                pending_on_wire: false,
                hold_longest: Duration::from_secs(8),
                callback: false,
                claims: true,
                fails_open: false,
                revoke: false,
            },
        }
    }
}

impl From<Abilities> for ServerAbilities {
    fn from(all: Abilities) -> Self {
        Self { narrow_scope: all.narrow_scope, set_lifetime: all.set_lifetime, revoke: all.revoke }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dialect_is_found_by_its_word_and_by_no_other() {
        for dialect in Dialect::ALL {
            assert_eq!(Dialect::from_word(dialect.as_str()), Some(dialect));
        }
        assert_eq!(Dialect::from_word("Generic"), None);
        assert_eq!(Dialect::from_word(""), None);
    }

    #[test]
    fn hydra_can_neither_narrow_nor_shorten_nor_wait_for_long() {
        let hydra = Dialect::Hydra.abilities();
        assert!(!hydra.narrow_scope && !hydra.set_lifetime && !hydra.pending_on_wire);
        assert!(hydra.hold_longest <= Duration::from_secs(8));
        assert_eq!(
            ServerAbilities::from(hydra),
            ServerAbilities { narrow_scope: false, set_lifetime: false, revoke: false }
        );
    }
}
