//! The service Stock.

use std::sync::Arc;

use polywire::{Call, Status};

use super::{convert, status};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::domain::{Adjustment, ItemId, NewReservation, PageSize, PageToken, ReservationId};
use crate::proto::stock::v1::{
    AdjustItemRequestView, CommitRequestView, GetItemRequestView, GetReservationRequestView, Item,
    ListItemsRequestView, ListItemsResponse, ReleaseRequestView, Reservation, ReserveRequestView, StockService,
};
use crate::store::{ReserveError, StockStore, StoreError};

/// Answers the calls of the service Stock.
#[derive(Debug, Clone)]
pub struct Stockroom {
    store: StockStore,
    clock: Clock,
    counters: Arc<Counters>,
}

impl Stockroom {
    /// How many reservations are ended at once; more are due only after a long pause, and then it goes on right away.
    const EXPIRE_AT_ONCE: u32 = 100;

    /// The service over a store.
    pub fn new(store: StockStore, clock: Clock, counters: Arc<Counters>) -> Self {
        Self { store, clock, counters }
    }

    /// Gives back the goods of all reservations whose time is over; how many that were.
    pub async fn expire_due(&self) -> Result<usize, StoreError> {
        let mut all = 0;
        loop {
            let expired = self.store.expire_due(self.clock.now(), Self::EXPIRE_AT_ONCE).await?;
            (0..expired).for_each(|_| self.counters.reservations.count_at("expired"));
            all += expired;
            if expired < Self::EXPIRE_AT_ONCE as usize {
                return Ok(all);
            }
        }
    }
}

impl StockService for Stockroom {
    async fn get_item(&self, _call: &mut Call, request: GetItemRequestView<'_>) -> Result<Item, Status> {
        let id = ItemId::from_name("name", request.name)?;
        match self.store.item(&id).await? {
            Some(item) => Ok(convert::item(&item)),
            None => Err(status::not_found("stock.v1.Item", request.name)),
        }
    }

    async fn list_items(
        &self,
        _call: &mut Call,
        request: ListItemsRequestView<'_>,
    ) -> Result<ListItemsResponse, Status> {
        const SCOPE: &str = "items";
        let size = PageSize::new("page_size", request.page_size)?;
        let token = PageToken::open("page_token", request.page_token, SCOPE)?;
        // One more than asked for tells whether another page follows.
        let after = token.as_ref().map(|token| token.last.as_str());
        let mut items = self.store.items(after, size.get() + 1).await?;
        let more = items.len() > size.get() as usize;
        items.truncate(size.get() as usize);
        let last = items.last().filter(|_| more).map(|item| PageToken { last: item.id.as_str().to_owned() });
        Ok(ListItemsResponse {
            items: items.iter().map(convert::item).collect(),
            next_page_token: last.map(|token| token.seal(SCOPE)).unwrap_or_default(),
            ..Default::default()
        })
    }

    async fn adjust_item(&self, _call: &mut Call, request: AdjustItemRequestView<'_>) -> Result<Item, Status> {
        let adjustment = Adjustment::new(request.name, request.change, request.reason, request.idempotency_key)?;
        match self.store.adjust(&adjustment, self.clock.now()).await {
            Ok(item) => Ok(convert::item(&item)),
            Err(error) => Err(status::not_adjusted(request.name, error)),
        }
    }

    async fn reserve(&self, _call: &mut Call, request: ReserveRequestView<'_>) -> Result<Reservation, Status> {
        let hold =
            request.hold.as_option().map(|hold| convert::length("hold", hold.seconds, hold.nanos)).transpose()?;
        let lines = request.lines.iter().map(|line| (line.item, line.quantity.into()));
        let new = NewReservation::new(request.reservation_id, lines, hold)?;
        match self.store.reserve(&new, self.clock.now()).await {
            Ok(reservation) => {
                self.counters.reservations.count_at("held");
                Ok(convert::reservation(&reservation))
            }
            Err(error) => {
                if let ReserveError::Short(_) = error {
                    self.counters.reservations.count_at("short");
                }
                Err(status::not_reserved(&new.id, error))
            }
        }
    }

    async fn get_reservation(
        &self,
        _call: &mut Call,
        request: GetReservationRequestView<'_>,
    ) -> Result<Reservation, Status> {
        let id = ReservationId::from_name("name", request.name)?;
        match self.store.reservation(&id).await? {
            Some(reservation) => Ok(convert::reservation(&reservation)),
            None => Err(status::not_found("stock.v1.Reservation", request.name)),
        }
    }

    async fn commit(&self, _call: &mut Call, request: CommitRequestView<'_>) -> Result<Reservation, Status> {
        let id = ReservationId::from_name("name", request.name)?;
        let committed = self.store.commit(&id, self.clock.now()).await;
        let reservation = committed.map_err(|error| status::not_settled(&id, error))?;
        self.counters.reservations.count_at("committed");
        Ok(convert::reservation(&reservation))
    }

    async fn release(&self, _call: &mut Call, request: ReleaseRequestView<'_>) -> Result<Reservation, Status> {
        let id = ReservationId::from_name("name", request.name)?;
        let released = self.store.release(&id, self.clock.now()).await;
        let reservation = released.map_err(|error| status::not_settled(&id, error))?;
        self.counters.reservations.count_at("released");
        Ok(convert::reservation(&reservation))
    }
}
