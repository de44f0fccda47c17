//! Orders and the events that happened to them.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;

use super::database::Database;
use super::sql::{Row, Statement, StatementBuilder, StoreError, Transaction, sql};
use super::stock::{price_of, quantity_of};
use crate::domain::{
    Action, Currency, IdempotencyKey, ItemId, Line, Money, Order, OrderEvent, OrderFilter, OrderId, Refused,
    Settlement, Status, Text, Timestamp,
};

/// Orders' part of a database. Cloning shares it.
///
/// Every change of an order is an event, and events are numbered without gaps in the order in which they are committed. So one
/// transaction changes orders at a time, on both databases: SQLite has it so anyway, and on PostgreSQL the number of the last
/// event is a row which each of them changes first. Within such a transaction an order is as it was read.
#[derive(Debug, Clone)]
pub struct OrderStore {
    database: Database,
    /// The number of the last event that was committed here.
    head: Arc<watch::Sender<i64>>,
}

/// An idempotency key and what it stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The order of this key, made or yet to be made.
    pub order: OrderId,
    /// The request the key was first used for.
    pub fingerprint: String,
}

/// What changes along with an order's status.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Change {
    /// The kitchen that acts. Only the one that accepted an order may go on with it.
    pub kitchen: Option<Text>,
    /// When the kitchen expects the order to be ready; `None` leaves it.
    pub expected_at: Option<Timestamp>,
    /// Why.
    pub reason: Text,
}

/// Why an order could not be changed.
#[derive(Debug)]
pub enum ActError {
    /// There is no such order.
    NotFound,
    /// Its status does not allow it.
    Refused(Refused),
    /// The goods are held no longer, although the order has not been expired yet.
    HoldOver,
    /// Another kitchen has accepted it; its name.
    OtherKitchen(Text),
    /// The database failed.
    Store(StoreError),
}

impl OrderStore {
    /// The orders in a database.
    pub async fn new(database: Database) -> Result<Self, StoreError> {
        let sequence = head(&mut database.read().await?).await?;
        Ok(Self { database, head: Arc::new(watch::Sender::new(sequence)) })
    }

    /// Gives an idempotency key its meaning, or finds the one it has.
    ///
    /// The key is bound to an id before the order exists: a call that is repeated, even while the first is still under way,
    /// works on the same order and the same reservation, and one of them completes it.
    pub async fn claim(&self, key: &IdempotencyKey, claim: Claim, now: Timestamp) -> Result<Claim, StoreError> {
        let mut tx = self.database.write().await?;
        let insert =
            sql("INSERT INTO order_keys (idempotency_key, order_id, fingerprint, created_at) VALUES ($1, $2, $3, $4) \
             ON CONFLICT (idempotency_key) DO NOTHING")
            .bind(key.as_str())
            .bind(claim.order.as_str())
            .bind(claim.fingerprint.as_str())
            .bind(now.micros());
        if tx.run(insert).await? == 1 {
            tx.commit().await?;
            return Ok(claim);
        }
        let find = sql("SELECT order_id, fingerprint FROM order_keys WHERE idempotency_key = $1").bind(key.as_str());
        match tx.row(find).await? {
            Some(row) => {
                Ok(Claim { order: OrderId::stored(row.value("order_id")?), fingerprint: row.value("fingerprint")? })
            }
            None => Err(StoreError::corrupt(format!("the key {} vanished", key.as_str()))),
        }
    }

    /// Writes down a new order; `false` and the order as it is by now if it was written before.
    pub async fn insert(&self, mut order: Order) -> Result<(Order, bool), StoreError> {
        let mut tx = self.database.write().await?;
        order.sequence = next_sequence(&mut tx).await?;
        let insert =
            sql("INSERT INTO orders (order_id, customer, note, total_currency, total_micros, created_at, hold_until, \
             status, kitchen, expected_at, reason, updated_at, sequence) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13) ON CONFLICT (order_id) DO NOTHING")
            .bind(order.id.as_str())
            .bind(order.customer.as_str())
            .bind(order.note.as_str())
            .bind(order.total.currency().as_str())
            .bind(order.total.micros())
            .bind(order.created_at.micros())
            .bind(order.hold_until.micros())
            .bind(order.status.as_str())
            .bind(order.kitchen.as_ref().map(Text::as_str))
            .bind(order.expected_at.map(Timestamp::micros))
            .bind(order.reason.as_str())
            .bind(order.updated_at.micros())
            .bind(order.sequence);
        if tx.run(insert).await? == 0 {
            let existing = one(&mut tx, &order.id).await?;
            return Ok((existing.ok_or_else(|| StoreError::corrupt(format!("{} vanished", order.id)))?, false));
        }
        for (position, line) in order.lines.iter().enumerate() {
            let insert = sql("INSERT INTO order_lines \
                 (order_id, position, item_id, title, quantity, price_currency, price_micros, note) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7, $8)")
            .bind(order.id.as_str())
            .bind(position as i64)
            .bind(line.item.as_str())
            .bind(line.title.as_str())
            .bind(line.quantity.get())
            .bind(line.unit_price.currency().as_str())
            .bind(line.unit_price.micros())
            .bind(line.note.as_str());
            tx.run(insert).await?;
        }
        insert_event(&mut tx, &order, None).await?;
        self.commit(tx, order.sequence).await?;
        Ok((order, true))
    }

