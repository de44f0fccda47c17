//! Calls over native frames: the four shapes, metadata, statuses, and what they cost in bytes.

#[path = "support/native.rs"]
mod support;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use polywire_core::{Code, Codec, Compression, CompressionSet, Detail, Metadata, Protocol, Status, Wire};
use polywire_engine::protocol::RequestTemplate;
use polywire_engine::{Limits, envelope};
use support::*;

#[test]
fn a_unary_call_goes_there_and_back() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    let key = pair.open(Some(message(b"hello")), true);
    pair.run();
    let served = pair.server.last();
    assert_eq!(served.bytes(), [b"hello"]);
    let head = served.head.as_ref().unwrap();
    assert_eq!((head.path.as_str(), head.authority.as_str()), (LIST, "orders"));
    assert_eq!((head.protocol, head.wire, head.codec), (Protocol::Native, Wire::Native, Codec::Proto));
    assert_eq!(head.accepts, CompressionSet::NONE.with(Compression::Gzip));
    let seen = pair.seen(key);
    assert_eq!(seen.bytes(), [b"hello"]);
    assert_eq!(seen.ended, Some((Status::ok(), Metadata::new())));
    assert_eq!((pair.client.connection.calls_open(), pair.server.connection.calls_open()), (0, 0));
}

#[test]
fn a_warm_call_costs_one_frame_each_way_and_few_bytes() {
    for (timeout, overhead_max) in [(None, 7), (Some(Duration::from_secs(30)), 14)] {
        let mut pair = Pair::connected();
        pair.server.echoes = true;
        let metadata = Metadata::new();
        pair.open_with(&metadata, timeout, Some(message(&[7; 20])), true);
        pair.run();
        pair.forget();
        pair.open_with(&metadata, timeout, Some(message(&[7; 20])), true);
        pair.run();
        assert_eq!((Frame::all(&pair.to_server).len(), Frame::all(&pair.to_client).len()), (1, 1));
        let overhead = pair.carried.0 + pair.carried.1 - 40;
        assert!(overhead <= overhead_max, "{overhead} bytes with {timeout:?}");
    }
}

#[test]
fn calls_with_the_same_fields_share_one_head() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    let token = metadata(&[("authorization", "Bearer abc")]);
    for milliseconds in [900, 800, 700] {
        let timeout = Duration::from_millis(milliseconds);
        pair.open_with(&token, Some(timeout), Some(message(b"x")), true);
        pair.run();
        let served = pair.server.last();
        assert_eq!(served.deadline, Some(pair.now + timeout));
        assert_eq!(served.head.as_ref().unwrap().metadata, token);
    }
    let heads: Vec<_> = pair.server.calls.iter().map(|seen| Arc::clone(seen.head.as_ref().unwrap())).collect();
    // The first call carries more than the others: it names the method.
    assert!(Arc::ptr_eq(&heads[1], &heads[2]));
    assert_eq!(heads[0].metadata, heads[1].metadata);
}

#[test]
fn a_client_streams_and_half_closes() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(None, false);
    let client = &mut pair.client.connection;
    client.send(ours, [message(b"one"), message(b""), message(b"three")].concat().into());
    client.half_close(ours);
    pair.run();
    let served = pair.served(theirs);
    assert_eq!(served.bytes(), [&b"one"[..], b"", b"three"]);
    assert!(served.half_closed);
    let none = Metadata::new();
    pair.server.connection.respond(theirs, &none, message(b"sum"), &none);
    pair.run();
    assert_eq!((pair.seen(ours).bytes(), pair.seen(ours).code()), (vec![&b"sum"[..]], Some(Code::Ok)));
}

#[test]
fn a_server_streams_with_metadata_on_both_ends() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"all")), true);
    let (leading, mut trailing) = (metadata(&[("region", "north")]), metadata(&[("count", "2")]));
    trailing.append_bin("digest-bin", &[0, 255, 1]).unwrap();
    let server = &mut pair.server.connection;
    server.start(theirs, &leading);
    pair.run();
    assert_eq!(pair.seen(ours).leading, Some(leading.clone()), "before any message");
    let server = &mut pair.server.connection;
    server.send(theirs, message(b"one"));
    server.send(theirs, message(b"two"));
    server.finish(theirs, &Status::ok(), &leading, &trailing);
    pair.run();
    let seen = pair.seen(ours);
    assert_eq!(seen.bytes(), [b"one", b"two"]);
    assert_eq!(seen.ended, Some((Status::ok(), trailing)));
}

