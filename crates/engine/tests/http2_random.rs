//! Random programs of two engines against a simple model: whatever happens, each stream delivers what was given to it,
//! in order, once, and at the end nothing is left over.

#![allow(clippy::unwrap_used)]

mod support;

use std::collections::BTreeMap;
use std::time::Duration;

use bytes::Bytes;
use polywire_engine::Limits;
use polywire_engine::limits::Rate;
use polywire_engine::wire::{Reason, StreamEvent as Event, StreamKey};
use support::*;

/// What one side gave to a stream and what the other got.
#[derive(Default, Debug)]
struct Lane {
    given: usize,
    got: usize,
    headers: bool,
    ended: bool,
    end_seen: bool,
}

#[derive(Debug)]
struct Stream {
    client_key: StreamKey,
    server_key: Option<StreamKey>,
    request: Lane,
    response: Lane,
    /// Somebody reset it: anything may be missing, but nothing may be wrong.
    reset: bool,
    client_held: u32,
    server_held: u32,
}

struct Model {
    pair: Pair,
    streams: BTreeMap<u32, Stream>,
    draw: u64,
}

/// The byte at a place of a stream's data: wrong order or wrong stream shows.
fn byte(id: u32, at: usize) -> u8 {
    (id as usize * 31 + at * 7 + at / 251) as u8
}

impl Model {
    fn new(seed: u64) -> Self {
        let mut draw = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
        let mut limits = || {
            let mut below = |n: u32| {
                draw ^= draw << 13;
                draw ^= draw >> 7;
                draw ^= draw << 17;
                (draw >> 33) as u32 % n
            };
            Limits {
                streams_max: 1 + below(20),
                streams_assumed: 1 + below(20),
                window_bytes: [1, 1_000, 10_000, 65_535, 200_000]
                    [below(5).max(u32::from(!seed.is_multiple_of(16))) as usize],
                connection_window_bytes: 65_535 + below(100_000),
                window_bytes_max: [0, 1 << 20][below(2) as usize],
                buffered_bytes_max: [0, 10_000, 1 << 20][below(3) as usize],
                frame_bytes_max: 16_384 + below(10_000),
                frame_send_bytes_max: 1_024 + below(30_000),
                transmit_bytes_max: 1_024 + below(100_000) as usize,
                direct_bytes_max: below(1_024) as usize,
                queue_high_bytes: 1_000 + below(10_000) as usize,
                queue_low_bytes: below(1_000) as usize,
                header_table_bytes: [0, 100, 4096, 8192][below(4) as usize],
                header_table_send_bytes_max: [0, 100, 4096, 8192][below(4) as usize],
                // Windows this small, and bytes that come one by one, look like attacks.
                buffered_frames_max: u32::MAX,
                idle_frames: Rate { burst: u32::MAX, per_second: 0 },
                ..Limits::default()
            }
        };
        let mut pair = Pair::fresh(limits(), limits());
        pair.client.releases = false;
        pair.server.releases = false;
        let mut model = Model { pair, streams: BTreeMap::new(), draw };
        model.pair.piece = [1, 7, 100, 5_000, usize::MAX][model.below(5)];
        model.pair.delay = Duration::from_millis(model.below(3) as u64 * 10);
        model
    }

    fn below(&mut self, n: usize) -> usize {
        self.draw ^= self.draw << 13;
        self.draw ^= self.draw >> 7;
        self.draw ^= self.draw << 17;
        (self.draw >> 33) as usize % n
    }

    fn any_stream(&mut self) -> Option<u32> {
        let live: Vec<u32> = self.streams.keys().copied().collect();
        (!live.is_empty()).then(|| live[self.below(live.len())])
    }

    fn step(&mut self) {
        match self.below(12) {
            0 | 1 => self.open(),
            2..=6 => self.send(),
            7 | 8 => self.release(),
            9 => self.reset(),
            10 => {
                let length = Duration::from_millis(self.below(30) as u64);
                self.pair.advance(length);
            }
            _ => self.pair.run(),
        }
        self.look();
    }

    fn open(&mut self) {
        let now = self.pair.now;
        let end = self.below(4) == 0;
        let extra = [("n", format!("{}", self.below(50)))].into_iter().collect();
        if let Ok(key) = self.pair.client.connection.open(now, &request(), Some(&extra), end) {
            let request = Lane { headers: true, ended: end, ..Lane::default() };
            let stream = Stream {
                client_key: key,
                server_key: None,
                request,
                response: Lane::default(),
                reset: false,
                client_held: 0,
                server_held: 0,
            };
            self.streams.insert(key.id().get(), stream);
        }
    }

    /// One side sends headers, data or trailers on some stream.
    fn send(&mut self) {
        let Some(id) = self.any_stream() else { return };
        let by_client = self.below(2) == 0;
        let (size, end, with_trailers) = (self.size(), self.below(4) == 0, self.below(2) == 0);
        let stream = self.streams.get_mut(&id).unwrap();
        let (peer, key, lane) = if by_client {
            (&mut self.pair.client, stream.client_key, &mut stream.request)
        } else {
            let Some(key) = stream.server_key else { return };
            (&mut self.pair.server, key, &mut stream.response)
        };
        let connection = &mut peer.connection;
        let sent = if !lane.headers {
            lane.headers = true;
            lane.ended = end;
            connection.send_headers(key, &response(), None, end)
        } else if lane.ended {
            assert!(!connection.send_data(key, Bytes::from_static(b"x"), false), "after the end");
            return;
        } else if end && with_trailers {
            lane.ended = true;
            connection.send_headers(key, &trailers(), None, true)
        } else {
            let data: Vec<u8> = (lane.given..lane.given + size).map(|at| byte(id, at)).collect();
            lane.given += size;
            lane.ended = end;
            connection.send_data(key, Bytes::from(data), end)
        };
        assert!(sent || stream.reset || stream.response.ended, "stream {id} is open");
    }

