//! Telling Stock what has become of an order's goods, and what else is done when nobody asks.

use polywire::Code;

use super::shop::Shop;
use crate::domain::{Action, OrderId, Settlement, Text};
use crate::store::{ActError, Change, StoreError};

impl Shop {
    /// Orders that are looked after at once.
    const AT_ONCE: u32 = 100;

    /// Tells Stock about one order's goods and crosses it out. If Stock does not answer, it stays due.
    pub(super) async fn settle(&self, id: &OrderId, settlement: Settlement) -> bool {
        match self.stock.settle(&id.reservation(), settlement).await {
            Ok(()) => {}
            // There is nothing left to give back.
            Err(error) if settlement == Settlement::Release && error.code() == Code::NotFound => {}
            Err(error) if matches!(error.code(), Code::FailedPrecondition | Code::NotFound) => {
                // It came too late and will not be true any more: people have to count.
                self.counters.settlements_refused.count();
                tracing::error!(order = %id, settlement = settlement.as_str(), %error, "Stock has refused a settlement for good");
            }
            Err(error) => {
                tracing::warn!(order = %id, settlement = settlement.as_str(), %error, "Stock could not be told; it will be");
                return false;
            }
        }
        match self.store.settled(id, settlement).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(order = %id, %error, "a settlement could not be crossed out; Stock will be told again");
                false
            }
        }
    }

    /// Tells Stock what it could not be told when it happened. Stops at the first that fails: Stock is out of reach still.
    pub async fn settle_all(&self) -> Result<(), StoreError> {
        loop {
            let due = self.store.unsettled(Self::AT_ONCE).await?;
            for (id, settlement) in &due {
                if !self.settle(id, *settlement).await {
                    return Ok(());
                }
            }
            if due.len() < Self::AT_ONCE as usize {
                return Ok(());
            }
        }
    }

    /// Expires the orders that no kitchen has accepted in time; how many that were.
    pub async fn expire_overdue(&self) -> Result<usize, StoreError> {
        let reason = Text::new("reason", "no kitchen accepted it in time", 200).unwrap_or_default();
        let change = Change { reason, ..Change::default() };
        let mut expired = 0;
        loop {
            let overdue = self.store.overdue(self.clock.now(), Self::AT_ONCE).await?;
            for id in &overdue {
                match self.act(id, Action::Expire, &change, self.clock.now()).await {
                    Ok(_) => expired += 1,
                    // Somebody was quicker.
                    Err(ActError::Refused(_) | ActError::NotFound) => {}
                    Err(ActError::HoldOver | ActError::OtherKitchen(_)) => {}
                    Err(ActError::Store(error)) => return Err(error),
                }
            }
            if overdue.len() < Self::AT_ONCE as usize {
                return Ok(expired);
            }
        }
    }

    /// Forgets idempotency keys that are old enough; how many.
    pub async fn forget_keys(&self) -> Result<u64, StoreError> {
        self.store.forget_keys(self.clock.now().minus(self.settings.keys_kept)).await
    }
}
