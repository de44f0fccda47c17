//! SETTINGS (RFC 9113 §6.5): what the peer told us, and what we tell it.

use super::frame::{FRAME_BYTES_DEFAULT, FrameHead, flag, kind};
use crate::limits::Limits;
use crate::wire::{ConnectionError, LimitExceeded, PeerMisbehaved, Role};

/// The peer's settings as far as they bind us.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) struct PeerSettings {
    /// SETTINGS_MAX_FRAME_SIZE.
    pub(super) frame_bytes_max: u32,
    /// SETTINGS_INITIAL_WINDOW_SIZE.
    pub(super) window_bytes: u32,
    /// SETTINGS_MAX_CONCURRENT_STREAMS.
    pub(super) streams_max: u32,
    /// SETTINGS_HEADER_TABLE_SIZE.
    pub(super) header_table_bytes: u32,
    /// SETTINGS_MAX_HEADER_LIST_SIZE: advice.
    pub(super) header_list_bytes_max: u32,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL.
    pub(super) connect_protocol: bool,
}

/// The window of a stream or connection before anything was said.
pub(super) const WINDOW_BYTES_DEFAULT: u32 = 65_535;

const HEADER_TABLE_SIZE: u16 = 0x1;
const ENABLE_PUSH: u16 = 0x2;
const MAX_CONCURRENT_STREAMS: u16 = 0x3;
const INITIAL_WINDOW_SIZE: u16 = 0x4;
const MAX_FRAME_SIZE: u16 = 0x5;
const MAX_HEADER_LIST_SIZE: u16 = 0x6;
const ENABLE_CONNECT_PROTOCOL: u16 = 0x8;

impl PeerSettings {
    /// What holds until the peer has spoken.
    pub(super) fn assumed(limits: &Limits) -> Self {
        PeerSettings {
            frame_bytes_max: FRAME_BYTES_DEFAULT,
            window_bytes: WINDOW_BYTES_DEFAULT,
            streams_max: limits.streams_assumed,
            header_table_bytes: 4096,
            header_list_bytes_max: u32::MAX,
            connect_protocol: false,
        }
    }

    /// Takes in the payload of one SETTINGS frame. The caller compares before and after.
    pub(super) fn take(&mut self, role: Role, payload: &[u8], entries_max: usize) -> Result<(), ConnectionError> {
        let (entries, rest) = payload.as_chunks::<6>();
        if !rest.is_empty() {
            return Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::FrameSize));
        }
        if entries.len() > entries_max {
            return Err(ConnectionError::LimitExceeded(LimitExceeded::SettingsEntries));
        }
        const BAD: ConnectionError = ConnectionError::PeerMisbehaved(PeerMisbehaved::BadSetting);
        for &[n0, n1, v0, v1, v2, v3] in entries {
            let value = u32::from_be_bytes([v0, v1, v2, v3]);
            match u16::from_be_bytes([n0, n1]) {
                HEADER_TABLE_SIZE => self.header_table_bytes = value,
                // A server may not even offer push; a client may, and we never push.
                ENABLE_PUSH if value > 1 || (value == 1 && role == Role::Client) => {
                    return Err(BAD);
                }
                MAX_CONCURRENT_STREAMS => self.streams_max = value,
                INITIAL_WINDOW_SIZE if value >= 1 << 31 => {
                    return Err(ConnectionError::PeerMisbehaved(PeerMisbehaved::BadWindowSetting));
                }
                INITIAL_WINDOW_SIZE => self.window_bytes = value,
                MAX_FRAME_SIZE if !(1 << 14..1 << 24).contains(&value) => return Err(BAD),
                MAX_FRAME_SIZE => self.frame_bytes_max = value,
                MAX_HEADER_LIST_SIZE => self.header_list_bytes_max = value,
                // RFC 8441 §3: once allowed, it stays allowed.
                ENABLE_CONNECT_PROTOCOL if value > 1 || (value == 0 && self.connect_protocol) => {
                    return Err(BAD);
                }
                ENABLE_CONNECT_PROTOCOL => self.connect_protocol = value == 1,
                _ => {}
            }
        }
        Ok(())
    }
}

