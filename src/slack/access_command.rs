//! What somebody typed after the slash command, read as people write it. Pure: who it is and what the words name is
//! found out by the service.
//!
//! ```text
//! billing-cli payments:refund for 2h because PAY-4821
//! for 90 minutes billing-cli payments:read payments:refund from tomorrow 9:00 because "PAY-1, month end"
//! ```

use chrono::{DateTime, Days, FixedOffset, NaiveDate, NaiveTime, TimeZone};

use super::text::{clean, cut};
use crate::clock::Timestamp;

/// Characters that a command may have. Slack sends more than anybody means to type.
pub const TEXT_MAX: usize = 1_500;
/// Characters that a reason may have.
pub const REASON_MAX: usize = 500;

/// A command, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Line {
    /// Nothing was typed: show the form.
    Form,
    /// Say what there is.
    Help,
    /// What becomes of what I asked for.
    Status,
    /// What I have.
    Grants,
    /// I am done with this.
    Done(Option<String>),
    /// I need this for longer.
    Extend {
        /// Which grant.
        id: Option<String>,
        /// For how long, in seconds.
        lifetime: Option<u64>,
        /// Why.
        reason: Option<String>,
    },
    /// I do not need this after all.
    Withdraw(Option<String>),
    /// I ask for this.
    Ask(AskLine),
}

/// What is asked for in one line.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AskLine {
    /// A client, scopes and perhaps an audience, in the order they came.
    pub words: Vec<String>,
    /// For how long, in seconds.
    pub lifetime: Option<u64>,
    /// From when on.
    pub starts_at: Option<Timestamp>,
    /// Why.
    pub reason: Option<String>,
    /// For whom, unless for oneself.
    pub subject: Option<String>,
}

/// Reads what follows the command. `offset` is the person's distance from UTC, in seconds.
///
/// # Errors
/// Words for the person, where it is not clear what is meant.
pub fn parse(text: &str, now: Timestamp, offset: i32) -> Result<Line, String> {
    let count = text.chars().count();
    if count > TEXT_MAX {
        return Err(format!("That is too long: {count} characters, and {TEXT_MAX} are the most. Use the form for it."));
    }
    let text = plain(text);
    let tokens = tokens(&text)?;
    let Some((Token::Word(first), rest)) = tokens.split_first() else {
        return if tokens.is_empty() { Ok(Line::Form) } else { Err(QUOTED.to_owned()) };
    };
    let rest_id = || match rest {
        [] => Ok(None),
        [Token::Word(id)] => Ok(Some(id.clone())),
        _ => Err(format!("After `{}` goes one identifier, or nothing.", clean(first))),
    };
    match first.to_lowercase().as_str() {
        "help" | "?" => Ok(Line::Help),
        "status" => Ok(Line::Status),
        "grants" | "list" => Ok(Line::Grants),
        "done" => Ok(Line::Done(rest_id()?)),
        "withdraw" | "cancel" => Ok(Line::Withdraw(rest_id()?)),
        "extend" => extend(rest, now, offset),
        _ => Ok(Line::Ask(ask(&tokens, now, offset)?)),
    }
}

const QUOTED: &str = "Only a reason stands in quotation marks, after `because`.";

/// `extend`, an identifier, and how long: with or without `for`.
fn extend(tokens: &[Token], now: Timestamp, offset: i32) -> Result<Line, String> {
    let mut said = ask(tokens, now, offset)?;
    if said.starts_at.is_some() || said.subject.is_some() {
        return Err("An extension starts when it is approved and is for whoever the grant is for.".to_owned());
    }
    if said.lifetime.is_none()
        && let Some(at) = said.words.iter().position(|word| looks_like_time(word))
    {
        said.lifetime = Some(duration(&[said.words.remove(at).as_str()])?.0);
    }
    if said.words.len() > 1 {
        return Err("After `extend` go one identifier and a time, like `extend 2h`.".to_owned());
    }
    Ok(Line::Extend { id: said.words.pop(), lifetime: said.lifetime, reason: said.reason })
}

