//! Filters, and lists a page at a time.

use std::collections::BTreeSet;

use super::id::push_base32;
use super::order::Order;
use super::status::Status;
use super::text::{Invalid, Text};
use super::time::Timestamp;

/// Which orders are meant. Every part narrows it down; the default means all.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OrderFilter {
    /// Only orders in one of these; any if it is empty.
    pub statuses: BTreeSet<Status>,
    /// Only orders of this customer.
    pub customer: Option<Text>,
    /// Only orders taken at this time or later.
    pub created_from: Option<Timestamp>,
    /// Only orders taken before this time.
    pub created_until: Option<Timestamp>,
}

impl OrderFilter {
    /// Whether an order is meant.
    pub fn passes(&self, order: &Order) -> bool {
        (self.statuses.is_empty() || self.statuses.contains(&order.status))
            && self.customer.as_ref().is_none_or(|customer| *customer == order.customer)
            && self.created_from.is_none_or(|from| order.created_at >= from)
            && self.created_until.is_none_or(|until| order.created_at < until)
    }

    /// The filter as text, the same for filters that mean the same: what a page token is bound to.
    pub fn scope(&self) -> String {
        let statuses: Vec<_> = self.statuses.iter().map(|status| status.as_str()).collect();
        let micros = |time: Option<Timestamp>| time.map(Timestamp::micros);
        format!(
            "orders {statuses:?} {:?} {:?} {:?}",
            self.customer.as_ref().map(Text::as_str),
            micros(self.created_from),
            micros(self.created_until)
        )
    }
}

/// How many entries a page holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageSize(u32);

impl PageSize {
    /// If nothing is said.
    pub const DEFAULT: Self = Self(50);
    /// A page of orders of a hundred lines each stays below the four megabytes that clients take by default.
    pub const MAX: Self = Self(500);

    /// Zero means the default, and more than the most is as much as there is.
    pub fn new(field: &str, size: i32) -> Result<Self, Invalid> {
        match u32::try_from(size) {
            Ok(0) => Ok(Self::DEFAULT),
            Ok(size) => Ok(Self(size.min(Self::MAX.0))),
            Err(_) => Err(Invalid::field(field, "must not be negative")),
        }
    }

    /// The number.
    pub const fn get(self) -> u32 {
        self.0
    }
}

/// Where a list goes on.
///
/// A token names the last entry of the page before, not its number, so entries that come or go meanwhile neither repeat nor
/// hide others. Sealed, it also carries a checksum over what the list was asked for: with another filter, or altered,
/// it is refused instead of giving a page of something else. It is no secret and protects nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageToken {
    /// The last entry of the page before.
    pub last: String,
}

impl PageToken {
    const CHECKSUM_CHARS: usize = 13;

    /// The token as a caller gets it. `scope` is what the list was asked for.
    pub fn seal(&self, scope: &str) -> String {
        let mut token = String::with_capacity(Self::CHECKSUM_CHARS + self.last.len());
        push_base32(&mut token, checksum(scope, &self.last), Self::CHECKSUM_CHARS);
        token.push_str(&self.last);
        token
    }

    /// Reads a token; `None` if it is empty, because then the first page is meant. `field` is what to blame.
    pub fn open(field: &str, token: &str, scope: &str) -> Result<Option<Self>, Invalid> {
        if token.is_empty() {
            return Ok(None);
        }
        let opened = token.get(Self::CHECKSUM_CHARS..).map(|last| Self { last: last.to_owned() });
        match opened {
            Some(opened) if opened.seal(scope) == token => Ok(Some(opened)),
            _ => Err(Invalid::field(field, "not a token of this list with this filter; begin again without one")),
        }
    }
}

/// FNV-1a, 64 bits: the same on every machine and in every version.
fn checksum(scope: &str, last: &str) -> u64 {
    let bytes = scope.bytes().chain([0]).chain(last.bytes());
    bytes.fold(0xcbf2_9ce4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_opens_only_for_the_list_it_came_from() {
        let token = PageToken { last: "01k5x3v7e8q2m4tzabcd".into() };
        let sealed = token.seal("orders [] None");
        assert_eq!(PageToken::open("page_token", &sealed, "orders [] None"), Ok(Some(token)));
        assert!(PageToken::open("page_token", &sealed, "orders [\"ready\"] None").is_err());
        assert_eq!(PageToken::open("page_token", "", "anything"), Ok(None));
    }

    #[test]
    fn an_altered_token_is_refused() {
        let sealed = PageToken { last: "espresso".into() }.seal("items");
        for position in 0..sealed.len() {
            let mut altered = sealed.clone().into_bytes();
            altered[position] = if altered[position] == b'z' { b'y' } else { b'z' };
            let altered = String::from_utf8(altered).unwrap();
            assert!(PageToken::open("page_token", &altered, "items").is_err(), "{altered}");
        }
        for nonsense in ["x", "ääääääääääääääää", &sealed[..13], &format!("{sealed}s")] {
            assert!(PageToken::open("page_token", nonsense, "items").is_err(), "{nonsense}");
        }
    }

    #[test]
    fn page_sizes_are_defaulted_and_clamped() {
        assert_eq!(PageSize::new("page_size", 0), Ok(PageSize::DEFAULT));
        assert_eq!(PageSize::new("page_size", 100_000), Ok(PageSize::MAX));
        assert_eq!(PageSize::new("page_size", 7).unwrap().get(), 7);
        assert!(PageSize::new("page_size", -1).is_err());
    }

    #[test]
    fn filters_that_mean_the_same_have_the_same_scope() {
        let one = OrderFilter { statuses: [Status::Ready, Status::Confirmed].into(), ..OrderFilter::default() };
        let two = OrderFilter {
            statuses: [Status::Confirmed, Status::Ready, Status::Ready].into(),
            ..OrderFilter::default()
        };
        assert_eq!(one.scope(), two.scope());
        let customer = OrderFilter { customer: Some(Text::new("", "None", 10).unwrap()), ..OrderFilter::default() };
        assert_ne!(customer.scope(), OrderFilter::default().scope());
    }
}
