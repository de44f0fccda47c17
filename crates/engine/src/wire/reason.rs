//! Error codes of RFC 9113 §7.

use std::fmt;

/// Why a stream or a connection ended, as the wire says it. Unknown codes are kept as they came.
#[derive(Copy, Clone, PartialEq, Eq, Hash)]
pub struct Reason(u32);

impl Reason {
    /// Not an error; or an end in order.
    pub const NO_ERROR: Reason = Reason(0x0);
    /// The peer broke a rule that has no code of its own.
    pub const PROTOCOL_ERROR: Reason = Reason(0x1);
    /// Our own fault.
    pub const INTERNAL_ERROR: Reason = Reason(0x2);
    /// More was sent than a window allowed.
    pub const FLOW_CONTROL_ERROR: Reason = Reason(0x3);
    /// SETTINGS were not acknowledged in time.
    pub const SETTINGS_TIMEOUT: Reason = Reason(0x4);
    /// A frame for a stream whose sender had ended it.
    pub const STREAM_CLOSED: Reason = Reason(0x5);
    /// A frame of an impossible size.
    pub const FRAME_SIZE_ERROR: Reason = Reason(0x6);
    /// The stream was not processed at all; it may be tried again.
    pub const REFUSED_STREAM: Reason = Reason(0x7);
    /// The stream is no longer wanted.
    pub const CANCEL: Reason = Reason(0x8);
    /// Header compression is out of step.
    pub const COMPRESSION_ERROR: Reason = Reason(0x9);
    /// The connection a CONNECT asked for was closed or reset.
    pub const CONNECT_ERROR: Reason = Reason(0xa);
    /// The peer costs more than it should.
    pub const ENHANCE_YOUR_CALM: Reason = Reason(0xb);
    /// The transport is not secure enough.
    pub const INADEQUATE_SECURITY: Reason = Reason(0xc);
    /// The peer wants HTTP/1.1.
    pub const HTTP_1_1_REQUIRED: Reason = Reason(0xd);

    /// The reason behind a code from the wire.
    #[must_use]
    pub const fn from_code(code: u32) -> Self {
        Reason(code)
    }

    /// The code on the wire.
    #[must_use]
    pub const fn code(self) -> u32 {
        self.0
    }

    /// What says the same as an answer of HTTP, and words for people. Clients of gRPC-Web and Connect take 503 for
    /// "unavailable".
    #[must_use]
    pub const fn in_http(self) -> (u16, &'static str) {
        match self {
            Self::REFUSED_STREAM => (503, "the request was not taken; it may be made again"),
            Self::ENHANCE_YOUR_CALM => (429, "too much is asked for"),
            _ => (500, "the request was given up"),
        }
    }

    /// The standard's name, if it has one.
    #[must_use]
    pub const fn name(self) -> Option<&'static str> {
        const NAMES: [&str; 14] = [
            "NO_ERROR",
            "PROTOCOL_ERROR",
            "INTERNAL_ERROR",
            "FLOW_CONTROL_ERROR",
            "SETTINGS_TIMEOUT",
            "STREAM_CLOSED",
            "FRAME_SIZE_ERROR",
            "REFUSED_STREAM",
            "CANCEL",
            "COMPRESSION_ERROR",
            "CONNECT_ERROR",
            "ENHANCE_YOUR_CALM",
            "INADEQUATE_SECURITY",
            "HTTP_1_1_REQUIRED",
        ];
        if (self.0 as usize) < NAMES.len() { Some(NAMES[self.0 as usize]) } else { None }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => f.write_str(name),
            None => write!(f, "error code {:#x}", self.0),
        }
    }
}

impl fmt::Debug for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
