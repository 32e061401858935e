//! The table that is printed at the end.

use std::io::Write;

/// What a ratio must be.
#[derive(Debug, Clone, Copy)]
pub enum Bar {
    /// At least this.
    AtLeast(f64),
    /// At most this.
    AtMost(f64),
}

impl Bar {
    fn holds(self, value: f64) -> bool {
        match self {
            Self::AtLeast(bar) => value >= bar,
            Self::AtMost(bar) => value <= bar,
        }
    }

    fn text(self) -> String {
        match self {
            Self::AtLeast(bar) => format!("≥ {bar}"),
            Self::AtMost(bar) => format!("≤ {bar}"),
        }
    }
}

/// One line of the table.
#[derive(Debug)]
pub struct Row {
    /// What is measured.
    pub what: &'static str,
    /// Our number, with its unit.
    pub ours: String,
    /// The baseline's, with its unit.
    pub baseline: String,
    /// What is compared with the bar.
    pub ratio: f64,
    /// The bar.
    pub bar: Bar,
}

/// All lines, and what must be known to read them.
#[derive(Debug, Default)]
pub struct Report {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Report {
    /// Adds a line, and says it at once.
    pub fn row(&mut self, row: Row) {
        say(&format!("  {}: {} | {} | {:.3}", row.what, row.ours, row.baseline, row.ratio));
        self.rows.push(row);
    }

    /// Adds a note below the table.
    pub fn note(&mut self, note: impl Into<String>) {
        self.notes.push(note.into());
    }

    /// Prints the table.
    pub fn print(&self) {
        let heads = ["what", "ours", "baseline", "ratio", "bar", ""];
        let lines: Vec<[String; 6]> = self.rows.iter().map(line).collect();
        let mut widths = heads.map(|head| head.chars().count());
        for line in &lines {
            for (width, cell) in widths.iter_mut().zip(line) {
                *width = (*width).max(cell.chars().count());
            }
        }
        let spelled = |cells: [&str; 6]| {
            let cells = cells.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}"));
            cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
        };
        say("");
        say(&spelled(heads));
        for line in &lines {
            say(&spelled(line.each_ref().map(String::as_str)));
        }
        say("");
        for note in &self.notes {
            say(note);
        }
    }
}

fn line(row: &Row) -> [String; 6] {
    let verdict = if row.bar.holds(row.ratio) { "ok" } else { "below" };
    [
        row.what.to_owned(),
        row.ours.clone(),
        row.baseline.clone(),
        format!("{:.3}", row.ratio),
        row.bar.text(),
        verdict.to_owned(),
    ]
}

/// Prints a line. Standard output may be closed; then there is nobody to tell.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// The middle one of some numbers; 0 of none.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of the numbers lies; 0 of none.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted.get((share * last as f64).round() as usize).copied().unwrap_or_default()
}
