//! The world that the random sequences play in, as plain numbers and texts: who there is, what may be asked, and what
//! can happen. Model, pure core and running service are all given the same steps.

/// Milliseconds since the world began.
pub type Time = i64;
/// Scopes, one bit for each of [`SCOPES`].
pub type Scopes = u8;
/// Approver sets, one bit for each of [`SETS`].
pub type Sets = u8;

pub const SCOPES: [&str; 7] = ["read", "write", "pay", "open", "burn", "look", "none"];
pub const READ: Scopes = 1;
pub const WRITE: Scopes = 2;
pub const PAY: Scopes = 4;
pub const OPEN: Scopes = 8;
pub const BURN: Scopes = 16;
pub const LOOK: Scopes = 32;

pub const SETS: [&str; 3] = ["leads", "owners", "on-call"];
pub const LEADS: Sets = 1;
pub const OWNERS: Sets = 2;
pub const ON_CALL: Sets = 4;

/// Slack accounts, each with the person behind it. Alice and Bob have two.
pub const CAST: [(&str, &str); 6] = [
    ("U0ALICE", "alice@example.com"),
    ("U0ALICE2", "alice@example.com"),
    ("U0BOB", "bob@example.com"),
    ("U0NORA", "bob@example.com"),
    ("U0CAROL", "carol@example.com"),
    ("U0DORA", "dora@example.com"),
];

/// Whose is this account?
pub fn person(who: usize) -> &'static str {
    CAST[who].1
}

pub const HOOKS: [&str; 2] = ["shop", "brief"];
pub const CLIENTS: [&str; 2] = ["ledger-cli", "build-job"];
/// Whom a token is for: a person, or the client itself. Calls come for the first three.
pub const SUBJECTS: [Option<&str>; 5] =
    [Some("alice@example.com"), Some("dora@example.com"), None, Some("bob@example.com"), Some("carol@example.com")];
/// Who acts for the subject.
pub const ACTORS: [Option<&str>; 2] = [None, Some("carol@example.com")];
pub const KEYS: [Option<&str>; 3] = [None, Some("key-1"), Some("key-2")];
pub const NUMBERS: [Option<&str>; 3] = [None, Some("41"), Some("42")];
pub const REASONS: [Option<&str>; 3] = [None, Some("PAY-1"), Some("because")];

/// What a hook is called with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wish {
    pub hook: usize,
    pub client: usize,
    pub subject: usize,
    pub actor: usize,
    pub scopes: Scopes,
    pub key: usize,
    pub number: usize,
    pub reason: usize,
    /// In seconds.
    pub lifetime: Option<u64>,
    /// A refresh carries an earlier decision on.
    pub refresh: bool,
    /// The identifier of the call, where the server gives one.
    pub call: Option<u8>,
}

/// Everything that must be equal for a grant to answer a call, besides the scopes.
pub type Kind = (usize, usize, usize, usize, usize);

impl Wish {
    pub fn kind(&self) -> Kind {
        (self.hook, self.client, self.subject, self.actor, self.key)
    }

    /// The person for whom it is.
    pub fn subject(&self) -> Option<&'static str> {
        SUBJECTS[self.subject]
    }
}

/// The usual call: Alice's terminal wants to write, through the shop.
pub fn usual() -> Wish {
    let (hook, client, subject, actor, key, number, reason) = (0, 0, 0, 0, 0, 0, 1);
    let (scopes, lifetime, refresh, call) = (WRITE, None, false, None);
    Wish { hook, client, subject, actor, scopes, key, number, reason, lifetime, refresh, call }
}

/// One difference from the usual call.
#[derive(Debug, Clone, Copy)]
pub enum Change {
    Hook(usize),
    Client(usize),
    Subject(usize),
    Actor(usize),
    Scopes(Scopes),
    Key(usize),
    Number(usize),
    Reason(usize),
    Lifetime(u64),
    Refresh,
    Call(u8),
}

impl Change {
    pub fn applied(self, wish: &mut Wish) {
        match self {
            Self::Hook(n) => wish.hook = n,
            Self::Client(n) => wish.client = n,
            Self::Subject(n) => wish.subject = n,
            Self::Actor(n) => wish.actor = n,
            Self::Scopes(scopes) => wish.scopes = scopes,
            Self::Key(n) => wish.key = n,
            Self::Number(n) => wish.number = n,
            Self::Reason(n) => wish.reason = n,
            Self::Lifetime(seconds) => wish.lifetime = Some(seconds),
            Self::Refresh => wish.refresh = true,
            Self::Call(id) => wish.call = Some(id),
        }
    }
}

/// Who ends a grant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Revoker {
    Operator,
    Hook(usize),
    /// Somebody of the cast, on the card.
    Person(usize),
}

/// One thing that happens. `on` counts access requests or grants from the newest, which is 0.
#[derive(Debug, Clone)]
pub enum Step {
    /// A hook is called: the usual call but for these differences.
    Call(Vec<Change>),
    /// The last call comes again, exactly.
    CallAgain,
    /// Somebody approves on the card as it is now, or on the one that was posted first. They take scopes out, and
    /// name a time.
    Approve { who: usize, on: usize, first_card: bool, take: Scopes, seconds: Option<u64> },
    /// Somebody denies.
    Deny { who: usize, on: usize, first_card: bool },
    /// Somebody takes an approval back.
    TakeBack { who: usize, on: usize },
    /// Somebody withdraws an access request in Slack.
    Withdraw { who: usize, on: usize },
    /// A grant is revoked.
    Revoke { by: Revoker, on: usize },
    /// Somebody says that they are done with a grant.
    Done { who: usize, on: usize },
    /// Somebody wants more time for a grant.
    Extend { who: usize, on: usize, lifetime: Option<u64> },
    /// Somebody asks ahead, perhaps for a start in so many minutes.
    Ahead { who: usize, client: usize, scopes: Scopes, lifetime: Option<u64>, minutes: Option<u32> },
    /// Another policy is put in force.
    Policy(usize),
    /// The clock of the machine is moved by so many milliseconds, backwards too.
    Wait(Time),
    /// The clock is moved to so many milliseconds past the n-th next instant at which something ends or starts.
    Until(usize, Time),
    /// The worker does what is due.
    Worker,
}

/// The start that somebody names who says "in so many minutes": clocks on the wall show full minutes.
pub fn start_in(now: Time, minutes: u32) -> Time {
    now - now.rem_euclid(60_000) + Time::from(minutes) * 60_000
}

/// The scopes of a mask, by name.
pub fn names(scopes: Scopes) -> Vec<&'static str> {
    (0..SCOPES.len()).filter(|bit| scopes & (1 << bit) != 0).map(|bit| SCOPES[bit]).collect()
}

/// The mask of some names.
pub fn mask<'n>(names: impl IntoIterator<Item = &'n str>) -> Scopes {
    names
        .into_iter()
        .filter_map(|name| SCOPES.iter().position(|known| *known == name))
        .fold(0, |all, bit| all | 1 << bit)
}
