//! Orders.

use serde_json::json;

use super::id::{IdempotencyKey, ItemId, OrderId};
use super::money::{Money, MoneyError};
use super::quantity::Quantity;
use super::reservation::Reservation;
use super::status::Status;
use super::text::{Checks, Invalid, Text};
use super::time::Timestamp;

/// An order that somebody wants to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewOrder {
    /// Who it is for.
    pub customer: Text,
    /// What is ordered; never empty.
    pub lines: Vec<NewLine>,
    /// What the kitchen should know.
    pub note: Text,
    /// Makes it repeatable.
    pub key: Option<IdempotencyKey>,
}

/// One line of an order that somebody wants to place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewLine {
    /// The item.
    pub item: ItemId,
    /// How many.
    pub quantity: Quantity,
    /// A wish for this line.
    pub note: Text,
}

impl NewOrder {
    /// The most lines an order may have.
    pub const LINES_MAX: usize = 100;

    /// Checks an order as it was asked for: lines of an item's resource name, a quantity and a note.
    pub fn new<'a>(
        customer: &str,
        lines: impl IntoIterator<Item = (&'a str, i64, &'a str)>,
        note: &str,
        key: &str,
    ) -> Result<Self, Invalid> {
        let mut checks = Checks::default();
        let customer = checks.take(Text::required("customer", customer, 100));
        let mut taken = Vec::new();
        let mut lines_seen = 0;
        for (index, (item, quantity, note)) in lines.into_iter().enumerate() {
            lines_seen += 1;
            if index == Self::LINES_MAX {
                checks.violated("lines", format!("at most {}", Self::LINES_MAX));
                break;
            }
            let item = checks.take(ItemId::from_name(&format!("lines[{index}].item"), item));
            let quantity =
                checks.take(Quantity::new(&format!("lines[{index}].quantity"), quantity, Quantity::ORDER_LINE_MAX));
            let note = checks.take(Text::new(&format!("lines[{index}].note"), note, 200));
            if let (Some(item), Some(quantity), Some(note)) = (item, quantity, note) {
                taken.push(NewLine { item, quantity, note });
            }
        }
        if lines_seen == 0 {
            checks.violated("lines", "at least one");
        }
        let note = checks.take(Text::new("note", note, 500));
        let key = checks.take(IdempotencyKey::new("idempotency_key", key));
        checks.finish(|| Some(Self { customer: customer?, lines: taken, note: note?, key: key? }))
    }

    /// What has to be reserved: each item once, in the order in which it first appears.
    pub fn goods(&self) -> Vec<(ItemId, Quantity)> {
        let mut goods: Vec<(ItemId, Quantity)> = Vec::with_capacity(self.lines.len());
        for line in &self.lines {
            match goods.iter_mut().find(|(item, _)| *item == line.item) {
                Some((_, quantity)) => *quantity = quantity.plus(line.quantity),
                None => goods.push((line.item.clone(), line.quantity)),
            }
        }
        goods
    }

    /// What the order says, key aside, as text: two requests with the same fingerprint are the same request.
    pub fn fingerprint(&self) -> String {
        let lines: Vec<_> = self
            .lines
            .iter()
            .map(|line| json!([line.item.as_str(), line.quantity.get(), line.note.as_str()]))
            .collect();
        json!({ "customer": self.customer.as_str(), "lines": lines, "note": self.note.as_str() }).to_string()
    }

    /// The fields in which this request differs from the one with that fingerprint.
    pub fn differs_from(&self, fingerprint: &str) -> Vec<&'static str> {
        let ours = self.fingerprint();
        if ours == fingerprint {
            return Vec::new();
        }
        let parse = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
        let (ours, theirs) = (parse(&ours), parse(fingerprint));
        ["customer", "lines", "note"].into_iter().filter(|field| ours[field] != theirs[field]).collect()
    }

    /// The order, once its goods are reserved: priced as they were then.
    pub fn confirmed(
        self,
        id: OrderId,
        goods: &Reservation,
        hold_until: Timestamp,
        now: Timestamp,
    ) -> Result<Order, PriceError> {
        let mut lines = Vec::with_capacity(self.lines.len());
        let mut total: Option<Money> = None;
        for line in self.lines {
            let Some(reserved) = goods.lines.iter().find(|reserved| reserved.item == line.item) else {
                return Err(PriceError::NotReserved(line.item));
            };
            let price = reserved.unit_price.times(line.quantity.get())?;
            total = Some(match total {
                Some(total) => total.plus(price)?,
                None => price,
            });
            lines.push(Line {
                item: line.item,
                title: reserved.title.clone(),
                quantity: line.quantity,
                unit_price: reserved.unit_price,
                note: line.note,
            });
        }
        Ok(Order {
            id,
            customer: self.customer,
            status: Status::Confirmed,
            total: total.expect("a new order has at least one line"),
            lines,
            note: self.note,
            created_at: now,
            updated_at: now,
            hold_until,
            kitchen: None,
            expected_at: None,
            reason: Text::default(),
            sequence: 0,
        })
    }
}

/// Why an order could not be priced although its goods are reserved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PriceError {
    /// The amounts do not come together.
    Money(MoneyError),
    /// The reservation is not for these goods.
    NotReserved(ItemId),
}

