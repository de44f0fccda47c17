//! HELLO: what each side says of itself first.

use polywire_core::CompressionSet;

use super::fields::{self, Fields};
use super::{NativeRule, frame};
use crate::limits::Limits;

/// What a side may do until it has heard better.
pub(super) const STREAMS_ASSUMED: u32 = 100;
/// The least everybody takes.
pub(super) const FRAME_BYTES_MIN: u32 = 16_384;
/// The least everybody gives, for a stream and for the connection.
pub(super) const WINDOW_BYTES_MIN: u32 = 65_536;
/// The least everybody remembers.
pub(super) const METHODS_MIN: u32 = 64;

/// The version that is spoken here.
pub(super) const VERSION: u64 = 1;

mod tag {
    pub(super) const VERSION: u64 = 1;
    pub(super) const STREAMS_MAX: u64 = 2;
    pub(super) const FRAME_BYTES_MAX: u64 = 3;
    pub(super) const MESSAGE_BYTES_MAX: u64 = 4;
    pub(super) const WINDOW_BYTES: u64 = 5;
    pub(super) const CONNECTION_WINDOW_BYTES: u64 = 6;
    pub(super) const SILENCE_MAX_MS: u64 = 7;
    pub(super) const METHODS_MAX: u64 = 8;
    pub(super) const NAME: u64 = 10;
    pub(super) const ACCEPTS: u64 = 11;
}

/// What the peer said, or what is assumed before it has.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct Hello {
    pub(super) streams_max: u32,
    pub(super) frame_bytes_max: u32,
    pub(super) window_bytes: u32,
    pub(super) connection_window_bytes: u32,
    /// 0: it waits for ever.
    pub(super) silence_max_ms: u64,
    pub(super) methods_max: u32,
    pub(super) accepts: Option<CompressionSet>,
}

impl Hello {
    pub(super) const ASSUMED: Hello = Hello {
        streams_max: STREAMS_ASSUMED,
        frame_bytes_max: FRAME_BYTES_MIN,
        window_bytes: WINDOW_BYTES_MIN,
        connection_window_bytes: WINDOW_BYTES_MIN,
        silence_max_ms: 0,
        methods_max: METHODS_MIN,
        accepts: None,
    };

    /// What we say ourselves.
    pub(super) fn ours(limits: &Limits, accepts: CompressionSet) -> Hello {
        let silence_max = limits.keepalive.map_or(0, |keepalive| {
            u64::try_from(keepalive.interval.saturating_add(keepalive.timeout).as_millis()).unwrap_or(u64::MAX)
        });
        Hello {
            streams_max: limits.streams_max,
            frame_bytes_max: limits.frame_bytes_max.clamp(FRAME_BYTES_MIN, FRAME_BYTES_LIMIT),
            window_bytes: limits.window_bytes.max(WINDOW_BYTES_MIN),
            connection_window_bytes: limits.connection_window_bytes.max(WINDOW_BYTES_MIN),
            silence_max_ms: silence_max.min(frame::VARINT_MAX),
            methods_max: limits.methods_max.max(METHODS_MIN),
            accepts: Some(accepts),
        }
    }

    /// The payload of a HELLO.
    pub(super) fn write(&self, message_bytes_max: usize, name: &str) -> Vec<u8> {
        let mut out = Vec::with_capacity(64);
        fields::put_number(&mut out, tag::VERSION, VERSION);
        for (tag, value, assumed) in [
            (tag::STREAMS_MAX, self.streams_max, STREAMS_ASSUMED),
            (tag::FRAME_BYTES_MAX, self.frame_bytes_max, FRAME_BYTES_MIN),
            (tag::WINDOW_BYTES, self.window_bytes, WINDOW_BYTES_MIN),
            (tag::CONNECTION_WINDOW_BYTES, self.connection_window_bytes, WINDOW_BYTES_MIN),
            (tag::METHODS_MAX, self.methods_max, METHODS_MIN),
        ] {
            if value != assumed {
                fields::put_number(&mut out, tag, value.into());
            }
        }
        fields::put_number(&mut out, tag::MESSAGE_BYTES_MAX, (message_bytes_max as u64).min(frame::VARINT_MAX));
        if self.silence_max_ms > 0 {
            fields::put_number(&mut out, tag::SILENCE_MAX_MS, self.silence_max_ms);
        }
        fields::put_bytes(&mut out, tag::NAME, name.as_bytes());
        if let Some(accepts) = self.accepts {
            fields::put_number(&mut out, tag::ACCEPTS, fields::bits_of(accepts));
        }
        out
    }

