//! Peers that mean harm. Each attack ends in a bounded number of steps with the right code, in bounded memory.

mod support;

use std::time::Duration;

use bytes::Bytes;
use polywire_engine::wire::{ConnectionError, LimitExceeded, Reason, Role, TimedOut};
use polywire_engine::{Limits, Transmit};
use support::*;

/// A request from the static table alone: GET, http, /.
const PLAIN: [u8; 3] = [0x82, 0x86, 0x84];

const CALM: Option<Reason> = Some(Reason::ENHANCE_YOUR_CALM);

/// Repeats a step until the connection is closed. Returns how often.
fn until_closed(raw: &mut Raw, most: usize, mut step: impl FnMut(&mut Raw, usize)) -> usize {
    for n in 0..most {
        if raw.peer.closed().is_some() {
            return n;
        }
        step(raw, n);
    }
    panic!("still open after {most} steps");
}

fn limit(raw: &Raw) -> LimitExceeded {
    match raw.peer.closed() {
        Some(Some(ConnectionError::LimitExceeded(limit))) => limit,
        other => panic!("{other:?}"),
    }
}

fn id(n: usize) -> u32 {
    1 + 2 * n as u32
}

#[test]
fn rapid_reset_ends_the_connection() {
    let mut raw = Raw::server(Limits::default());
    let steps = until_closed(&mut raw, 20_000, |raw, n| {
        raw.request(id(n), true);
        raw.frame(RST_STREAM, 0, id(n), &[0, 0, 0, 8]);
        assert!(raw.peer.connection.streams_open() <= 1);
        raw.peer.events.retain(|event| format!("{event:?}").starts_with("Closed"));
    });
    assert!((1000..1100).contains(&steps), "{steps}");
    assert_eq!(raw.go_away(), CALM);
    assert_eq!(limit(&raw), LimitExceeded::Resets);
}

#[test]
fn a_client_that_cancels_half_of_its_calls_is_no_attacker() {
    let mut raw = Raw::server(Limits::default());
    for n in 0..20_000 {
        raw.request(id(n), true);
        if n % 2 == 0 {
            raw.frame(RST_STREAM, 0, id(n), &[0, 0, 0, 8]);
        } else {
            let key = *raw.peer.keys().last().unwrap();
            raw.peer.connection.send_headers(key, &response(), None, true);
        }
        raw.peer.take();
    }
    assert_eq!(raw.peer.closed(), None);
}

#[test]
fn resets_we_are_made_to_send_count_the_same() {
    type Provoke = fn(&mut Raw, u32);
    let provocations: [(&str, Provoke); 6] = [
        ("window update of zero", |raw, id| raw.window_update(id, 0)),
        ("window overflow", |raw, id| raw.window_update(id, i32::MAX as u32)),
        ("short priority", |raw, id| raw.frame(PRIORITY, 0, id, &[0; 4])),
        ("self-dependent priority", |raw, id| {
            raw.frame(PRIORITY, 0, id, &[&id.to_be_bytes()[..], &[0]].concat());
        }),
        ("headers after the end", |raw, id| raw.headers(id, &[("a", "b")], true)),
        ("data after the end", |raw, id| raw.frame(DATA, 0, id, b"x")),
    ];
    for (name, provoke) in provocations {
        let mut raw = Raw::server(Limits::default());
        let steps = until_closed(&mut raw, 20_000, |raw, n| {
            raw.request(id(n), true);
            provoke(raw, id(n));
            assert!(raw.peer.connection.streams_open() <= 1);
            raw.peer.events.retain(|event| format!("{event:?}").starts_with("Closed"));
        });
        assert!(steps < 1100, "{name}: {steps}");
        assert_eq!(raw.go_away(), CALM, "{name}");
    }
}

#[test]
fn malformed_requests_count_as_resets() {
    let mut raw = Raw::server(Limits::default());
    let steps = until_closed(&mut raw, 20_000, |raw, n| {
        raw.headers(id(n), &[(":method", "GET"), (":path", "/")], true);
    });
    assert!(steps < 1100);
    assert_eq!(raw.go_away(), CALM);
    assert_eq!(limit(&raw), LimitExceeded::Resets);
}

