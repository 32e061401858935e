//! The policies that take turns, as plain data: what each scope gets, and who is in the approver sets. The model judges
//! by them directly; pure core and service read the same as `policy.toml`.

use std::fmt::Write;

use super::world::{BURN, CAST, LEADS, LOOK, ON_CALL, OPEN, OWNERS, PAY, READ, SCOPES, SETS, Scopes, Sets, WRITE};

/// What stands for no bound at all.
pub const FOREVER: u64 = 315_576_000;

/// What bounds a grant. Times are in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub lasts: u64,
    pub token: u64,
    pub collect: u64,
    pub uses: Option<u32>,
}

/// What an *ask* demands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ask {
    /// Approver sets, and how many people of them.
    pub needs: Vec<(Sets, u8)>,
    pub bounds: Bounds,
    pub decide: u64,
    /// Whether approving opens a dialog.
    pub confirm: bool,
    /// Whether whoever asks may decide.
    pub own: bool,
    /// Whether a ticket must be named.
    pub ticket: bool,
}

/// What a scope gets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Rule {
    /// No rule is there for it.
    None,
    Allow(Bounds),
    Deny,
    Ask(Ask),
    /// Who may break the glass.
    Glass(Sets, Bounds),
    /// It would be asked about, but the rule only looks on.
    Observe,
}

/// A policy.
#[derive(Debug, Clone)]
pub struct Plan {
    pub rules: [Rule; 7],
    /// The members of each approver set, as places in the cast.
    pub members: [Vec<usize>; 3],
    pub shared: bool,
    /// Whether what is allowed is issued while people are asked about the rest.
    pub partial: bool,
    /// In seconds.
    pub cooldown: u64,
}

fn bounds(lasts: u64, token: u64, collect: u64, uses: Option<u32>) -> Bounds {
    Bounds { lasts, token, collect, uses }
}

fn ask(needs: &[(Sets, u8)], bounds: Bounds, decide: u64) -> Ask {
    Ask { needs: needs.to_vec(), bounds, decide, confirm: false, own: false, ticket: false }
}

/// The ordinary one.
fn usual() -> Plan {
    let write = ask(&[(LEADS, 1)], bounds(7_200, 600, 900, None), 1_800);
    let pay = ask(&[(LEADS, 1), (OWNERS, 1)], bounds(3_600, 300, 600, None), 3_600);
    let open = ask(&[(LEADS | OWNERS, 1)], bounds(1_800, 300, 600, Some(1)), 1_200);
    Plan {
        rules: [
            Rule::Allow(bounds(1_200, 300, FOREVER, None)),
            Rule::Ask(write),
            Rule::Ask(pay),
            Rule::Ask(open),
            Rule::Glass(ON_CALL, bounds(900, 120, FOREVER, None)),
            Rule::Observe,
            Rule::None,
        ],
        // Alice asks, and is in all of them: only that it is her own request stands in her way.
        members: [vec![0, 1, 2, 3, 4], vec![0, 4], vec![0, 1]],
        shared: false,
        partial: false,
        cooldown: 600,
    }
}

impl Plan {
    /// The rule of one scope, by its bit.
    pub fn rule(&self, bit: usize) -> &Rule {
        &self.rules[bit]
    }

    /// The approver sets that an account is in.
    pub fn sets_of(&self, who: usize) -> Sets {
        (0..SETS.len()).filter(|set| self.members[*set].contains(&who)).fold(0, |all, set| all | 1 << set)
    }

    fn at(&mut self, scope: Scopes) -> &mut Rule {
        &mut self.rules[scope.trailing_zeros() as usize]
    }

    fn asks(mut self, scope: Scopes, change: impl FnOnce(&mut Ask)) -> Self {
        if let Rule::Ask(ask) = self.at(scope) {
            change(ask);
        }
        self
    }

    fn with(mut self, scope: Scopes, rule: Rule) -> Self {
        *self.at(scope) = rule;
        self
    }
}

/// All of them; the first is in force when the world begins.
pub fn all() -> Vec<Plan> {
    let two_of_leads = |ask: &mut Ask| ask.needs = vec![(LEADS, 2)];
    let shorter = |ask: &mut Ask| (ask.bounds.lasts, ask.bounds.token) = (1_200, 60);
    let as_write = ask(&[(LEADS, 1)], bounds(3_600, 600, 900, None), 900);
    vec![
        usual(),
        // Stricter: more people, less time, a ticket, fewer uses, a dialog, nobody's own, refused, gone.
        usual().asks(WRITE, two_of_leads),
        usual()
            .asks(WRITE, shorter)
            .asks(PAY, |ask| ask.bounds.lasts = 900)
            .with(READ, Rule::Allow(bounds(300, 30, FOREVER, None))),
        usual().asks(WRITE, |ask| ask.ticket = true).asks(OPEN, |ask| ask.ticket = true),
        usual().asks(WRITE, |ask| ask.bounds.uses = Some(2)).asks(PAY, |ask| ask.bounds.uses = Some(1)),
        usual().asks(WRITE, |ask| ask.confirm = true).asks(OPEN, |ask| ask.needs = vec![(OWNERS, 1)]),
        usual().with(WRITE, Rule::None).with(READ, Rule::Deny),
        usual().with(READ, Rule::Ask(as_write.clone())).with(BURN, Rule::Ask(as_write.clone())),
        // Looser: allowed, one's own, votes shared, more uses.
        usual().with(WRITE, Rule::Allow(bounds(1_800, 300, FOREVER, None))),
        usual().asks(WRITE, |ask| ask.own = true).asks(PAY, |ask| ask.own = true),
        Plan { shared: true, cooldown: 60, ..usual() },
        usual().asks(OPEN, |ask| ask.bounds.uses = Some(3)).with(PAY, Rule::Ask(as_write)),
        // Other people: Bob is out, and Dora is in; nobody can agree on payments; others may break the glass.
        Plan { members: [vec![0, 4, 5], vec![4, 5], vec![5]], ..usual() },
        Plan { members: [vec![2, 3], vec![2], vec![4]], ..usual() },
        // In part.
        Plan { partial: true, ..usual() },
        Plan {
            partial: true,
            ..usual().with(WRITE, Rule::Observe).with(LOOK, Rule::Allow(bounds(600, 60, FOREVER, None)))
        },
    ]
}

