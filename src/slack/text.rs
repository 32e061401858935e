//! Keeping text inert: what strangers write must neither mention, link, format nor reorder anything.
//!
//! Two rules. Free text (reasons, notes, names that people chose) goes only into rich text or plain text, after
//! [`clean`] or [`clean_lines`]. Identifiers go into mrkdwn only as [`code`]. Everything else that is mrkdwn is
//! our own words; where a caller hands us words, [`inert`] lets nothing through but mentions and dates.

use crate::clock::Timestamp;
use crate::domain::ids::SlackUserId;

/// The most combining marks that may follow one another; more would cover the neighbouring lines.
const MARKS_MAX: usize = 4;

/// One line of harmless characters: control, direction and invisible characters are gone, line breaks and tabs
/// are spaces.
pub fn clean(text: &str) -> String {
    if is_plain(text) {
        return text.trim().to_owned();
    }
    let spaced = text.chars().map(|c| if breaks_line(c) || c == '\t' { ' ' } else { c });
    harmless(spaced).trim().to_owned()
}

/// As [`clean`], but line breaks stay, at most two in a row.
pub fn clean_lines(text: &str) -> String {
    if is_plain(text) {
        return text.trim().to_owned();
    }
    let unified = text.replace("\r\n", "\n");
    let kept = harmless(unified.chars().map(|c| if breaks_line(c) { '\n' } else { c }));
    let mut lines = String::with_capacity(kept.len());
    let mut breaks = 0;
    for c in kept.trim().chars() {
        breaks = if c == '\n' { breaks + 1 } else { 0 };
        if breaks <= 2 {
            lines.push(c);
        }
    }
    lines
}

/// Whether cleaning takes something out that could have deceived a reader.
pub fn hides_something(text: &str) -> bool {
    if is_plain(text) {
        return false;
    }
    let visible = |c: &char| !matches!(c, '\n' | '\r' | '\t');
    text.chars().filter(visible).collect::<String>() != harmless(text.chars().filter(visible))
}

/// Whether all of it is what a typewriter could write on one line: there is nothing to take out. Most texts are.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~'))
}

fn harmless(chars: impl Iterator<Item = char>) -> String {
    let mut marks = 0;
    chars
        .filter(|c| {
            marks = if is_mark(*c) { marks + 1 } else { 0 };
            marks <= MARKS_MAX && (!is_hidden(*c) || *c == '\n')
        })
        .collect()
}

fn breaks_line(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

/// Control characters, characters that change the direction of writing, and characters that nobody sees.
fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..='\u{e0fff}')
}

/// Combining marks that stack up: the general ones and those of the scripts that use them most.
fn is_mark(c: char) -> bool {
    matches!(c,
        '\u{300}'..='\u{36f}' | '\u{483}'..='\u{489}' | '\u{591}'..='\u{5bd}' | '\u{610}'..='\u{61a}'
        | '\u{64b}'..='\u{65f}' | '\u{6d6}'..='\u{6ed}' | '\u{e31}' | '\u{e34}'..='\u{e3a}' | '\u{e47}'..='\u{e4e}'
        | '\u{f71}'..='\u{f84}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}'
        | '\u{fe20}'..='\u{fe2f}')
}

/// The first `most` characters, with an ellipsis as the last of them where something was cut.
pub fn cut(text: &str, most: usize) -> (String, bool) {
    if text.chars().count() <= most {
        return (text.to_owned(), false);
    }
    let kept: String = text.chars().take(most.saturating_sub(1)).collect();
    (format!("{}…", kept.trim_end()), true)
}

/// The three characters that mrkdwn decodes.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// An identifier, scope or address as inline code: nothing inside it is formatted, linked or mentioned.
pub fn code(text: &str) -> String {
    let inside = clean(text).replace('`', " ");
    if inside.trim().is_empty() { "`(empty)`".to_owned() } else { format!("`{}`", escape(&inside)) }
}

/// A mention of an account.
pub fn mention(user: &SlackUserId) -> String {
    format!("<@{user}>")
}

/// A moment: in the reader's time zone, or in UTC where a client cannot show that.
pub fn date(at: Timestamp) -> String {
    format!("<!date^{}^{{date_short_pretty}} at {{time}}|{}>", at.timestamp(), utc(at))
}

/// A moment where only plain text is shown.
pub fn utc(at: Timestamp) -> String {
    at.format("%Y-%m-%d %H:%M UTC").to_string()
}

/// A length of time in words, such as `1 hour 30 minutes`.
pub fn duration(seconds: u64) -> String {
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second")];
    let mut left = seconds;
    let mut words = Vec::new();
    for (size, name) in units {
        let count = left / size;
        left %= size;
        if count > 0 {
            words.push(counted(usize::try_from(count).unwrap_or(usize::MAX), name));
        }
    }
    // Two units are as exact as a person reads.
    words.truncate(2);
    if words.is_empty() { "no time".to_owned() } else { words.join(" ") }
}

