//! Placing an order: the path between two services that may each fail at any point.

use polywire::Status;

use super::shop::Shop;
use super::status;
use crate::domain::{NewOrder, Order, OrderId, ReservationState, Settlement};
use crate::store::Claim;

/// An order that was placed, now or before.
pub(super) struct Placed {
    pub(super) order: Order,
    /// It was placed by an earlier call with the same idempotency key.
    pub(super) existing: bool,
}

impl Shop {
    /// Places an order in three steps, each of which may be repeated:
    ///
    /// 1. The idempotency key is bound to an order id, before there is an order.
    /// 2. Stock reserves the goods under that id.
    /// 3. The order is written down.
    ///
    /// Whoever repeats the call after a failure gets the same id and so the same reservation, and takes up where the first
    /// attempt ended; two calls at the same time meet in step 3, where one finds the order of the other. If nobody
    /// repeats it, the reservation expires by itself: there is nothing to clean up.
    pub(super) async fn place(&self, new: NewOrder) -> Result<Placed, Status> {
        let now = self.clock.now();
        let mut id = OrderId::new(now, chance());
        if let Some(key) = &new.key {
            let claim = self.store.claim(key, Claim { order: id, fingerprint: new.fingerprint() }, now).await?;
            let differs = new.differs_from(&claim.fingerprint);
            if !differs.is_empty() {
                return Err(status::order_key_reused(&claim.order, &differs));
            }
            id = claim.order;
            if let Some(order) = self.store.order(&id).await? {
                self.counters.orders_repeated.count();
                return Ok(Placed { order, existing: true });
            }
        }

        let hold = self.settings.hold + self.settings.hold_margin;
        let goods = self.stock.reserve(&id.reservation(), new.goods(), hold).await?;
        let hold_until = goods.expires_at.minus(self.settings.hold_margin).min(now.plus(self.settings.hold));
        if goods.state != ReservationState::Held || hold_until <= now {
            // An earlier attempt has reserved them long ago. In a moment the reservation expires, and then it is made anew.
            return Err(status::unavailable("the goods are held by an earlier attempt about to expire; try again"));
        }

        let order = match new.confirmed(id.clone(), &goods, hold_until, now) {
            Ok(order) => order,
            Err(error) => {
                drop(self.stock.settle(&id.reservation(), Settlement::Release).await);
                return Err(status::not_priced(&error));
            }
        };
        let (order, new) = self.store.insert(order).await?;
        if new {
            self.counters.orders_created.count();
            self.counters.order_events.count_at(order.status.as_str());
            tracing::info!(order = %order.id, total = %order.total, sequence = order.sequence, "order taken");
        } else {
            self.counters.orders_repeated.count();
        }
        Ok(Placed { order, existing: !new })
    }
}

/// Fresh chance for an id.
fn chance() -> u64 {
    getrandom::u64().expect("the system gives random numbers once it has started")
}
