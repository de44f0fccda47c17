//! Goods on the shelf and goods set aside.

use std::time::Duration;

use super::id::{IdempotencyKey, ItemId, ReservationId};
use super::money::Money;
use super::quantity::Quantity;
use super::text::{Checks, Invalid, Text};
use super::time::Timestamp;

/// Something the shop sells, and how much of it there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Its id.
    pub id: ItemId,
    /// What a person calls it.
    pub title: String,
    /// What one of it costs.
    pub unit_price: Money,
    /// How many are on the shelf, reserved ones included.
    pub on_hand: i64,
    /// How many of those are reserved. Between zero and `on_hand`.
    pub reserved: i64,
    /// When any of the above last changed.
    pub updated_at: Timestamp,
}

impl Item {
    /// How many may still be reserved.
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// A change of what is on the shelf.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Adjustment {
    /// Of what.
    pub item: ItemId,
    /// How many are added; negative to take away. Not zero, at most a million either way.
    pub change: i64,
    /// Why.
    pub reason: Text,
    /// Makes it repeatable.
    pub key: Option<IdempotencyKey>,
}

impl Adjustment {
    /// The most one adjustment may add or take away.
    pub const CHANGE_MAX: i64 = 1_000_000;

    /// Checks an adjustment as it was asked for.
    pub fn new(item: &str, change: i64, reason: &str, key: &str) -> Result<Self, Invalid> {
        let mut checks = Checks::default();
        let item = checks.take(ItemId::from_name("name", item));
        let reason = checks.take(Text::new("reason", reason, 200));
        let key = checks.take(IdempotencyKey::new("idempotency_key", key));
        if change == 0 || change.unsigned_abs() > Self::CHANGE_MAX.unsigned_abs() {
            checks.violated("change", format!("not zero and at most {} either way, not {change}", Self::CHANGE_MAX));
        }
        checks.finish(|| Some(Self { item: item?, change, reason: reason?, key: key? }))
    }
}

/// What somebody wants set aside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewReservation {
    /// The id, chosen by who reserves.
    pub id: ReservationId,
    /// What and how many, no item twice, never empty.
    pub lines: Vec<(ItemId, Quantity)>,
    /// For how long.
    pub hold: Duration,
}

impl NewReservation {
    /// The most lines a reservation may have.
    pub const LINES_MAX: usize = 100;
    /// How long goods are held if nothing is said.
    pub const HOLD_DEFAULT: Duration = Duration::from_secs(5 * 60);
    /// The longest that goods are held: nobody should find a shelf reserved for a week.
    pub const HOLD_MAX: Duration = Duration::from_secs(24 * 60 * 60);

    /// Checks a reservation as it was asked for: lines of resource names and quantities, the hold if one was given.
    pub fn new<'a>(
        id: &str,
        lines: impl IntoIterator<Item = (&'a str, i64)>,
        hold: Option<Duration>,
    ) -> Result<Self, Invalid> {
        let mut checks = Checks::default();
        let id = checks.take(ReservationId::new("reservation_id", id));
        let mut taken: Vec<(ItemId, Quantity)> = Vec::new();
        for (index, (item, quantity)) in lines.into_iter().enumerate() {
            if index == Self::LINES_MAX {
                checks.violated("lines", format!("at most {}", Self::LINES_MAX));
                break;
            }
            let item = checks.take(ItemId::from_name(&format!("lines[{index}].item"), item));
            let field = format!("lines[{index}].quantity");
            let quantity = checks.take(Quantity::new(&field, quantity, Quantity::RESERVATION_LINE_MAX));
            let (Some(item), Some(quantity)) = (item, quantity) else {
                continue;
            };
            if taken.iter().any(|(other, _)| *other == item) {
                checks.violated(format!("lines[{index}].item"), format!("{item} stands in an earlier line already"));
            }
            taken.push((item, quantity));
        }
        if taken.is_empty() {
            checks.violated("lines", "at least one");
        }
        let hold = hold.unwrap_or(Self::HOLD_DEFAULT);
        if hold < Duration::from_secs(1) || hold > Self::HOLD_MAX {
            checks.violated("hold", "between one second and 24 hours");
        }
        checks.finish(|| Some(Self { id: id?, lines: taken, hold }))
    }
}

/// Goods set aside for somebody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// Its id.
    pub id: ReservationId,
    /// What has become of the goods.
    pub state: ReservationState,
    /// The goods, in the order in which they were asked for.
    pub lines: Vec<ReservationLine>,
    /// When they were set aside.
    pub created_at: Timestamp,
    /// Until when they are held.
    pub expires_at: Timestamp,
}

/// One item of a reservation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReservationLine {
    /// The item.
    pub item: ItemId,
    /// How many.
    pub quantity: Quantity,
    /// What a person calls it.
    pub title: String,
    /// What one of it cost when it was reserved.
    pub unit_price: Money,
}

/// What has become of reserved goods.
///
/// ```text
/// Held ──commit──▶ Committed
///  │ └───release──▶ Released
///  expire
///  ▼
/// Expired ──reserve again──▶ Held
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ReservationState {
    /// Set aside.
    Held,
    /// Taken off the shelf.
    Committed,
    /// Given back.
    Released,
    /// Given back because nobody came in time.
    Expired,
}

impl ReservationState {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Held, Self::Committed, Self::Released, Self::Expired];

    /// How it is spelled in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Held => "held",
            Self::Committed => "committed",
            Self::Released => "released",
            Self::Expired => "expired",
        }
    }

    /// The state of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

/// There is less of an item than somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shortage {
    /// The item.
    pub item: ItemId,
    /// How many were wanted.
    pub wanted: u32,
    /// How many there are; `None` if the shop does not know the item.
    pub available: Option<i64>,
}

impl std::fmt::Display for Shortage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.available {
            Some(available) => write!(f, "{}: {} wanted, {available} available", self.item, self.wanted),
            None => write!(f, "{}: there is no such item", self.item),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reservation_names_every_breach_of_its_request() {
        let invalid = NewReservation::new(
            "Not An Id",
            [("items/espresso", 0), ("espresso", 1), ("items/tea", 1), ("items/tea", 2)],
            Some(Duration::ZERO),
        )
        .unwrap_err();
        let fields: Vec<_> = invalid.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["reservation_id", "lines[0].quantity", "lines[1].item", "lines[3].item", "hold"]);
    }

    #[test]
    fn a_reservation_of_nothing_or_of_too_much_is_refused() {
        assert!(NewReservation::new("r", [], None).is_err());
        let items: Vec<String> = (0..101).map(|n| format!("items/i{n}")).collect();
        assert!(NewReservation::new("r", items.iter().map(|item| (item.as_str(), 1)), None).is_err());
        assert!(NewReservation::new("r", items.iter().take(100).map(|item| (item.as_str(), 1)), None).is_ok());
    }
}
