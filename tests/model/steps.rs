//! Random sequences of steps. They shrink: fewer steps, nearer to the usual call, earlier members of the cast.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::plans;
use super::world::{BURN, CAST, Change, LOOK, OPEN, PAY, READ, Revoker, Scopes, Step, Time, WRITE};

fn lifetime() -> impl Strategy<Value = u64> {
    select(vec![900, 120, 3_600, 14_400, 300_000_000, 5, 4])
}

fn scopes() -> impl Strategy<Value = Scopes> {
    let often = vec![
        WRITE,
        READ,
        PAY,
        OPEN,
        BURN,
        LOOK,
        WRITE | READ,
        WRITE | PAY,
        PAY | READ,
        WRITE | BURN,
        WRITE | PAY | OPEN,
    ];
    prop_oneof![6 => select(often), 1 => 0u8..128]
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        12 => scopes().prop_map(Change::Scopes),
        5 => lifetime().prop_map(Change::Lifetime),
        4 => (0u8..3).prop_map(Change::Call),
        2 => (0usize..3).prop_map(Change::Key),
        2 => (0usize..3).prop_map(Change::Subject),
        2 => (0usize..3).prop_map(Change::Reason),
        2 => (0usize..2).prop_map(Change::Hook),
        1 => (0usize..2).prop_map(Change::Client),
        1 => (0usize..2).prop_map(Change::Actor),
        1 => (0usize..3).prop_map(Change::Number),
        2 => Just(Change::Refresh),
    ]
}

/// The newest, or one of those shortly before it.
fn on() -> impl Strategy<Value = usize> {
    prop_oneof![6 => Just(0usize), 2 => Just(1usize), 1 => 2usize..4]
}

/// Those who may decide come more often than the others.
fn who() -> impl Strategy<Value = usize> {
    prop_oneof![3 => Just(2usize), 3 => Just(4usize), 4 => 0..CAST.len()]
}

/// Those who ask.
fn asker() -> impl Strategy<Value = usize> {
    prop_oneof![5 => Just(0usize), 3 => 0..CAST.len()]
}

fn first_card() -> impl Strategy<Value = bool> {
    prop_oneof![9 => Just(false), 1 => Just(true)]
}

fn approve() -> impl Strategy<Value = Step> {
    let take = prop_oneof![5 => Just(0), 2 => select(vec![WRITE, READ, PAY, OPEN]), 1 => 0u8..128];
    let seconds = prop_oneof![
        5 => Just(None),
        2 => select(vec![900, 300, 60, 1_800, 3_600]).prop_map(Some),
        1 => select(vec![0, 300_000_000]).prop_map(Some),
    ];
    (who(), on(), first_card(), take, seconds).prop_map(|(who, on, first_card, take, seconds)| Step::Approve {
        who,
        on,
        first_card,
        take,
        seconds,
    })
}

fn wait() -> impl Strategy<Value = Step> {
    let by: Vec<Time> =
        vec![1, 1_000, 30_000, 59_999, 60_000, 300_000, 900_000, 3_600_000, -1_000, -600_000, -7_200_000, 100_000_000];
    let around: Vec<Time> = vec![0, -1, 1, -5_000, -4_999, 60_000];
    prop_oneof![
        1 => select(by).prop_map(Step::Wait),
        1 => (0usize..8, select(around)).prop_map(|(n, by)| Step::Until(n, by)),
    ]
}

fn revoker() -> impl Strategy<Value = Revoker> {
    prop_oneof![
        2 => Just(Revoker::Operator),
        1 => (0usize..2).prop_map(Revoker::Hook),
        2 => who().prop_map(Revoker::Person),
    ]
}

fn ahead() -> impl Strategy<Value = Step> {
    let minutes = prop_oneof![3 => Just(None), 2 => select(vec![10u32, 30, 120, 0, 50_000]).prop_map(Some)];
    let client = prop_oneof![9 => Just(0usize), 1 => Just(1usize)];
    (asker(), client, scopes(), proptest::option::of(lifetime()), minutes)
        .prop_map(|(who, client, scopes, lifetime, minutes)| Step::Ahead { who, client, scopes, lifetime, minutes })
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        // What cannot be left out of a failing sequence shrinks to this.
        1 => Just(Step::Wait(0)),
        16 => vec(change(), 0..=2).prop_map(Step::Call),
        6 => Just(Step::CallAgain),
        18 => approve(),
        2 => (who(), on(), first_card()).prop_map(|(who, on, first_card)| Step::Deny { who, on, first_card }),
        2 => (who(), on()).prop_map(|(who, on)| Step::TakeBack { who, on }),
        1 => (asker(), on()).prop_map(|(who, on)| Step::Withdraw { who, on }),
        2 => (revoker(), on()).prop_map(|(by, on)| Step::Revoke { by, on }),
        1 => (asker(), on()).prop_map(|(who, on)| Step::Done { who, on }),
        2 => (asker(), on(), proptest::option::of(lifetime())).prop_map(|(who, on, lifetime)| Step::Extend { who, on, lifetime }),
        4 => ahead(),
        4 => (0..plans::all().len()).prop_map(Step::Policy),
        8 => wait(),
        3 => Just(Step::Worker),
    ]
}

