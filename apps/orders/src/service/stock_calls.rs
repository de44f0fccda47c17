//! The calls that Orders makes to Stock.

use std::sync::Arc;
use std::time::Duration;

use polywire::{Channel, Code, Status};

use super::{convert, status};
use crate::counters::Counters;
use crate::domain::{ItemId, Quantity, Reservation, ReservationId, Settlement};
use crate::proto::stock::v1::{CommitRequest, ReleaseRequest, ReservationLine, ReserveRequest, StockClient};

/// Stock, as Orders sees it: in this process or elsewhere, always over a channel and always with a deadline.
#[derive(Debug, Clone)]
pub struct StockCalls {
    client: StockClient,
    timeout: Duration,
    counters: Arc<Counters>,
}

impl StockCalls {
    /// Stock at the end of a channel. Each call may take `timeout`, or less if the call that is being answered has
    /// less time left.
    pub fn new(channel: Channel, timeout: Duration, counters: Arc<Counters>) -> Self {
        Self { client: StockClient::new(channel), timeout, counters }
    }

    /// Sets goods aside.
    pub(super) async fn reserve(
        &self,
        id: &ReservationId,
        goods: Vec<(ItemId, Quantity)>,
        hold: Duration,
    ) -> Result<Reservation, Status> {
        let lines = goods.iter().map(|(item, quantity)| ReservationLine {
            item: item.name(),
            quantity: convert::quantity(*quantity),
            ..Default::default()
        });
        let request = ReserveRequest {
            reservation_id: id.as_str().to_owned(),
            lines: lines.collect(),
            hold: buffa_types::google::protobuf::Duration::from(hold).into(),
            ..Default::default()
        };
        let answer = self.client.reserve(request).timeout(self.timeout).await;
        self.count(answer.as_ref().err());
        let answer = answer.map_err(for_our_caller)?;
        convert::read_reservation(&answer).map_err(|invalid| {
            tracing::error!(%invalid, "Stock gave an answer that makes no sense");
            Status::internal("Stock gave an answer that makes no sense")
        })
    }

    /// Tells what has become of an order's goods. An error is for our eyes only.
    pub(super) async fn settle(&self, id: &ReservationId, settlement: Settlement) -> Result<(), Status> {
        let answer = match settlement {
            Settlement::Commit => {
                let request = CommitRequest { name: id.name(), ..Default::default() };
                self.client.commit(request).timeout(self.timeout).await
            }
            Settlement::Release => {
                let request = ReleaseRequest { name: id.name(), ..Default::default() };
                self.client.release(request).timeout(self.timeout).await
            }
        };
        self.count(answer.as_ref().err());
        answer.map(drop)
    }

    fn count(&self, error: Option<&Status>) {
        self.counters.stock_calls.count_at(error.map_or(Code::Ok, Status::code).name());
    }
}

/// What a failed call to Stock means for who called us.
///
/// That goods are short is our caller's business, with all details. That Stock cannot be reached is ours; so is everything that
/// Stock should never have had to say.
fn for_our_caller(error: Status) -> Status {
    match error.code() {
        Code::FailedPrecondition => error,
        Code::Unavailable | Code::DeadlineExceeded | Code::ResourceExhausted | Code::Aborted => {
            tracing::warn!(%error, "Stock cannot be reached");
            status::unavailable("the stock cannot be asked at the moment; try again")
        }
        _ => {
            tracing::error!(%error, "Stock has refused a call that should have been in order");
            Status::internal("the stock has refused the order's goods")
        }
    }
}
