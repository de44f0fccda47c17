//! Watching orders.

use polywire::{Call, Protocol, Sender, Status};

use super::shop::Shop;
use super::{convert, status};
use crate::domain::{Invalid, OrderFilter, OrderId};
use crate::proto::orders::v1::OrderEvent;

impl Shop {
    /// The key of the leading metadata that says after which event a stream begins.
    const SEQUENCE_KEY: &str = "orders-sequence";

    /// Follows one order to its end.
    pub(super) async fn watch_one(
        &self,
        id: OrderId,
        after: Option<i64>,
        mut responses: Sender<OrderEvent>,
    ) -> Result<(), Status> {
        let order = self.find(&id).await?;
        let after = match after {
            Some(after) => self.reached(after).await?,
            None => order.sequence - 1,
        };
        if order.status.is_final() && after >= order.sequence {
            return Ok(());
        }
        let _watcher = self.counters.watchers.while_alive();
        let mut follower = self.feed.follow(Some(id), after)?;
        responses.flush_leading();
        while let Some(event) = follower.next().await? {
            responses.send(convert::event(&event)).await?;
            if event.order.status.is_final() {
                return Ok(());
            }
        }
        Err(status::unavailable("the server is about to end; watch again after the last sequence number"))
    }

    /// Follows all orders that pass a filter.
    pub(super) async fn watch_many(
        &self,
        call: &mut Call,
        filter: OrderFilter,
        after: Option<i64>,
        mut responses: Sender<OrderEvent>,
    ) -> Result<(), Status> {
        let after = match after {
            Some(after) => self.reached(after).await?,
            None => self.store.refresh().await?,
        };
        let _watcher = self.counters.watchers.while_alive();
        let mut follower = self.feed.follow(None, after)?;
        // Told at once, so that the caller knows that nothing from here on escapes, although nothing may happen for long.
        call.append_leading(Self::SEQUENCE_KEY, &after.to_string())
            .map_err(|error| Status::internal(error.to_string()))?;
        responses.flush_leading();
        while let Some(event) = follower.next().await? {
            if filter.passes(&event.order) {
                responses.send(convert::event(&event)).await?;
            }
        }
        Err(status::unavailable("the server is about to end; watch again after the last sequence number"))
    }

    /// After which sequence number a stream begins. A browser that comes back asks what it asked before, and says by
    /// `last-event-id` which event it had last; so events bear their sequence numbers as ids.
    pub(super) fn go_on(call: &mut Call, after: Option<i64>) -> Result<Option<i64>, Status> {
        if call.protocol() != Protocol::Rest {
            return Ok(after);
        }
        call.append_leading("event-id-field", "sequence").map_err(|error| Status::internal(error.to_string()))?;
        Ok(call.metadata().get("last-event-id").and_then(|id| id.parse().ok()).or(after))
    }

    /// Checks a sequence number that somebody wants to go on from.
    async fn reached(&self, after: i64) -> Result<i64, Status> {
        if after < 0 {
            return Err(Invalid::field("after_sequence", "must not be negative").into());
        }
        if after > self.store.head() {
            let head = self.store.refresh().await?;
            if after > head {
                return Err(status::sequence_not_reached(after, head));
            }
        }
        Ok(after)
    }
}
