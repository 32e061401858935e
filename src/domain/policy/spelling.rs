//! How a condition is spelled: where its parts begin and end in the text that the author of the policy wrote.
//!
//! Nothing is decided by it. It finds the words for an explanation, and every part that it finds is compiled and
//! evaluated as CEL again.

/// The operators that matter where no bracket is open, longest first.
const OPERATORS: [&str; 10] = ["&&", "||", "==", "!=", "<=", ">=", "<", ">", "?", "in"];
const COMPARISONS: [&str; 7] = ["==", "!=", "<=", ">=", "<", ">", "in"];

/// The parts that `&&` joins, each as it is written; the whole where there is only one.
pub(super) fn conjuncts(text: &str) -> Vec<&str> {
    let text = bare(text);
    let marks = marks(text);
    // `||` and `? :` bind less than `&&`: then the whole is no conjunction.
    if marks.iter().any(|(_, operator)| matches!(*operator, "||" | "?")) {
        return vec![text];
    }
    let mut parts = Vec::new();
    let mut begin = 0;
    for (at, _) in marks.iter().filter(|(_, operator)| *operator == "&&") {
        parts.extend(text.get(begin..*at).into_iter().flat_map(conjuncts));
        begin = at + 2;
    }
    if begin == 0 {
        return vec![text];
    }
    parts.extend(text.get(begin..).into_iter().flat_map(conjuncts));
    parts
}

/// The two sides of a comparison, if the text is one.
pub(super) fn sides(text: &str) -> Option<(&str, &str)> {
    let text = bare(text);
    let marks = marks(text);
    match marks.as_slice() {
        [(at, operator)] if COMPARISONS.contains(operator) => {
            Some((text.get(..*at)?.trim(), text.get(at + operator.len()..)?.trim()))
        }
        _ => None,
    }
}

/// Without blanks and brackets around all of it.
fn bare(text: &str) -> &str {
    let text = text.trim();
    let inner = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    match inner {
        Some(inner) if closes_last(text) => bare(inner),
        Some(_) | None => text,
    }
}

/// Whether the bracket that opens at the beginning closes at the very end.
fn closes_last(text: &str) -> bool {
    let mut depth = 0usize;
    for (at, c) in code(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth == 0 {
            return at + 1 == text.len();
        }
    }
    false
}

/// The operators where no bracket is open, in order, with their places.
fn marks(text: &str) -> Vec<(usize, &'static str)> {
    let mut found: Vec<(usize, &'static str)> = Vec::new();
    let (mut depth, mut after) = (0usize, 0);
    for (at, c) in code(text) {
        match c {
            '(' | '[' | '{' => depth += 1,
            ')' | ']' | '}' => depth = depth.saturating_sub(1),
            _ if depth == 0 && at >= after => {
                let rest = text.get(at..).unwrap_or_default();
                let operator = OPERATORS.into_iter().find(|operator| rest.starts_with(operator));
                if let Some(operator) = operator.filter(|operator| *operator != "in" || is_a_word(text, at)) {
                    found.push((at, operator));
                    after = at + operator.len();
                }
            }
            _ => {}
        }
    }
    found
}

/// Whether the two letters here stand alone.
fn is_a_word(text: &str, at: usize) -> bool {
    let letter = |c: char| c.is_alphanumeric() || c == '_' || c == '.';
    let before = text.get(..at).and_then(|text| text.chars().next_back());
    let behind = text.get(at + 2..).and_then(|text| text.chars().next());
    !before.is_some_and(letter) && !behind.is_some_and(letter)
}

/// The characters that are neither in a text nor in a comment.
fn code(text: &str) -> Vec<(usize, char)> {
    let mut left = text.char_indices().peekable();
    let mut found: Vec<(usize, char)> = Vec::new();
    while let Some((at, c)) = left.next() {
        let rest = text.get(at..).unwrap_or_default();
        if rest.starts_with("//") {
            while left.next_if(|(_, c)| *c != '\n').is_some() {}
        } else if c == '"' || c == '\'' {
            let raw = found.last().is_some_and(|(before, c)| matches!(c, 'r' | 'R') && before + 1 == at);
            let end = at + literal_length(rest, c, raw);
            while left.next_if(|(next, _)| *next < end).is_some() {}
        } else {
            found.push((at, c));
        }
    }
    found
}

/// How long the text literal is that begins here, in bytes.
fn literal_length(text: &str, quote: char, raw: bool) -> usize {
    let three: String = std::iter::repeat_n(quote, 3).collect();
    let mark = if text.starts_with(three.as_str()) { three } else { quote.to_string() };
    let mut at = mark.len();
    while let Some(rest) = text.get(at..).filter(|rest| !rest.is_empty()) {
        if rest.starts_with(mark.as_str()) {
            return at + mark.len();
        }
        let mut next = rest.chars();
        let c = next.next();
        at += c.map_or(1, char::len_utf8);
        if c == Some('\\') && !raw {
            at += next.next().map_or(0, char::len_utf8);
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conjunction_falls_into_its_parts_and_nothing_else_does() {
        for (text, parts) in [
            ("a == 1", vec!["a == 1"]),
            (" a && b\n && c ", vec!["a", "b", "c"]),
            ("(a && (b && c))", vec!["a", "b", "c"]),
            ("(a && b) || c", vec!["(a && b) || c"]),
            ("a && (b || c)", vec!["a", "b || c"]),
            ("a && b ? c : d", vec!["a && b ? c : d"]),
            ("x == ' && ' && y == \"(\" && z", vec!["x == ' && '", "y == \"(\"", "z"]),
            ("s.matches(r'\\') && t", vec!["s.matches(r'\\')", "t"]),
            ("s == 'it\\'s && ok' && t", vec!["s == 'it\\'s && ok'", "t"]),
            ("s == '''a && 'b' ''' && t", vec!["s == '''a && 'b' '''", "t"]),
            ("l.all(x, x && y) && [1, 2 && 3]", vec!["l.all(x, x && y)", "[1, 2 && 3]"]),
            ("(a) && (b)", vec!["a", "b"]),
            ("über == 'ä && ö' && b", vec!["über == 'ä && ö'", "b"]),
            ("", vec![""]),
            ("((", vec!["(("]),
            ("'open && b", vec!["'open && b"]),
        ] {
            assert_eq!(conjuncts(text), parts, "{text}");
        }
    }

    #[test]
    fn a_comparison_has_two_sides() {
        assert_eq!(sides("now.getHours('a == b') >= 6"), Some(("now.getHours('a == b')", "6")));
        assert_eq!(sides("(scope in ['a', 'b'])"), Some(("scope", "['a', 'b']")));
        assert_eq!(sides("client.inner == 'x'"), Some(("client.inner", "'x'")));
        assert_eq!(sides("scope.endsWith(':x')"), None);
        assert_eq!(sides("a == b || c"), None);
    }
}
