use std::{fmt, ops::Range};

/// The path of an HTTP rule, taken apart.
///
/// ```text
/// Template  = "/" Segments [ Verb ] ;      Segments  = Segment { "/" Segment } ;
/// Segment   = "*" | "**" | LITERAL | Variable ;
/// Variable  = "{" FieldPath [ "=" Segments ] "}" ;
/// FieldPath = IDENT { "." IDENT } ;        Verb = ":" LITERAL ;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PathTemplate {
    segments: Vec<Segment>,
    variables: Vec<Variable>,
    verb: Option<String>,
}

/// One segment of a path template.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Segment {
    /// This text.
    Literal(String),
    /// `*`: any one segment that is not empty.
    One,
    /// `**`: all segments that are left, be it none.
    Rest,
}

/// A variable of a path template: the segments whose text goes into a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    field_path: Vec<String>,
    segments: Range<usize>,
    single: bool,
}

/// Why a text is no path template: what, where, and what to write instead.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError(String);

/// Longest template that is read. Templates are written by hand; a longer one is a mistake.
const TEMPLATE_BYTES_MAX: usize = 2048;

impl PathTemplate {
    /// Takes a template apart.
    ///
    /// # Errors
    /// When it does not follow the grammar.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        if text.len() > TEMPLATE_BYTES_MAX {
            return Err(TemplateError(format!("the path is longer than {TEMPLATE_BYTES_MAX} bytes")));
        }
        let Some(rest) = text.strip_prefix('/') else {
            return Err(TemplateError(format!("the path {text:?} does not begin with \"/\"; write \"/{text}\"")));
        };
        let mut parser = Parser { text, at: 1, segments: Vec::new(), variables: Vec::new() };
        if !rest.is_empty() {
            parser.segments(false)?;
        }
        let verb = match parser.next() {
            None => None,
            Some(':') => {
                parser.at += 1;
                let verb = parser.literal()?;
                if parser.next().is_some() {
                    return Err(parser.fault("nothing may follow the verb; it stands at the end of the whole path"));
                }
                Some(verb)
            }
            Some('}') => return Err(parser.fault("this \"}\" closes nothing; remove it")),
            Some(letter) => return Err(parser.fault(&unexpected(letter))),
        };
        let Parser { segments, variables, .. } = parser;
        if let Some(at) = segments.iter().position(|segment| *segment == Segment::Rest)
            && at + 1 != segments.len()
        {
            return Err(TemplateError(format!(
                "in {text:?}: \"**\" takes everything that is left, so only a verb may follow it; use \"*\" for one segment"
            )));
        }
        for (index, variable) in variables.iter().enumerate() {
            if variables[..index].iter().any(|other| other.field_path == variable.field_path) {
                return Err(TemplateError(format!(
                    "in {text:?}: the field {} is bound twice; remove one of its variables",
                    variable.field_path.join(".")
                )));
            }
        }
        Ok(Self { segments, variables, verb })
    }

    /// The segments, those of variables included.
    pub fn segments(&self) -> &[Segment] {
        &self.segments
    }

    /// The variables, from left to right.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// The custom verb behind the colon: `cancel`.
    pub fn verb(&self) -> Option<&str> {
        self.verb.as_deref()
    }

    /// Whether the two match the same paths, so that a request could not choose between them.
    pub fn is_indistinguishable(&self, other: &Self) -> bool {
        self.segments == other.segments && self.verb == other.verb
    }
}

impl Variable {
    /// The field it binds, from the request message downwards.
    pub fn field_path(&self) -> &[String] {
        &self.field_path
    }

    /// The places of its segments in the template.
    pub fn segments(&self) -> Range<usize> {
        self.segments.clone()
    }

    /// Whether it is exactly one segment: then its text is decoded completely, `%2F` included.
    pub fn is_single(&self) -> bool {
        self.single
    }
}

