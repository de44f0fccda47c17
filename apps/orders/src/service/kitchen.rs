//! The conversation with a kitchen.

use std::collections::BTreeSet;
use std::time::Duration;

use polywire::{Receiver, Sender, Status};

use super::shop::Shop;
use super::{convert, status};
use crate::domain::{self, Action, Invalid, Order, OrderEvent, OrderId, Text};
use crate::proto::orders::v1::kitchen_request::Said;
use crate::proto::orders::v1::{
    KitchenAccepted, KitchenAnnounce, KitchenDelayed, KitchenNoted, KitchenRecall, KitchenRefusal, KitchenReply,
    KitchenRequest, KitchenWelcome, kitchen_recall, kitchen_reply,
};
use crate::store::{ActError, Change};

/// Tickets that are open at once if the kitchen says nothing.
const TICKETS_OPEN_DEFAULT: u32 = 8;

/// The most tickets that are open at once.
const TICKETS_OPEN_MAX: u32 = 100;

/// When an order is ready if the kitchen says nothing.
const READY_IN_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// The latest an order may be promised for.
const READY_IN_MAX: Duration = Duration::from_secs(24 * 60 * 60);

impl Shop {
    /// Talks to a kitchen until it hangs up.
    ///
    /// Nothing about a conversation is kept anywhere but here and in the orders: a kitchen that is cut off comes back and goes
    /// on, to the same process or another one.
    pub(super) async fn talk_to_kitchen(
        &self,
        mut requests: Receiver<KitchenRequest>,
        replies: Sender<KitchenReply>,
    ) -> Result<(), Status> {
        let Some(KitchenRequest { said: Some(Said::Announce(announce)), .. }) = requests.next().await? else {
            return Err(Invalid::field("said", "a kitchen must announce itself first").into());
        };
        // Listen before looking: what happens in between is then seen twice rather than never.
        let mut follower = self.feed.follow(None, self.store.refresh().await?)?;
        let _kitchen = self.counters.kitchens.while_alive();
        let mut conversation = Conversation::begin(self, &announce, replies).await?;
        tracing::info!(kitchen = %conversation.kitchen, "kitchen connected");
        loop {
            tokio::select! {
                request = requests.next() => match request? {
                    Some(request) => conversation.hear(request).await?,
                    None => return Ok(()),
                },
                event = follower.next() => match event? {
                    Some(event) => conversation.see(&event).await?,
                    None => return Err(status::unavailable("the server is about to end; come back")),
                },
            }
        }
    }

    /// The kitchen needs longer.
    async fn delayed(&self, kitchen: &Text, delayed: KitchenDelayed) -> (String, Result<Order, Status>) {
        let ready_in = ready_in_of("delayed.ready_in", delayed.ready_in.seconds, delayed.ready_in.nanos);
        let reason = Text::new("delayed.reason", &delayed.reason, 200);
        let result = match (ready_in, reason) {
            (Ok(ready_in), Ok(reason)) => {
                self.report(kitchen, &delayed.order, Action::Delay, Some(ready_in), reason).await
            }
            (Err(invalid), _) | (_, Err(invalid)) => Err(invalid.into()),
        };
        (delayed.order, result)
    }

    /// Makes a report true. Repeating one that was noted is no error.
    async fn report(
        &self,
        kitchen: &Text,
        order: &str,
        action: Action,
        ready_in: Option<Duration>,
        reason: Text,
    ) -> Result<Order, Status> {
        let id = OrderId::from_name("order", order)?;
        let now = self.clock.now();
        let expected_at = ready_in.map(|ready_in| now.plus(ready_in));
        let change = Change { kitchen: Some(kitchen.clone()), expected_at, reason };
        match self.act(&id, action, &change, now).await {
            Ok(order) => Ok(order),
            Err(ActError::Refused(refused)) if action.leads_to() == Some(refused.status) => {
                let order = self.find(&id).await?;
                if order.kitchen.as_ref() == Some(kitchen) {
                    Ok(order)
                } else {
                    Err(status::not_acted(&id, ActError::Refused(refused)))
                }
            }
            Err(error) => Err(status::not_acted(&id, error)),
        }
    }
}

/// One kitchen at the other end of a call.
struct Conversation<'a> {
    shop: &'a Shop,
    kitchen: Text,
    replies: Sender<KitchenReply>,
    /// Tickets it has been sent, and has neither accepted nor been told to throw away.
    open: BTreeSet<OrderId>,
    open_max: u32,
}