    /// Does something to an order, if its status allows it. The order as it is then.
    pub async fn act(
        &self,
        id: &OrderId,
        action: Action,
        change: &Change,
        now: Timestamp,
    ) -> Result<OrderEvent, ActError> {
        let mut tx = self.database.write().await?;
        let sequence = next_sequence(&mut tx).await?;
        let mut order = one(&mut tx, id).await?.ok_or(ActError::NotFound)?;
        let previous = order.status;
        order.status = previous.after(action).map_err(ActError::Refused)?;
        if action == Action::Accept && order.hold_until <= now {
            return Err(ActError::HoldOver);
        }
        if let (Some(ours), Some(theirs)) = (&change.kitchen, &order.kitchen)
            && ours != theirs
        {
            return Err(ActError::OtherKitchen(theirs.clone()));
        }
        order.kitchen = change.kitchen.clone().or(order.kitchen);
        order.expected_at = change.expected_at.or(order.expected_at);
        order.reason = change.reason.clone();
        order.updated_at = now;
        order.sequence = sequence;
        let settlement = if order.status == previous { None } else { Settlement::due_at(order.status) };
        let update = sql("UPDATE orders SET status = $1, kitchen = $2, expected_at = $3, reason = $4, updated_at = $5, sequence = $6, \
             settlement = COALESCE($7, settlement) WHERE order_id = $8")
        .bind(order.status.as_str())
        .bind(order.kitchen.as_ref().map(Text::as_str))
        .bind(order.expected_at.map(Timestamp::micros))
        .bind(order.reason.as_str())
        .bind(now.micros())
        .bind(sequence)
        .bind(settlement.map(Settlement::as_str))
        .bind(id.as_str());
        tx.run(update).await?;
        insert_event(&mut tx, &order, Some(previous)).await?;
        self.commit(tx, sequence).await?;
        Ok(OrderEvent { previous: Some(previous), order })
    }

    /// Crosses out what Stock had to be told about an order's goods.
    pub async fn settled(&self, id: &OrderId, settlement: Settlement) -> Result<(), StoreError> {
        let mut tx = self.database.write().await?;
        let update = sql("UPDATE orders SET settlement = NULL WHERE order_id = $1 AND settlement = $2");
        tx.run(update.bind(id.as_str()).bind(settlement.as_str())).await?;
        tx.commit().await
    }

    /// Forgets idempotency keys from before a moment; how many.
    pub async fn forget_keys(&self, before: Timestamp) -> Result<u64, StoreError> {
        let mut tx = self.database.write().await?;
        let forgotten = tx.run(sql("DELETE FROM order_keys WHERE created_at < $1").bind(before.micros())).await?;
        tx.commit().await?;
        Ok(forgotten)
    }

    /// Finds an order.
    pub async fn order(&self, id: &OrderId) -> Result<Option<Order>, StoreError> {
        one(&mut self.database.read().await?, id).await
    }

    /// Orders which pass a filter, the newest first, beginning after one; and the number of the last event they show.
    pub async fn orders(
        &self,
        filter: &OrderFilter,
        after: Option<&str>,
        count_max: u32,
    ) -> Result<(Vec<Order>, i64), StoreError> {
        let mut tx = self.database.read().await?;
        let sequence = head(&mut tx).await?;
        let mut list = StatementBuilder::new(SELECT_ORDERS);
        list.push(" WHERE 1 = 1");
        if let Some(after) = after {
            list.push(" AND order_id < ").push_value(after);
        }
        if !filter.statuses.is_empty() {
            list.push(" AND status IN ").push_list(filter.statuses.iter().map(|status| status.as_str()));
        }
        if let Some(customer) = &filter.customer {
            list.push(" AND customer = ").push_value(customer.as_str());
        }
        if let Some(from) = filter.created_from {
            list.push(" AND created_at >= ").push_value(from.micros());
        }
        if let Some(until) = filter.created_until {
            list.push(" AND created_at < ").push_value(until.micros());
        }
        list.push(" ORDER BY order_id DESC LIMIT ").push_value(count_max);
        Ok((many(&mut tx, list.build()).await?, sequence))
    }

