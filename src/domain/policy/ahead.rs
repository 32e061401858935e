//! Asking ahead: the verdict is the sum over the hooks where it could be collected.

use super::{Judged, Outcome, Policy, Question, Ruling};
use crate::domain::access_request::ServerAbilities;
use crate::domain::ids::HookName;
use crate::domain::token_request::TokenRequest;

/// What is told to somebody who asks ahead for what is there for emergencies.
const EMERGENCIES: &str = "This is there for emergencies: the client asks for it when one is there.";

/// What the policy says of something asked ahead.
#[derive(Debug, Clone, PartialEq)]
pub enum AheadRuling {
    /// No, in these words.
    Refused(String),
    /// Nobody needs to be asked.
    Allowed,
    /// People are.
    Asked {
        /// What they are asked.
        question: Box<Question>,
        /// Where it may be collected then.
        hooks: Vec<HookName>,
        /// What all of those servers can do.
        server: ServerAbilities,
    },
}

/// One hook where it could be collected.
#[derive(Debug, Clone)]
pub struct Judging {
    /// The hook.
    pub hook: HookName,
    /// What its server can do.
    pub server: ServerAbilities,
    /// What the policy says of each scope there.
    pub judged: Vec<Judged>,
}

impl Policy {
    /// A hook whose verdict refuses any of it drops out; of the others all that they demand is demanded. `own` says
    /// that whoever asks does so for themselves, and `nowhere` is told where there is no hook at all.
    pub fn rule_ahead(&self, asked: &TokenRequest, own: bool, there: Vec<Judging>, nowhere: String) -> AheadRuling {
        let (mut all, mut hooks, mut asks) = (Vec::<Judged>::new(), Vec::new(), false);
        let mut server = ServerAbilities { narrow_scope: true, set_lifetime: true, revoke: true };
        let mut says = nowhere;
        for Judging { hook, server: can, judged } in there {
            let on_behalf = own || judged.iter().all(may_be_asked_for_others);
            let asked = TokenRequest { hook: hook.clone(), ..asked.clone() };
            match self.rule(&asked, judged.clone(), false) {
                Ruling::Refused(refused) => says = refused.says,
                Ruling::BreakGlass(_) => EMERGENCIES.clone_into(&mut says),
                // What is only looked at passes there anyway.
                Ruling::Observed(_) => {}
                Ruling::Allowed(_) | Ruling::Asked(_) if !on_behalf => {
                    "No rule lets you ask for somebody else here.".clone_into(&mut says);
                }
                ruling @ (Ruling::Allowed(_) | Ruling::Asked(_)) => {
                    asks |= matches!(ruling, Ruling::Asked(_));
                    server.narrow_scope &= can.narrow_scope;
                    server.set_lifetime &= can.set_lifetime;
                    server.revoke &= can.revoke;
                    all.extend(judged);
                    hooks.push(hook);
                }
            }
        }
        if hooks.is_empty() {
            return AheadRuling::Refused(says);
        }
        if !asks {
            return AheadRuling::Allowed;
        }
        match self.rule(asked, all, false) {
            Ruling::Asked(question) => AheadRuling::Asked { question: Box::new(question), hooks, server },
            Ruling::Refused(refused) => AheadRuling::Refused(refused.says),
            Ruling::Allowed(_) | Ruling::Observed(_) => AheadRuling::Allowed,
            Ruling::BreakGlass(_) => AheadRuling::Refused(EMERGENCIES.to_owned()),
        }
    }
}

fn may_be_asked_for_others(judged: &Judged) -> bool {
    match &judged.outcome {
        Outcome::Ask(ask) => ask.on_behalf,
        Outcome::Allow(_) | Outcome::Deny(_) | Outcome::BreakGlass(_) => false,
    }
}