/// One word, or what stood in quotation marks.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Word(String),
    Quoted(String),
}

/// Phones and word processors replace quotation marks, dashes and spaces.
fn plain(text: &str) -> String {
    let one = |c| match c {
        '\u{201c}' | '\u{201d}' | '\u{201e}' | '\u{201f}' | '\u{ab}' | '\u{bb}' => '"',
        '\u{2018}' | '\u{2019}' | '\u{201a}' | '\u{201b}' => '\'',
        '\u{2010}'..='\u{2015}' | '\u{2212}' => '-',
        '\u{a0}' | '\u{202f}' | '\u{2007}' | '\n' | '\r' | '\t' => ' ',
        other => other,
    };
    // Only these three are escaped by Slack.
    let text = text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    clean(&text.chars().map(one).collect::<String>())
}

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut all = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        if let Some(inside) = rest.strip_prefix('"') {
            let Some((quoted, after)) = inside.split_once('"') else {
                return Err("A quotation mark is opened and not closed.".to_owned());
            };
            all.push(Token::Quoted(quoted.trim().to_owned()));
            rest = after.trim_start();
        } else {
            let end = rest.find(' ').unwrap_or(rest.len());
            all.push(Token::Word(rest[..end].to_owned()));
            rest = rest[end..].trim_start();
        }
    }
    Ok(all)
}

fn ask(tokens: &[Token], now: Timestamp, offset: i32) -> Result<AskLine, String> {
    let mut said = AskLine::default();
    let mut rest = tokens;
    while let Some((token, after)) = rest.split_first() {
        let Token::Word(word) = token else {
            return Err(QUOTED.to_owned());
        };
        rest = match word.to_lowercase().as_str() {
            "for" => {
                let taken = time_after(&mut said, after)?;
                &after[taken..]
            }
            "from" | "starting" => {
                let words = words_of(after);
                let (start, taken) = start(&words, now, offset)?;
                once(said.starts_at.replace(start).is_none(), "a start")?;
                &after[taken..]
            }
            "as" => {
                let who = word_of(after.first()).ok_or("After `as` goes whom it is for.")?;
                once(said.subject.replace(unlinked(who)).is_none(), "whom it is for")?;
                &after[1..]
            }
            "because" | "reason" | "reason:" => {
                once(said.reason.is_none(), "a reason")?;
                reason(&mut said, after, now, offset)?
            }
            "on" | "at" | "with" | "and" | "through" | "via" if !after.is_empty() => after,
            _ => {
                said.words.extend(word.split(',').filter(|w| !w.is_empty()).map(unlinked));
                after
            }
        };
    }
    if let Some(reason) = &said.reason {
        let count = reason.chars().count();
        if count > REASON_MAX {
            return Err(format!("The reason has {count} characters; {REASON_MAX} are the most."));
        }
    }
    Ok(said)
}

/// What follows `for`: a length of time, or nothing that could be one.
fn time_after(said: &mut AskLine, after: &[Token]) -> Result<usize, String> {
    let (seconds, taken) = duration(&words_of(after))?;
    once(said.lifetime.replace(seconds).is_none(), "a length of time")?;
    Ok(taken)
}

/// A quoted reason ends with its quotation mark. Any other goes on to the end, save a time or start that ends it.
fn reason<'t>(said: &mut AskLine, after: &'t [Token], now: Timestamp, offset: i32) -> Result<&'t [Token], String> {
    if let Some((Token::Quoted(quoted), rest)) = after.split_first() {
        said.reason = Some(quoted.clone());
        return Ok(rest);
    }
    let mut end = after.len();
    for at in (1..after.len()).rev() {
        let tail = words_of(&after[at + 1..end]);
        match word_of(after.get(at)).map(str::to_lowercase).as_deref() {
            Some("for") if said.lifetime.is_none() => {
                if let Some((seconds, _)) = duration(&tail).ok().filter(|(_, taken)| *taken == tail.len()) {
                    (said.lifetime, end) = (Some(seconds), at);
                }
            }
            Some("from" | "starting") if said.starts_at.is_none() => {
                if let Some((start, _)) = start(&tail, now, offset).ok().filter(|(_, taken)| *taken == tail.len()) {
                    (said.starts_at, end) = (Some(start), at);
                }
            }
            Some(_) | None => {}
        }
    }
    let words: Vec<&str> = after[..end]
        .iter()
        .map(|token| match token {
            Token::Word(text) | Token::Quoted(text) => text.as_str(),
        })
        .collect();
    if words.is_empty() {
        return Err("After `because` goes a reason.".to_owned());
    }
    said.reason = Some(words.join(" "));
    Ok(&[])
}