    /// Orders that no kitchen has accepted and whose goods are still held, the oldest first.
    pub async fn waiting(&self, now: Timestamp, count_max: u32) -> Result<Vec<Order>, StoreError> {
        let mut list = StatementBuilder::new(SELECT_ORDERS);
        list.push(" WHERE status = 'confirmed' AND hold_until > ").push_value(now.micros());
        list.push(" ORDER BY order_id LIMIT ").push_value(count_max);
        many(&mut self.database.read().await?, list.build()).await
    }

    /// How many orders wait for a kitchen.
    pub async fn waiting_count(&self, now: Timestamp) -> Result<i64, StoreError> {
        let count = sql("SELECT COUNT(*) AS count FROM orders WHERE status = 'confirmed' AND hold_until > $1")
            .bind(now.micros());
        match self.database.read().await?.row(count).await? {
            Some(row) => row.value("count"),
            None => Ok(0),
        }
    }

    /// Orders that a kitchen has accepted and not finished, the oldest first.
    pub async fn in_kitchen(&self, kitchen: &Text, count_max: u32) -> Result<Vec<Order>, StoreError> {
        let mut list = StatementBuilder::new(SELECT_ORDERS);
        list.push(" WHERE status = 'preparing' AND kitchen = ").push_value(kitchen.as_str());
        list.push(" ORDER BY order_id LIMIT ").push_value(count_max);
        many(&mut self.database.read().await?, list.build()).await
    }

    /// Orders that no kitchen accepted in time, the longest overdue first.
    pub async fn overdue(&self, now: Timestamp, count_max: u32) -> Result<Vec<OrderId>, StoreError> {
        let list = sql(
            "SELECT order_id FROM orders WHERE status = 'confirmed' AND hold_until <= $1 ORDER BY hold_until LIMIT $2",
        );
        let rows = self.database.read().await?.rows(list.bind(now.micros()).bind(count_max)).await?;
        rows.iter().map(|row| Ok(OrderId::stored(row.value("order_id")?))).collect()
    }

    /// What Stock has still to be told, the oldest first.
    pub async fn unsettled(&self, count_max: u32) -> Result<Vec<(OrderId, Settlement)>, StoreError> {
        let list =
            sql("SELECT order_id, settlement FROM orders WHERE settlement IS NOT NULL ORDER BY order_id LIMIT $1");
        let rows = self.database.read().await?.rows(list.bind(count_max)).await?;
        let entry =
            |row: &Row| Ok((OrderId::stored(row.value("order_id")?), row.parsed("settlement", Settlement::parse)?));
        rows.iter().map(entry).collect()
    }

    /// Events with a greater number than `after`, in their order; of one order or of all.
    pub async fn events(
        &self,
        of: Option<&OrderId>,
        after: i64,
        count_max: u32,
    ) -> Result<Vec<OrderEvent>, StoreError> {
        let mut list = StatementBuilder::new(SELECT_EVENTS);
        list.push(" WHERE e.sequence > ").push_value(after);
        if let Some(order) = of {
            list.push(" AND e.order_id = ").push_value(order.as_str());
        }
        list.push(" ORDER BY e.sequence LIMIT ").push_value(count_max);
        let mut tx = self.database.read().await?;
        let rows = tx.rows(list.build()).await?;
        let lines = lines_of(&mut tx, &rows).await?;
        rows.iter()
            .map(|row| {
                let previous: Option<String> = row.value("previous_status")?;
                Ok(OrderEvent { previous: previous.as_deref().and_then(Status::parse), order: order_of(row, &lines)? })
            })
            .collect()
    }

    /// The number of the last event that is known here. [`OrderStore::refresh`] asks the database.
    pub fn head(&self) -> i64 {
        *self.head.borrow()
    }

    /// Tells when [`OrderStore::head`] grows.
    pub fn watch_head(&self) -> watch::Receiver<i64> {
        self.head.subscribe()
    }

    /// Learns of events that another process has written into the same database.
    pub async fn refresh(&self) -> Result<i64, StoreError> {
        let sequence = head(&mut self.database.read().await?).await?;
        self.announce(sequence);
        Ok(sequence)
    }

    async fn commit(&self, tx: Transaction, sequence: i64) -> Result<(), StoreError> {
        tx.commit().await?;
        self.announce(sequence);
        Ok(())
    }

    fn announce(&self, sequence: i64) {
        self.head.send_if_modified(|head| {
            let grows = sequence > *head;
            *head = sequence.max(*head);
            grows
        });
    }
}