impl<'a> Conversation<'a> {
    async fn begin(shop: &'a Shop, announce: &KitchenAnnounce, replies: Sender<KitchenReply>) -> Result<Self, Status> {
        let kitchen = Text::required("announce.kitchen", &announce.kitchen, 64)?;
        let open_max = match u32::try_from(announce.tickets_open_max) {
            Ok(0) => TICKETS_OPEN_DEFAULT,
            Ok(max) => max.min(TICKETS_OPEN_MAX),
            Err(_) => return Err(Invalid::field("announce.tickets_open_max", "must not be negative").into()),
        };
        let mut conversation = Self { shop, kitchen, replies, open: BTreeSet::new(), open_max };
        conversation.welcome().await?;
        conversation.send_tickets().await?;
        Ok(conversation)
    }

    /// Greets the kitchen and reminds it of what it has not finished.
    async fn welcome(&mut self) -> Result<(), Status> {
        let waiting = self.shop.store.waiting_count(self.shop.clock.now()).await?;
        let welcome = KitchenWelcome {
            kitchen: self.kitchen.to_string(),
            tickets_open_max: i32::try_from(self.open_max).unwrap_or(i32::MAX),
            waiting: i32::try_from(waiting).unwrap_or(i32::MAX),
            ..Default::default()
        };
        self.say(welcome).await?;
        for order in self.shop.store.in_kitchen(&self.kitchen, TICKETS_OPEN_MAX).await? {
            self.say(convert::ticket(&order, true)).await?;
        }
        Ok(())
    }

    /// Fills the kitchen's board with the orders that have waited longest.
    async fn send_tickets(&mut self) -> Result<(), Status> {
        if self.open.len() >= self.open_max as usize {
            return Ok(());
        }
        // Open ones wait as well, so among so many there are as many others as there is room for.
        let waiting = self.shop.store.waiting(self.shop.clock.now(), self.open_max).await?;
        for order in waiting {
            if self.open.len() < self.open_max as usize && self.open.insert(order.id.clone()) {
                self.say(convert::ticket(&order, false)).await?;
                self.shop.counters.tickets.count();
            }
        }
        Ok(())
    }

    /// Something happened to an order.
    async fn see(&mut self, event: &OrderEvent) -> Result<(), Status> {
        let order = &event.order;
        if order.status == domain::Status::Confirmed {
            return self.send_tickets().await;
        }
        if !self.open.remove(&order.id) {
            return Ok(());
        }
        let cause = match order.status {
            domain::Status::Cancelled => kitchen_recall::Cause::CANCELLED,
            domain::Status::Expired => kitchen_recall::Cause::EXPIRED,
            _ => kitchen_recall::Cause::TAKEN,
        };
        self.say(KitchenRecall { order: order.id.name(), cause: cause.into(), ..Default::default() }).await?;
        self.send_tickets().await
    }

    /// The kitchen said something.
    async fn hear(&mut self, request: KitchenRequest) -> Result<(), Status> {
        let (order, result) = match request.said {
            Some(Said::Accepted(accepted)) => self.accepted(*accepted).await,
            Some(Said::Ready(ready)) => {
                let result = self.shop.report(&self.kitchen, &ready.order, Action::Finish, None, Text::default()).await;
                (ready.order, result)
            }
            Some(Said::Delayed(delayed)) => self.shop.delayed(&self.kitchen, *delayed).await,
            Some(Said::Announce(_)) => (String::new(), Err(Invalid::field("said", "announced already").into())),
            None => (String::new(), Err(Invalid::field("said", "nothing that is known here").into())),
        };
        match result {
            Ok(noted) => {
                let noted = KitchenNoted { order: noted.id.name(), sequence: noted.sequence, ..Default::default() };
                self.say(noted).await?;
                self.send_tickets().await
            }
            Err(error) => {
                let (code, message) = (error.code() as i32, error.message().to_owned());
                self.say(KitchenRefusal { order, code, message, ..Default::default() }).await
            }
        }
    }

    async fn accepted(&mut self, accepted: KitchenAccepted) -> (String, Result<Order, Status>) {
        let ready_in = accepted.ready_in.as_option().map(|length| (length.seconds, length.nanos));
        let ready_in =
            ready_in.map_or(Ok(READY_IN_DEFAULT), |(seconds, nanos)| ready_in_of("accepted.ready_in", seconds, nanos));
        let result = match ready_in {
            Ok(ready_in) => {
                self.shop.report(&self.kitchen, &accepted.order, Action::Accept, Some(ready_in), Text::default()).await
            }
            Err(invalid) => Err(invalid.into()),
        };
        if let Ok(order) = &result {
            self.open.remove(&order.id);
        }
        (accepted.order, result)
    }

    async fn say(&mut self, said: impl Into<kitchen_reply::Said>) -> Result<(), Status> {
        self.replies.send(KitchenReply { said: Some(said.into()), ..Default::default() }).await
    }
}

fn ready_in_of(field: &str, seconds: i64, nanos: i32) -> Result<Duration, Invalid> {
    let ready_in = convert::length(field, seconds, nanos)?;
    if ready_in > READY_IN_MAX { Err(Invalid::field(field, "at most 24 hours")) } else { Ok(ready_in) }
}
