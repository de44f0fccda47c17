//! What a fresh shop has on its shelves: a small café, the same every time.

use crate::domain::{Currency, Item, ItemId, Money, Timestamp};

/// The catalogue of a fresh shop, as of a moment.
pub fn catalogue(now: Timestamp) -> Vec<Item> {
    let item = |&(id, title, cents, on_hand): &(&str, &str, i32, i64)| Item {
        id: ItemId::stored(id.to_owned()),
        title: title.to_owned(),
        unit_price: Money::from_cents(Currency::EUR, cents),
        on_hand,
        reserved: 0,
        updated_at: now,
    };
    CATALOGUE.iter().map(item).collect()
}

/// Id, title, price in cents, how many. The last few are there to run out.
const CATALOGUE: &[(&str, &str, i32, i64)] = &[
    ("americano", "Americano", 290, 400),
    ("apple-cake", "Apple cake", 420, 24),
    ("banana-bread", "Banana bread", 380, 30),
    ("brownie", "Brownie", 350, 36),
    ("butter-croissant", "Butter croissant", 260, 80),
    ("cappuccino", "Cappuccino", 360, 400),
    ("cheese-toastie", "Cheese toastie", 640, 40),
    ("chai-latte", "Chai latte", 430, 120),
    ("cinnamon-roll", "Cinnamon roll", 370, 48),
    ("cortado", "Cortado", 320, 300),
    ("earl-grey", "Pot of Earl Grey", 390, 150),
    ("espresso", "Espresso", 240, 500),
    ("flat-white", "Flat white", 380, 400),
    ("granola-bowl", "Granola bowl", 680, 25),
    ("hot-chocolate", "Hot chocolate", 410, 150),
    ("iced-latte", "Iced latte", 440, 200),
    ("lemonade", "Lemonade", 350, 120),
    ("mint-tea", "Fresh mint tea", 370, 100),
    ("orange-juice", "Orange juice", 450, 60),
    ("scone", "Scone with jam", 330, 40),
    ("soup-of-the-day", "Soup of the day", 720, 20),
    ("sparkling-water", "Sparkling water", 280, 200),
    ("birthday-cake", "Birthday cake, whole", 3900, 3),
    ("last-slice", "The last slice", 400, 1),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_catalogue_would_pass_the_checks_of_a_caller() {
        let items = catalogue(Timestamp::from_micros(0));
        let mut ids: Vec<_> = items.iter().map(|item| item.id.name()).collect();
        for id in &ids {
            assert!(ItemId::from_name("item", id).is_ok(), "{id}");
        }
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), items.len());
    }
}
