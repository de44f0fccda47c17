//! Amounts of money.

use std::fmt;

/// An amount in one currency, exact to a millionth of a unit.
///
/// Amounts of different currencies do not add up, and nothing here rounds or overflows silently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Money {
    currency: Currency,
    micros: i64,
}

/// A currency: three capital letters of ISO 4217. Which codes exist is not checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Currency([u8; 3]);

/// Why amounts do not come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MoneyError {
    /// The amounts are of different currencies.
    CurrenciesDiffer(Currency, Currency),
    /// The code is not three capital letters.
    NotACurrency,
    /// The fraction is finer than a millionth, or its sign is not that of the units.
    NotAnAmount,
    /// The result is beyond nine million million units.
    Overflow,
}

impl Money {
    /// Nothing, in a currency.
    pub const fn zero(currency: Currency) -> Self {
        Self { currency, micros: 0 }
    }

    /// So many millionths of a unit.
    pub const fn from_micros(currency: Currency, micros: i64) -> Self {
        Self { currency, micros }
    }

    /// So many hundredths of a unit.
    pub const fn from_cents(currency: Currency, cents: i32) -> Self {
        Self { currency, micros: cents as i64 * 10_000 }
    }

    /// What a `money.v1.Money` says.
    pub fn from_parts(currency: Currency, units: i64, nanos: i32) -> Result<Self, MoneyError> {
        let signs_agree = units == 0 || nanos == 0 || (units > 0) == (nanos > 0);
        if !signs_agree || nanos % 1_000 != 0 || nanos.unsigned_abs() >= 1_000_000_000 {
            return Err(MoneyError::NotAnAmount);
        }
        let micros = units.checked_mul(1_000_000).and_then(|micros| micros.checked_add(i64::from(nanos / 1_000)));
        micros.map(|micros| Self { currency, micros }).ok_or(MoneyError::Overflow)
    }

    /// Units and billionths of a unit, as `money.v1.Money` wants them.
    pub fn to_parts(self) -> (i64, i32) {
        let nanos = self.micros % 1_000_000 * 1_000;
        (self.micros / 1_000_000, i32::try_from(nanos).expect("less than a unit fits"))
    }

    /// So many times the amount.
    pub fn times(self, count: u32) -> Result<Self, MoneyError> {
        let micros = self.micros.checked_mul(i64::from(count)).ok_or(MoneyError::Overflow)?;
        Ok(Self { micros, ..self })
    }

    /// Both amounts together.
    pub fn plus(self, other: Self) -> Result<Self, MoneyError> {
        if self.currency != other.currency {
            return Err(MoneyError::CurrenciesDiffer(self.currency, other.currency));
        }
        let micros = self.micros.checked_add(other.micros).ok_or(MoneyError::Overflow)?;
        Ok(Self { micros, ..self })
    }

    /// The currency.
    pub const fn currency(self) -> Currency {
        self.currency
    }

    /// The amount in millionths of a unit.
    pub const fn micros(self) -> i64 {
        self.micros
    }
}

/// `3.80 EUR`: two digits behind the point, more if the amount has more.
impl fmt::Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.micros < 0 { "-" } else { "" };
        let (units, micros) = (self.micros.unsigned_abs() / 1_000_000, self.micros.unsigned_abs() % 1_000_000);
        if micros % 10_000 == 0 {
            write!(f, "{sign}{units}.{:02} {}", micros / 10_000, self.currency)
        } else {
            write!(f, "{sign}{units}.{micros:06} {}", self.currency)
        }
    }
}

impl Currency {
    /// The euro.
    pub const EUR: Self = Self(*b"EUR");

    /// Three capital letters.
    pub fn new(code: &str) -> Result<Self, MoneyError> {
        let letters: [u8; 3] = code.as_bytes().try_into().map_err(|_| MoneyError::NotACurrency)?;
        let capitals = letters.iter().all(u8::is_ascii_uppercase);
        capitals.then_some(Self(letters)).ok_or(MoneyError::NotACurrency)
    }

    /// The three letters.
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("made of ASCII letters only")
    }
}

impl fmt::Display for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for MoneyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CurrenciesDiffer(one, other) => write!(f, "{one} and {other} do not add up"),
            Self::NotACurrency => f.write_str("a currency code is three capital letters"),
            Self::NotAnAmount => f.write_str("not an amount: finer than a millionth, or the signs differ"),
            Self::Overflow => f.write_str("the amount is too large"),
        }
    }
}

impl std::error::Error for MoneyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_amount_survives_its_parts() {
        for micros in [0, 1, -1, 3_800_000, -3_800_000, 999_999, i64::MAX, i64::MIN] {
            let money = Money::from_micros(Currency::EUR, micros);
            let (units, nanos) = money.to_parts();
            assert_eq!(Money::from_parts(Currency::EUR, units, nanos), Ok(money), "{micros}");
        }
    }

    #[test]
    fn amounts_that_protobuf_could_say_but_nobody_means_are_refused() {
        assert_eq!(Money::from_parts(Currency::EUR, 1, -1_000), Err(MoneyError::NotAnAmount));
        assert_eq!(Money::from_parts(Currency::EUR, -1, 1_000), Err(MoneyError::NotAnAmount));
        assert_eq!(Money::from_parts(Currency::EUR, 0, 1), Err(MoneyError::NotAnAmount));
        assert_eq!(Money::from_parts(Currency::EUR, 0, 1_000_000_000), Err(MoneyError::NotAnAmount));
        assert_eq!(Money::from_parts(Currency::EUR, i64::MAX, 0), Err(MoneyError::Overflow));
    }

    #[test]
    fn currencies_do_not_mix_and_sums_do_not_wrap() {
        let euro = Money::from_cents(Currency::EUR, 380);
        let yen = Money::zero(Currency::new("JPY").unwrap());
        assert!(matches!(euro.plus(yen), Err(MoneyError::CurrenciesDiffer(..))));
        assert_eq!(Money::from_micros(Currency::EUR, i64::MAX).times(2), Err(MoneyError::Overflow));
        assert_eq!(euro.times(3).unwrap().to_string(), "11.40 EUR");
        assert_eq!(Money::from_micros(Currency::EUR, -1_005_000).to_string(), "-1.005000 EUR");
    }

    #[test]
    fn a_currency_is_three_capital_letters() {
        for wrong in ["", "eur", "EU", "EURO", "E R", "ÄB"] {
            assert_eq!(Currency::new(wrong), Err(MoneyError::NotACurrency), "{wrong:?}");
        }
    }
}
