//! App Home: what waits for somebody, what they wait for, what they have, and what was decided lately. Pure: rows in,
//! a view out. Long ones come in pages.

use serde_json::{Value, json};

use super::access_form::worded;
use super::blocks::{Style, actions, button, confirm, context, header, named, plain, section};
use super::cards::{WORDS_MAX, cut_words};
use super::text::{code, cut, date, inert};
use crate::clock::Timestamp;

/// Rows on one page: each is two blocks, and the titles need up to twenty of the hundred that a view may have.
pub const PAGE_ROWS: usize = 38;
/// The `callback_id` of App Home.
pub const HOME: &str = "home";
/// Opens the form for a request.
pub const REQUEST: &str = "home_request";
/// The next page.
pub const NEXT: &str = "home_next";
/// The page before.
pub const PREVIOUS: &str = "home_previous";
/// How many scopes of a row are named.
const SCOPES_NAMED: usize = 6;

/// A button of a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RowButton {
    /// Its `action_id`.
    pub action: &'static str,
    /// What stands on it.
    pub text: &'static str,
    /// Its opaque value.
    pub value: String,
    /// What a screen reader says; it names what it is about.
    pub label: String,
    /// A dialog before it counts: title, text, yes.
    pub confirm: Option<(String, String, &'static str)>,
    /// Whether it takes something away.
    pub takes_away: bool,
}

/// One row: words of ours, and what can be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// mrkdwn; what others wrote stands in inline code.
    pub words: String,
    /// What can be done.
    pub buttons: Vec<RowButton>,
}

/// Some rows under a title.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// The title.
    pub title: &'static str,
    /// What is said when there is nothing.
    pub nothing: &'static str,
    /// What there is.
    pub rows: Vec<Row>,
}

/// What App Home shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home {
    /// Why this person cannot do anything here, if so.
    pub refused: Option<String>,
    /// The parts, in order.
    pub parts: Vec<Part>,
    /// Which page, from 0.
    pub page: usize,
    /// The value of the buttons that belong to no row.
    pub value: String,
    /// When it is drawn.
    pub now: Timestamp,
}

/// The scopes of a row, as code.
pub fn scopes<'a>(all: impl ExactSizeIterator<Item = &'a str>) -> String {
    let count = all.len();
    let shown: Vec<String> = all.take(SCOPES_NAMED).map(|scope| code(&cut(scope, 60).0)).collect();
    match (count, count.saturating_sub(shown.len())) {
        (0, _) => "no named scope".to_owned(),
        (_, 0) => shown.join(" "),
        (_, more) => format!("{} and {more} more", shown.join(" ")),
    }
}

impl Home {
    /// How many pages there are.
    pub fn pages(&self) -> usize {
        let rows: usize = self.parts.iter().map(|part| part.rows.len()).sum();
        rows.div_ceil(PAGE_ROWS).max(1)
    }

    /// The values of the buttons that the shown page has, with their actions.
    pub fn shown(&self) -> impl Iterator<Item = &RowButton> {
        let page = self.page.min(self.pages() - 1);
        let rows = self.parts.iter().flat_map(|part| &part.rows).skip(page * PAGE_ROWS).take(PAGE_ROWS);
        rows.flat_map(|row| &row.buttons)
    }

    /// The view.
    pub fn view(&self) -> Value {
        let (pages, mut blocks) = (self.pages(), Vec::new());
        let page = self.page.min(pages - 1);
        blocks.push(("head", header("Access")));
        match &self.refused {
            Some(words) => blocks.push(("refused", section(&cut_words(&inert(words), WORDS_MAX)))),
            None => {
                let request =
                    button(REQUEST, "Request access…", &self.value, "Open the form to request access", Style::Primary);
                blocks.push(("top", actions(vec![request])));
                self.draw_rows(page, &mut blocks);
            }
        }
        if pages > 1 {
            let mut turn = Vec::new();
            if page > 0 {
                turn.push(button(PREVIOUS, "Previous", &self.value, "Show the page before", Style::Default));
            }
            if page + 1 < pages {
                turn.push(button(NEXT, "Next", &self.value, "Show the next page", Style::Default));
            }
            blocks.push(("pages", context(&format!("Page {} of {pages}", page + 1))));
            blocks.push(("turn", actions(turn)));
        }
        blocks.push(("foot", context(&format!("As of {}.", date(self.now)))));
        let mut blocks = named(blocks, 1);
        for (n, block) in blocks.iter_mut().enumerate() {
            block["block_id"] = json!(format!("{}_{n}", block["block_id"].as_str().unwrap_or_default()));
        }
        json!({ "type": "home", "callback_id": HOME, "blocks": blocks })
    }

    fn draw_rows(&self, page: usize, blocks: &mut Vec<(&'static str, Value)>) {
        let (from, to) = (page * PAGE_ROWS, (page + 1) * PAGE_ROWS);
        let mut at = 0;
        for part in &self.parts {
            let (start, end) = (at, at + part.rows.len());
            at = end;
            let is_here = if part.rows.is_empty() { page == 0 } else { start < to && end > from };
            if !is_here {
                continue;
            }
            blocks.push(("line", json!({ "type": "divider" })));
            let count = if part.rows.is_empty() { String::new() } else { format!(" ({})", part.rows.len()) };
            blocks.push(("part", section(&format!("*{}*{count}", part.title))));
            if part.rows.is_empty() {
                blocks.push(("none", context(part.nothing)));
            }
            let skip = from.saturating_sub(start);
            let take = to.saturating_sub(start.max(from));
            for row in part.rows.iter().skip(skip).take(take) {
                blocks.push(("row", section(&cut_words(&inert(&row.words), WORDS_MAX))));
                if !row.buttons.is_empty() {
                    blocks.push(("act", actions(row.buttons.iter().map(drawn).collect())));
                }
            }
        }
    }
}

fn drawn(one: &RowButton) -> Value {
    let mut drawn = button(one.action, one.text, &one.value, &one.label, Style::Default);
    if let Some((title, text, yes)) = &one.confirm {
        drawn["confirm"] = confirm(title, text, yes, "Cancel", one.takes_away);
    }
    drawn
}

/// What is told when a button of Home counts for nothing.
pub fn refused_view(words: &str) -> Value {
    let blocks = named(vec![("note", section(&worded(words)))], 1);
    json!({ "type": "modal", "callback_id": "words", "title": plain("Nothing was changed", 24), "close": plain("Close", 24), "blocks": blocks })
}