impl From<MoneyError> for PriceError {
    fn from(error: MoneyError) -> Self {
        Self::Money(error)
    }
}

impl std::fmt::Display for PriceError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Money(error) => error.fmt(f),
            Self::NotReserved(item) => write!(f, "{item} is not part of the reservation"),
        }
    }
}

impl std::error::Error for PriceError {}

/// An order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// Who it is for.
    pub customer: Text,
    /// How far it has got.
    pub status: Status,
    /// What was ordered.
    pub lines: Vec<Line>,
    /// What it costs altogether.
    pub total: Money,
    /// What the kitchen should know.
    pub note: Text,
    /// When it was taken.
    pub created_at: Timestamp,
    /// When anything about it last changed.
    pub updated_at: Timestamp,
    /// Until when a kitchen may accept it.
    pub hold_until: Timestamp,
    /// The kitchen that accepted it.
    pub kitchen: Option<Text>,
    /// When the kitchen expects it to be ready.
    pub expected_at: Option<Timestamp>,
    /// Why it came to its status, where there is something to say.
    pub reason: Text,
    /// The sequence number of its last event.
    pub sequence: i64,
}

/// One line of an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// The item.
    pub item: ItemId,
    /// What a person calls it.
    pub title: String,
    /// How many.
    pub quantity: Quantity,
    /// What one of it costs, as it was when the order was taken.
    pub unit_price: Money,
    /// A wish for this line.
    pub note: Text,
}

/// Something happened to an order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OrderEvent {
    /// The status before; `None` if the order has just been taken.
    pub previous: Option<Status>,
    /// The order as it was right after. Its `sequence` and `updated_at` are the event's.
    pub order: Order,
}

/// What Stock has still to be told about an order's goods.
///
/// It is written in the same transaction as the status it follows from, so that no crash can come between them, and
/// crossed out when Stock has answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Settlement {
    /// The goods were used.
    Commit,
    /// The goods are not needed.
    Release,
}

impl Settlement {
    /// What follows for the goods when an order comes to a status.
    pub const fn due_at(status: Status) -> Option<Self> {
        match status {
            Status::Preparing => Some(Self::Commit),
            Status::Cancelled | Status::Expired => Some(Self::Release),
            Status::Confirmed | Status::Ready | Status::Completed => None,
        }
    }

    /// How it is spelled in the database.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Release => "release",
        }
    }

    /// The settlement of that spelling.
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Commit, Self::Release].into_iter().find(|settlement| settlement.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{Currency, ReservationLine, ReservationState};

    fn order(lines: &[(&str, i64, &str)]) -> NewOrder {
        NewOrder::new("Ada", lines.iter().copied(), "", "").unwrap()
    }

    #[test]
    fn the_same_item_in_two_lines_is_reserved_once() {
        let order = order(&[("items/espresso", 2, ""), ("items/scone", 1, ""), ("items/espresso", 1, "decaf")]);
        let goods: Vec<_> = order.goods().into_iter().map(|(item, quantity)| (item.name(), quantity.get())).collect();
        assert_eq!(goods, [("items/espresso".to_owned(), 3), ("items/scone".to_owned(), 1)]);
    }

    #[test]
    fn a_changed_request_names_the_fields_that_changed() {
        let first = order(&[("items/espresso", 2, "")]);
        assert!(first.differs_from(&first.fingerprint()).is_empty());
        let more = order(&[("items/espresso", 3, "")]);
        assert_eq!(more.differs_from(&first.fingerprint()), ["lines"]);
        let other = NewOrder::new("Bob", [("items/espresso", 2, "")], "quick", "").unwrap();
        assert_eq!(other.differs_from(&first.fingerprint()), ["customer", "note"]);
    }

    #[test]
    fn an_order_is_priced_by_its_reservation() {
        let now = Timestamp::from_micros(0);
        let new = order(&[("items/espresso", 2, ""), ("items/espresso", 1, "decaf")]);
        let reservation = Reservation {
            id: OrderId::new(now, 0).reservation(),
            state: ReservationState::Held,
            lines: vec![ReservationLine {
                item: new.lines[0].item.clone(),
                quantity: Quantity::new("", 3, 3).unwrap(),
                title: "Espresso".into(),
                unit_price: Money::from_cents(Currency::EUR, 240),
            }],
            created_at: now,
            expires_at: now,
        };
        let confirmed = new.confirmed(OrderId::new(now, 0), &reservation, now, now).unwrap();
        assert_eq!(confirmed.total, Money::from_cents(Currency::EUR, 720));
        let other = order(&[("items/scone", 1, "")]);
        assert!(other.confirmed(OrderId::new(now, 0), &reservation, now, now).is_err());
    }

    #[test]
    fn an_order_names_every_breach_of_its_request() {
        let invalid = NewOrder::new(" ", [("espresso", 0, "")], &"x".repeat(501), "a key").unwrap_err();
        let fields: Vec<_> = invalid.violations.iter().map(|violation| violation.field.as_str()).collect();
        assert_eq!(fields, ["customer", "lines[0].item", "lines[0].quantity", "note", "idempotency_key"]);
    }
}
