//! Raw HTTP/2 bytes, written without any library, so that nothing stops us from writing wrong ones.

/// What a client says first (RFC 9113 §3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

pub(super) const DATA: u8 = 0x0;
pub(super) const HEADERS: u8 = 0x1;
pub(super) const PRIORITY: u8 = 0x2;
pub(super) const RST_STREAM: u8 = 0x3;
pub(super) const SETTINGS: u8 = 0x4;
pub(super) const PING: u8 = 0x6;
pub(super) const GOAWAY: u8 = 0x7;
pub(super) const WINDOW_UPDATE: u8 = 0x8;
pub(super) const CONTINUATION: u8 = 0x9;

pub(super) const ACK: u8 = 0x1;
pub(super) const END_STREAM: u8 = 0x1;
pub(super) const END_HEADERS: u8 = 0x4;

pub(super) const SETTINGS_INITIAL_WINDOW_SIZE: u16 = 0x4;

/// RFC 9113 §7.
pub(super) const CANCEL: u32 = 0x8;
pub(super) const WINDOW_MAX: u32 = (1 << 31) - 1;

/// Appends one frame.
pub(super) fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend(&u32::try_from(payload.len()).expect("we send no frame of 4 GiB").to_be_bytes()[1..]);
    out.extend([kind, flags]);
    out.extend(stream.to_be_bytes());
    out.extend(payload);
}

/// Appends a frame whose payload is one 32-bit number: RST_STREAM and WINDOW_UPDATE.
pub(super) fn number_frame(out: &mut Vec<u8>, kind: u8, stream: u32, number: u32) {
    frame(out, kind, 0, stream, &number.to_be_bytes());
}

/// Appends a SETTINGS frame with one setting.
pub(super) fn setting(out: &mut Vec<u8>, id: u16, value: u32) {
    let mut payload = id.to_be_bytes().to_vec();
    payload.extend(value.to_be_bytes());
    frame(out, SETTINGS, 0, 0, &payload);
}

/// The id of a client's `n`th stream, from 0.
pub(super) fn stream(n: u32) -> u32 {
    2 * n + 1
}

/// The header block of a gRPC request for `path`; nothing in it touches the dynamic table.
pub(super) fn request_block(path: &str) -> Vec<u8> {
    let mut block = vec![0x83, 0x86]; // :method POST, :scheme http
    named(&mut block, 4, path.as_bytes());
    named(&mut block, 1, b"127.0.0.1");
    literal(&mut block, b"te", b"trailers");
    named(&mut block, 31, b"application/grpc"); // content-type
    block
}

/// The same without :scheme: malformed (RFC 9113 §8.3.1).
pub(super) fn malformed_block(path: &str) -> Vec<u8> {
    let mut block = request_block(path);
    block.remove(1);
    block
}

/// A literal field that is not indexed (RFC 7541 §6.2.2).
pub(super) fn literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0);
    string(block, name);
    string(block, value);
}

/// A literal field that goes into the dynamic table (RFC 7541 §6.2.1).
pub(super) fn indexed_literal(block: &mut Vec<u8>, name: &[u8], value: &[u8]) {
    block.push(0x40);
    string(block, name);
    string(block, value);
}

/// A literal field whose value is Huffman text: `length` bytes that each hold one and a half of the letter `a` or so.
pub(super) fn huffman_literal(block: &mut Vec<u8>, name: &[u8], length: usize) {
    block.push(0);
    string(block, name);
    integer(block, 0x80, 7, length);
    // The letter `a` is 00011: eight of them fill five bytes.
    let letters = [0b0001_1000, 0b1100_0110, 0b0011_0001, 0b1000_1100, 0b0110_0011];
    block.extend(letters.iter().cycle().take(length / 5 * 5));
    block.extend(std::iter::repeat_n(0xFF, length % 5)); // padding, longer than it may be
}

/// One gRPC envelope.
pub(super) fn envelope(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("we send no message of 4 GiB");
    let mut envelope = vec![flag];
    envelope.extend(length.to_be_bytes());
    envelope.extend(message);
    envelope
}

/// A literal field whose name is in the static table, not indexed.
fn named(block: &mut Vec<u8>, name: usize, value: &[u8]) {
    integer(block, 0, 4, name);
    string(block, value);
}

fn string(block: &mut Vec<u8>, text: &[u8]) {
    integer(block, 0, 7, text.len());
    block.extend(text);
}

/// RFC 7541 §5.1.
fn integer(block: &mut Vec<u8>, first: u8, prefix_bits: u32, mut value: usize) {
    let limit = (1 << prefix_bits) - 1;
    if value < limit {
        block.push(first | value as u8);
        return;
    }
    block.push(first | limit as u8);
    value -= limit;
    while value >= 128 {
        block.push((value % 128) as u8 | 0x80);
        value /= 128;
    }
    block.push(value as u8);
}