impl fmt::Display for PathTemplate {
    /// In the long form: `/v1/{name=orders/*}`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.segments.is_empty() {
            f.write_str("/")?;
        }
        for (index, segment) in self.segments.iter().enumerate() {
            f.write_str("/")?;
            if let Some(variable) = self.variables.iter().find(|variable| variable.segments.start == index) {
                write!(f, "{{{}=", variable.field_path.join("."))?;
            }
            match segment {
                Segment::Literal(text) => f.write_str(text)?,
                Segment::One => f.write_str("*")?,
                Segment::Rest => f.write_str("**")?,
            }
            if self.variables.iter().any(|variable| variable.segments.end == index + 1) {
                f.write_str("}")?;
            }
        }
        match &self.verb {
            Some(verb) => write!(f, ":{verb}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for TemplateError {}

struct Parser<'a> {
    text: &'a str,
    at: usize,
    segments: Vec<Segment>,
    variables: Vec<Variable>,
}

impl Parser<'_> {
    fn segments(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        loop {
            self.segment(in_variable)?;
            if self.next() != Some('/') {
                return Ok(());
            }
            self.at += 1;
        }
    }

    fn segment(&mut self, in_variable: bool) -> Result<(), TemplateError> {
        match self.next() {
            Some('{') if in_variable => {
                return Err(self.fault("a variable cannot stand inside another; bind the whole to one field"));
            }
            Some('{') => self.variable()?,
            Some('*') if self.text[self.at..].starts_with("**") => {
                self.at += 2;
                self.segments.push(Segment::Rest);
            }
            Some('*') => {
                self.at += 1;
                self.segments.push(Segment::One);
            }
            _ => {
                let text = self.literal()?;
                self.segments.push(Segment::Literal(text));
            }
        }
        match self.next() {
            None | Some('/' | ':' | '}') => Ok(()),
            Some(_) => Err(self.fault("a variable or \"*\" is a whole segment; put a \"/\" or a \":\" behind it")),
        }
    }

    fn variable(&mut self) -> Result<(), TemplateError> {
        self.at += 1;
        let mut field_path = vec![self.ident()?];
        while self.next() == Some('.') {
            self.at += 1;
            field_path.push(self.ident()?);
        }
        let first = self.segments.len();
        match self.next() {
            Some('=') => {
                self.at += 1;
                self.segments(true)?;
            }
            _ => self.segments.push(Segment::One),
        }
        if self.next() != Some('}') {
            return Err(self.fault("a variable ends with \"}\": {field} or {field=segments}"));
        }
        self.at += 1;
        let segments = first..self.segments.len();
        let single = segments.len() == 1 && self.segments[first] != Segment::Rest;
        self.variables.push(Variable { field_path, segments, single });
        Ok(())
    }

    fn ident(&mut self) -> Result<String, TemplateError> {
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        if len == 0 || rest.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(self.fault("the name of a field is wanted here, as in {name} or {order.name}"));
        }
        self.at += len;
        Ok(rest[..len].to_owned())
    }

    fn literal(&mut self) -> Result<String, TemplateError> {
        let rest = &self.text[self.at..];
        let len = rest.find(|c: char| !is_literal(c)).unwrap_or(rest.len());
        match rest[len..].chars().next() {
            None | Some('/' | ':' | '}') if len > 0 => {
                self.at += len;
                Ok(rest[..len].to_owned())
            }
            None | Some('/' | ':' | '}') => Err(self.fault("a segment is empty; remove a \"/\" or write its text")),
            Some(letter @ ('{' | '*')) if len > 0 => {
                self.at += len;
                Err(self
                    .fault(&format!("{letter:?} cannot stand inside a segment; a variable or \"*\" is a whole one")))
            }
            Some(letter) => {
                self.at += len;
                Err(self.fault(&unexpected(letter)))
            }
        }
    }

    fn next(&self) -> Option<char> {
        self.text[self.at..].chars().next()
    }

    fn fault(&self, what: &str) -> TemplateError {
        TemplateError(format!("in {:?} at character {}: {what}", self.text, self.text[..self.at].chars().count() + 1))
    }
}

/// What a segment is made of (RFC 3986 `pchar`) without the colon, the star and escapes, which mean something else here.
fn is_literal(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || "-._~!$&'()+,;@".contains(letter)
}

