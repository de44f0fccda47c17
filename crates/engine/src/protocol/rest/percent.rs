//! Percent escapes of paths and queries (RFC 3986 §2.1).

use std::borrow::Cow;

/// What becomes of `%2F`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Slashes {
    /// A slash: in text that is one segment.
    Decoded,
    /// Left as it is: in text of several segments, where it would look like a border.
    Kept,
}

/// The text without its escapes; `None` when one is malformed or they make no UTF-8.
pub(super) fn decode(text: &str, slashes: Slashes) -> Option<Cow<'_, str>> {
    if !text.contains('%') {
        return Some(Cow::Borrowed(text));
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, behind)) = rest.split_first() {
        if byte != b'%' {
            bytes.push(byte);
            rest = behind;
            continue;
        }
        let (digits, behind) = behind.split_at_checked(2)?;
        let value = hex(digits[0])? << 4 | hex(digits[1])?;
        if value == b'/' && slashes == Slashes::Kept {
            bytes.push(b'%');
            bytes.extend_from_slice(digits);
        } else {
            bytes.push(value);
        }
        rest = behind;
    }
    String::from_utf8(bytes).ok().map(Cow::Owned)
}

/// A part of a query without its escapes: there a plus is a space.
pub(super) fn decode_query(text: &str) -> Option<Cow<'_, str>> {
    if text.contains('+') {
        let spaced = text.replace('+', " ");
        return decode(&spaced, Slashes::Decoded).map(|text| Cow::Owned(text.into_owned()));
    }
    decode(text, Slashes::Decoded)
}

/// Writes text for a path or a query: what is not unreserved (RFC 3986 §2.3) is escaped, slashes as it is said.
pub(super) fn encode(out: &mut String, text: &str, slashes: Slashes) {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    for byte in text.bytes() {
        match byte {
            b'-' | b'_' | b'.' | b'~' | b'0'..=b'9' | b'a'..=b'z' | b'A'..=b'Z' => out.push(char::from(byte)),
            b'/' if slashes == Slashes::Kept => out.push('/'),
            _ => {
                out.push('%');
                out.push(char::from(HEX[usize::from(byte >> 4)]));
                out.push(char::from(HEX[usize::from(byte & 15)]));
            }
        }
    }
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|digit| digit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_bad_ones_refused() {
        assert_eq!(decode("a%20b%C3%A9%2F%2f", Slashes::Decoded).unwrap(), "a b\u{e9}//");
        assert_eq!(decode("a%20b/c%2F%2f%25", Slashes::Kept).unwrap(), "a b/c%2F%2f%");
        assert_eq!(decode("a+b", Slashes::Decoded).unwrap(), "a+b");
        assert_eq!(decode_query("a+b%2Bc").unwrap(), "a b+c");
        for bad in ["%", "%2", "%2g", "%g2", "%ff", "%C3", "%%20", "%+1"] {
            assert_eq!(decode(bad, Slashes::Decoded), None, "{bad}");
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        for slashes in [Slashes::Decoded, Slashes::Kept] {
            let mut out = String::new();
            encode(&mut out, "orders/a b\u{e9}%?#&=+:", slashes);
            assert_eq!(decode(&out, slashes).unwrap(), "orders/a b\u{e9}%?#&=+:", "{out}");
        }
    }
}