#[test]
fn too_many_streams_are_refused_and_then_too_much() {
    let mut raw = Raw::server(Limits::default());
    let steps = until_closed(&mut raw, 5_000, |raw, n| {
        raw.request(id(n), false);
        assert!(raw.peer.connection.streams_open() <= 256);
    });
    assert!(steps < 1400);
    assert_eq!(raw.go_away(), CALM);
}

#[test]
fn continuation_without_end_is_cut_by_bytes_and_by_number() {
    for (piece, most) in [(vec![0x61; 4096], 17), (Vec::new(), 33), (vec![0x61], 33)] {
        let mut raw = Raw::server(Limits::default());
        let block = raw.block(&REQUEST);
        raw.frame(HEADERS, END_STREAM, 1, &block);
        let steps = until_closed(&mut raw, 200_000, |raw, _| {
            raw.frame(CONTINUATION, 0, 1, &piece);
        });
        assert!(steps <= most, "{steps}");
        assert_eq!(raw.go_away(), CALM);
        assert_eq!(limit(&raw), LimitExceeded::HeaderBlock);
    }
}

#[test]
fn headers_that_never_end_time_out() {
    for cut in [3, 9, 12, 40] {
        let mut raw = Raw::server(Limits::default());
        let mut frame = Frame::new(HEADERS, 0, 1, &raw.block(&REQUEST)).bytes();
        frame.truncate(cut);
        raw.say(&frame);
        raw.advance(Duration::from_secs(11));
        let error = ConnectionError::TimedOut(TimedOut::HeaderBlock);
        assert_eq!(raw.peer.closed(), Some(Some(error)), "cut at {cut}");
    }
}

#[test]
fn an_unfinished_block_holds_little_memory() {
    // A HEADERS frame may not announce more than a block may have.
    let limits = Limits { frame_bytes_max: 1 << 20, ..Limits::default() };
    let mut raw = Raw::server(limits);
    let mut head = Frame::new(HEADERS, 0, 1, &[0; 100_000]).bytes();
    head.truncate(9);
    raw.say(&head);
    assert_eq!(raw.go_away(), CALM);
}

#[test]
fn a_flood_of_pings_ends_the_connection() {
    let limits = Limits { ping_policy: None, ..Limits::default() };
    let mut raw = Raw::server(limits);
    let steps = until_closed(&mut raw, 200_000, |raw, _| raw.frame(PING, 0, 0, &[1; 8]));
    assert!(steps <= 2001);
    assert_eq!(raw.go_away(), CALM);
    assert_eq!(limit(&raw), LimitExceeded::IdleFrames);
}

#[test]
fn answers_nobody_reads_are_bounded() {
    type Provoke = fn(&mut Raw, usize);
    let provocations: [Provoke; 3] = [
        |raw, _| raw.frame(PING, 0, 0, &[1; 8]),
        |raw, _| raw.frame(SETTINGS, 0, 0, &[]),
        |raw, n| raw.headers(id(n), &[(":method", "GET"), (":path", "/")], true),
    ];
    for provoke in provocations {
        let limits = Limits { ping_policy: None, control_frames_max: 500, ..Limits::default() };
        let mut raw = Raw::server(limits);
        raw.deaf = true;
        let steps = until_closed(&mut raw, 200_000, provoke);
        assert!(steps <= 501, "{steps}");
        assert_eq!(limit(&raw), LimitExceeded::ControlFrames);
        raw.deaf = false;
        let mut out = Transmit::default();
        raw.peer.connection.poll_transmit(raw.now, &mut out);
        assert!(out.len() < 20_000, "{}", out.len());
    }
}

