//! Checking what callers send.

/// A request breaks the rules of its fields; all of the breaches, not just the first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// What is wrong, field by field, in the order of the request. Never empty.
    pub violations: Vec<Violation>,
}

/// One field which breaks a rule.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// The path of the field: `lines[2].quantity`.
    pub field: String,
    /// The rule, and what was sent.
    pub description: String,
}

impl Invalid {
    /// One field breaks one rule.
    pub fn field(field: impl Into<String>, description: impl Into<String>) -> Self {
        Self { violations: vec![Violation { field: field.into(), description: description.into() }] }
    }
}

impl std::fmt::Display for Invalid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, violation) in self.violations.iter().enumerate() {
            if index > 0 {
                f.write_str("; ")?;
            }
            write!(f, "{}: {}", violation.field, violation.description)?;
        }
        Ok(())
    }
}

impl std::error::Error for Invalid {}

/// Collects violations, so that a caller learns of all of them at once.
///
/// Each check gives a value if the field is in order and `None` after noting what is wrong with it; [`Checks::finish`]
/// tells whether anything was.
#[derive(Debug, Default)]
pub(crate) struct Checks {
    violations: Vec<Violation>,
}

impl Checks {
    /// Notes that a field breaks a rule.
    pub(crate) fn violated(&mut self, field: impl Into<String>, description: impl Into<String>) {
        self.violations.push(Violation { field: field.into(), description: description.into() });
    }

    /// Takes the value of a check made elsewhere, or notes what it found.
    pub(crate) fn take<T>(&mut self, checked: Result<T, Invalid>) -> Option<T> {
        match checked {
            Ok(value) => Some(value),
            Err(invalid) => {
                self.violations.extend(invalid.violations);
                None
            }
        }
    }

    /// Everything that was wrong, or what `build` makes of the checked values.
    ///
    /// # Panics
    /// If `build` gives `None` although every check passed.
    pub(crate) fn finish<T>(self, build: impl FnOnce() -> Option<T>) -> Result<T, Invalid> {
        if !self.violations.is_empty() {
            return Err(Invalid { violations: self.violations });
        }
        Ok(build().expect("a check that gave no value noted a violation"))
    }
}

/// Text a person wrote: without control characters, of a bounded length, without blanks around it.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(String);

impl Text {
    /// Takes text of at most `chars_max` characters. Blanks around it are dropped.
    ///
    /// Line breaks and tabs inside count as blanks and are kept as such; other control characters are refused, because
    /// the text ends on a printer and in logs.
    pub fn new(field: &str, text: &str, chars_max: usize) -> Result<Self, Invalid> {
        let text = text.trim();
        let chars = text.chars().count();
        if chars > chars_max {
            return Err(Invalid::field(field, format!("at most {chars_max} characters, not {chars}")));
        }
        if text.chars().any(|c| c.is_control() && !matches!(c, '\n' | '\t')) {
            return Err(Invalid::field(field, "no control characters"));
        }
        Ok(Self(text.to_owned()))
    }

    /// As [`Text::new`], and not empty.
    pub fn required(field: &str, text: &str, chars_max: usize) -> Result<Self, Invalid> {
        let text = Self::new(field, text, chars_max)?;
        if text.0.is_empty() { Err(Invalid::field(field, "must not be empty")) } else { Ok(text) }
    }

    /// Text that was checked when it was stored.
    pub(crate) fn stored(text: String) -> Self {
        Self(text)
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for Text {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_trimmed_and_bounded_in_characters_not_bytes() {
        assert_eq!(Text::new("note", "  äöü \n", 3).unwrap().as_str(), "äöü");
        assert_eq!(Text::new("note", "äöüß", 3).unwrap_err().to_string(), "note: at most 3 characters, not 4");
    }

    #[test]
    fn text_with_a_terminal_escape_is_refused() {
        assert!(Text::new("note", "\u{1b}[2J", 10).is_err());
        assert!(Text::new("note", "two\nlines", 10).is_ok());
    }

    #[test]
    fn every_violation_is_reported_at_once() {
        let mut checks = Checks::default();
        assert!(checks.take(Text::required("customer", "", 10)).is_none());
        checks.violated("lines", "at least one");
        assert_eq!(
            checks.finish(|| Some(())).unwrap_err().to_string(),
            "customer: must not be empty; lines: at least one"
        );
    }
}