/// `1 scope`, `2 scopes`.
pub fn counted(count: usize, name: &str) -> String {
    if count == 1 { format!("1 {name}") } else { format!("{count} {name}s") }
}

/// Words of ours that a caller composed, as mrkdwn: mentions of accounts, user groups and channels and dates stay, any
/// other `<…>` (broadcasts, links) becomes text.
pub fn inert(words: &str) -> String {
    let words = clean_lines(words);
    let mut out = String::with_capacity(words.len());
    let mut rest = words.as_str();
    while let Some(at) = rest.find(['<', '>', '&']) {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let kept = if rest.starts_with('<') { token(rest) } else { entity(rest) };
        match kept {
            Some(kept) => {
                out.push_str(kept);
                rest = &rest[kept.len()..];
            }
            None => {
                out.push_str(&escape(&rest[..1]));
                rest = &rest[1..];
            }
        }
    }
    out.push_str(rest);
    out
}

fn entity(text: &str) -> Option<&str> {
    ["&amp;", "&lt;", "&gt;"].into_iter().find(|entity| text.starts_with(entity))
}

/// The mention or date that `text` starts with.
fn token(text: &str) -> Option<&str> {
    let end = text.find('>')?;
    let inside = &text[1..end];
    let id = |id: &str, first: &str| {
        (3..=24).contains(&id.len())
            && id.starts_with(|c| first.contains(c))
            && id.bytes().all(|b| b.is_ascii_uppercase() || b.is_ascii_digit())
    };
    let known = if let Some(user) = inside.strip_prefix('@') {
        id(user, "UW")
    } else if let Some(channel) = inside.strip_prefix('#') {
        id(channel, "CG")
    } else if let Some(group) = inside.strip_prefix("!subteam^") {
        id(group, "S")
    } else if let Some(date) = inside.strip_prefix("!date^") {
        // A third `^` would make it a link.
        let seconds = date.split('^').next().unwrap_or_default();
        date.matches('^').count() == 1
            && date.contains('|')
            && !date.contains(['<', '&'])
            && !seconds.is_empty()
            && seconds.bytes().all(|b| b.is_ascii_digit())
    } else {
        false
    };
    known.then(|| &text[..=end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::DateTime;

    #[test]
    fn what_nobody_sees_or_what_reorders_a_line_is_taken_out() {
        assert_eq!(clean("a\u{202e}b\u{200b}c\u{0}d\u{feff}"), "abcd");
        assert_eq!(clean("one\r\ntwo\u{2028}three\tfour"), "one  two three four");
        assert_eq!(clean_lines("a\r\n\n\n\n\u{2029}b"), "a\n\nb");
        assert_eq!(clean(&format!("e{}", "\u{301}".repeat(50))), format!("e{}", "\u{301}".repeat(4)));
        assert!(hides_something("pay\u{200b}ments") && !hides_something("two\nlines\tand é"));
    }

    #[test]
    fn an_identifier_cannot_leave_its_inline_code() {
        assert_eq!(code("a`b\nc<!channel>&"), "`a b c&lt;!channel&gt;&amp;`");
        assert_eq!(code("\u{200b}"), "`(empty)`");
    }

    #[test]
    fn only_mentions_and_dates_get_through_the_words_of_a_caller() {
        let mine = "Only <!subteam^S0PAYLEADS> and <@U0BOB> in <#C0PAY> by <!date^1795460900^{time}|19:08 UTC>, &lt;x&gt; R&amp;D";
        assert_eq!(inert(mine), mine);
        for theirs in [
            "<!channel>",
            "<!here|here>",
            "<https://evil|https://good>",
            "<#C0PAY|general>",
            "<#c0pay>",
            "<@u0bob>",
            "<!date^1^x^https://evil|y>",
        ] {
            assert!(!inert(theirs).contains(['<', '>']), "{theirs}: {}", inert(theirs));
        }
        assert_eq!(inert("a < b & c > d"), "a &lt; b &amp; c &gt; d");
        assert_eq!(inert("<<@U0BOB>"), "&lt;<@U0BOB>");
    }

    #[test]
    fn times_read_as_people_say_them() {
        for (seconds, words) in [
            (0, "no time"),
            (1, "1 second"),
            (90, "1 minute 30 seconds"),
            (900, "15 minutes"),
            (5_400, "1 hour 30 minutes"),
            (90_061, "1 day 1 hour"),
        ] {
            assert_eq!(duration(seconds), words);
        }
        let at = DateTime::from_timestamp(1_795_460_040, 0).unwrap();
        assert_eq!(date(at), "<!date^1795460040^{date_short_pretty} at {time}|2026-11-23 18:54 UTC>");
    }

    #[test]
    fn a_cut_says_that_it_was_cut() {
        assert_eq!(cut("abcdef", 6), ("abcdef".to_owned(), false));
        assert_eq!(cut("abcdefg", 6), ("abcde…".to_owned(), true));
    }
}
