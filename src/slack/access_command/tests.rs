//! What people type, and what it is read as.

use super::*;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn asked(text: &str) -> AskLine {
    match read(text) {
        Ok(Line::Ask(asked)) => asked,
        other => panic!("{text}: {other:?}"),
    }
}

fn read(text: &str) -> Result<Line, String> {
    parse(text, at("2026-11-25T10:00:00Z"), 3_600)
}

#[test]
fn one_line_is_read_in_any_order() {
    let expected = AskLine {
        words: vec!["billing-cli".to_owned(), "payments:refund".to_owned()],
        lifetime: Some(7_200),
        reason: Some("PAY-4821".to_owned()),
        ..AskLine::default()
    };
    for text in [
        "billing-cli payments:refund for 2h because PAY-4821",
        "for 2 hours billing-cli payments:refund because PAY-4821",
        "billing-cli payments:refund because PAY-4821 for 120m",
        "because \u{201c}PAY-4821\u{201d} billing-cli payments:refund for 1h60m",
        "  billing-cli,\u{a0}payments:refund   for 2h because \"PAY-4821\"  ",
    ] {
        assert_eq!(asked(text), expected, "{text}");
    }
}

#[test]
fn a_start_is_in_the_persons_own_time() {
    let start = |text: &str| asked(&format!("c s {text}")).starts_at.unwrap();
    assert_eq!(start("from 14:00"), at("2026-11-25T13:00:00Z"));
    assert_eq!(start("from 2pm"), at("2026-11-25T13:00:00Z"));
    assert_eq!(start("from 09:00"), at("2026-11-26T08:00:00Z"), "a time that has passed is tomorrow's");
    assert_eq!(start("from 14:00 UTC for 1h"), at("2026-11-25T14:00:00Z"));
    assert_eq!(start("from tomorrow 9:00 because x"), at("2026-11-26T08:00:00Z"));
    assert_eq!(start("from 2026-12-01 14:00"), at("2026-12-01T13:00:00Z"));
    assert_eq!(start("from 2026-12-01T14:00Z"), at("2026-12-01T14:00:00Z"));
}

#[test]
fn what_is_not_clear_is_said_clearly() {
    for (text, says) in [
        ("c s for tomorrow", "no length of time"),
        ("c s for -1h", "less than nothing"),
        ("c s for \u{2212}1h", "less than nothing"),
        ("c s for 0m", "No time at all"),
        ("c s for", "no length of time"),
        ("c s for 2h for 3h", "twice"),
        ("c s from noonish", "no time of day"),
        ("c s from 2020-01-01 10:00", "in the past"),
        ("c s because \"x", "not closed"),
        ("c s because", "goes a reason"),
        ("done a b", "one identifier"),
        ("extend from 14:00", "starts when"),
    ] {
        let refused = read(text).unwrap_err();
        assert!(refused.contains(says), "{text}: {refused}");
    }
    assert!(read(&"x".repeat(3_000)).unwrap_err().contains("too long"));
    assert!(read(&format!("c s because {}", "y".repeat(600))).unwrap_err().contains("600"));
}

#[test]
fn the_other_commands() {
    assert_eq!(read("  "), Ok(Line::Form));
    assert_eq!(read("HELP me"), Ok(Line::Help));
    assert_eq!(read("done"), Ok(Line::Done(None)));
    assert_eq!(read("withdraw req_1"), Ok(Line::Withdraw(Some("req_1".to_owned()))));
    let extend = |text| match read(text) {
        Ok(Line::Extend { id, lifetime, .. }) => (id, lifetime),
        other => panic!("{other:?}"),
    };
    assert_eq!(extend("extend"), (None, None));
    assert_eq!(extend("extend 2h"), (None, Some(7_200)));
    assert_eq!(extend("extend grn_9 30m because PAY-1"), (Some("grn_9".to_owned()), Some(1_800)));
    assert_eq!(extend("extend grn_9 for 1 hour"), (Some("grn_9".to_owned()), Some(3_600)));
}

#[test]
fn links_and_mentions_are_what_they_name() {
    let line = asked("c s on <https://payments.example.com|payments.example.com> as <mailto:bob@x.test|bob@x.test>");
    assert_eq!(line.words, ["c", "s", "https://payments.example.com"]);
    assert_eq!(line.subject.as_deref(), Some("bob@x.test"));
}
