//! Random worlds: who there is, what may be asked, and what happens.
//!
//! Everything here is plain (numbers, masks, static texts), so that the reference model can decide from it
//! without any type of the domain. The translation into the domain's types is in `speak`.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

/// Ten years: what stands for no bound of its own.
pub const LONGEST: u64 = 315_576_000;
/// The scopes there are; a mask of them is what a wish names. Mask 0 names no scope at all.
pub const SCOPES: [&str; 4] = ["ledger:read", "ledger:write", "refund", "wire"];
/// The approver sets there are.
pub const SETS: [&str; 3] = ["finance", "leads", "security"];

/// A Slack account: its identity in the directory, and what else it might be.
#[derive(Debug, Clone, Copy)]
pub struct Account {
    /// The Slack user id.
    pub slack: &'static str,
    /// The identity that permits.
    pub principal: &'static str,
    /// Another identity that the account might have.
    pub perhaps: Option<&'static str>,
}

const fn account(slack: &'static str, principal: &'static str, perhaps: Option<&'static str>) -> Account {
    Account { slack, principal, perhaps }
}

/// The accounts: a requester with a second one and a third that might be theirs, a person with two accounts
/// and somebody who might be that person, three more, the actor in the chain, and somebody in no set.
pub const CAST: [Account; 11] = [
    account("U0ALICE", "alice@example.com", None),
    account("U0ALICE2", "alice@example.com", None),
    account("U0ALICE3", "al@example.com", Some("alice@example.com")),
    account("U0BOB", "bob@example.com", None),
    account("U0BOB2", "bob@example.com", None),
    account("U0BOB3", "robert@example.com", Some("bob@example.com")),
    account("U0CAROL", "carol@example.com", None),
    account("U0DAVE", "dave@example.com", None),
    account("U0ERIN", "erin@example.com", None),
    account("U0AGENT", "agent@example.com", None),
    account("U0OLGA", "olga@example.com", None),
];

/// A subject: kind, identifier, address.
pub const SUBJECTS: [(&str, &str, Option<&str>); 4] = [
    ("user", " Alice@Example.COM", None),
    ("user", "zoe", Some("Erin@example.com")),
    ("client", "billing-cli", None),
    ("client", "alice@example.com", None),
];
/// Chains of actors.
pub const ACTORS: [&[&str]; 3] = [&[], &["agent@example.com"], &["helper", "BOB@example.com"]];

/// What one hook call asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub hook: usize,
    pub client: usize,
    pub subject: usize,
    pub actor: usize,
    /// A mask of `SCOPES`.
    pub scopes: u8,
    /// A mask of two audiences.
    pub audience: u8,
    pub details: usize,
    pub cnf: usize,
    /// The number that the client shows.
    pub number: usize,
    /// In seconds.
    pub lifetime: Option<u64>,
    pub reason: usize,
    pub ip: usize,
    /// Whether it is a refresh, which never opens an access request.
    pub refresh: bool,
    /// The identifier that the server gave the call.
    pub call: Option<u8>,
}

/// What the policy of this world says. Times are in seconds.
#[derive(Debug, Clone)]
pub struct Plan {
    /// Whether people are asked; otherwise it is allowed.
    pub asks: bool,
    /// Scopes that are refused.
    pub forbidden: u8,
    /// Masks of approver sets, and how many people of them.
    pub requirements: Vec<(u8, u8)>,
    /// For each of them a mask of the scopes that ask for it; all of them, where none of it is asked for.
    pub covers: Vec<u8>,
    pub shared: bool,
    pub max_duration: u64,
    pub max_token: u64,
    pub collect_within: u64,
    pub uses: Option<u32>,
    pub decide_within: u64,
    pub cooldown: u64,
}

/// One difference of a wish from the usual one.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Hook,
    Client,
    Subject(usize),
    Actor(usize),
    Scopes(u8),
    Audience(u8),
    Details(usize),
    Cnf,
    Number(usize),
    Lifetime(Option<u64>),
    Reason(usize),
    Ip(usize),
    Refresh,
    Call(u8),
}

/// How the clock of the machine moves.
#[derive(Debug, Clone, Copy)]
pub enum Wait {
    /// Milliseconds, backwards too.
    Millis(i64),
    /// To the n-th instant that matters, and so many milliseconds further.
    To(usize, i64),
}

