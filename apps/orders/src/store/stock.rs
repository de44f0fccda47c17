//! The goods: items, adjustments, reservations.

use super::database::Database;
use super::sql::{Row, StoreError, Transaction, sql};
use crate::domain::{
    Adjustment, Currency, Item, ItemId, Money, NewReservation, Quantity, Reservation, ReservationId, ReservationLine,
    ReservationState, Shortage, Timestamp,
};

/// Stock's part of a database. Cloning shares it.
///
/// Nothing is oversold, however many reserve at once: a reservation adds to `reserved` with the condition that enough is
/// left in the same statement, so the database decides between two who want the last piece. Items are always changed in the
/// order of their ids, so two transactions never wait for each other in a circle.
#[derive(Debug, Clone)]
pub struct StockStore {
    database: Database,
}

/// Why goods could not be reserved.
#[derive(Debug)]
pub enum ReserveError {
    /// There is not enough; every line that is short.
    Short(Vec<Shortage>),
    /// The id belongs to a reservation of other goods.
    IdReused,
    /// The reservation of this id was released; it does not come back.
    Released,
    /// The database failed.
    Store(StoreError),
}

/// Why a reservation could not be committed or released.
#[derive(Debug)]
pub enum SettleError {
    /// There is no such reservation.
    NotFound,
    /// It has come to this state before.
    Settled(ReservationState),
    /// The database failed.
    Store(StoreError),
}

/// Why a shelf could not be adjusted.
#[derive(Debug)]
pub enum AdjustError {
    /// There is no such item.
    NotFound,
    /// Fewer would be left than are reserved; the item as it is.
    Reserved(Box<Item>),
    /// The idempotency key was used for another adjustment.
    KeyReused,
    /// The database failed.
    Store(StoreError),
}

impl StockStore {
    /// The goods in a database.
    pub fn new(database: Database) -> Self {
        Self { database }
    }

    /// Puts items on the shelf which the shop does not know yet; how many that were. Others stay as they are.
    pub async fn stock(&self, items: &[Item]) -> Result<usize, StoreError> {
        let mut tx = self.database.write().await?;
        let mut new = 0;
        for item in items {
            let insert = sql(
                "INSERT INTO stock_items (item_id, title, price_currency, price_micros, on_hand, reserved, updated_at) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (item_id) DO NOTHING",
            )
            .bind(item.id.as_str())
            .bind(item.title.as_str())
            .bind(item.unit_price.currency().as_str())
            .bind(item.unit_price.micros())
            .bind(item.on_hand)
            .bind(item.reserved)
            .bind(item.updated_at.micros());
            new += usize::from(tx.run(insert).await? == 1);
        }
        tx.commit().await?;
        Ok(new)
    }

    /// Changes how many of an item are on the shelf. With a key, the same adjustment again changes nothing more.
    pub async fn adjust(&self, adjustment: &Adjustment, now: Timestamp) -> Result<Item, AdjustError> {
        let mut tx = self.database.write().await?;
        let Some(item) = item(&mut tx, &adjustment.item).await? else {
            return Err(AdjustError::NotFound);
        };
        if let Some(key) = &adjustment.key {
            let note = sql("INSERT INTO stock_adjustments (idempotency_key, item_id, change, reason, created_at) \
                 VALUES ($1, $2, $3, $4, $5) ON CONFLICT (idempotency_key) DO NOTHING")
            .bind(key.as_str())
            .bind(adjustment.item.as_str())
            .bind(adjustment.change)
            .bind(adjustment.reason.as_str())
            .bind(now.micros());
            if tx.run(note).await? == 0 {
                let same = sql("SELECT 1 AS one FROM stock_adjustments \
                     WHERE idempotency_key = $1 AND item_id = $2 AND change = $3 AND reason = $4")
                .bind(key.as_str())
                .bind(adjustment.item.as_str())
                .bind(adjustment.change)
                .bind(adjustment.reason.as_str());
                if tx.row(same).await?.is_none() {
                    return Err(AdjustError::KeyReused);
                }
                // Read again: in PostgreSQL we may have waited for the first of the two calls.
                return self::item(&mut tx, &adjustment.item).await?.ok_or(AdjustError::NotFound);
            }
        }
        let change = sql("UPDATE stock_items SET on_hand = on_hand + $1, updated_at = $2 \
             WHERE item_id = $3 AND on_hand + $1 >= reserved \
             RETURNING item_id, title, price_currency, price_micros, on_hand, reserved, updated_at")
        .bind(adjustment.change)
        .bind(now.micros())
        .bind(adjustment.item.as_str());
        let Some(row) = tx.row(change).await? else {
            return Err(AdjustError::Reserved(Box::new(item)));
        };
        let item = item_of(&row)?;
        tx.commit().await?;
        Ok(item)
    }