#[test]
fn floods_of_frames_that_say_nothing_end_the_connection() {
    type Step = fn(&mut Raw);
    let floods: [(&str, Step); 9] = [
        ("settings", |raw| raw.frame(SETTINGS, 0, 0, &[])),
        ("settings acks", |raw| raw.frame(SETTINGS, ACK, 0, &[])),
        ("ping acks", |raw| raw.frame(PING, ACK, 0, &[9; 8])),
        ("empty data", |raw| raw.frame(DATA, 0, 1, &[])),
        ("only padding", |raw| raw.frame(DATA, PADDED, 1, &[3, 0, 0, 0])),
        ("priority", |raw| raw.frame(PRIORITY, 0, 77, &[0, 0, 0, 3, 9])),
        ("unknown", |raw| raw.frame(0x33, 0, 0, b"grease")),
        ("window updates", |raw| raw.window_update(1, 1)),
        ("connection window updates", |raw| raw.window_update(0, 1)),
    ];
    for (name, flood) in floods {
        let mut raw = Raw::server(Limits::default());
        raw.request(1, false);
        let steps = until_closed(&mut raw, 200_000, |raw, _| flood(raw));
        assert!(steps <= 2001, "{name}: {steps}");
        assert_eq!(raw.go_away(), CALM, "{name}");
        assert_eq!(limit(&raw), LimitExceeded::IdleFrames, "{name}");
    }
}

#[test]
fn a_flood_of_resets_of_closed_streams_ends_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, true);
    let steps = until_closed(&mut raw, 200_000, |raw, _| {
        raw.frame(RST_STREAM, 0, 1, &[0, 0, 0, 8]);
    });
    assert!(steps < 2100);
    assert_eq!(raw.go_away(), CALM);
}

#[test]
fn window_updates_for_what_was_sent_are_natural() {
    let mut raw = Raw::server(Limits::default());
    raw.request(1, true);
    let key = raw.peer.keys()[0];
    raw.peer.connection.send_headers(key, &response(), None, false);
    for _ in 0..20_000 {
        raw.peer.connection.send_data(key, Bytes::from_static(&[0; 100]), false);
        raw.take_output();
        raw.window_update(0, 100);
        raw.window_update(1, 100);
    }
    assert_eq!(raw.peer.closed(), None);
}

#[test]
fn data_dribbled_through_a_window_of_one_ends_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1]);
    for n in 0..20 {
        raw.request(id(n), true);
    }
    for key in raw.peer.keys() {
        raw.peer.connection.send_headers(key, &response(), None, false);
        raw.peer.connection.send_data(key, Bytes::from(vec![0; 100_000]), true);
    }
    let steps = until_closed(&mut raw, 20_000, |raw, n| raw.window_update(id(n % 20), 1));
    assert!(steps < 2200, "{steps}");
    assert_eq!(raw.go_away(), CALM);
}

#[test]
fn a_header_bomb_costs_a_stream_and_then_the_connection() {
    let mut raw = Raw::server(Limits::default());
    // A field of 3 KB goes into the table, then is named again and again.
    let mut block = PLAIN.to_vec();
    block.extend([0x40, 1, b'a', 0x7f, 0x81, 0x16]); // literal with indexing, value of 127 + 2817 bytes
    block.extend(vec![b'b'; 127 + 0x81 - 0x80 + (0x16 << 7)]);
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    assert_eq!(raw.peer.keys().len(), 1);
    let mut bomb = PLAIN.to_vec();
    bomb.extend(vec![0xbe; 20]); // the newest entry, 20 times: 59 KB decoded
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 3, &bomb);
    assert_eq!(raw.resets(), [(3, Reason::ENHANCE_YOUR_CALM)]);
    assert_eq!(raw.peer.closed(), None);
    let mut bomb = PLAIN.to_vec();
    bomb.extend(vec![0xbe; 16_000]); // 48 MB decoded
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 5, &bomb);
    assert_eq!(raw.go_away(), CALM);
}

