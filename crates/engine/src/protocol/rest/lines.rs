//! A body of many JSON values, one on each line.

use bytes::{Buf, Bytes, BytesMut};
use polywire_core::Status;

/// Cuts a body into lines. Empty lines are passed over.
#[derive(Debug)]
pub struct Lines {
    pending: BytesMut,
    /// Bytes of `pending` that hold no end of line.
    searched: usize,
    line_bytes_max: usize,
}

impl Lines {
    /// Lines of at most so many bytes.
    pub fn new(line_bytes_max: usize) -> Self {
        Self { pending: BytesMut::new(), searched: 0, line_bytes_max }
    }

    /// Takes in what has come. [`next`](Self::next) is called until nothing is left before more comes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.pending.extend_from_slice(bytes);
    }

    /// The next complete line, without its end.
    ///
    /// # Errors
    /// When a line is longer than it may be; nothing more can be read then.
    #[allow(clippy::should_implement_trait, reason = "more may come after nothing")]
    pub fn next(&mut self) -> Result<Option<Bytes>, Status> {
        loop {
            let end = self.pending[self.searched..].iter().position(|&byte| byte == b'\n').map(|at| at + self.searched);
            if end.unwrap_or(self.pending.len()) > self.line_bytes_max {
                return Err(Status::resource_exhausted(format!(
                    "a line is longer than {} bytes (message_bytes_max)",
                    self.line_bytes_max
                )));
            }
            let Some(end) = end else {
                self.searched = self.pending.len();
                return Ok(None);
            };
            let line = self.pending.split_to(end).freeze();
            self.pending.advance(1);
            self.searched = 0;
            if let Some(line) = trimmed(line) {
                return Ok(Some(line));
            }
        }
    }

    /// The last line, which may do without an end; the body is over.
    pub fn finish(&mut self) -> Option<Bytes> {
        self.searched = 0;
        trimmed(std::mem::take(&mut self.pending).freeze())
    }

    /// How many bytes wait for the end of their line.
    pub fn pending_bytes(&self) -> usize {
        self.pending.len()
    }
}

fn trimmed(line: Bytes) -> Option<Bytes> {
    let text = line.trim_ascii();
    (!text.is_empty()).then(|| line.slice_ref(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_out_whole_however_they_came_in() {
        let body = b"{\"a\":1}\n\r\n  {\"b\":2}\r\n\n{\"c\":3}";
        for step in 1..=body.len() {
            let mut lines = Lines::new(20);
            let mut found = Vec::new();
            for chunk in body.chunks(step) {
                lines.push(chunk);
                while let Some(line) = lines.next().unwrap() {
                    found.push(line);
                }
            }
            found.extend(lines.finish());
            assert_eq!(found, [&b"{\"a\":1}"[..], b"{\"b\":2}", b"{\"c\":3}"], "{step}");
            assert_eq!((lines.next().unwrap(), lines.finish()), (None, None));
        }
    }

    #[test]
    fn a_line_without_end_is_given_up() {
        let mut lines = Lines::new(10);
        lines.push(&[b'x'; 10]);
        assert_eq!(lines.next().unwrap(), None);
        lines.push(b"x");
        assert!(lines.next().is_err());
    }
}
