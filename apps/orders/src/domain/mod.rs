//! What the shop knows about orders and goods, without databases, wires or clocks: plain values and the rules between them.
//!
//! Everything here is pure. Time and randomness are arguments; a rule that is broken becomes an [`Invalid`] or a
//! [`Refused`], never a status: how a call spells it is the service's business.

mod id;
mod money;
mod order;
mod page;
mod quantity;
mod reservation;
mod status;
mod text;
mod time;

pub use id::{IdempotencyKey, ItemId, OrderId, ReservationId};
pub use money::{Currency, Money, MoneyError};
pub use order::{Line, NewLine, NewOrder, Order, OrderEvent, PriceError, Settlement};
pub use page::{OrderFilter, PageSize, PageToken};
pub use quantity::Quantity;
pub use reservation::{Adjustment, Item, NewReservation, Reservation, ReservationLine, ReservationState, Shortage};
pub use status::{Action, Refused, Status, print_table};
pub use text::{Invalid, Text, Violation};
pub use time::Timestamp;
