//! The checks behind the rows. Each starts a service of its own, does what somebody would do, and fails where what was
//! asked for is not there.

pub mod asking;
pub mod deciding;
pub mod guarding;
pub mod living;
pub mod running;
pub mod showing;
pub mod wiring;

use super::support::world::POLICY;
use super::support::{Stage, TestApp, stage};

/// What the rows need besides the usual policy: short times, several sets, each ceremony, an emergency.
const MORE: &str = r#"
[approvers.ghosts]
slack_groups = ["S0GHOSTS"]
[approvers.on-call]
slack_groups = ["S0ONCALL"]

[[rule]]
name = "nobody is there"
when = 'scope == "ghost:x"'
ask = { approvers = ["ghosts"], approvals = 1, max_duration = "1h" }

[[rule]]
name = "somebody is there"
when = 'scope == "half:x"'
ask = { approvers = ["ghosts", "leads"], approvals = 1, max_duration = "1h" }

[[rule]]
name = "soon over"
when = 'scope == "brief:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", decide_within = "3s" }

[[rule]]
name = "a short grant"
when = 'scope == "short:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "20s", max_token_lifetime = "10s", collect_within = "20s" }

[[rule]]
name = "a slow decision"
when = 'scope == "slow:x"'
[rule.ask]
approvers = ["leads"]
approvals = 1
max_duration = "1h"
decide_within = "30s"
remind_after = "2s"
escalate = [{ after = "4s", to = ["owners"] }]

[[rule]]
name = "one of each"
when = 'scope == "books:close"'
ask_all = [{ approvers = ["leads"], approvals = 1 }, { approvers = ["owners"], approvals = 1 }]
limits = { max_duration = "30m" }

[[rule]]
name = "with a number"
when = 'scope == "number:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", ceremony = "match" }

[[rule]]
name = "one's own, with a reason"
when = 'scope == "own:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", self_approval = "with_reason" }

[[rule]]
name = "others hear of it"
when = 'scope == "told:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", notify = { to = ["owners"], by = "both" } }

[[rule]]
name = "on call"
when = 'scope == "pager:x"'
ask = { approvers = ["on-call"], approvals = 1, max_duration = "1h" }

[[rule]]
name = "for somebody else"
when = 'scope == "behalf:x"'
ask = { approvers = ["leads"], approvals = 1, max_duration = "1h", on_behalf = true }

[[rule]]
name = "in an emergency"
when = 'scope == "prod:admin" && has(context.break_glass) && context.break_glass'
break_glass = { max_duration = "10m", requesters = ["on-call"], tell = ["leads", "owners"], review_within = "24h" }
"#;

/// What `/access` offers.
const OFFERED: &str = r#"
[[resource.scope]]
name = "behalf:x"
says = "Work for somebody else"
risk = "medium"
[[resource.scope]]
name = "plain:x"
says = "Something plain"
risk = "low"
[[resource.scope]]
name = "ledger:pay"
says = "Pay bills"
risk = "high"
less = "ledger:read"
"#;

/// The policy of most rows.
pub fn policy() -> String {
    let rules = POLICY.find("\n[[rule]]").expect("rules");
    let limits = POLICY.find("\n[limits]").expect("limits");
    let (resource, rest, limits) = (&POLICY[..rules], &POLICY[rules..limits], &POLICY[limits..]);
    let resource = resource.replace("hooks = [\"shop\"]", "hooks = [\"shop\"]\nclients = [\"ledger-cli\"]");
    format!("{resource}{OFFERED}{MORE}{rest}{limits}")
}

/// The usual stage.
pub fn usual() -> Stage {
    stage(&policy())
}

/// The usual service.
pub async fn app() -> TestApp {
    usual().start().await
}
