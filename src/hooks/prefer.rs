//! `Prefer: wait=20`: how long a caller is willing to be held (RFC 7240 section 4.3).

use std::time::Duration;

use axum::http::HeaderMap;

/// The wait that a caller prefers, in whole seconds; none where no preference can be understood. It is a wish: the
/// hook's own `hold` caps it.
///
/// Header lines count as one list, names ignore case, a value may be quoted, and of several waits the first counts,
/// all as RFC 7240 says. What cannot be understood is ignored.
pub fn preferred_wait(headers: &HeaderMap) -> Option<Duration> {
    let lines = headers.get_all("prefer").iter().filter_map(|line| line.to_str().ok());
    lines.flat_map(|line| split_outside_quotes(line, ',')).find_map(wait).map(Duration::from_secs)
}

/// The seconds of one preference, if it is a wait with a number. What follows a semicolon are its parameters.
fn wait(preference: &str) -> Option<u64> {
    let preference = split_outside_quotes(preference, ';').next()?;
    let (name, value) = preference.split_once('=')?;
    let value = value.trim();
    let value = value.strip_prefix('"').map_or(Some(value), |rest| rest.strip_suffix('"'))?;
    let digits = !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit());
    (name.trim().eq_ignore_ascii_case("wait") && digits).then(|| value.parse().ok())?
}

fn split_outside_quotes(text: &str, at: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |c| {
        let divides = c == at && !quoted;
        if c == '"' && !escaped {
            quoted = !quoted;
        }
        escaped = quoted && c == '\\' && !escaped;
        divides
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waits(lines: &[&str]) -> Option<u64> {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append("prefer", line.parse().unwrap());
        }
        preferred_wait(&headers).map(|wait| wait.as_secs())
    }

    #[test]
    fn a_wait_is_found_wherever_the_list_holds_it() {
        for lines in [
            &["wait=20"][..],
            &["Wait=20"],
            &["respond-async, wait=20"],
            &["respond-async", "wait=20"],
            &["wait = 20"],
            &["wait=\"20\""],
            &["wait=20; foo=\"a,b\""],
            &["foo=\"a, wait=5, b\", wait=20"],
            &["foo=\"a\\\", wait=5, b\", wait=20"],
            &["wait=20, wait=99"],
            &["wait=soon, wait=20"],
        ] {
            assert_eq!(waits(lines), Some(20), "{lines:?}");
        }
    }

    #[test]
    fn what_is_not_a_wait_is_ignored() {
        for lines in [
            &[][..],
            &[""],
            &["wait"],
            &["wait="],
            &["wait=\"\""],
            &["wait=\"20"],
            &["wait=-1"],
            &["wait=+20"],
            &["wait=2.5"],
            &["wait=99999999999999999999999"],
            &["await=20"],
            &["foo;wait=20"],
        ] {
            assert_eq!(waits(lines), None, "{lines:?}");
        }
        assert_eq!(waits(&["wait=0"]), Some(0));
    }
}
