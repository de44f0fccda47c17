//! Nanoseconds to compress and to decompress one message: `cargo bench -p polywire --bench compression`.
//!
//! The message is JSON as an order system writes it (repeated keys, varied values). Prints one line for each compression and
//! size, with the share of the bytes that is left.

use std::{
    fmt::Write as _,
    hint::black_box,
    time::{Duration, Instant},
};

use bytes::Bytes;
use polywire::compression::{compress, decompress};
use polywire_core::Compression;

const SIZES: [usize; 3] = [1 << 10, 64 << 10, 1 << 20];
const MEASURED_FOR: Duration = Duration::from_millis(300);

fn main() {
    println!("{:9} {:>8} {:>14} {:>14} {:>7}", "", "bytes", "compress ns", "decompress ns", "left");
    for compression in Compression::ALL {
        for size in SIZES {
            let message = orders(size);
            let mut compressed = Vec::new();
            compress(compression, &message, &mut compressed).expect("compresses");
            let left = 100.0 * compressed.len() as f64 / size as f64;
            let compressed = Bytes::from(compressed);
            let compressing = nanoseconds(|| {
                let mut out = Vec::new();
                compress(compression, black_box(&message), &mut out).expect("compresses");
                black_box(out);
            });
            let decompressing = nanoseconds(|| {
                black_box(decompress(compression, black_box(&compressed), 4 << 20).expect("decompresses"));
            });
            println!("{:9} {size:>8} {compressing:>14.0} {decompressing:>14.0} {left:>6.1}%", compression.name());
        }
    }
}

/// The best of five: whatever else runs on the machine only adds.
fn nanoseconds(mut run: impl FnMut()) -> f64 {
    run();
    let round = |_| {
        let (start, began, mut runs) = (Instant::now(), processor_nanoseconds(), 0_u32);
        while start.elapsed() < MEASURED_FOR / 5 {
            run();
            runs += 1;
        }
        let spent = match (began, processor_nanoseconds()) {
            (Some(began), Some(ended)) => ended - began,
            _ => start.elapsed().as_nanos() as f64,
        };
        spent / f64::from(runs)
    };
    (0..5).map(round).fold(f64::INFINITY, f64::min)
}

/// What this thread has spent on a processor so far (Linux only).
fn processor_nanoseconds() -> Option<f64> {
    std::fs::read_to_string("/proc/thread-self/schedstat").ok()?.split(' ').next()?.parse().ok()
}

fn orders(size: usize) -> Vec<u8> {
    const ITEMS: [&str; 8] =
        ["espresso", "flat white", "croissant", "bagel", "orange juice", "muffin", "tea", "quiche"];
    let mut text = String::new();
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    while text.len() < size {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let bits = random >> 20;
        let item = ITEMS[(bits & 7) as usize];
        let (quantity, cents, customer) = (bits >> 3 & 15, bits >> 7 & 4095, bits >> 19 & 0xf_ffff);
        let _ = write!(
            text,
            r#"{{"id":"order-{random:016x}","customer":"customer-{customer}","item":"{item}","quantity":{quantity},"price_cents":{cents},"status":"STATUS_PLACED"}},"#
        );
    }
    text.truncate(size);
    text.into_bytes()
}
