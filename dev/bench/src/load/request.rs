//! Frames made once, copied for every call, with the stream's id put in.

use super::frames::{self, HEAD_BYTES, flag, kind};

/// A header block and what follows it, as frames on a stream not yet known.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    bytes: Vec<u8>,
    /// Where the frames begin.
    frames: Vec<usize>,
    /// Where four bytes tell this call from all others.
    stamp: Option<usize>,
    /// Bytes that count against windows.
    body_bytes: usize,
}

impl Template {
    /// `head` as a HEADERS frame, `body` as DATA frames of at most `frame_max`; `end` after the last.
    pub(crate) fn new(head: &[u8], body: &[u8], frame_max: usize, end: bool) -> Self {
        let mut template = Self { bytes: Vec::new(), frames: Vec::new(), stamp: None, body_bytes: body.len() };
        let end_flag = |last: bool| if end && last { flag::END_STREAM } else { 0 };
        if !head.is_empty() {
            template.push(kind::HEADERS, flag::END_HEADERS | end_flag(body.is_empty()), head);
        }
        let chunks = body.len().div_ceil(frame_max);
        for (place, chunk) in body.chunks(frame_max).enumerate() {
            template.push(kind::DATA, end_flag(place + 1 == chunks), chunk);
        }
        template
    }

    /// Puts the stream's id into the four bytes at `offset` of the body's first frame as well.
    pub(crate) fn stamped(mut self, offset: usize) -> Self {
        let first_data = self.frames.iter().find(|start| self.bytes[**start + 3] == kind::DATA);
        let start = first_data.expect("a body to put a stamp into");
        self.stamp = Some(start + HEAD_BYTES + offset);
        self
    }

    /// Appends the frames for one stream.
    pub(crate) fn write(&self, out: &mut Vec<u8>, stream: u32) {
        let start = out.len();
        out.extend_from_slice(&self.bytes);
        let id = stream.to_be_bytes();
        for frame in &self.frames {
            out[start + frame + 5..][..4].copy_from_slice(&id);
        }
        if let Some(stamp) = self.stamp {
            out[start + stamp..][..4].copy_from_slice(&id);
        }
    }

    pub(crate) fn body_bytes(&self) -> usize {
        self.body_bytes
    }

    fn push(&mut self, kind: u8, flags: u8, payload: &[u8]) {
        self.frames.push(self.bytes.len());
        frames::write(&mut self.bytes, kind, flags, 0, payload);
    }
}

/// The bytes an answer has to consist of.
#[derive(Clone, Debug)]
pub(crate) struct Expected {
    bytes: Vec<u8>,
    stamp: Option<usize>,
}

impl Expected {
    pub(crate) fn new(bytes: Vec<u8>) -> Self {
        Self { bytes, stamp: None }
    }

    /// The answer carries the stream's id in the four bytes at `offset`.
    pub(crate) fn stamped(mut self, offset: usize) -> Self {
        self.stamp = Some(offset);
        self
    }

    /// Whether `bytes` are what stands at `offset`.
    pub(crate) fn matches(&mut self, stream: u32, offset: usize, bytes: &[u8]) -> bool {
        if let Some(stamp) = self.stamp {
            self.bytes[stamp..][..4].copy_from_slice(&stream.to_be_bytes());
        }
        self.bytes.get(offset..offset + bytes.len()) == Some(bytes)
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}
