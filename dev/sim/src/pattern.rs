//! What the programs send: bytes and headers that tell where they belong, so that nothing has to be kept to compare.

use std::sync::Arc;

use bytes::Bytes;
use polywire_core::Metadata;
use polywire_engine::wire::Headers;

use crate::program::Side;

/// So many bytes of what `side` sends on stream `id`, from `offset` on.
#[must_use]
pub fn bytes(side: Side, id: u32, offset: u64, len: usize) -> Bytes {
    let lane = (u64::from(id) << 1 | side as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let skipped = (offset & 7) as usize;
    let mut bytes = Vec::with_capacity(len + 16);
    let mut word = offset >> 3;
    while bytes.len() < skipped + len {
        bytes.extend_from_slice(&(lane ^ word).wrapping_mul(0xbf58_476d_1ce4_e5b9).to_le_bytes());
        word += 1;
    }
    Bytes::from(bytes).slice(skipped..skipped + len)
}

/// Where `data` differs from [`bytes()`].
///
/// # Errors
/// The first difference in words.
pub fn check(side: Side, id: u32, offset: u64, data: &[u8]) -> Result<(), String> {
    let expected = bytes(side, id, offset, data.len());
    if expected == data {
        return Ok(());
    }
    let at = expected.iter().zip(data).take_while(|(expected, found)| expected == found).count();
    Err(format!(
        "stream {id}: byte {} from {side:?} is {:#x} and not {:#x}",
        offset + at as u64,
        data[at],
        expected[at]
    ))
}

/// Fields that vary, of a kind: some repeat, some are long enough for several frames, and one is over every limit.
#[must_use]
pub fn extra(kind: u8, id: u32) -> Headers {
    let mut extra = Headers::new();
    for (name, value) in fields(kind, id) {
        if name == "authorization" {
            extra.push_sensitive(name, value);
        } else {
            extra.push(name, value);
        }
    }
    extra
}

/// The same as metadata.
#[must_use]
pub fn metadata(kind: u8, id: u32) -> Metadata {
    let mut metadata = Metadata::new();
    for (name, value) in fields(kind, id) {
        metadata.append_unchecked(name, value.as_bytes());
    }
    metadata
}

/// Whether a list of this kind is over the limit of every peer.
#[must_use]
pub fn is_too_large(kind: u8) -> bool {
    kind % 16 == 15
}

fn fields(kind: u8, id: u32) -> Vec<(&'static str, String)> {
    match kind % 16 {
        0..=5 => Vec::new(),
        6 | 7 => vec![("x-tenant", "acme".to_owned())],
        8 | 9 => vec![("x-request", format!("r{id}")), ("x-tenant", "acme".to_owned())],
        10 => vec![("authorization", "Bearer secret".to_owned()), ("x-empty", String::new())],
        11 => (0..40).map(|n| ("x-many", format!("{n} of {}", kind / 16))).collect(),
        12 => vec![("x-long", "v".repeat(3_000)), ("x-other", "\u{7f}w~".repeat(300))],
        13 => vec![("x-long", format!("{id}").repeat(5_000 / id.to_string().len()))],
        14 => vec![("x-long", "Zz".repeat(6_500)), ("x-tenant", "acme".to_owned())],
        _ => vec![("x-long", "q".repeat(20_000))],
    }
}

/// The fixed parts of what is sent, shared as an application shares them.
#[derive(Debug)]
pub struct Heads {
    /// Of requests.
    pub requests: [Arc<Headers>; 3],
    /// Of responses.
    pub response: Arc<Headers>,
    /// Of informational responses.
    pub informational: Arc<Headers>,
    /// Of trailers.
    pub trailers: Arc<Headers>,
}

impl Heads {
    /// As gRPC writes them.
    #[must_use]
    pub fn new() -> Self {
        let request = |path: &str| {
            [(":method", "POST"), (":scheme", "http"), (":path", path), (":authority", "sim"), ("te", "trailers")]
                .into_iter()
                .collect::<Headers>()
        };
        Heads {
            requests: ["/sim.v1.Sim/One", "/sim.v1.Sim/Two", "/sim.v1.Sim/Three"].map(|path| Arc::new(request(path))),
            response: Arc::new([(":status", "200"), ("content-type", "application/grpc")].into_iter().collect()),
            informational: Arc::new([(":status", "103")].into_iter().collect()),
            trailers: Arc::new([("grpc-status", "0")].into_iter().collect()),
        }
    }
}

impl Default for Heads {
    fn default() -> Self {
        Self::new()
    }
}