fn once(first: bool, what: &str) -> Result<(), String> {
    if first { Ok(()) } else { Err(format!("You gave {what} twice.")) }
}

fn word_of(token: Option<&Token>) -> Option<&str> {
    match token {
        Some(Token::Word(word)) => Some(word),
        Some(Token::Quoted(_)) | None => None,
    }
}

fn words_of(tokens: &[Token]) -> Vec<&str> {
    tokens.iter().map_while(|token| word_of(Some(token))).collect()
}

/// Slack writes `<https://x|x>` and `<@U0BOB|bob>` for links and mentions.
fn unlinked(word: &str) -> String {
    let inside = word.strip_prefix('<').and_then(|word| word.strip_suffix('>'));
    let inside = inside.map_or(word, |inside| inside.split('|').next().unwrap_or_default());
    inside.strip_prefix("mailto:").unwrap_or(inside).to_owned()
}

fn looks_like_time(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit()) && duration(&[word]).is_ok()
}

const UNITS: [(&str, u64); 5] = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400), ("w", 7 * 86_400)];

/// A length of time at the beginning of some words, and how many of them it took: `2h`, `1h30m`, `90 minutes`.
fn duration(words: &[&str]) -> Result<(u64, usize), String> {
    let Some(first) = words.first() else { return Err(no_duration("nothing")) };
    if first.starts_with('-') {
        return Err(format!("`{}` is less than nothing. Say how long, like `for 2h`.", shown(first)));
    }
    let (mut total, mut taken) = (0u64, 0);
    while let Some(word) = words.get(taken) {
        let (seconds, used) = match (compound(word), word.parse::<u64>()) {
            (Some(seconds), _) => (seconds, 1),
            (None, Ok(number)) => match words.get(taken + 1).and_then(|unit| unit_of(unit)) {
                Some(unit) => (number.saturating_mul(unit), 2),
                None => break,
            },
            (None, Err(_)) if taken > 0 && *word == "and" => {
                taken += 1;
                continue;
            }
            (None, Err(_)) => break,
        };
        total = total.saturating_add(seconds);
        taken += used;
    }
    if taken == 0 {
        return Err(no_duration(first));
    }
    if total == 0 {
        return Err("No time at all is asked for. Say how long, like `for 2h`.".to_owned());
    }
    Ok((total, taken))
}

fn no_duration(found: &str) -> String {
    let hint = if ["tomorrow", "today", "monday", "noon"].contains(&found.to_lowercase().as_str()) {
        " For a start, say `from tomorrow 9:00`."
    } else {
        ""
    };
    format!("`{}` is no length of time. Say how long, like `for 2h`, `for 90m` or `for 1 day`.{hint}", shown(found))
}

fn shown(word: &str) -> String {
    cut(&clean(word).replace('`', ""), 40).0
}

/// `1h30m`; the last unit may not be left out.
fn compound(word: &str) -> Option<u64> {
    let (mut total, mut digits) = (0u64, String::new());
    let mut rest = word;
    while let Some(c) = rest.chars().next() {
        if c.is_ascii_digit() {
            digits.push(c);
            rest = &rest[1..];
            continue;
        }
        let end = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let number: u64 = std::mem::take(&mut digits).parse().ok()?;
        total = total.saturating_add(number.saturating_mul(unit_of(&rest[..end])?));
        rest = &rest[end..];
    }
    digits.is_empty().then_some(total).filter(|_| !word.is_empty())
}

