//! Names of things.

use std::fmt;

use super::text::Invalid;
use super::time::Timestamp;

/// An order's id: `orders/{this}` is its resource name.
///
/// Twenty characters of Crockford's base 32 in lower case: ten for the millisecond it was made in, ten for chance. Ids sort
/// as their orders were taken.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(String);

/// An item's id: `items/{this}` is its resource name. Up to 64 lower-case letters, digits and hyphens.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ItemId(String);

/// A reservation's id, chosen by who reserves: `reservations/{this}` is its resource name. Spelled as an [`ItemId`].
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReservationId(String);

/// What a caller makes a call repeatable with. Up to 64 letters, digits and characters of `-_.:`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdempotencyKey(String);

impl OrderId {
    const COLLECTION: &str = "orders/";
    const TIME_CHARS: usize = 10;
    const CHANCE_CHARS: usize = 10;

    /// A new id. `chance` must be fresh; its upper 14 bits are not used.
    pub fn new(now: Timestamp, chance: u64) -> Self {
        let millis = u64::try_from(now.micros() / 1_000).unwrap_or(0);
        let mut id = String::with_capacity(Self::TIME_CHARS + Self::CHANCE_CHARS);
        push_base32(&mut id, millis, Self::TIME_CHARS);
        push_base32(&mut id, chance, Self::CHANCE_CHARS);
        Self(id)
    }

    /// Reads a resource name. `field` is what to blame.
    pub fn from_name(field: &str, name: &str) -> Result<Self, Invalid> {
        name.strip_prefix(Self::COLLECTION)
            .and_then(Self::parse)
            .ok_or_else(|| not_a_name(field, name, "orders/{order}, as Create gives it"))
    }

    /// Reads an id, without the name of its collection.
    pub(crate) fn parse(id: &str) -> Option<Self> {
        let well_formed =
            id.len() == Self::TIME_CHARS + Self::CHANCE_CHARS && id.bytes().all(|letter| BASE32.contains(&letter));
        well_formed.then(|| Self(id.to_owned()))
    }

    /// The reservation which holds the goods of this order.
    pub fn reservation(&self) -> ReservationId {
        ReservationId(self.0.clone())
    }
}

impl ItemId {
    const COLLECTION: &str = "items/";

    /// Reads a resource name. `field` is what to blame.
    pub fn from_name(field: &str, name: &str) -> Result<Self, Invalid> {
        match name.strip_prefix(Self::COLLECTION) {
            Some(id) if is_slug(id) => Ok(Self(id.to_owned())),
            _ => Err(not_a_name(field, name, "items/{item}, of lower-case letters, digits and hyphens")),
        }
    }
}

impl ReservationId {
    const COLLECTION: &str = "reservations/";

    /// Reads an id as a caller chose it. `field` is what to blame.
    pub fn new(field: &str, id: &str) -> Result<Self, Invalid> {
        if is_slug(id) {
            Ok(Self(id.to_owned()))
        } else {
            Err(Invalid::field(field, "1 to 64 lower-case letters, digits and hyphens"))
        }
    }

    /// Reads a resource name. `field` is what to blame.
    pub fn from_name(field: &str, name: &str) -> Result<Self, Invalid> {
        match name.strip_prefix(Self::COLLECTION) {
            Some(id) if is_slug(id) => Ok(Self(id.to_owned())),
            _ => Err(not_a_name(field, name, "reservations/{reservation}")),
        }
    }
}

impl IdempotencyKey {
    /// Reads a key; `None` if it is empty, because then the caller wants none. `field` is what to blame.
    pub fn new(field: &str, key: &str) -> Result<Option<Self>, Invalid> {
        if key.is_empty() {
            return Ok(None);
        }
        if key.len() <= 64 && key.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_.:".contains(&c)) {
            Ok(Some(Self(key.to_owned())))
        } else {
            Err(Invalid::field(field, "up to 64 letters, digits and characters of -_.:"))
        }
    }

    /// The key.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

macro_rules! resource {
    ($($id:ident),*) => {$(
        impl $id {
            /// An id that was checked when it was stored.
            pub(crate) fn stored(id: String) -> Self {
                Self(id)
            }

            /// The id, without the name of its collection.
            pub fn as_str(&self) -> &str {
                &self.0
            }

            /// The resource name.
            pub fn name(&self) -> String {
                format!("{}{}", Self::COLLECTION, self.0)
            }
        }

        impl fmt::Display for $id {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}{}", Self::COLLECTION, self.0)
            }
        }
    )*};
}

resource!(OrderId, ItemId, ReservationId);

/// Crockford's alphabet, in lower case. It is in the order of ASCII, so numbers of equal length sort as text.
const BASE32: &[u8; 32] = b"0123456789abcdefghjkmnpqrstvwxyz";

/// Writes the lowest `5 * chars` bits of a number.
pub(super) fn push_base32(out: &mut String, number: u64, chars: usize) {
    for place in (0..chars).rev() {
        let digit = number.checked_shr(5 * place as u32).unwrap_or(0) & 31;
        out.push(char::from(BASE32[digit as usize]));
    }
}

fn is_slug(id: &str) -> bool {
    (1..=64).contains(&id.len()) && id.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'-')
}

/// A long or strange name is shown cut off, so that it neither floods nor spoils what prints the message.
fn not_a_name(field: &str, name: &str, expected: &str) -> Invalid {
    let shown: String = name.chars().take(80).filter(|c| !c.is_control()).collect();
    Invalid::field(field, format!("expected {expected}, not {shown:?}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_ids_sort_as_their_orders_were_taken() {
        let early = OrderId::new(Timestamp::from_micros(1_700_000_000_000_000), u64::MAX);
        let late = OrderId::new(Timestamp::from_micros(1_700_000_000_001_000), 0);
        assert!(early < late);
        assert_eq!(early.as_str().len(), 20);
        assert_eq!(OrderId::from_name("name", &early.name()), Ok(early));
    }

    #[test]
    fn a_name_of_another_collection_is_refused() {
        for wrong in
            ["", "orders/", "items/0123456789abcdefghjk", "orders/0123456789abcdefghj", "orders/0123456789ABCDEFGHJK"]
        {
            assert!(OrderId::from_name("name", wrong).is_err(), "{wrong:?}");
        }
        assert!(ItemId::from_name("item", "items/flat-white").is_ok());
        assert!(ItemId::from_name("item", "items/Flat White").is_err());
        assert!(ItemId::from_name("item", "items/a/b").is_err());
    }

    #[test]
    fn a_refused_name_is_shown_cut_off_and_without_control_characters() {
        let name = format!("orders/\u{1b}[2J{}", "x".repeat(10_000));
        let refused = OrderId::from_name("name", &name).unwrap_err().to_string();
        assert!(refused.len() < 200, "{refused}");
        assert!(!refused.contains('\u{1b}'));
    }

    #[test]
    fn an_empty_idempotency_key_is_none_and_a_strange_one_is_refused() {
        assert_eq!(IdempotencyKey::new("key", ""), Ok(None));
        assert!(IdempotencyKey::new("key", "a b").is_err());
        assert!(IdempotencyKey::new("key", &"k".repeat(65)).is_err());
        assert_eq!(IdempotencyKey::new("key", "till-3:2025.11").unwrap().unwrap().as_str(), "till-3:2025.11");
    }
}
