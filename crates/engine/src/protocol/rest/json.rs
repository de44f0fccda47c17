//! As much of JSON as moving values about needs: where a value ends, the entries of an object, texts.
//!
//! Values are moved as they stand and read by the codec afterwards; what is let through here is checked there.

use std::{borrow::Cow, fmt};

/// Deepest nesting that is walked through. The codec that reads the message stops at about as much.
const DEPTH_MAX: usize = 128;

/// Why a text is not JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    at: usize,
    wanted: &'static str,
}

/// A value with its place: raw JSON text, without space around it.
pub(super) fn value(json: &[u8]) -> Result<&[u8], Malformed> {
    let start = skip_space(json, 0);
    let end = skip_value(json, start)?;
    match skip_space(json, end) {
        behind if behind == json.len() => Ok(&json[start..end]),
        behind => Err(Malformed { at: behind, wanted: "the end" }),
    }
}

/// The entries of an object, in order; `None` when the value is not an object.
pub(super) fn entries(json: &[u8]) -> Option<Entries<'_>> {
    (json.first() == Some(&b'{')).then_some(Entries { json, at: 1, first: true })
}

/// A key and its raw value.
type Entry<'a> = (Cow<'a, str>, &'a [u8]);

/// Keys and raw values of an object.
pub(super) struct Entries<'a> {
    json: &'a [u8],
    at: usize,
    first: bool,
}

impl<'a> Iterator for Entries<'a> {
    type Item = Result<Entry<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        match self.entry() {
            Ok(Some(entry)) => Some(Ok(entry)),
            Ok(None) => None,
            Err(error) => {
                self.json = &[];
                self.at = 0;
                Some(Err(error))
            }
        }
    }
}

impl<'a> Entries<'a> {
    fn entry(&mut self) -> Result<Option<Entry<'a>>, Malformed> {
        let json = self.json;
        if json.is_empty() {
            return Ok(None);
        }
        let mut at = skip_space(json, self.at);
        match json.get(at) {
            Some(b'}') => return Ok(None),
            Some(b',') if !self.first => at = skip_space(json, at + 1),
            _ if self.first => {}
            _ => return Err(Malformed { at, wanted: "\",\" or \"}\"" }),
        }
        self.first = false;
        let key_end = skip_string(json, at)?;
        let key = text(&json[at..key_end]).ok_or(Malformed { at, wanted: "a key in UTF-8" })?;
        at = skip_space(json, key_end);
        if json.get(at) != Some(&b':') {
            return Err(Malformed { at, wanted: "\":\"" });
        }
        at = skip_space(json, at + 1);
        let end = skip_value(json, at)?;
        self.at = end;
        Ok(Some((key, &json[at..end])))
    }
}

/// The elements of an array, in order; `None` when the value is not an array that can be read.
pub(super) fn elements(json: &[u8]) -> Option<Vec<&[u8]>> {
    if json.first() != Some(&b'[') {
        return None;
    }
    let mut elements = Vec::new();
    let mut at = skip_space(json, 1);
    if json.get(at) == Some(&b']') {
        return Some(elements);
    }
    loop {
        let end = skip_value(json, at).ok()?;
        elements.push(&json[at..end]);
        at = skip_space(json, end);
        match json.get(at) {
            Some(b',') => at = skip_space(json, at + 1),
            Some(b']') => return Some(elements),
            _ => return None,
        }
    }
}

/// The text of a raw JSON string; `None` when it is none.
pub(super) fn text(raw: &[u8]) -> Option<Cow<'_, str>> {
    let inside = raw.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
    let inside = std::str::from_utf8(inside).ok()?;
    if !inside.contains('\\') {
        return Some(Cow::Borrowed(inside));
    }
    let mut text = String::with_capacity(inside.len());
    let mut rest = inside;
    while let Some(at) = rest.find('\\') {
        text.push_str(&rest[..at]);
        let escape = *rest.as_bytes().get(at + 1)?;
        rest = rest.get(at + 2..)?;
        text.push(match escape {
            b'"' => '"',
            b'\\' => '\\',
            b'/' => '/',
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => {
                let unit = hex4(rest)?;
                rest = &rest[4..];
                let mut code = u32::from(unit);
                if (0xd800..0xdc00).contains(&unit) {
                    let low = rest.strip_prefix("\\u").and_then(hex4).filter(|low| (0xdc00..0xe000).contains(low))?;
                    rest = &rest[6..];
                    code = 0x1_0000 + ((u32::from(unit) - 0xd800) << 10) + (u32::from(low) - 0xdc00);
                }
                char::from_u32(code)?
            }
            _ => return None,
        });
    }
    text.push_str(rest);
    Some(Cow::Owned(text))
}

/// Writes a text as a JSON string.
pub(super) fn write_text(out: &mut Vec<u8>, text: &str) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    out.push(b'"');
    for byte in text.bytes() {
        match byte {
            b'"' => out.extend_from_slice(b"\\\""),
            b'\\' => out.extend_from_slice(b"\\\\"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            b'\t' => out.extend_from_slice(b"\\t"),
            0..0x20 => {
                out.extend_from_slice(b"\\u00");
                out.push(HEX[usize::from(byte >> 4)]);
                out.push(HEX[usize::from(byte & 15)]);
            }
            _ => out.push(byte),
        }
    }
    out.push(b'"');
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} is wanted at byte {}", self.wanted, self.at + 1)
    }
}

