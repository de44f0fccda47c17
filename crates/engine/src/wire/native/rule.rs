//! The rules a peer can break.

/// A rule of the native protocol that the peer broke, at the cost of the connection.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum NativeRule {
    /// A frame on a stream behind the end of its sender's side.
    AfterEnd,
    /// The client's first bytes are not the preface.
    BadPreface,
    /// A frame whose payload is above the announced maximum.
    FrameTooLong,
    /// A second HELLO.
    HelloTwice,
    /// A frame that may not stand between the frames of one message.
    InsideMessage,
    /// A head, a varint or fields that cannot be read.
    Malformed,
    /// A method number that was given already.
    MethodTwice,
    /// A method number that was never given, or is above the announced maximum.
    MethodUnknown,
    /// The first frame is not HELLO.
    NotHelloFirst,
    /// A second set of leading metadata, or one behind a message.
    HeadersTwice,
    /// A call on a stream that is in use.
    StreamInUse,
    /// A frame on a stream that was never opened.
    StreamUnknown,
    /// A HELLO of a version that is not spoken here.
    VersionUnknown,
    /// More bytes of messages than the window.
    WindowExceeded,
    /// A window above 2^31 − 1.
    WindowOverflow,
    /// A frame that only the other side may send.
    WrongSide,
}

impl NativeRule {
    /// What the peer is told.
    pub(crate) fn words(self) -> &'static str {
        match self {
            NativeRule::AfterEnd => "frame after the end of its stream",
            NativeRule::BadPreface => "bad preface",
            NativeRule::FrameTooLong => "frame above frame_bytes_max",
            NativeRule::HelloTwice => "second hello",
            NativeRule::InsideMessage => "frame inside a message",
            NativeRule::Malformed => "malformed frame",
            NativeRule::MethodTwice => "method number defined twice",
            NativeRule::MethodUnknown => "method number not defined or above methods_max",
            NativeRule::NotHelloFirst => "hello must come first",
            NativeRule::HeadersTwice => "second leading metadata",
            NativeRule::StreamInUse => "call on a stream in use",
            NativeRule::StreamUnknown => "frame on a stream that is not open",
            NativeRule::VersionUnknown => "hello of another version",
            NativeRule::WindowExceeded => "window exceeded",
            NativeRule::WindowOverflow => "window overflow",
            NativeRule::WrongSide => "frame of the other side",
        }
    }
}