const SELECT_ORDERS: &str = "SELECT order_id, customer, note, total_currency, total_micros, created_at, hold_until, \
     status, kitchen, expected_at, reason, updated_at, sequence FROM orders";

/// What never changes comes from the order, the rest from the event.
const SELECT_EVENTS: &str = "SELECT o.order_id, o.customer, o.note, o.total_currency, o.total_micros, o.created_at, o.hold_until, \
     e.status, e.kitchen, e.expected_at, e.reason, e.at AS updated_at, e.sequence, e.previous_status \
     FROM order_events e JOIN orders o ON o.order_id = e.order_id";

async fn head(tx: &mut Transaction) -> Result<i64, StoreError> {
    match tx.row(sql("SELECT sequence FROM order_event_head")).await? {
        Some(row) => row.value("sequence"),
        None => Err(StoreError::corrupt("order_event_head is empty".to_owned())),
    }
}

async fn next_sequence(tx: &mut Transaction) -> Result<i64, StoreError> {
    match tx.row(sql("UPDATE order_event_head SET sequence = sequence + 1 RETURNING sequence")).await? {
        Some(row) => row.value("sequence"),
        None => Err(StoreError::corrupt("order_event_head is empty".to_owned())),
    }
}

async fn insert_event(tx: &mut Transaction, order: &Order, previous: Option<Status>) -> Result<(), StoreError> {
    let insert = sql(
        "INSERT INTO order_events (sequence, order_id, at, previous_status, status, kitchen, expected_at, reason) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
    )
    .bind(order.sequence)
    .bind(order.id.as_str())
    .bind(order.updated_at.micros())
    .bind(previous.map(Status::as_str))
    .bind(order.status.as_str())
    .bind(order.kitchen.as_ref().map(Text::as_str))
    .bind(order.expected_at.map(Timestamp::micros))
    .bind(order.reason.as_str());
    tx.run(insert).await.map(drop)
}

async fn one(tx: &mut Transaction, id: &OrderId) -> Result<Option<Order>, StoreError> {
    let mut find = StatementBuilder::new(SELECT_ORDERS);
    find.push(" WHERE order_id = ").push_value(id.as_str());
    Ok(many(tx, find.build()).await?.pop())
}

async fn many(tx: &mut Transaction, list: Statement) -> Result<Vec<Order>, StoreError> {
    let rows = tx.rows(list).await?;
    let lines = lines_of(tx, &rows).await?;
    rows.iter().map(|row| order_of(row, &lines)).collect()
}

/// The lines of all orders that some rows name, in one go.
async fn lines_of(tx: &mut Transaction, rows: &[Row]) -> Result<HashMap<String, Vec<Line>>, StoreError> {
    let mut ids: Vec<String> = rows.iter().map(|row| row.value("order_id")).collect::<Result<_, _>>()?;
    ids.sort_unstable();
    ids.dedup();
    let mut lines: HashMap<String, Vec<Line>> = HashMap::with_capacity(ids.len());
    if ids.is_empty() {
        return Ok(lines);
    }
    let mut list = StatementBuilder::new(
        "SELECT order_id, item_id, title, quantity, price_currency, price_micros, note FROM order_lines WHERE order_id IN ",
    );
    list.push_list(ids.iter().map(String::as_str)).push(" ORDER BY order_id, position");
    for row in tx.rows(list.build()).await? {
        lines.entry(row.value("order_id")?).or_default().push(Line {
            item: ItemId::stored(row.value("item_id")?),
            title: row.value("title")?,
            quantity: quantity_of(&row)?,
            unit_price: price_of(&row)?,
            note: Text::stored(row.value("note")?),
        });
    }
    Ok(lines)
}

fn order_of(row: &Row, lines: &HashMap<String, Vec<Line>>) -> Result<Order, StoreError> {
    let id: String = row.value("order_id")?;
    let currency = row.parsed("total_currency", |code| Currency::new(code).ok())?;
    Ok(Order {
        customer: Text::stored(row.value("customer")?),
        status: row.parsed("status", Status::parse)?,
        lines: lines.get(&id).cloned().unwrap_or_default(),
        total: Money::from_micros(currency, row.value("total_micros")?),
        note: Text::stored(row.value("note")?),
        created_at: Timestamp::from_micros(row.value("created_at")?),
        updated_at: Timestamp::from_micros(row.value("updated_at")?),
        hold_until: Timestamp::from_micros(row.value("hold_until")?),
        kitchen: row.value::<Option<String>>("kitchen")?.map(Text::stored),
        expected_at: row.value::<Option<i64>>("expected_at")?.map(Timestamp::from_micros),
        reason: Text::stored(row.value("reason")?),
        sequence: row.value("sequence")?,
        id: OrderId::stored(id),
    })
}

impl From<StoreError> for ActError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}