/// What happens.
#[derive(Debug, Clone)]
pub enum Move {
    /// A hook call, the usual one but for these changes.
    Ask(Vec<Change>),
    /// The last call once more, exactly.
    AskAgain,
    /// A click of a member of the cast on the n-th newest access request, on a card that was made for the
    /// shown version minus `stale`. A yes may take scopes out, and name another time.
    Click { who: usize, on: usize, deny: bool, stale: u32, less: Less },
    /// A member of the cast takes an approval of the n-th newest access request back.
    TakeBack { who: usize, on: usize },
    /// The last click once more, exactly.
    ClickAgain,
    /// The clock moves.
    Wait(Wait),
    /// The worker writes down what has ended.
    Worker,
    /// The n-th newest access request is withdrawn.
    Withdraw(usize),
    /// The n-th newest grant is revoked.
    Revoke(usize),
    /// Somebody joins or leaves an approver set.
    Belong { who: usize, set: usize, yes: bool },
    /// The policy changes: the longest token, in seconds.
    Tighten(u64),
    /// The policy changes: these scopes are refused.
    Forbid(u8),
}

/// What a yes takes away: a mask of scopes, and the time in seconds that it names.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Less {
    pub take: u8,
    pub seconds: Option<u64>,
}

/// A world and what happens in it.
#[derive(Debug, Clone)]
pub struct World {
    pub plan: Plan,
    pub usual: Wish,
    /// For each of the cast, a mask of the approver sets it is in.
    pub members: Vec<u8>,
    pub moves: Vec<Move>,
}

impl Wish {
    /// This wish with some differences.
    pub fn with(&self, changes: &[Change]) -> Self {
        let mut wish = self.clone();
        for change in changes {
            match *change {
                Change::Hook => wish.hook = 1 - wish.hook,
                Change::Client => wish.client = 1 - wish.client,
                Change::Subject(n) => wish.subject = n,
                Change::Actor(n) => wish.actor = n,
                Change::Scopes(mask) => wish.scopes = mask,
                Change::Audience(mask) => wish.audience = mask,
                Change::Details(n) => wish.details = n,
                Change::Cnf => wish.cnf = 1 - wish.cnf,
                Change::Number(n) => wish.number = n,
                Change::Lifetime(seconds) => wish.lifetime = seconds,
                Change::Reason(n) => wish.reason = n,
                Change::Ip(n) => wish.ip = n,
                Change::Refresh => wish.refresh = true,
                Change::Call(id) => wish.call = Some(id),
            }
        }
        wish
    }
}

/// What people outside do: a group changes its members, an operator the policy.
pub fn changes(plan: &mut Plan, members: &mut [u8], a_move: &Move) {
    match a_move {
        Move::Belong { who, set, yes: true } => members[*who] |= 1 << set,
        Move::Belong { who, set, yes: false } => members[*who] &= !(1 << set),
        Move::Tighten(seconds) => plan.max_token = *seconds,
        Move::Forbid(scopes) => plan.forbidden = *scopes,
        Move::Ask(_) | Move::AskAgain | Move::Click { .. } | Move::ClickAgain | Move::Wait(_) | Move::Worker => {}
        Move::Withdraw(_) | Move::Revoke(_) | Move::TakeBack { .. } => {}
    }
}

fn lifetime() -> impl Strategy<Value = Option<u64>> {
    select(vec![None, None, Some(900), Some(900), Some(120), Some(120), Some(u64::MAX), Some(5), Some(4)])
}

pub fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        1 => Just(Change::Hook),
        1 => Just(Change::Client),
        2 => (0..SUBJECTS.len()).prop_map(Change::Subject),
        1 => (0..ACTORS.len()).prop_map(Change::Actor),
        6 => (0u8..16).prop_map(Change::Scopes),
        1 => (0u8..4).prop_map(Change::Audience),
        2 => (0usize..4).prop_map(Change::Details),
        1 => Just(Change::Cnf),
        2 => (0usize..3).prop_map(Change::Number),
        4 => lifetime().prop_map(Change::Lifetime),
        3 => (0usize..12).prop_map(Change::Reason),
        2 => (0usize..3).prop_map(Change::Ip),
        1 => Just(Change::Refresh),
        3 => (0u8..4).prop_map(Change::Call),
    ]
}

fn click() -> impl Strategy<Value = Move> {
    let stale = prop_oneof![12 => Just(0u32), 1 => Just(1u32), 1 => Just(u32::MAX)];
    let deny = prop_oneof![9 => Just(false), 1 => Just(true)];
    let on = prop_oneof![5 => Just(0usize), 1 => 0usize..4];
    let seconds = || select(vec![Some(60u64), Some(60), Some(600), Some(0), Some(LONGEST)]);
    let less = prop_oneof![
        16 => Just(Less::default()),
        3 => (1u8..16).prop_map(|take| Less { take, seconds: None }),
        1 => seconds().prop_map(|seconds| Less { take: 0, seconds }),
        1 => (1u8..16, seconds()).prop_map(|(take, seconds)| Less { take, seconds }),
    ];
    (0..CAST.len(), on, deny, stale, less).prop_map(|(who, on, deny, stale, less)| Move::Click {
        who,
        on,
        deny,
        stale,
        less,
    })
}