fn listed<'n>(names: impl IntoIterator<Item = &'n str>) -> String {
    let quoted: Vec<String> = names.into_iter().map(|name| format!("\"{name}\"")).collect();
    format!("[{}]", quoted.join(", "))
}

fn sets(mask: Sets) -> String {
    listed((0..SETS.len()).filter(|bit| mask & (1 << bit) != 0).map(|bit| SETS[bit]))
}

fn uses(bounds: &Bounds) -> String {
    bounds.uses.map_or_else(|| "\"window\"".to_owned(), |most| most.to_string())
}

impl Ask {
    fn toml(&self) -> String {
        let Bounds { lasts, token, collect, .. } = self.bounds;
        let reason =
            if self.ticket { "reason = { required = true, matches = 'PAY-[0-9]+', says = \"Name it\" }\n" } else { "" };
        format!(
            "max_duration = \"{lasts}s\"\nmax_token_lifetime = \"{token}s\"\ncollect_within = \"{collect}s\"\nuses = {}\n\
             decide_within = \"{}s\"\nceremony = \"{}\"\nself_approval = \"{}\"\n{reason}",
            uses(&self.bounds),
            self.decide,
            if self.confirm { "confirm" } else { "click" },
            if self.own { "allowed" } else { "never" },
        )
    }
}

impl Plan {
    /// The same as the text of `policy.toml`.
    pub fn toml(&self) -> String {
        let mut text =
            format!("shared = {}\npartial = \"{}\"\n", self.shared, if self.partial { "issue" } else { "hold" });
        for (name, members) in SETS.iter().zip(&self.members) {
            let accounts = listed(members.iter().map(|who| CAST[*who].0));
            write!(text, "[approvers.{name}]\nslack_users = {accounts}\n").expect("a text");
        }
        text.push_str("[limits]\n");
        writeln!(text, "denial_cooldown = \"{}s\"", self.cooldown).expect("a text");
        text.push_str(
            "[[resource]]\naudience = \"https://ledger.test\"\nname = \"Ledger\"\nhooks = [\"shop\", \"brief\"]\n\
             clients = [\"ledger-cli\"]\n",
        );
        for name in SCOPES {
            write!(text, "[[resource.scope]]\nname = \"{name}\"\nsays = \"To {name}\"\n").expect("a text");
        }
        for (bit, name) in SCOPES.iter().enumerate() {
            text.push_str(&self.rule(bit).toml(name));
        }
        text
    }
}

impl Rule {
    fn toml(&self, scope: &str) -> String {
        let rule = format!("[[rule]]\nname = \"about {scope}\"\nwhen = 'scope == \"{scope}\"'\n");
        match self {
            Self::None => String::new(),
            Self::Deny => format!("{rule}deny = \"Not that.\"\n"),
            Self::Allow(Bounds { lasts, token, .. }) => {
                format!("{rule}allow = {{ max_duration = \"{lasts}s\", max_token_lifetime = \"{token}s\" }}\n")
            }
            Self::Ask(ask) => match ask.needs.as_slice() {
                [(mask, count)] => {
                    format!("{rule}[rule.ask]\napprovers = {}\napprovals = {count}\n{}", sets(*mask), ask.toml())
                }
                several => {
                    let each =
                        |(mask, count): &(Sets, u8)| format!("{{ approvers = {}, approvals = {count} }}", sets(*mask));
                    let all: Vec<String> = several.iter().map(each).collect();
                    format!("{rule}ask_all = [{}]\n[rule.limits]\n{}", all.join(", "), ask.toml())
                }
            },
            Self::Glass(who, Bounds { lasts, token, .. }) => format!(
                "{rule}break_glass = {{ requesters = {}, tell = [\"leads\"], max_duration = \"{lasts}s\", \
                 max_token_lifetime = \"{token}s\", review_within = \"24h\" }}\n",
                sets(*who)
            ),
            Self::Observe => {
                format!(
                    "{rule}mode = \"observe\"\nask = {{ approvers = [\"leads\"], approvals = 1, max_duration = \"1h\" }}\n"
                )
            }
        }
    }
}
