//! The service Orders.

use std::sync::Arc;
use std::time::Duration;

use polywire::{Call, Receiver, Sender, Status};

use super::stock_calls::StockCalls;
use super::{convert, status};
use crate::clock::Clock;
use crate::counters::Counters;
use crate::domain::{self, Action, NewOrder, OrderId, PageSize, PageToken, Text, Timestamp};
use crate::feed::Feed;
use crate::proto::orders::v1::{
    CancelOrderRequestView, CompleteOrderRequestView, CreateOrderRequest, CreateOrderRequestView, GetOrderRequestView,
    ImportSummary, KitchenReply, KitchenRequest, ListOrdersRequestView, ListOrdersResponse, Order, OrderEvent,
    OrdersService, WatchAllOrdersRequestView, WatchOrderRequestView,
};
use crate::store::{ActError, Change, OrderStore};

/// Answers the calls of the service Orders.
#[derive(Debug, Clone)]
pub struct Shop {
    pub(super) store: OrderStore,
    pub(super) stock: StockCalls,
    pub(super) feed: Feed,
    pub(super) clock: Clock,
    pub(super) counters: Arc<Counters>,
    pub(super) settings: ShopSettings,
}

/// What a shop may decide for itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShopSettings {
    /// How long an order waits for a kitchen before it expires.
    pub hold: Duration,
    /// How much longer Stock holds the goods: time to tell it that a kitchen has accepted in the last moment, even if Stock
    /// is out of reach right then or its clock is a little ahead.
    pub hold_margin: Duration,
    /// For how long an idempotency key keeps its meaning.
    pub keys_kept: Duration,
}

impl Default for ShopSettings {
    fn default() -> Self {
        Self {
            hold: Duration::from_secs(15 * 60),
            hold_margin: Duration::from_secs(60),
            keys_kept: Duration::from_secs(48 * 60 * 60),
        }
    }
}

impl Shop {
    /// The service over a store, with Stock at the end of a channel.
    pub fn new(
        store: OrderStore,
        stock: StockCalls,
        feed: Feed,
        clock: Clock,
        counters: Arc<Counters>,
        settings: ShopSettings,
    ) -> Self {
        Self { store, stock, feed, clock, counters, settings }
    }

    /// Does something to an order: the change, its counting, and what follows from it for the goods.
    ///
    /// The goods are settled at once if Stock answers, and otherwise by [`Shop::settle_all`] later.
    pub(super) async fn act(
        &self,
        id: &OrderId,
        action: Action,
        change: &Change,
        now: Timestamp,
    ) -> Result<domain::Order, ActError> {
        let event = self.store.act(id, action, change, now).await.inspect_err(|error| {
            if let ActError::Refused(refused) = error {
                self.counters.actions_refused.count_at(refused.status.as_str());
            }
        })?;
        let order = event.order;
        self.counters.order_events.count_at(order.status.as_str());
        tracing::info!(order = %order.id, status = %order.status, sequence = order.sequence, "order changed");
        if event.previous != Some(order.status)
            && let Some(settlement) = domain::Settlement::due_at(order.status)
        {
            self.settle(id, settlement).await;
        }
        Ok(order)
    }

    /// As [`Shop::act`], and no error if the order has come to where the action leads before: whoever did not see the first
    /// answer may ask again.
    async fn act_once(&self, id: &OrderId, action: Action, change: &Change) -> Result<Order, Status> {
        match self.act(id, action, change, self.clock.now()).await {
            Ok(order) => Ok(convert::order(&order)),
            Err(ActError::Refused(refused)) if action.leads_to() == Some(refused.status) => {
                self.find(id).await.map(|order| convert::order(&order))
            }
            Err(error) => Err(status::not_acted(id, error)),
        }
    }

    pub(super) async fn find(&self, id: &OrderId) -> Result<domain::Order, Status> {
        self.store.order(id).await?.ok_or_else(|| status::not_found("orders.v1.Order", &id.name()))
    }
}

impl OrdersService for Shop {
    async fn create(&self, _call: &mut Call, request: CreateOrderRequestView<'_>) -> Result<Order, Status> {
        let lines = request.lines.iter().map(|line| (line.item, line.quantity.into(), line.note));
        let new = NewOrder::new(request.customer, lines, request.note, request.idempotency_key)?;
        self.place(new).await.map(|placed| convert::order(&placed.order))
    }

    async fn get(&self, _call: &mut Call, request: GetOrderRequestView<'_>) -> Result<Order, Status> {
        let order = self.find(&OrderId::from_name("name", request.name)?).await?;
        Ok(convert::order(&order))
    }

    async fn list(&self, _call: &mut Call, request: ListOrdersRequestView<'_>) -> Result<ListOrdersResponse, Status> {
        let filter = convert::filter(&request.filter)?;
        let scope = filter.scope();
        let size = PageSize::new("page_size", request.page_size)?;
        let token = PageToken::open("page_token", request.page_token, &scope)?;
        let after = token.as_ref().map(|token| token.last.as_str());
        // One more than asked for tells whether another page follows.
        let (mut orders, sequence) = self.store.orders(&filter, after, size.get() + 1).await?;
        let more = orders.len() > size.get() as usize;
        orders.truncate(size.get() as usize);
        let last = orders.last().filter(|_| more).map(|order| PageToken { last: order.id.as_str().to_owned() });
        Ok(ListOrdersResponse {
            orders: orders.iter().map(convert::order).collect(),
            next_page_token: last.map(|token| token.seal(&scope)).unwrap_or_default(),
            sequence,
            ..Default::default()
        })
    }

    async fn cancel(&self, _call: &mut Call, request: CancelOrderRequestView<'_>) -> Result<Order, Status> {
        let id = OrderId::from_name("name", request.name)?;
        let reason = Text::new("reason", request.reason, 200)?;
        self.act_once(&id, Action::Cancel, &Change { reason, ..Change::default() }).await
    }

    async fn complete(&self, _call: &mut Call, request: CompleteOrderRequestView<'_>) -> Result<Order, Status> {
        let id = OrderId::from_name("name", request.name)?;
        self.act_once(&id, Action::HandOver, &Change::default()).await
    }

    async fn watch(
        &self,
        call: &mut Call,
        request: WatchOrderRequestView<'_>,
        responses: Sender<OrderEvent>,
    ) -> Result<(), Status> {
        let id = OrderId::from_name("name", request.name)?;
        let after = Self::go_on(call, request.after_sequence)?;
        self.watch_one(id, after, responses).await
    }

    async fn watch_all(
        &self,
        call: &mut Call,
        request: WatchAllOrdersRequestView<'_>,
        responses: Sender<OrderEvent>,
    ) -> Result<(), Status> {
        let filter = convert::filter(&request.filter)?;
        let after = Self::go_on(call, request.after_sequence)?;
        self.watch_many(call, filter, after, responses).await
    }

    async fn import(&self, _call: &mut Call, requests: Receiver<CreateOrderRequest>) -> Result<ImportSummary, Status> {
        self.import_lines(requests).await
    }

    async fn kitchen(
        &self,
        _call: &mut Call,
        requests: Receiver<KitchenRequest>,
        responses: Sender<KitchenReply>,
    ) -> Result<(), Status> {
        self.talk_to_kitchen(requests, responses).await
    }
}