fn wait() -> impl Strategy<Value = Wait> {
    let usual = select(vec![0i64, 1, 400, 1_000, 2_000, 5_000, 20_000, 59_999, 60_000, 240_000, -1_000, -3_600_000]);
    let around = select(vec![-1i64, 0, 1, -5_000, -4_999]);
    prop_oneof![3 => usual.prop_map(Wait::Millis), 2 => (0usize..12, around).prop_map(|(n, by)| Wait::To(n, by))]
}

fn one_move() -> impl Strategy<Value = Move> {
    prop_oneof![
        16 => vec(change(), 0..=2).prop_map(Move::Ask),
        6 => Just(Move::AskAgain),
        36 => click(),
        3 => Just(Move::ClickAgain),
        12 => wait().prop_map(Move::Wait),
        6 => Just(Move::Worker),
        1 => (0usize..3).prop_map(Move::Withdraw),
        2 => (0usize..3).prop_map(Move::Revoke),
        2 => (0..CAST.len() - 1, 0..SETS.len(), any::<bool>())
            .prop_map(|(who, set, yes)| Move::Belong { who, set, yes }),
        1 => select(vec![3u64, 5, 30, 600]).prop_map(Move::Tighten),
        1 => (0u8..16).prop_map(Move::Forbid),
        4 => (0..CAST.len(), 0usize..2).prop_map(|(who, on)| Move::TakeBack { who, on }),
    ]
}

fn plan() -> impl Strategy<Value = Plan> {
    let asks = prop_oneof![6 => Just(true), 1 => Just(false)];
    let forbidden = prop_oneof![5 => Just(0u8), 2 => 0u8..16];
    let count = prop_oneof![6 => Just(1u8), 3 => Just(2u8), 1 => Just(3u8)];
    let how_many = prop_oneof![1 => Just(0usize..=0), 20 => Just(1..=1), 16 => Just(2..=2), 4 => Just(3..=3)];
    let requirements = how_many.prop_flat_map(move |n| vec((1u8..8, count.clone()), n));
    let covers = vec(prop_oneof![3 => Just(15u8), 2 => 1u8..16], 3);
    let times = (
        select(vec![0u64, 61, 61, 900, 900, 3_600, 3_600, LONGEST]),
        select(vec![3u64, 5, 60, 60, 600, 600]),
        select(vec![1u64, 60, 60, 900, LONGEST]),
        select(vec![60u64, 60, 1_800, 1_800, 1_800, LONGEST]),
        select(vec![0u64, 60, 900]),
    );
    let uses = select(vec![None, None, Some(1), Some(2), Some(3)]);
    (asks, forbidden, requirements, covers, any::<bool>(), times, uses).prop_map(
        |(asks, forbidden, requirements, covers, shared, times, uses)| {
            let (max_duration, max_token, collect_within, decide_within, cooldown) = times;
            Plan {
                asks,
                forbidden,
                requirements,
                covers,
                shared,
                max_duration,
                max_token,
                collect_within,
                uses,
                decide_within,
                cooldown,
            }
        },
    )
}

pub fn usual() -> impl Strategy<Value = Wish> {
    let whose = (0..2usize, 0..2usize, 0..SUBJECTS.len(), 0..ACTORS.len());
    let scopes = prop_oneof![1 => Just(0u8), 8 => 1u8..16];
    (whose, scopes, 0u8..4, 0..4usize, 0..2usize, 0..3usize, lifetime()).prop_map(
        |((hook, client, subject, actor), scopes, audience, details, cnf, number, lifetime)| Wish {
            hook,
            client,
            subject,
            actor,
            scopes,
            audience,
            details,
            cnf,
            number,
            lifetime,
            reason: 0,
            ip: 0,
            refresh: false,
            call: None,
        },
    )
}

/// Any world, with 1 to 60 moves in it. The last of the cast is in no approver set, ever.
pub fn any_world() -> impl Strategy<Value = World> {
    let member = prop_oneof![1 => Just(0u8), 4 => 1u8..8];
    (plan(), usual(), vec(member, CAST.len() - 1), vec(one_move(), 0..=59)).prop_map(
        |(plan, usual, mut members, mut moves)| {
            members.push(0);
            // Without a first call nothing can happen at all.
            moves.insert(0, Move::Ask(Vec::new()));
            World { plan, usual, members, moves }
        },
    )
}