#[test]
fn a_table_resized_in_every_block_is_only_a_nuisance() {
    let mut raw = Raw::server(Limits::default());
    for n in 0..5_000 {
        // Size 0, then 4,096, then a request with a field for the table.
        let mut block = vec![0x20, 0x3f, 0xe1, 0x1f];
        block.extend(PLAIN);
        block.extend([0x40, 1, b'a', 1, b'b']);
        raw.frame(HEADERS, END_HEADERS | END_STREAM, id(n), &block);
        let key = *raw.peer.keys().last().unwrap();
        raw.peer.connection.send_headers(key, &response(), None, true);
        raw.peer.take();
    }
    assert_eq!(raw.peer.closed(), None);
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 10_001, &[0x20, 0x20, 0x20, 0x82, 0x86, 0x84]);
    assert_eq!(raw.go_away(), Some(Reason::COMPRESSION_ERROR), "two updates a block are enough");
}

#[test]
fn fields_without_name_and_value_are_malformed() {
    let mut raw = Raw::server(Limits::default());
    let mut block = raw.block(&REQUEST);
    block.extend([0x00, 0, 0].repeat(400)); // 12.8 KB by the count of 32 a field: within the limit
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, &block);
    assert_eq!(raw.resets(), [(1, Reason::PROTOCOL_ERROR)]);
    let mut block = raw.block(&REQUEST);
    block.extend([0x00, 0, 0].repeat(1000));
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 3, &block);
    assert_eq!(raw.resets(), [(3, Reason::ENHANCE_YOUR_CALM)]);
}

#[test]
fn broken_compression_ends_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(HEADERS, END_HEADERS | END_STREAM, 1, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    assert_eq!(raw.go_away(), Some(Reason::COMPRESSION_ERROR));
}

#[test]
fn a_settings_list_without_end_ends_the_connection() {
    let mut raw = Raw::server(Limits::default());
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 1].repeat(33));
    assert_eq!(raw.go_away(), CALM);
    assert_eq!(limit(&raw), LimitExceeded::SettingsEntries);
}

#[test]
fn a_peer_that_reads_nothing_cannot_make_us_answer_without_end() {
    // Huge windows, small requests, large answers, and the transport takes nothing.
    let mut raw = Raw::server(Limits::default());
    raw.frame(SETTINGS, 0, 0, &[0, 4, 0x7f, 0xff, 0xff, 0xff]);
    raw.window_update(0, 0x7fff_0000);
    raw.deaf = true;
    let mut answered = 0;
    for n in 0..10_000 {
        raw.request(id(n), true);
        for key in raw.peer.keys() {
            raw.peer.connection.send_headers(key, &response(), None, false);
            raw.peer.connection.send_data(key, Bytes::from(vec![0; 1000]), true);
            answered += 1;
        }
        raw.peer.events.retain(|event| format!("{event:?}").starts_with("Closed"));
        if raw.peer.closed().is_some() {
            break;
        }
    }
    // 64 KiB straight into the output, 256 streams waiting, the rest refused, then closed.
    assert!(answered < 400, "{answered} answers");
    assert_eq!(limit(&raw), LimitExceeded::Resets);
}