/// Our first SETTINGS.
pub(super) fn write_first(out: &mut Vec<u8>, role: Role, limits: &Limits) {
    let mut entries = [(0u16, 0u32); 6];
    let mut len = 0;
    let mut say = |name, value| {
        entries[len] = (name, value);
        len += 1;
    };
    if limits.header_table_bytes != 4096 {
        say(HEADER_TABLE_SIZE, limits.header_table_bytes);
    }
    match role {
        Role::Client => say(ENABLE_PUSH, 0),
        Role::Server => say(MAX_CONCURRENT_STREAMS, limits.streams_max),
    }
    if limits.window_bytes != WINDOW_BYTES_DEFAULT {
        say(INITIAL_WINDOW_SIZE, limits.window_bytes);
    }
    if limits.frame_bytes_max != FRAME_BYTES_DEFAULT {
        say(MAX_FRAME_SIZE, limits.frame_bytes_max);
    }
    say(MAX_HEADER_LIST_SIZE, limits.header_list_bytes_max);
    if role == Role::Server && limits.connect_protocol {
        say(ENABLE_CONNECT_PROTOCOL, 1);
    }
    write(out, &entries[..len]);
}

/// A larger window for new and open streams.
pub(super) fn write_window(out: &mut Vec<u8>, window_bytes: u32) {
    write(out, &[(INITIAL_WINDOW_SIZE, window_bytes)]);
}

pub(super) fn write_ack(out: &mut Vec<u8>) {
    let head = FrameHead { len: 0, kind: kind::SETTINGS, flags: flag::ACK, id: 0 };
    out.extend_from_slice(&head.encode());
}

fn write(out: &mut Vec<u8>, entries: &[(u16, u32)]) {
    let len = 6 * entries.len() as u32;
    out.extend_from_slice(&FrameHead { len, kind: kind::SETTINGS, flags: 0, id: 0 }.encode());
    for (name, value) in entries {
        out.extend_from_slice(&name.to_be_bytes());
        out.extend_from_slice(&value.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(name: u16, value: u32) -> Vec<u8> {
        [name.to_be_bytes().as_slice(), &value.to_be_bytes()].concat()
    }

    fn take(role: Role, payload: &[u8]) -> Result<PeerSettings, ConnectionError> {
        let mut settings = PeerSettings::assumed(&Limits::default());
        settings.take(role, payload, 32).map(|()| settings)
    }

    #[test]
    fn the_last_of_two_values_holds() {
        let payload = [entry(INITIAL_WINDOW_SIZE, 100), entry(INITIAL_WINDOW_SIZE, 1)].concat();
        assert_eq!(take(Role::Server, &payload).unwrap().window_bytes, 1);
    }

    #[test]
    fn values_outside_their_range_are_refused_with_their_code() {
        let code = |role, name, value| take(role, &entry(name, value)).unwrap_err().reason();
        use crate::wire::Reason;
        assert_eq!(code(Role::Server, ENABLE_PUSH, 2), Reason::PROTOCOL_ERROR);
        assert_eq!(code(Role::Client, ENABLE_PUSH, 1), Reason::PROTOCOL_ERROR);
        assert_eq!(code(Role::Server, INITIAL_WINDOW_SIZE, 1 << 31), Reason::FLOW_CONTROL_ERROR);
        assert_eq!(code(Role::Server, MAX_FRAME_SIZE, 16_383), Reason::PROTOCOL_ERROR);
        assert_eq!(code(Role::Server, MAX_FRAME_SIZE, 1 << 24), Reason::PROTOCOL_ERROR);
        assert_eq!(code(Role::Client, ENABLE_CONNECT_PROTOCOL, 2), Reason::PROTOCOL_ERROR);
    }

    #[test]
    fn unknown_settings_are_ignored() {
        let before = PeerSettings::assumed(&Limits::default());
        assert_eq!(take(Role::Server, &entry(0xfe, 77)).unwrap(), before);
    }

    #[test]
    fn what_we_write_we_can_read() {
        let limits = Limits { connect_protocol: true, header_table_bytes: 0, ..Limits::default() };
        let mut out = Vec::new();
        write_first(&mut out, Role::Server, &limits);
        let settings = take(Role::Client, &out[9..]).unwrap();
        assert_eq!(settings.window_bytes, limits.window_bytes);
        assert_eq!(settings.frame_bytes_max, limits.frame_bytes_max);
        assert_eq!(settings.streams_max, limits.streams_max);
        assert_eq!(settings.header_table_bytes, 0);
        assert!(settings.connect_protocol);
    }
}