/// What often comes one after the other: random steps alone seldom get that far.
fn script() -> impl Strategy<Value = Vec<Step>> {
    let call = || vec(change(), 0..=2).prop_map(Step::Call);
    let yes = || {
        (select(vec![2usize, 4]), select(vec![0u8, 0, 0, READ, PAY]), select(vec![None, None, Some(900)]))
            .prop_map(|(who, take, seconds)| Step::Approve { who, on: 0, first_card: false, take, seconds })
    };
    let later = || select(vec![10u32, 30]).prop_map(Some);
    let wish =
        || (select(vec![0usize, 0, 5]), select(vec![WRITE, OPEN, WRITE | PAY]), proptest::option::of(lifetime()));
    let ahead = move |minutes: BoxedStrategy<Option<u32>>| {
        (wish(), minutes).prop_map(|((who, scopes, lifetime), minutes)| Step::Ahead {
            who,
            client: 0,
            scopes,
            lifetime,
            minutes,
        })
    };
    let collects =
        || (0usize..3, 0usize..2).prop_map(|(key, hook)| Step::Call(vec![Change::Key(key), Change::Hook(hook)]));
    let until = || (0usize..3, select(vec![0, 0, 1, 60_000])).prop_map(|(n, by)| Step::Until(n, by));
    let policy = || (0..plans::all().len()).prop_map(Step::Policy);
    let back = || (select(vec![2usize, 3, 4]), Just(0usize)).prop_map(|(who, on)| Step::TakeBack { who, on });
    let extend = || proptest::option::of(lifetime()).prop_map(|lifetime| Step::Extend { who: 0, on: 0, lifetime });
    prop_oneof![
        6 => (call(), yes()).prop_map(|(a, b)| vec![a, b, Step::CallAgain]),
        3 => (call(), yes(), yes()).prop_map(|(a, b, c)| vec![Step::Policy(1), a, b, c, Step::CallAgain]),
        2 => (yes(), back(), yes()).prop_map(|(a, b, c)| vec![Step::Call(vec![Change::Scopes(PAY)]), a, b, c]),
        2 => (until(), yes()).prop_map(|(a, b)| vec![Step::Call(vec![Change::Scopes(OPEN)]), b, Step::CallAgain, a, Step::CallAgain]),
        3 => (ahead(Just(None).boxed()), yes(), collects()).prop_map(|(a, b, c)| vec![a, b, c]),
        3 => (ahead(later().boxed()), yes(), until(), collects()).prop_map(|(a, b, c, d)| vec![a, b, c, Step::Worker, d]),
        2 => (ahead(later().boxed()), yes(), policy(), collects()).prop_map(|(a, b, c, d)| {
            vec![a, b, c, Step::Until(0, 0), Step::Until(0, 0), Step::Worker, Step::Policy(0), d]
        }),
        2 => (call(), yes(), policy()).prop_map(|(a, b, c)| vec![a, b, c, Step::CallAgain, Step::Policy(0), Step::CallAgain]),
        1 => call().prop_map(|call| {
            let deny = || Step::Deny { who: 4, on: 0, first_card: false };
            vec![call, deny(), Step::Wait(600_000), Step::CallAgain, deny(), Step::Wait(700_000), Step::CallAgain]
        }),
        3 => (yes(), extend(), yes(), until()).prop_map(|(a, b, c, d)| vec![Step::Call(Vec::new()), a, Step::CallAgain, b, c, d, Step::CallAgain]),
        1 => (yes(), yes()).prop_map(|(a, b)| {
            let more = |on| Step::Extend { who: 0, on, lifetime: Some(900) };
            vec![Step::Call(Vec::new()), a, Step::CallAgain, more(0), b, more(0), more(1)]
        }),
    ]
}

/// A sequence of 10 to 30 steps.
pub fn sequence() -> impl Strategy<Value = Vec<Step>> {
    let part = prop_oneof![3 => step().prop_map(|step| vec![step]), 1 => script()];
    vec(part, 10..=16).prop_map(|parts| {
        let mut steps = parts.concat();
        steps.truncate(30);
        steps
    })
}
