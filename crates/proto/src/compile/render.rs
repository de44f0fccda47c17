//! Errors in `.proto` files, as a compiler shows them.

use std::{
    fmt::Write as _,
    path::{Path, PathBuf},
};

use miette::{Diagnostic, LabeledSpan};

use super::builtin::BuiltinFiles;

/// The whole explanation of an error: what, where, the line, and what to do.
pub(super) fn render(error: &protox::Error, includes: &[PathBuf]) -> String {
    let source = error.file().map(|name| Source::find(name, includes));
    let mut text = String::new();
    let mut diagnostics: Vec<&dyn Diagnostic> = vec![error];
    diagnostics.extend(error.related().into_iter().flatten());
    for diagnostic in diagnostics {
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        one(diagnostic, source.as_ref(), &mut text).expect("writing to a string does not fail");
    }
    if let Some(help) = help(error, source.as_ref(), includes) {
        write!(text, "\n  = help: {help}").expect("writing to a string does not fail");
    }
    text
}

fn one(diagnostic: &dyn Diagnostic, source: Option<&Source>, text: &mut String) -> std::fmt::Result {
    write!(text, "error: {diagnostic}")?;
    let mut cause = diagnostic.source();
    while let Some(error) = cause {
        write!(text, ": {error}")?;
        cause = error.source();
    }
    let Some(source) = source else { return help_of(diagnostic, text) };
    let mut labels: Vec<LabeledSpan> = diagnostic.labels().into_iter().flatten().collect();
    let Some(code) = &source.text else {
        write!(text, "\n --> {}", source.shown)?;
        return help_of(diagnostic, text);
    };
    if labels.is_empty() && diagnostic.to_string().ends_with("end of file") {
        let end = code.trim_end().len();
        labels.push(LabeledSpan::new(Some("the file ends here".to_owned()), end, 0));
    }
    // The last label is where it went wrong; those before it say what it collides with, wherever they are in the file.
    let place = labels.last().map(|label| Place::of(code, label.offset()));
    labels.sort_by_key(LabeledSpan::offset);
    let Some(place) = place else {
        write!(text, "\n --> {}", source.shown)?;
        return help_of(diagnostic, text);
    };
    let last_line = labels.iter().map(|label| Place::of(code, label.offset()).line).max().unwrap_or(place.line);
    let gutter = last_line.to_string().len();
    write!(text, "\n{:gutter$}--> {}:{}:{}", "", source.shown, place.line, place.column)?;
    write!(text, "\n{:gutter$} |", "")?;
    let mut last_line = None;
    for label in &labels {
        let Place { line, column, text: code_line, rest } = Place::of(code, label.offset());
        if last_line != Some(line) {
            if last_line.is_some_and(|last| last + 1 < line) {
                write!(text, "\n{:gutter$}...", "")?;
            }
            write!(text, "\n{line:>gutter$} | {code_line}")?;
        }
        last_line = Some(line);
        // Tabs stay tabs, so that the mark stands below what it marks.
        let before: String = code_line.chars().take(column - 1).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let marked = code.get(label.offset()..label.offset() + label.len()).unwrap_or_default();
        let marks = marked.lines().next().map_or(1, |line| line.chars().count()).clamp(1, rest.max(1));
        write!(text, "\n{:gutter$} | {before}{}", "", "^".repeat(marks))?;
        if let Some(words) = label.label() {
            write!(text, " {words}")?;
        }
    }
    help_of(diagnostic, text)
}

fn help_of(diagnostic: &dyn Diagnostic, text: &mut String) -> std::fmt::Result {
    match diagnostic.help() {
        Some(help) => write!(text, "\n  = help: {help}"),
        None => Ok(()),
    }
}

/// What this crate knows to do about an error.
fn help(error: &protox::Error, source: Option<&Source>, includes: &[PathBuf]) -> Option<String> {
    let searched = || {
        let searched: Vec<_> = includes.iter().map(|include| include.display().to_string()).collect();
        searched.join(", ")
    };
    if error.is_file_not_found() {
        let message = error.to_string();
        return Some(if message.starts_with("import ") {
            format!("looked in {}; include the directory below which the import's name is the path", searched())
        } else {
            format!("looked in {}; a file is named by its path below one of them", searched())
        });
    }
    let label = error.labels()?.next()?;
    let found = source?.text.as_ref()?.get(label.offset()..)?;
    found.starts_with("edition").then(|| {
        "files in editions are not understood: have protoc or buf write a descriptor set and give that instead"
            .to_owned()
    })
}

/// The file an error is in.
struct Source {
    /// Where it is on disk, or its name.
    shown: String,
    text: Option<String>,
}

impl Source {
    fn find(name: &str, includes: &[PathBuf]) -> Self {
        let paths = includes
            .iter()
            .map(|include| if include == Path::new(".") { PathBuf::from(name) } else { include.join(name) });
        for path in paths {
            if let Ok(text) = std::fs::read_to_string(&path) {
                return Self { shown: path.display().to_string(), text: Some(text) };
            }
        }
        Self { shown: name.to_owned(), text: BuiltinFiles::text(name).map(str::to_owned) }
    }
}

/// A place in a text, counted from 1 as editors do; columns are characters.
struct Place<'a> {
    line: usize,
    column: usize,
    text: &'a str,
    /// Characters from here to the end of the line.
    rest: usize,
}

impl<'a> Place<'a> {
    fn of(code: &'a str, offset: usize) -> Self {
        let offset = (0..=offset.min(code.len())).rev().find(|&at| code.is_char_boundary(at)).unwrap_or(0);
        let start = code[..offset].rfind('\n').map_or(0, |newline| newline + 1);
        let end = code[offset..].find('\n').map_or(code.len(), |newline| offset + newline);
        Self {
            line: code[..offset].matches('\n').count() + 1,
            column: code[start..offset].chars().count() + 1,
            text: code[start..end].trim_end(),
            rest: code[offset..end].trim_end().chars().count(),
        }
    }
}
