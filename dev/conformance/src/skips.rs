//! The one list of what is not expected to pass.

use std::fmt;

/// All lines of `skips.txt`.
#[derive(Debug)]
pub(crate) struct Skips(Vec<Skip>);

/// One line: what, how, and why.
#[derive(Debug)]
pub(crate) struct Skip {
    pub(crate) how: How,
    pub(crate) reason: &'static str,
    line: usize,
    pattern: [&'static str; 4],
}

/// What a skip means.
#[derive(Copy, Clone, Debug, Eq, PartialEq)]
pub(crate) enum How {
    /// The program has no such case, so there is nothing to run.
    Absent,
    /// It is run and must fail; when it passes, the line has to go.
    Fails,
    /// It is not run, because it would take too long or never end.
    Unrun,
}

impl Skips {
    /// Reads the list that was compiled in.
    pub(crate) fn read() -> Result<Self, String> {
        Self::parse(include_str!("../skips.txt"))
    }

    /// The first line that fits. `suite`, `client` and `server` may be `-` where they say nothing.
    pub(crate) fn find(&self, suite: &str, client: &str, server: &str, case: &str) -> Option<&Skip> {
        let words = [suite, client, server, case];
        self.0
            .iter()
            .find(|skip| skip.pattern.iter().zip(words).all(|(pattern, word)| *pattern == "*" || *pattern == word))
    }

    fn parse(text: &'static str) -> Result<Self, String> {
        let lines = text.lines().enumerate().map(|(i, line)| (i + 1, line.trim()));
        lines
            .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
            .map(|(n, line)| Skip::parse(n, line))
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Skip {
    fn parse(line: usize, text: &'static str) -> Result<Self, String> {
        let (head, reason) = text.split_once(':').ok_or(format!("skips.txt:{line}: no reason"))?;
        let words: Vec<_> = head.split_whitespace().collect();
        let &[suite, client, server, case, how] = words.as_slice() else {
            return Err(format!("skips.txt:{line}: five words and a reason are wanted"));
        };
        let how = match how {
            "absent" => How::Absent,
            "fails" => How::Fails,
            "unrun" => How::Unrun,
            _ => return Err(format!("skips.txt:{line}: `{how}` is none of absent, fails, unrun")),
        };
        Ok(Self { how, reason: reason.trim(), line, pattern: [suite, client, server, case] })
    }
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let how = match self.how {
            How::Absent => "absent",
            How::Fails => "fails",
            How::Unrun => "unrun",
        };
        write!(f, "skips.txt:{} {how}: {}", self.line, self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_in_the_project_can_be_read() {
        assert!(Skips::read().is_ok());
    }

    #[test]
    fn a_star_fits_everything_and_the_first_line_wins() {
        let skips = Skips::parse("interop go * a absent: x\ninterop * * a fails: y").expect("two good lines");
        assert_eq!(skips.find("interop", "go", "node", "a").map(|s| s.how), Some(How::Absent));
        assert_eq!(skips.find("interop", "java", "node", "a").map(|s| s.how), Some(How::Fails));
        assert!(skips.find("interop", "java", "node", "b").is_none());
    }

    #[test]
    fn a_line_without_a_reason_is_refused() {
        assert!(Skips::parse("interop go * a absent").is_err());
    }
}