    fn size(&mut self) -> usize {
        let most = [1, 30, 3_000, 100_000][self.below(4)];
        self.below(most + 1)
    }

    fn release(&mut self) {
        let Some(id) = self.any_stream() else { return };
        let all = self.below(2) == 0;
        let part = self.below(10_000) as u32;
        let stream = self.streams.get_mut(&id).unwrap();
        let client = stream.client_held.min(if all { u32::MAX } else { part });
        stream.client_held -= client;
        self.pair.client.connection.release(stream.client_key, client);
        if let Some(key) = stream.server_key {
            let server = stream.server_held.min(if all { u32::MAX } else { part });
            stream.server_held -= server;
            self.pair.server.connection.release(key, server);
        }
    }

    fn reset(&mut self) {
        let Some(id) = self.any_stream() else { return };
        let by_client = self.below(2) == 0;
        let stream = self.streams.get_mut(&id).unwrap();
        stream.reset |= match stream.server_key {
            Some(key) if !by_client => self.pair.server.connection.reset(key, Reason::INTERNAL_ERROR),
            _ => self.pair.client.connection.reset(stream.client_key, Reason::CANCEL),
        };
    }

    /// Checks what was reported against the model.
    fn look(&mut self) {
        for by_client in [true, false] {
            let peer = if by_client { &mut self.pair.client } else { &mut self.pair.server };
            for event in peer.take() {
                let of = |key: &StreamKey| key.id().get();
                match &event {
                    Event::Headers { key, end, .. } => {
                        let stream = self.streams.get_mut(&of(key)).unwrap();
                        if by_client {
                            assert!(stream.response.headers);
                            stream.response.end_seen = *end;
                        } else {
                            assert_eq!(stream.server_key.replace(*key), None, "once");
                            stream.request.end_seen = *end;
                        }
                    }
                    Event::Data { key, data, end, flow_bytes } => {
                        let stream = self.streams.get_mut(&of(key)).unwrap();
                        let (lane, held) = if by_client {
                            (&mut stream.response, &mut stream.client_held)
                        } else {
                            (&mut stream.request, &mut stream.server_held)
                        };
                        for (n, got) in data.iter().enumerate() {
                            assert_eq!(*got, byte(of(key), lane.got + n));
                        }
                        *held += flow_bytes;
                        lane.got += data.len();
                        assert!(lane.got <= lane.given);
                        assert!(!lane.end_seen);
                        lane.end_seen = *end;
                    }
                    Event::Trailers { key, .. } => {
                        let stream = self.streams.get_mut(&of(key)).unwrap();
                        let lane = if by_client { &mut stream.response } else { &mut stream.request };
                        assert!(lane.ended && !lane.end_seen);
                        lane.end_seen = true;
                    }
                    Event::Reset { key, reason, by_peer, unprocessed } => {
                        let stream = self.streams.get_mut(&of(key)).unwrap();
                        assert!(by_peer, "both play by the rules: {event:?}");
                        let early = *reason == Reason::NO_ERROR && stream.response.end_seen;
                        assert!(stream.reset || early || *unprocessed, "{event:?}");
                        stream.reset = true;
                    }
                    Event::Closed { error } => panic!("{error:?}"),
                    Event::GoingAway { .. } => panic!("{event:?}"),
                    Event::Openable | Event::Settled | Event::Writable { .. } => {}
                }
            }
        }
    }

    /// Everything is ended and taken: nothing may be missing.
    fn finish(&mut self) {
        self.pair.run();
        self.look();
        for _ in 0..200_000 {
            let ids: Vec<u32> = self.streams.keys().copied().collect();
            for id in ids {
                let stream = self.streams.get_mut(&id).unwrap();
                let (client, server) = (&mut self.pair.client.connection, &mut self.pair.server.connection);
                client.release(stream.client_key, std::mem::take(&mut stream.client_held));
                if !stream.request.ended {
                    stream.request.ended = true;
                    client.send_data(stream.client_key, Bytes::new(), true);
                }
                let Some(key) = stream.server_key else { continue };
                server.release(key, std::mem::take(&mut stream.server_held));
                // The request is waited for, so that no early end cuts it off.
                if stream.request.end_seen && !stream.response.ended {
                    if !stream.response.headers {
                        server.send_headers(key, &response(), None, false);
                        stream.response.headers = true;
                    }
                    stream.response.ended = true;
                    server.send_headers(key, &trailers(), None, true);
                }
            }
            let (client, server) = (&self.pair.client.connection, &self.pair.server.connection);
            if client.streams_open() == 0 && server.streams_open() == 0 {
                break;
            }
            self.pair.run();
            self.look();
        }
        self.pair.run();
        self.look();
        for (id, stream) in &self.streams {
            if stream.reset || stream.response.end_seen && !stream.request.end_seen {
                continue;
            }
            for lane in [&stream.request, &stream.response] {
                assert_eq!(lane.given, lane.got, "stream {id}: {stream:?}");
                assert!(lane.end_seen, "stream {id}: {stream:?}");
            }
        }
        assert!(self.pair.client.connection.is_idle(), "{:?}", self.streams);
        assert!(self.pair.server.connection.is_idle());
    }
}

fn play(seed: u64) {
    let mut model = Model::new(seed);
    for _ in 0..150 {
        model.step();
    }
    model.finish();
}

#[test]
fn random_programs_deliver_what_was_given() {
    for seed in 0..60 {
        let played = std::panic::catch_unwind(|| play(seed));
        assert!(played.is_ok(), "seed {seed}");
    }
}
