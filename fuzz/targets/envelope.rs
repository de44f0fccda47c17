//! Envelopes cut anywhere, against a reader that sees the whole.
#![no_main]

use bytes::Bytes;
use libfuzzer_sys::fuzz_target;
use polywire_engine::envelope::{Envelope, EnvelopeError, Reader};
use polywire_sim::draw::{Dice, Draw};

const MESSAGE_BYTES_MAX: usize = 1_000;

fuzz_target!(|bytes: &[u8]| {
    let mut draw = Draw::new(bytes);
    let mut dice = Dice::new(draw.byte().into());
    let piece_max = [1, 4, 64, 4_096][usize::from(draw.byte() % 4)];
    let stream = draw.take(usize::MAX);
    let (expected, end) = read_whole(stream);
    let mut reader = Reader::new(MESSAGE_BYTES_MAX);
    let (mut found, mut rest) = (Vec::new(), stream);
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.len().min(1 + dice.below(piece_max) as usize));
        rest = after;
        let mut piece = Bytes::copy_from_slice(piece);
        loop {
            match reader.next(&mut piece) {
                Ok(Some(envelope)) => found.push(envelope),
                Ok(None) => break,
                Err(error) => {
                    assert_eq!((found, End::Error(error)), (expected, end));
                    return;
                }
            }
        }
        assert!(piece.is_empty());
    }
    let found_end = if reader.is_between_messages() { End::Whole } else { End::Inside };
    assert_eq!((found, found_end), (expected, end));
});

#[derive(Debug, PartialEq)]
enum End {
    Error(EnvelopeError),
    Inside,
    Whole,
}

fn read_whole(mut stream: &[u8]) -> (Vec<Envelope>, End) {
    let mut envelopes = Vec::new();
    loop {
        let Some((&[flags, len @ ..], rest)) = stream.split_first_chunk::<5>() else {
            return (envelopes, if stream.is_empty() { End::Whole } else { End::Inside });
        };
        let announced = u32::from_be_bytes(len) as usize;
        if flags > 1 {
            return (envelopes, End::Error(EnvelopeError::UnknownFlags(flags)));
        }
        if announced > MESSAGE_BYTES_MAX {
            return (envelopes, End::Error(EnvelopeError::TooLarge { announced, limit: MESSAGE_BYTES_MAX }));
        }
        let Some((message, rest)) = rest.split_at_checked(announced) else { return (envelopes, End::Inside) };
        envelopes.push(Envelope { bytes: Bytes::copy_from_slice(message), compressed: flags == 1, end: false });
        stream = rest;
    }
}