#[test]
fn crumbs_nobody_eats_are_bounded() {
    let limits = Limits { buffered_frames_max: 10_000, ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.peer.releases = false;
    raw.request(1, false);
    let steps = until_closed(&mut raw, 1 << 20, |raw, _| raw.frame(DATA, 0, 1, b"x"));
    assert!(steps <= 10_001);
    assert_eq!(raw.go_away(), CALM);
    assert_eq!(limit(&raw), LimitExceeded::BufferedFrames);
}

#[test]
fn crumbs_that_are_eaten_are_no_fault() {
    let limits = Limits { buffered_frames_max: 10, ..Limits::default() };
    let mut raw = Raw::server(limits);
    raw.request(1, false);
    for _ in 0..100_000 {
        raw.frame(DATA, 0, 1, b"x");
    }
    assert_eq!(raw.peer.closed(), None);
}

#[test]
fn nonsense_instead_of_a_preface_is_told_so() {
    let mut raw = Raw::fresh(Role::Server, Limits::default());
    raw.frames();
    raw.say(b"GET / HTTP/1.1\r\nHost: orders\r\n\r\n");
    assert_eq!(raw.go_away(), Some(Reason::PROTOCOL_ERROR));
    assert!(raw.peer.connection.is_closed());
}

#[test]
fn something_else_than_settings_first_is_told_so() {
    for (kind, flags, id, payload) in
        [(PING, 0, 0, vec![0; 8]), (SETTINGS, ACK, 0, vec![]), (HEADERS, 5, 1, vec![0x82])]
    {
        let mut raw = Raw::fresh(Role::Server, Limits::default());
        raw.frames();
        raw.say(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        raw.frame(kind, flags, id, &payload);
        assert_eq!(raw.go_away(), Some(Reason::PROTOCOL_ERROR));
    }
}

#[test]
fn frames_of_impossible_size_end_the_connection() {
    for (kind, flags, id, len) in [
        (PING, 0, 0, 7),
        (PING, 0, 0, 9),
        (RST_STREAM, 0, 1, 3),
        (RST_STREAM, 0, 1, 5),
        (WINDOW_UPDATE, 0, 0, 5),
        (SETTINGS, 0, 0, 5),
        (SETTINGS, ACK, 0, 6),
        (GOAWAY, 0, 0, 7),
        (DATA, 0, 1, 16_385),
        (DATA, PADDED, 1, 0),
        (HEADERS, PADDED, 3, 0),
        (HEADERS, 0x20, 3, 4),
        (0x99, 0, 0, 16_385),
    ] {
        let mut raw = Raw::server(Limits::default());
        raw.request(1, false);
        raw.frame(kind, flags, id, &vec![0; len]);
        let code = raw.go_away();
        let padded = flags == PADDED && kind == DATA;
        let expected = if padded { Reason::PROTOCOL_ERROR } else { Reason::FRAME_SIZE_ERROR };
        assert_eq!(code, Some(expected), "frame {kind} of {len} bytes");
    }
}

#[test]
fn random_bytes_never_panic_and_never_pile_up() {
    let mut draw = 88_172_645_463_325_252u64;
    let mut next = move || {
        draw ^= draw << 13;
        draw ^= draw >> 7;
        draw ^= draw << 17;
        draw
    };
    for round in 0..2_000 {
        let role = if round % 2 == 0 { Role::Server } else { Role::Client };
        let mut raw = match role {
            Role::Server => Raw::server(Limits::default()),
            Role::Client => Raw::client(Limits::default()),
        };
        for _ in 0..40 {
            if role == Role::Client && next() % 3 == 0 {
                let _ = raw.peer.connection.open(raw.now, &request(), None, next() % 2 == 0);
            }
            // Mostly plausible frames on few streams, with payloads of any kind.
            let kind = (next() % 11) as u8;
            let flags = next() as u8 & [0, 1, 4, 5, 8, 0x20, 0xff][(next() % 7) as usize];
            let id = (next() % 8) as u32;
            let mut payload: Vec<u8> = (0..next() % 40).map(|_| next() as u8).collect();
            if matches!(kind, HEADERS | CONTINUATION) && next() % 2 == 0 {
                payload = raw.block(&REQUEST);
            }
            if matches!(kind, RST_STREAM | WINDOW_UPDATE) {
                payload.resize(4, 1);
            }
            if kind == PING {
                payload.resize(8, 0);
            }
            raw.frame(kind, flags, id, &payload);
            for key in raw.peer.keys() {
                if next() % 2 == 0 {
                    raw.peer.connection.send_headers(key, &response(), None, next() % 2 == 0);
                    raw.peer.connection.send_data(key, Bytes::from_static(&[0; 3000]), false);
                }
            }
            if next() % 8 == 0 {
                raw.advance(Duration::from_secs(next() % 5));
            }
        }
        raw.peer.connection.handle_eof(raw.now);
        raw.take_output();
        assert!(raw.peer.closed().is_some());
        assert!(raw.peer.connection.is_closed());
    }
}