fn unexpected(letter: char) -> String {
    match letter {
        '?' => "the query is no part of the path; its fields are bound without being named here".to_owned(),
        '%' => "a path template is written without escapes".to_owned(),
        '=' => "\"=\" belongs inside a variable: {field=segments}".to_owned(),
        _ => format!("{letter:?} cannot stand in a path template"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_template_falls_into_segments_variables_and_verb() {
        let template = PathTemplate::parse("/v1/{parent=shops/*}/orders/{order.id}/**:move").unwrap();
        let literal = |text: &str| Segment::Literal(text.to_owned());
        assert_eq!(
            template.segments(),
            [literal("v1"), literal("shops"), Segment::One, literal("orders"), Segment::One, Segment::Rest]
        );
        assert_eq!(template.verb(), Some("move"));
        let [parent, id] = template.variables() else { panic!("{template:?}") };
        assert_eq!((parent.segments(), parent.is_single()), (1..3, false));
        assert_eq!((id.segments(), id.is_single()), (4..5, true));
        assert_eq!(id.field_path(), ["order", "id"]);
        assert_eq!(template.to_string(), "/v1/{parent=shops/*}/orders/{order.id=*}/**:move");
    }

    #[test]
    fn every_form_of_the_grammar_is_read() {
        for (text, long) in [
            ("/", "/"),
            ("/v1", "/v1"),
            ("/v1:do", "/v1:do"),
            ("/*", "/*"),
            ("/**", "/**"),
            ("/{a}", "/{a=*}"),
            ("/{a=**}", "/{a=**}"),
            ("/{a=b}", "/{a=b}"),
            ("/{a=b/*/c/**}:do", "/{a=b/*/c/**}:do"),
            ("/{a_1.b=*}/{c}", "/{a_1.b=*}/{c=*}"),
            ("/a.b/c-d/@me", "/a.b/c-d/@me"),
        ] {
            let template = PathTemplate::parse(text).unwrap();
            assert_eq!(template.to_string(), long);
            assert_eq!(PathTemplate::parse(long).unwrap(), template);
        }
    }

    #[test]
    fn what_breaks_the_grammar_is_named_with_its_place() {
        for (text, part) in [
            ("", "does not begin"),
            ("v1", "write \"/v1\""),
            ("/v1/", "empty"),
            ("/v1//a", "empty"),
            ("/v1/a*", "inside a segment"),
            ("/v1/*a", "whole segment"),
            ("/v1/***", "whole segment"),
            ("/v1/a{b}", "inside a segment"),
            ("/v1/{b}c", "whole segment"),
            ("/v1/{", "name of a field"),
            ("/v1/{a", "ends with"),
            ("/v1/{a=}", "empty"),
            ("/v1/{a=b", "ends with"),
            ("/v1/{1a}", "name of a field"),
            ("/v1/{a.}", "name of a field"),
            ("/v1/{a={b}}", "inside another"),
            ("/v1/a}", "closes nothing"),
            ("/v1/**/a", "only a verb"),
            ("/v1/{a=**}/b", "only a verb"),
            ("/v1/{a}/{a}", "bound twice"),
            ("/v1:", "empty"),
            ("/v1:a/b", "nothing may follow"),
            ("/v1/{a:b}", "ends with"),
            ("/v1?a=b", "query"),
            ("/v1%20", "without escapes"),
            ("/v1/a b", "cannot stand"),
            ("/v1/\u{e9}", "cannot stand"),
        ] {
            let error = PathTemplate::parse(text).unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn templates_that_differ_only_in_names_cannot_be_told_apart() {
        let template = |text| PathTemplate::parse(text).unwrap();
        assert!(template("/v1/{a}/b").is_indistinguishable(&template("/v1/{c=*}/b")));
        assert!(template("/{a=v1/*}/b").is_indistinguishable(&template("/v1/{c}/b")));
        assert!(!template("/v1/{a}:b").is_indistinguishable(&template("/v1/{a}")));
        assert!(!template("/v1/{a=**}").is_indistinguishable(&template("/v1/{a}")));
    }
}
