//! UTF-8 that comes in pieces.

/// Checks text piece by piece; a character may lie across pieces.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Utf8 {
    /// The beginning of a character whose rest has not come.
    begun: [u8; 4],
    len: u8,
}

impl Utf8 {
    /// Looks at the next piece. False: this is not UTF-8, whatever follows.
    #[must_use]
    pub(super) fn feed(&mut self, mut piece: &[u8]) -> bool {
        while self.len > 0 {
            let Some((&byte, rest)) = piece.split_first() else { return true };
            piece = rest;
            self.begun[usize::from(self.len)] = byte;
            self.len += 1;
            match std::str::from_utf8(&self.begun[..usize::from(self.len)]) {
                Ok(_) => self.len = 0,
                Err(error) if error.error_len().is_some() => return false,
                // A character has at most four bytes: with four it is whole or wrong.
                Err(_) => {}
            }
        }
        match std::str::from_utf8(piece) {
            Ok(_) => true,
            Err(error) if error.error_len().is_some() => false,
            Err(error) => {
                let begun = &piece[error.valid_up_to()..];
                self.begun[..begun.len()].copy_from_slice(begun);
                self.len = begun.len() as u8;
                true
            }
        }
    }

    /// Whether the text may end here.
    pub(super) fn is_between_characters(self) -> bool {
        self.len == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_text_wherever_it_is_cut() {
        let text = "κόσμε ❤ \u{10ffff} a".as_bytes();
        for size in 1..=text.len() {
            let mut utf8 = Utf8::default();
            assert!(text.chunks(size).all(|piece| utf8.feed(piece)), "pieces of {size}");
            assert!(utf8.is_between_characters());
        }
    }

    #[test]
    fn what_can_no_longer_become_text_is_noticed_at_once() {
        for bad in [&b"a\x80"[..], b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x28", b"\xff"] {
            for size in 1..=bad.len() {
                let mut utf8 = Utf8::default();
                assert!(!bad.chunks(size).all(|piece| utf8.feed(piece)), "{bad:x?} in pieces of {size}");
            }
        }
        let mut utf8 = Utf8::default();
        assert!(utf8.feed(b"\xf4"));
        assert!(!utf8.is_between_characters());
        assert!(!utf8.feed(b"\x90"), "no character begins so");
    }
}
