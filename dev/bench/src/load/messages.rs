//! The messages of `bench.proto`, written by hand: requests, and the answers that are right.
//!
//! Independent of every generated code on purpose: it judges all of them.

/// The prefix of an envelope.
pub(crate) const PREFIX_BYTES: usize = 5;

/// Puts the five-byte prefix of gRPC in front of a message.
pub(crate) fn envelope(message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("messages of a benchmark are small");
    let mut out = vec![0];
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(message);
    out
}

/// `EchoRequest`; with `sleep_us` 0 also `EchoResponse` and `Chunk`.
pub(crate) fn payload(bytes: &[u8], sleep_us: u32) -> Vec<u8> {
    Message::default().bytes(1, bytes).number(2, sleep_us.into()).0
}

/// Where the bytes given to [`payload`] begin in its result: behind their tag and length.
pub(crate) fn payload_offset(bytes: usize) -> usize {
    1 + varint_bytes(bytes as u64)
}

/// `PullRequest`.
pub(crate) fn pull(count: u32, size: u32, by_task: bool) -> Vec<u8> {
    Message::default().number(1, count.into()).number(2, size.into()).number(3, by_task.into()).0
}

/// `PushSummary`.
pub(crate) fn push_summary(chunks: u64, bytes: u64) -> Vec<u8> {
    Message::default().number(1, chunks).number(2, bytes).0
}

/// An `Order` of 20 lines, about 1.9 KB, and the `OrderTotal` that it adds up to.
pub(crate) fn order() -> (Vec<u8>, Vec<u8>) {
    const NANOS: u64 = 1_000_000_000;
    let mut text_bytes = 0;
    let mut text = |text: String| {
        text_bytes += text.len() as u64;
        text
    };
    let (mut quantity_sum, mut nanos_sum, mut gifts, mut weight) = (0, 0, 0, 0.0);

    let id = text("ord-2026-000451877".into());
    let mut order = Message::default().text(1, &id).text(2, &text("cus-00031337".into())).message(
        3,
        &Message::default()
            .text(1, &text("Ada Example".into()))
            .text(2, &text("Long Street 123, back yard".into()))
            .text(3, &text("Rotterdam".into()))
            .text(4, &text("3011 AA".into()))
            .text(5, &text("NL".into())),
    );
    for line in 0..20_u64 {
        let (quantity, units, nanos) = (1 + line % 4, 3 + 7 * line, 10_000_000 * (line + 5));
        let (gift, kilograms) = (line % 5 == 0, 0.25 * (line + 1) as f64);
        let price = Message::default().text(1, &text("EUR".into())).number(2, units).number(3, nanos);
        order = order.message(
            4,
            &Message::default()
                .text(1, &text(format!("SKU-{:06}", 4711 * line)))
                .text(2, &text(format!("Article number {line:02} of a kind")))
                .number(3, quantity)
                .message(4, &price)
                .text(5, &text(format!("size-{line}")))
                .text(5, &text("colour-blue".into()))
                .number(6, gift.into())
                .double(7, kilograms),
        );
        quantity_sum += quantity;
        nanos_sum += quantity * (units * NANOS + nanos);
        gifts += u64::from(gift);
        weight += kilograms * quantity as f64;
    }
    let note = text("Please ring twice; the bell is quiet.".into());
    let order = order.number(5, 1_790_000_000_000).text(6, &note);

    let sum = Message::default().text(1, "EUR").number(2, nanos_sum / NANOS).number(3, nanos_sum % NANOS);
    let total = Message::default()
        .text(1, &id)
        .number(2, 20)
        .number(3, quantity_sum)
        .message(4, &sum)
        .number(5, text_bytes)
        .number(6, gifts)
        .double(7, weight);
    (order.0, total.0)
}

/// Fields in the order of their numbers, defaults left out, as every implementation writes them.
#[derive(Default)]
struct Message(Vec<u8>);

impl Message {
    fn number(mut self, field: u32, value: u64) -> Self {
        if value != 0 {
            self.varint(u64::from(field) << 3);
            self.varint(value);
        }
        self
    }

    fn double(mut self, field: u32, value: f64) -> Self {
        if value != 0.0 {
            self.varint(u64::from(field) << 3 | 1);
            self.0.extend_from_slice(&value.to_le_bytes());
        }
        self
    }

    fn bytes(mut self, field: u32, value: &[u8]) -> Self {
        if !value.is_empty() {
            self.varint(u64::from(field) << 3 | 2);
            self.varint(value.len() as u64);
            self.0.extend_from_slice(value);
        }
        self
    }

    fn text(self, field: u32, value: &str) -> Self {
        self.bytes(field, value.as_bytes())
    }

    fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

fn varint_bytes(value: u64) -> usize {
    (value.max(1).ilog2() as usize) / 7 + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_has_the_size_the_table_names() {
        let (order, _) = order();
        assert!((1_800..2_000).contains(&order.len()), "{} bytes", order.len());
    }

    #[test]
    fn the_payload_is_where_its_offset_says() {
        for size in [1, 16, 127, 128, 16_384] {
            let bytes = vec![b'x'; size];
            let message = payload(&bytes, 0);
            assert_eq!(message[payload_offset(size)..], bytes);
        }
    }
}