    /// The version that a HELLO is of. Nothing else can be understood before it is known.
    pub(super) fn version(payload: &[u8]) -> Result<u64, NativeRule> {
        let mut version = VERSION;
        for field in Fields::new(payload) {
            let (tag, value) = field?;
            if tag == tag::VERSION {
                version = fields::number(value)?;
            }
        }
        Ok(version)
    }

    /// Reads the payload of a HELLO of our version.
    pub(super) fn read(payload: &[u8]) -> Result<Hello, NativeRule> {
        let mut hello = Hello::ASSUMED;
        for field in Fields::new(payload) {
            let (tag, value) = field?;
            match tag {
                tag::STREAMS_MAX => hello.streams_max = clamped(value, 1, STREAMS_LIMIT)?,
                tag::FRAME_BYTES_MAX => {
                    hello.frame_bytes_max = clamped(value, FRAME_BYTES_MIN, FRAME_BYTES_LIMIT)?;
                }
                tag::WINDOW_BYTES => hello.window_bytes = clamped(value, WINDOW_BYTES_MIN, WINDOW_LIMIT)?,
                tag::CONNECTION_WINDOW_BYTES => {
                    hello.connection_window_bytes = clamped(value, WINDOW_BYTES_MIN, WINDOW_LIMIT)?;
                }
                tag::SILENCE_MAX_MS => hello.silence_max_ms = fields::number(value)?,
                tag::METHODS_MAX => hello.methods_max = clamped(value, METHODS_MIN, METHODS_LIMIT)?,
                tag::ACCEPTS => hello.accepts = Some(fields::set_of(fields::number(value)?)),
                _ => {}
            }
        }
        Ok(hello)
    }
}

fn clamped(value: &[u8], least: u32, most: u32) -> Result<u32, NativeRule> {
    Ok(u32::try_from(fields::number(value)?).unwrap_or(u32::MAX).clamp(least, most))
}

/// A length of a payload has at most three bytes of seven bits.
const FRAME_BYTES_LIMIT: u32 = (1 << 21) - 1;

/// Numbers of streams are below 2^28.
const STREAMS_LIMIT: u32 = (1 << 28) - 1;

/// The largest window there can be.
pub(super) const WINDOW_LIMIT: u32 = (1 << 31) - 1;

/// A client needs no more numbers than this, whatever it is offered.
const METHODS_LIMIT: u32 = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hello_is_read_as_it_was_written() {
        let hello = Hello::ours(&Limits::default(), CompressionSet::ALL);
        assert_eq!(Hello::read(&hello.write(4 << 20, "polywire")), Ok(hello));
    }

    #[test]
    fn an_empty_hello_says_what_is_assumed() {
        assert_eq!(Hello::read(&[]), Ok(Hello::ASSUMED));
    }

    #[test]
    fn smaller_values_than_everybody_takes_are_raised_and_unknown_fields_are_passed_over() {
        let mut payload = Vec::new();
        fields::put_number(&mut payload, tag::FRAME_BYTES_MAX, 1);
        fields::put_number(&mut payload, tag::WINDOW_BYTES, 0);
        fields::put_bytes(&mut payload, 99, b"from the future");
        fields::put_number(&mut payload, tag::STREAMS_MAX, 3);
        let hello = Hello::read(&payload).unwrap();
        assert_eq!(hello, Hello { streams_max: 3, ..Hello::ASSUMED });
    }
}