fn unit_of(word: &str) -> Option<u64> {
    let word = word.to_lowercase();
    let short = match word.as_str() {
        "sec" | "secs" | "second" | "seconds" => "s",
        "min" | "mins" | "minute" | "minutes" => "m",
        "hr" | "hrs" | "hour" | "hours" => "h",
        "day" | "days" => "d",
        "week" | "weeks" => "w",
        other => other,
    };
    UNITS.iter().find(|(name, _)| *name == short).map(|(_, seconds)| *seconds)
}

/// A moment at the beginning of some words: `14:00`, `2pm`, `tomorrow 9:00`, `2026-11-26 14:00`, with `UTC` behind it
/// or in the person's own time.
fn start(words: &[&str], now: Timestamp, offset: i32) -> Result<(Timestamp, usize), String> {
    const SAY: &str = "Say from when, like `from 14:00`, `from tomorrow 9:00` or `from 2026-11-26 14:00`.";
    let Some(first) = words.first() else { return Err(SAY.to_owned()) };
    let own = FixedOffset::east_opt(offset).ok_or(SAY)?;
    let joined = first.split_once(['T', 't']).filter(|(day, _)| day.parse::<NaiveDate>().is_ok());
    let lower = first.to_lowercase();
    let here = now.with_timezone(&own).date_naive();
    let (day, time, mut taken) = match (joined, lower.as_str(), first.parse::<NaiveDate>()) {
        (Some((day, time)), _, _) => (day.parse::<NaiveDate>().ok(), time.trim_end_matches(['Z', 'z']), 1),
        (None, "tomorrow", _) => (here.checked_add_days(Days::new(1)), words.get(1).copied().unwrap_or_default(), 2),
        (None, "today", _) => (Some(here), words.get(1).copied().unwrap_or_default(), 2),
        (None, _, Ok(day)) => (Some(day), words.get(1).copied().unwrap_or_default(), 2),
        (None, _, Err(_)) => (None, *first, 1),
    };
    let Some(time) = clock_time(time) else { return Err(format!("`{}` is no time of day. {SAY}", shown(first))) };
    let in_utc = first.ends_with(['Z', 'z']) || words.get(taken).is_some_and(|word| word.eq_ignore_ascii_case("utc"));
    taken += usize::from(words.get(taken).is_some_and(|word| word.eq_ignore_ascii_case("utc")));
    let zone = if in_utc { FixedOffset::east_opt(0).ok_or(SAY)? } else { own };
    let today = now.with_timezone(&zone).date_naive();
    let at =
        |day: NaiveDate| -> Option<DateTime<FixedOffset>> { zone.from_local_datetime(&day.and_time(time)).single() };
    let moment = match day {
        Some(day) => at(day),
        // A time of day that has passed is the next day's.
        None => at(today).filter(|moment| *moment > now).or_else(|| at(today.checked_add_days(Days::new(1))?)),
    };
    let moment = moment.ok_or(SAY)?.to_utc();
    if moment <= now {
        return Err(format!("That start is in the past. {SAY}"));
    }
    Ok((moment, taken))
}

fn clock_time(word: &str) -> Option<NaiveTime> {
    let word = word.to_lowercase();
    let (digits, shift) = match (word.strip_suffix("am"), word.strip_suffix("pm")) {
        (Some(rest), _) => (rest, Some(0)),
        (None, Some(rest)) => (rest, Some(12)),
        (None, None) => (word.as_str(), None),
    };
    let (hour, minute) = match digits.split_once(':') {
        Some((hour, minute)) => (hour.parse::<u32>().ok()?, minute.get(..2)?.parse::<u32>().ok()?),
        // A bare number is no time of day unless it says which half of the day.
        None if shift.is_some() => (digits.parse::<u32>().ok()?, 0),
        None => return None,
    };
    let hour = match shift {
        Some(shift) if (1..=12).contains(&hour) => hour % 12 + shift,
        Some(_) => return None,
        None => hour,
    };
    NaiveTime::from_hms_opt(hour, minute, 0)
}

#[cfg(test)]
mod tests;