#[test]
fn both_sides_stream_at_their_own_pace() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"1")), false);
    for n in 0..10u8 {
        pair.server.connection.send(theirs, message(&[n]));
        pair.run();
        pair.client.connection.send(ours, message(&[n]));
        pair.run();
    }
    pair.client.connection.half_close(ours);
    pair.server.connection.finish(theirs, &Status::ok(), &Metadata::new(), &Metadata::new());
    pair.run();
    assert_eq!((pair.seen(ours).messages.len(), pair.served(theirs).messages.len()), (10, 11));
    assert_eq!(pair.seen(ours).leading, Some(Metadata::new()), "known with the first message");
    assert_eq!(pair.seen(ours).code(), Some(Code::Ok));
}

#[test]
fn a_unary_answer_with_metadata_is_still_one_frame() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    pair.forget();
    let (leading, trailing) = (metadata(&[("a", "1")]), metadata(&[("b", "2")]));
    pair.server.connection.respond(theirs, &leading, message(b"r"), &trailing);
    pair.run();
    assert_eq!(Frame::all(&pair.to_client).len(), 1);
    let seen = pair.seen(ours);
    assert_eq!(seen.leading, Some(leading));
    assert_eq!(seen.ended, Some((Status::ok(), trailing)));
}

#[test]
fn a_status_travels_with_message_details_and_metadata() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    let status = Status::new(Code::NotFound, "no order 7 ä")
        .with_detail(Detail { type_url: "type.googleapis.com/a.B".into(), value: Bytes::from_static(&[8, 1]) });
    let (leading, trailing) = (metadata(&[("a", "1")]), metadata(&[("b", "2")]));
    pair.server.connection.finish(theirs, &status, &leading, &trailing);
    pair.run();
    let seen = pair.seen(ours);
    assert_eq!(seen.leading, Some(leading));
    assert_eq!(seen.ended, Some((status, trailing)));
}

#[test]
fn a_refused_call_may_be_made_again() {
    let mut pair = Pair::connected();
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    pair.server.connection.refuse(theirs);
    pair.run();
    assert_eq!((pair.seen(ours).code(), pair.seen(ours).unprocessed), (Some(Code::Unavailable), true));
}

#[test]
fn a_compressed_message_says_so_and_how() {
    let mut pair = Pair::connected();
    let mut with_gzip = options(LIST);
    with_gzip.compression = Compression::Gzip;
    pair.template = RequestTemplate::new(with_gzip);
    let (ours, theirs) = pair.open_both(Some(envelope::envelope(true, b"squeezed")), false);
    pair.client.connection.send(ours, message(b"plain"));
    pair.client.connection.half_close(ours);
    pair.run();
    let how: Vec<_> = pair.served(theirs).messages.iter().map(|message| message.compression).collect();
    assert_eq!(how, [Compression::Gzip, Compression::Identity]);
    pair.server.connection.set_compression(theirs, Compression::Gzip);
    pair.server.connection.send(theirs, envelope::envelope(true, b"one"));
    pair.server.connection.send(theirs, envelope::envelope(false, b"two"));
    pair.server.connection.finish(theirs, &Status::ok(), &Metadata::new(), &Metadata::new());
    let key = pair.open(Some(message(b"q")), true);
    pair.run();
    let unary = pair.server.key();
    pair.server.connection.set_compression(unary, Compression::Gzip);
    let none = Metadata::new();
    pair.server.connection.respond(unary, &none, envelope::envelope(true, b"three"), &none);
    pair.run();
    let how: Vec<_> = pair.seen(ours).messages.iter().map(|message| message.compression).collect();
    assert_eq!(how, [Compression::Gzip, Compression::Identity]);
    assert_eq!(pair.seen(key).messages[0].compression, Compression::Gzip);
}

#[test]
fn a_compression_nobody_named_or_knows_ends_the_call_only() {
    let mut pair = Pair::connected();
    let ours = pair.open(Some(envelope::envelope(true, b"?")), true);
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::Internal));
    let mut with_zstd = options(LIST);
    with_zstd.compression = Compression::Zstd;
    pair.template = RequestTemplate::new(with_zstd);
    pair.server.echoes = true;
    for _ in 0..2 {
        let ours = pair.open(Some(message(b"?")), true);
        pair.run();
        assert_eq!(pair.seen(ours).code(), Some(Code::Unimplemented), "the server accepts gzip alone");
    }
    pair.template = template(LIST);
    let ours = pair.open(Some(message(b"!")), true);
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::Ok));
}