fn hex4(text: &str) -> Option<u16> {
    let digits = text.get(..4)?;
    if !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        return None;
    }
    u16::from_str_radix(digits, 16).ok()
}

fn skip_space(json: &[u8], mut at: usize) -> usize {
    while json.get(at).is_some_and(|byte| matches!(byte, b' ' | b'\n' | b'\r' | b'\t')) {
        at += 1;
    }
    at
}

fn skip_string(json: &[u8], start: usize) -> Result<usize, Malformed> {
    if json.get(start) != Some(&b'"') {
        return Err(Malformed { at: start, wanted: "a string" });
    }
    let mut at = start + 1;
    loop {
        match json.get(at) {
            Some(b'"') => return Ok(at + 1),
            Some(b'\\') => at += 2,
            Some(0..0x20) => return Err(Malformed { at, wanted: "an escape instead of a control character" }),
            Some(_) => at += 1,
            None => return Err(Malformed { at: json.len(), wanted: "the end of a string" }),
        }
    }
}

/// The end of the value that begins here. Walks without recursion, so depth costs no stack.
fn skip_value(json: &[u8], start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    // What closes each value that is open.
    let mut open: Vec<u8> = Vec::new();
    loop {
        // A value begins here.
        match json.get(at) {
            Some(&byte @ (b'{' | b'[')) => {
                if open.len() == DEPTH_MAX {
                    return Err(Malformed { at, wanted: "less nesting" });
                }
                let close = if byte == b'{' { b'}' } else { b']' };
                at = skip_space(json, at + 1);
                if json.get(at) == Some(&close) {
                    at += 1;
                } else {
                    open.push(close);
                    if close == b'}' {
                        at = skip_key(json, at)?;
                    }
                    continue;
                }
            }
            Some(b'"') => at = skip_string(json, at)?,
            Some(b'-' | b'0'..=b'9') => {
                while json.get(at).is_some_and(|byte| matches!(byte, b'-' | b'+' | b'.' | b'e' | b'E' | b'0'..=b'9')) {
                    at += 1;
                }
            }
            _ => match [&b"true"[..], b"false", b"null"]
                .into_iter()
                .find(|word| json[at.min(json.len())..].starts_with(word))
            {
                Some(word) => at += word.len(),
                None => return Err(Malformed { at, wanted: "a value" }),
            },
        }
        // A value has ended here.
        loop {
            let Some(&close) = open.last() else { return Ok(at) };
            at = skip_space(json, at);
            match json.get(at) {
                Some(b',') => {
                    at = skip_space(json, at + 1);
                    if close == b'}' {
                        at = skip_key(json, at)?;
                    }
                    break;
                }
                Some(&byte) if byte == close => {
                    open.pop();
                    at += 1;
                }
                _ => {
                    return Err(Malformed {
                        at,
                        wanted: if close == b'}' { "\",\" or \"}\"" } else { "\",\" or \"]\"" },
                    });
                }
            }
        }
    }
}

/// A key, its colon and the space behind it.
fn skip_key(json: &[u8], at: usize) -> Result<usize, Malformed> {
    let at = skip_space(json, skip_string(json, at)?);
    if json.get(at) != Some(&b':') {
        return Err(Malformed { at, wanted: "\":\"" });
    }
    Ok(skip_space(json, at + 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_entries_of_an_object_are_its_keys_and_raw_values() {
        let json = br#" { "a" : 1 , "b\u0041\ud83d\ude00":{"c":[1,{"d":"}"}]}, "e": "x\"y" } "#;
        let found: Vec<_> = entries(value(json).unwrap()).unwrap().map(Result::unwrap).collect();
        assert_eq!(found[0], (Cow::from("a"), &b"1"[..]));
        assert_eq!(found[1], (Cow::from("bA\u{1f600}"), &br#"{"c":[1,{"d":"}"}]}"#[..]));
        assert_eq!(text(found[2].1).unwrap(), "x\"y");
        assert_eq!(entries(b"{}").unwrap().count(), 0);
        assert!(entries(b"[]").is_none());
        assert_eq!(elements(b"[ 1, \"a\" ,[2]]").unwrap(), [&b"1"[..], b"\"a\"", b"[2]"]);
        assert_eq!(elements(b"[]").unwrap().len(), 0);
    }

    #[test]
    fn what_is_cut_off_or_nested_without_end_is_refused() {
        let json = br#"{"a":[true,null,-1.5e3],"b":{"c":"\n"}}"#;
        assert_eq!(value(json).unwrap(), json);
        for len in 0..json.len() {
            assert!(value(&json[..len]).is_err(), "{len}");
        }
        for bad in ["{a:1}", "[1 2]", "{\"a\" 1}", "\"\n\"", "{} x", "nul", "[1,]", "{\"a\":1,}", "\"\\"] {
            assert!(value(bad.as_bytes()).is_err(), "{bad}");
        }
        assert!(value("[".repeat(100_000).as_bytes()).is_err());
        assert!(value(format!("{}{}", "[".repeat(128), "]".repeat(128)).as_bytes()).is_ok());
    }

    #[test]
    fn any_text_survives_being_written() {
        let all: String = (0..0x500).filter_map(char::from_u32).chain("\u{1f600}\u{2028}".chars()).collect();
        let mut out = Vec::new();
        write_text(&mut out, &all);
        assert_eq!(value(&out).unwrap(), out);
        assert_eq!(text(&out).unwrap(), all);
    }
}