    /// Sets goods aside, all or none. The same reservation again gives what the first gave; if it has expired meanwhile, it is
    /// tried anew.
    pub async fn reserve(&self, new: &NewReservation, now: Timestamp) -> Result<Reservation, ReserveError> {
        let mut tx = self.database.write().await?;
        let expires_at = now.plus(new.hold);
        let insert = sql("INSERT INTO stock_reservations (reservation_id, state, created_at, expires_at) \
             VALUES ($1, 'held', $2, $3) ON CONFLICT (reservation_id) DO NOTHING")
        .bind(new.id.as_str())
        .bind(now.micros())
        .bind(expires_at.micros());
        if tx.run(insert).await? == 0 {
            // Somebody had this id before; in PostgreSQL we have waited for their transaction to end. Was it us?
            let Some(mut existing) = reservation(&mut tx, &new.id).await? else {
                return Err(StoreError::corrupt(format!("{} vanished", new.id)).into());
            };
            let same_goods = existing.lines.len() == new.lines.len()
                && existing.lines.iter().zip(&new.lines).all(|(old, new)| (&old.item, old.quantity) == (&new.0, new.1));
            if !same_goods {
                return Err(ReserveError::IdReused);
            }
            if expire(&mut tx, &existing, now).await? {
                existing.state = ReservationState::Expired;
            }
            match existing.state {
                ReservationState::Held | ReservationState::Committed => return Ok(existing),
                ReservationState::Released => return Err(ReserveError::Released),
                ReservationState::Expired => {
                    if !turn(&mut tx, &new.id, ReservationState::Expired, ReservationState::Held).await? {
                        // Revived by somebody else between our looking and our asking.
                        return reservation(&mut tx, &new.id)
                            .await?
                            .ok_or_else(|| StoreError::corrupt(format!("{} vanished", new.id)).into());
                    }
                    let renew =
                        sql("UPDATE stock_reservations SET created_at = $1, expires_at = $2 WHERE reservation_id = $3")
                            .bind(now.micros())
                            .bind(expires_at.micros())
                            .bind(new.id.as_str());
                    tx.run(renew).await?;
                    tx.run(sql("DELETE FROM stock_reservation_lines WHERE reservation_id = $1").bind(new.id.as_str()))
                        .await?;
                }
            }
        }
        let lines = take(&mut tx, new, now).await?;
        for (position, line) in lines.iter().enumerate() {
            let insert = sql("INSERT INTO stock_reservation_lines \
                 (reservation_id, position, item_id, quantity, title, price_currency, price_micros) \
                 VALUES ($1, $2, $3, $4, $5, $6, $7)")
            .bind(new.id.as_str())
            .bind(position as i64)
            .bind(line.item.as_str())
            .bind(line.quantity.get())
            .bind(line.title.as_str())
            .bind(line.unit_price.currency().as_str())
            .bind(line.unit_price.micros());
            tx.run(insert).await?;
        }
        tx.commit().await?;
        Ok(Reservation { id: new.id.clone(), state: ReservationState::Held, lines, created_at: now, expires_at })
    }

    /// Takes reserved goods off the shelf. Again, it changes nothing more.
    pub async fn commit(&self, id: &ReservationId, now: Timestamp) -> Result<Reservation, SettleError> {
        let mut tx = self.database.write().await?;
        let Some(mut reserved) = reservation(&mut tx, id).await? else {
            return Err(SettleError::NotFound);
        };
        let turned =
            reserved.expires_at > now && turn(&mut tx, id, ReservationState::Held, ReservationState::Committed).await?;
        if turned {
            for line in in_order(&reserved.lines) {
                let change =
                    sql("UPDATE stock_items SET on_hand = on_hand - $1, reserved = reserved - $1, updated_at = $2 \
                     WHERE item_id = $3")
                    .bind(line.quantity.get())
                    .bind(now.micros())
                    .bind(line.item.as_str());
                tx.run(change).await?;
            }
            tx.commit().await?;
            reserved.state = ReservationState::Committed;
            return Ok(reserved);
        }
        let expired = expire(&mut tx, &reserved, now).await?;
        let state = if expired { ReservationState::Expired } else { state(&mut tx, id).await? };
        tx.commit().await?;
        match state {
            ReservationState::Committed => Ok(Reservation { state, ..reserved }),
            state => Err(SettleError::Settled(state)),
        }
    }