#[test]
fn a_path_travels_once_whatever_is_called_in_between() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    let (list, create) = (template(LIST), template("/orders.v1.Orders/Create"));
    let again = template(LIST); // another value that means the same
    for template in [&list, &create, &again, &create, &list] {
        pair.template = template.clone();
        pair.open(Some(message(b"x")), true);
        pair.run();
        let served = pair.server.last().head.as_ref().unwrap();
        assert_eq!(served.path, template.options().path);
    }
    let text = String::from_utf8_lossy(&pair.to_server).into_owned();
    assert_eq!(text.matches("orders.v1.Orders/List").count(), 1);
    assert_eq!(text.matches("orders.v1.Orders/Create").count(), 1);
}

#[test]
fn more_methods_than_numbers_travel_by_their_path() {
    let mut pair = Pair::with(Limits::default(), Limits { methods_max: 64, ..Limits::default() });
    pair.server.echoes = true;
    for round in 0..2 {
        for n in 0..70 {
            pair.template = template(&format!("/a.B/M{n}"));
            let key = pair.open(Some(message(&[n])), true);
            pair.run();
            assert_eq!(pair.seen(key).code(), Some(Code::Ok), "{n} in round {round}");
            assert_eq!(pair.server.last().head.as_ref().unwrap().path, format!("/a.B/M{n}"));
        }
    }
}

#[test]
fn the_same_path_with_another_codec_is_another_definition() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    let mut json = options(LIST);
    json.codec = Codec::Json;
    let json = RequestTemplate::new(json);
    for (template, codec) in [(template(LIST), Codec::Proto), (json.clone(), Codec::Json), (json, Codec::Json)] {
        pair.template = template;
        pair.open(Some(message(b"x")), true);
        pair.run();
        assert_eq!(pair.server.last().head.as_ref().unwrap().codec, codec);
    }
}

#[test]
fn a_client_need_not_wait_for_the_hello() {
    let mut pair = Pair::fresh(Limits::default(), Limits::default());
    pair.server.echoes = true;
    let key = pair.open(Some(message(b"early")), true);
    pair.run();
    assert_eq!(pair.seen(key).code(), Some(Code::Ok));
    assert_eq!(Frame::all(&pair.to_client).len(), 2);
}

#[test]
fn bytes_may_come_one_by_one() {
    let mut pair = Pair::fresh(Limits::default(), Limits::default());
    pair.piece = 1;
    pair.server.echoes = true;
    let long = vec![5; 40_000];
    let keys = [pair.open(Some(message(b"a")), true), pair.open(Some(message(&long)), true)];
    pair.run();
    assert_eq!(pair.seen(keys[0]).bytes(), [b"a"]);
    assert_eq!(pair.seen(keys[1]).bytes(), [&long[..]]);
}

#[test]
fn stream_numbers_are_used_again() {
    let mut pair = Pair::connected();
    pair.server.echoes = true;
    for _ in 0..300 {
        pair.open(Some(message(b"x")), true);
        pair.run();
    }
    let highest = Frame::all(&pair.to_server).iter().map(|frame| frame.number).max();
    assert_eq!(highest, Some(1));
    let mut ids: Vec<_> = pair.server.calls.iter().map(|seen| seen.key.unwrap().id()).collect();
    ids.dedup();
    assert_eq!(ids.len(), 300, "each call has an id of its own");
    assert!(pair.client.calls.iter().all(|seen| seen.code() == Some(Code::Ok)));
}

#[test]
fn metadata_that_fits_into_no_frame_fails_its_call_alone() {
    let mut pair = Pair::connected();
    let big = metadata(&[("big", &"x".repeat(20_000))]);
    let key = pair.open_with(&big, None, Some(message(b"x")), true);
    pair.run();
    assert_eq!(pair.seen(key).code(), Some(Code::ResourceExhausted));
    assert_eq!(pair.carried.0, 0);
    for how in 0..3 {
        let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
        let none = Metadata::new();
        match how {
            0 => pair.server.connection.start(theirs, &big),
            1 => pair.server.connection.respond(theirs, &none, message(b"r"), &big),
            _ => pair.server.connection.finish(theirs, &Status::ok(), &none, &big),
        }
        pair.run();
        assert_eq!(pair.seen(ours).code(), Some(Code::ResourceExhausted), "{how}");
    }
    let (ours, theirs) = pair.open_both(Some(message(b"q")), true);
    let status = Status::not_found("ä".repeat(20_000));
    pair.server.connection.finish(theirs, &status, &Metadata::new(), &Metadata::new());
    pair.run();
    assert_eq!(pair.seen(ours).code(), Some(Code::NotFound), "the code survives");
}
