//! What ran, and what came of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use crate::skips::{How, Skip};

/// What came of one case.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Outcome {
    /// It did not pass. Says why.
    Failed(String),
    /// It passed.
    Passed,
    /// It was not expected to pass, or could not be run. Says why.
    Skipped(String),
}

impl Outcome {
    /// Holds what happened against what the list says about it.
    pub(crate) fn judged(self, skip: Option<&Skip>) -> Self {
        match (self, skip) {
            (Self::Passed, Some(skip)) if skip.how == How::Fails => {
                Self::Failed(format!("passes now, though listed ({skip})"))
            }
            (Self::Failed(_), Some(skip)) => Self::Skipped(skip.to_string()),
            (outcome, _) => outcome,
        }
    }

    fn word(&self) -> &'static str {
        match self {
            Self::Failed(_) => "FAIL",
            Self::Passed => "ok",
            Self::Skipped(_) => "skip",
        }
    }
}

/// Cases down in the order in which they came, columns across by name.
#[derive(Debug, Default)]
pub(crate) struct Table {
    columns: BTreeSet<String>,
    cases: Vec<String>,
    cells: BTreeMap<(usize, String), Outcome>,
}

impl Table {
    pub(crate) fn put(&mut self, column: &str, case: &str, outcome: Outcome) {
        self.columns.insert(column.to_owned());
        let case = self.cases.iter().position(|known| known == case).unwrap_or_else(|| {
            self.cases.push(case.to_owned());
            self.cases.len() - 1
        });
        self.cells.insert((case, column.to_owned()), outcome);
    }

    /// Prints the table, then why cells are not `ok`, each reason once.
    pub(crate) fn print(&self, corner: &str) {
        let first = self.cases.iter().map(String::len).chain([corner.len()]).max().unwrap_or(0);
        let mut text = format!("{corner:first$}");
        for column in &self.columns {
            let _ = write!(text, "  {column:>5}");
        }
        text.push('\n');
        for (i, case) in self.cases.iter().enumerate() {
            let _ = write!(text, "{case:first$}");
            for column in &self.columns {
                let word = self.cells.get(&(i, column.clone())).map_or("", Outcome::word);
                let _ = write!(text, "  {word:>width$}", width = column.len().max(5));
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        print!("{text}");
    }

    /// Every failure on a line of its own, every reason for a skip once.
    pub(crate) fn print_reasons(&self) {
        let mut skipped: BTreeMap<&str, Vec<String>> = BTreeMap::new();
        for ((case, column), outcome) in &self.cells {
            let place = format!("{column} {}", self.cases[*case]);
            match outcome {
                Outcome::Failed(why) => println!("FAIL {place}: {why}"),
                Outcome::Passed => {}
                Outcome::Skipped(why) => skipped.entry(why).or_default().push(place),
            }
        }
        for (why, places) in skipped {
            let more = if places.len() > 1 { format!(" and {} more", places.len() - 1) } else { String::new() };
            println!("skip {}{more}: {why}", places[0]);
        }
    }

    pub(crate) fn count(&self) -> Count {
        let count = |word| self.cells.values().filter(|outcome| outcome.word() == word).count();
        Count { passed: count("ok"), failed: count("FAIL"), skipped: count("skip") }
    }
}

/// How many cells of each kind.
#[derive(Copy, Clone, Debug, Default)]
pub(crate) struct Count {
    pub(crate) passed: usize,
    pub(crate) failed: usize,
    pub(crate) skipped: usize,
}

impl Count {
    pub(crate) fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }

    /// Prints the closing line. Whether something ran and nothing failed.
    pub(crate) fn close(self) -> bool {
        println!("{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped);
        self.failed == 0 && self.passed > 0
    }
}