    /// Gives reserved goods back. Again, or after they expired, it changes nothing.
    pub async fn release(&self, id: &ReservationId, now: Timestamp) -> Result<Reservation, SettleError> {
        let mut tx = self.database.write().await?;
        let Some(mut reserved) = reservation(&mut tx, id).await? else {
            return Err(SettleError::NotFound);
        };
        if turn(&mut tx, id, ReservationState::Held, ReservationState::Released).await? {
            give_back(&mut tx, &reserved, now).await?;
            reserved.state = ReservationState::Released;
        } else {
            // An expired one becomes released, so that a late Reserve of the same id does not revive it.
            turn(&mut tx, id, ReservationState::Expired, ReservationState::Released).await?;
            reserved.state = state(&mut tx, id).await?;
        }
        tx.commit().await?;
        match reserved.state {
            ReservationState::Released => Ok(reserved),
            state => Err(SettleError::Settled(state)),
        }
    }

    /// Gives back what nobody came for until `now`, at most `count_max` reservations; how many that were.
    ///
    /// When this runs decides when the goods are available again, not whether a late commit succeeds: that is exact.
    pub async fn expire_due(&self, now: Timestamp, count_max: u32) -> Result<usize, StoreError> {
        let due = sql("SELECT reservation_id FROM stock_reservations WHERE state = 'held' AND expires_at <= $1 \
             ORDER BY expires_at LIMIT $2")
        .bind(now.micros())
        .bind(count_max);
        let due = self.database.read().await?.rows(due).await?;
        let mut expired = 0;
        for row in &due {
            let id = ReservationId::stored(row.value("reservation_id")?);
            let mut tx = self.database.write().await?;
            if let Some(reserved) = reservation(&mut tx, &id).await? {
                expired += usize::from(expire(&mut tx, &reserved, now).await?);
            }
            tx.commit().await?;
        }
        Ok(expired)
    }

    /// Finds an item.
    pub async fn item(&self, id: &ItemId) -> Result<Option<Item>, StoreError> {
        item(&mut self.database.read().await?, id).await
    }

    /// Items in the order of their ids, beginning after one.
    pub async fn items(&self, after: Option<&str>, count_max: u32) -> Result<Vec<Item>, StoreError> {
        let list =
            sql("SELECT item_id, title, price_currency, price_micros, on_hand, reserved, updated_at FROM stock_items \
             WHERE item_id > $1 ORDER BY item_id LIMIT $2")
            .bind(after.unwrap_or_default())
            .bind(count_max);
        self.database.read().await?.rows(list).await?.iter().map(item_of).collect()
    }

    /// Finds a reservation.
    pub async fn reservation(&self, id: &ReservationId) -> Result<Option<Reservation>, StoreError> {
        reservation(&mut self.database.read().await?, id).await
    }
}

/// Adds to `reserved` of every item, or tells all that are short.
async fn take(
    tx: &mut Transaction,
    new: &NewReservation,
    now: Timestamp,
) -> Result<Vec<ReservationLine>, ReserveError> {
    let mut order: Vec<usize> = (0..new.lines.len()).collect();
    order.sort_unstable_by_key(|&index| &new.lines[index].0);
    let mut lines = vec![None; new.lines.len()];
    let mut short = Vec::new();
    for index in order {
        let (id, quantity) = &new.lines[index];
        let change = sql("UPDATE stock_items SET reserved = reserved + $1, updated_at = $2 \
             WHERE item_id = $3 AND on_hand - reserved >= $1 RETURNING title, price_currency, price_micros")
        .bind(quantity.get())
        .bind(now.micros())
        .bind(id.as_str());
        match tx.row(change).await? {
            Some(row) => {
                lines[index] = Some(ReservationLine {
                    item: id.clone(),
                    quantity: *quantity,
                    title: row.value("title")?,
                    unit_price: price_of(&row)?,
                });
            }
            None => {
                let available = item(tx, id).await?.map(|item| item.available());
                short.push(Shortage { item: id.clone(), wanted: quantity.get(), available });
            }
        }
    }
    if short.is_empty() { Ok(lines.into_iter().flatten().collect()) } else { Err(ReserveError::Short(short)) }
}

/// Ends a reservation whose time is over and gives its goods back; whether that was to be done.
async fn expire(tx: &mut Transaction, reserved: &Reservation, now: Timestamp) -> Result<bool, StoreError> {
    let due = reserved.state == ReservationState::Held && reserved.expires_at <= now;
    if !due || !turn(tx, &reserved.id, ReservationState::Held, ReservationState::Expired).await? {
        return Ok(false);
    }
    give_back(tx, reserved, now).await?;
    Ok(true)
}

