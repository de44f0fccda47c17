//! What our encoder writes, our decoder reads.

use super::*;

/// A random field: often one that came before, sometimes with a new value, sometimes anything.
fn field(random: &mut Random) -> (Vec<u8>, Vec<u8>) {
    const NAMES: [&str; 12] = [
        ":method",
        ":path",
        ":status",
        ":authority",
        "content-type",
        "te",
        "user-agent",
        "grpc-timeout",
        "x-tenant",
        "x-request-id",
        "a",
        "",
    ];
    const VALUES: [&str; 10] =
        ["POST", "/", "200", "application/grpc", "trailers", "acme", "1S", "polywire/0.1 (a longer remark)", "b", ""];
    let name = match random.below(12) {
        0 => {
            let len = random.below(60);
            random.bytes(len)
        }
        _ => random.pick(&NAMES).as_bytes().to_vec(),
    };
    let value = match random.below(6) {
        0 => {
            let len = random.below(300);
            random.bytes(len)
        }
        1 => random.below(50).to_string().into_bytes(),
        _ => random.pick(&VALUES).as_bytes().to_vec(),
    };
    (name, value)
}

fn list(random: &mut Random) -> Headers {
    let mut headers = Headers::new();
    for _ in 0..random.below(12) {
        let (name, value) = field(random);
        if random.one_in(10) {
            headers.push_sensitive(name, value);
        } else {
            headers.push(name, value);
        }
    }
    headers
}

/// Plays a random life of a connection: few heads, many extras, now and then another table size.
fn play(seed: u64) {
    let mut random = Random(seed);
    let limit = *random.pick(&[0, 100, 256, 1000, 4096, 20_000]);
    let mut encoder = Encoder::with_table_limit(limit);
    let mut decoder = decoder();
    let mut heads: Vec<Arc<Headers>> = (0..=random.below(20)).map(|_| Arc::new(list(&mut random))).collect();
    for _ in 0..300 {
        match random.below(40) {
            0 => {
                for _ in 0..=random.below(2) {
                    let size = *random.pick(&[0, 33, 60, 200, 500, 4096, 16_384]);
                    encoder.set_table_bytes_max(size);
                    decoder.set_table_bytes_max(size);
                }
            }
            1 => *heads.first_mut().unwrap() = Arc::new(list(&mut random)),
            2 => {
                encoder.trim();
                decoder.trim();
            }
            _ => {}
        }
        let head = random.pick(&heads).clone();
        let extra = random.one_in(2).then(|| list(&mut random));
        let block = encode(&mut encoder, &head, extra.as_ref());
        let decoded = decoder.decode(&block, u32::MAX).unwrap();
        let expected = head.fields().chain(extra.iter().flat_map(Headers::fields));
        assert!(decoded.fields().eq(expected), "seed {seed}");
        assert_eq!(encoder.table_bytes(), decoder.table_bytes(), "seed {seed}");
        assert_eq!(encoder.table_len(), decoder.table_len(), "seed {seed}");
        // Beside the tables there are a few remembered blocks.
        assert!(encoder.heap_bytes() <= 2 * limit as usize + 4096);
        assert!(decoder.heap_bytes() <= 2 * limit as usize + 4096);
    }
}

#[test]
fn any_life_of_a_connection_comes_through() {
    for seed in 0..40 {
        play(seed);
    }
}

#[test]
fn every_byte_survives_in_names_and_values() {
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    for byte in 0..=255u8 {
        for len in [1, 2, 7, 30] {
            let text = vec![byte; len];
            let head = Arc::new([(&text, &text)].into_iter().collect::<Headers>());
            for _ in 0..3 {
                let block = encode(&mut encoder, &head, None);
                let decoded = decoder.decode(&block, LIST_BYTES_MAX).unwrap();
                assert_eq!(*decoded, *head);
            }
        }
    }
}

#[test]
fn lengths_around_each_border_of_the_integer_code_come_through() {
    let (mut encoder, mut decoder) = (Encoder::new(), decoder());
    for len in (0..300).chain(16_380..16_390).chain(16_500..16_520) {
        let value = "x".repeat(len);
        let head = Arc::new(headers(&[("name", &value), (&value, "value")]));
        for _ in 0..2 {
            let block = encode(&mut encoder, &head, None);
            assert_eq!(*decoder.decode(&block, u32::MAX).unwrap(), *head);
        }
    }
}
