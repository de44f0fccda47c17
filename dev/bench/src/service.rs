//! The benchmark's service, written as a user would write it.

use std::time::Duration;

use polywire::{Call, Receiver, Sender, Status};

use crate::generated::bench::v1::{
    BenchService, Chunk, EchoRequest, EchoResponse, Money, OrderTotal, OrderView, PullRequestView, PushSummary,
};

/// Answers as `bench.proto` says.
#[derive(Clone, Copy, Debug)]
pub struct Service;

impl BenchService for Service {
    async fn echo(&self, _: &mut Call, request: EchoRequest) -> Result<EchoResponse, Status> {
        if request.sleep_us > 0 {
            tokio::time::sleep(Duration::from_micros(request.sleep_us.into())).await;
        }
        Ok(EchoResponse { payload: request.payload, ..EchoResponse::default() })
    }

    async fn total(&self, _: &mut Call, request: OrderView<'_>) -> Result<OrderTotal, Status> {
        Ok(add_up(&request))
    }

    async fn pull(&self, _: &mut Call, request: PullRequestView<'_>, mut out: Sender<Chunk>) -> Result<(), Status> {
        // A handler is a task already: `by_task` is how it always is here.
        let chunk = Chunk { payload: vec![b'x'; request.size as usize].into(), ..Chunk::default() };
        for _ in 0..request.count {
            out.send(&chunk).await?;
        }
        Ok(())
    }

    async fn push(&self, _: &mut Call, mut requests: Receiver<Chunk>) -> Result<PushSummary, Status> {
        let mut summary = PushSummary::default();
        while let Some(chunk) = requests.next().await? {
            summary.chunks += 1;
            summary.bytes += chunk.payload.len() as u64;
        }
        Ok(summary)
    }

    async fn ping_pong(
        &self,
        _: &mut Call,
        mut requests: Receiver<Chunk>,
        mut out: Sender<Chunk>,
    ) -> Result<(), Status> {
        while let Some(chunk) = requests.next().await? {
            out.send(&chunk).await?;
        }
        Ok(())
    }
}

/// Reads every field of the order.
fn add_up(order: &OrderView<'_>) -> OrderTotal {
    let mut total = OrderTotal {
        id: order.id.to_owned(),
        text_bytes: (order.id.len() + order.customer.len() + order.note.len()) as u64,
        ..OrderTotal::default()
    };
    if let Some(address) = order.address.as_option() {
        for text in [address.name, address.street, address.city, address.postal_code, address.country] {
            total.text_bytes += text.len() as u64;
        }
    }
    let mut sum = Money::default();
    let mut nanos = 0;
    for line in &order.lines {
        total.lines += 1;
        total.quantity += u64::from(line.quantity);
        total.gifts += u32::from(line.gift);
        total.weight_kg += line.weight_kg * f64::from(line.quantity);
        total.text_bytes += (line.sku.len() + line.title.len()) as u64;
        total.text_bytes += line.options.iter().map(|option| option.len() as u64).sum::<u64>();
        if let Some(price) = line.unit_price.as_option() {
            if sum.currency.is_empty() {
                price.currency.clone_into(&mut sum.currency);
            }
            total.text_bytes += price.currency.len() as u64;
            sum.units += price.units * i64::from(line.quantity);
            nanos += i64::from(price.nanos) * i64::from(line.quantity);
        }
    }
    sum.units += nanos / 1_000_000_000;
    sum.nanos = (nanos % 1_000_000_000) as i32;
    total.sum = Some(sum).into();
    total
}