async fn give_back(tx: &mut Transaction, reserved: &Reservation, now: Timestamp) -> Result<(), StoreError> {
    for line in in_order(&reserved.lines) {
        let change = sql("UPDATE stock_items SET reserved = reserved - $1, updated_at = $2 WHERE item_id = $3")
            .bind(line.quantity.get())
            .bind(now.micros())
            .bind(line.item.as_str());
        tx.run(change).await?;
    }
    Ok(())
}

/// Turns a reservation from one state into another; `false` if it was not in that state, whoever changed it.
async fn turn(
    tx: &mut Transaction,
    id: &ReservationId,
    from: ReservationState,
    to: ReservationState,
) -> Result<bool, StoreError> {
    let turn = sql("UPDATE stock_reservations SET state = $1 WHERE reservation_id = $2 AND state = $3")
        .bind(to.as_str())
        .bind(id.as_str())
        .bind(from.as_str());
    Ok(tx.run(turn).await? == 1)
}

async fn state(tx: &mut Transaction, id: &ReservationId) -> Result<ReservationState, StoreError> {
    let state = sql("SELECT state FROM stock_reservations WHERE reservation_id = $1").bind(id.as_str());
    match tx.row(state).await? {
        Some(row) => row.parsed("state", ReservationState::parse),
        None => Err(StoreError::corrupt(format!("{id} vanished"))),
    }
}

async fn item(tx: &mut Transaction, id: &ItemId) -> Result<Option<Item>, StoreError> {
    let find =
        sql("SELECT item_id, title, price_currency, price_micros, on_hand, reserved, updated_at FROM stock_items \
         WHERE item_id = $1")
        .bind(id.as_str());
    tx.row(find).await?.as_ref().map(item_of).transpose()
}

async fn reservation(tx: &mut Transaction, id: &ReservationId) -> Result<Option<Reservation>, StoreError> {
    let find =
        sql("SELECT state, created_at, expires_at FROM stock_reservations WHERE reservation_id = $1").bind(id.as_str());
    let Some(head) = tx.row(find).await? else {
        return Ok(None);
    };
    let lines = sql("SELECT item_id, quantity, title, price_currency, price_micros FROM stock_reservation_lines \
         WHERE reservation_id = $1 ORDER BY position")
    .bind(id.as_str());
    let lines = tx.rows(lines).await?;
    Ok(Some(Reservation {
        id: id.clone(),
        state: head.parsed("state", ReservationState::parse)?,
        lines: lines.iter().map(line_of).collect::<Result<_, _>>()?,
        created_at: Timestamp::from_micros(head.value("created_at")?),
        expires_at: Timestamp::from_micros(head.value("expires_at")?),
    }))
}

fn in_order(lines: &[ReservationLine]) -> Vec<&ReservationLine> {
    let mut lines: Vec<_> = lines.iter().collect();
    lines.sort_unstable_by_key(|line| &line.item);
    lines
}

fn item_of(row: &Row) -> Result<Item, StoreError> {
    Ok(Item {
        id: ItemId::stored(row.value("item_id")?),
        title: row.value("title")?,
        unit_price: price_of(row)?,
        on_hand: row.value("on_hand")?,
        reserved: row.value("reserved")?,
        updated_at: Timestamp::from_micros(row.value("updated_at")?),
    })
}

fn line_of(row: &Row) -> Result<ReservationLine, StoreError> {
    Ok(ReservationLine {
        item: ItemId::stored(row.value("item_id")?),
        quantity: quantity_of(row)?,
        title: row.value("title")?,
        unit_price: price_of(row)?,
    })
}

pub(super) fn price_of(row: &Row) -> Result<Money, StoreError> {
    let currency = row.parsed("price_currency", |code| Currency::new(code).ok())?;
    Ok(Money::from_micros(currency, row.value("price_micros")?))
}

pub(super) fn quantity_of(row: &Row) -> Result<Quantity, StoreError> {
    Quantity::new("quantity", row.value("quantity")?, u32::MAX)
        .map_err(|invalid| StoreError::corrupt(invalid.to_string()))
}

macro_rules! from_store_error {
    ($($error:ident),*) => {$(
        impl From<StoreError> for $error {
            fn from(error: StoreError) -> Self {
                Self::Store(error)
            }
        }
    )*};
}

from_store_error!(ReserveError, SettleError, AdjustError);
