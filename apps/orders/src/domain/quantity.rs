//! How many.

use super::text::Invalid;

/// How many of an item: at least one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

impl Quantity {
    /// The most one line of an order may ask for. Far beyond any table, and a mistyped thousand is still caught.
    pub const ORDER_LINE_MAX: u32 = 1_000;

    /// The most one line of a reservation may ask for: the same item may stand in several lines of an order.
    pub const RESERVATION_LINE_MAX: u32 = 100_000;

    /// A quantity between 1 and `max`.
    pub fn new(field: &str, quantity: i64, max: u32) -> Result<Self, Invalid> {
        match u32::try_from(quantity) {
            Ok(quantity) if (1..=max).contains(&quantity) => Ok(Self(quantity)),
            _ => Err(Invalid::field(field, format!("between 1 and {max}, not {quantity}"))),
        }
    }

    /// Both together.
    pub fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

impl std::fmt::Display for Quantity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}
