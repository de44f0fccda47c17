-- What is on the shelves, and who has laid a hand on it. Times are microseconds since 1970, prices millionths of a unit.

CREATE TABLE stock_items (
    item_id             SORTED_TEXT PRIMARY KEY,
    title               TEXT        NOT NULL,
    price_currency      TEXT        NOT NULL,
    price_micros        BIGINT      NOT NULL CHECK (price_micros >= 0),
    on_hand             BIGINT      NOT NULL CHECK (on_hand >= 0),
    reserved            BIGINT      NOT NULL CHECK (reserved >= 0),
    updated_at          BIGINT      NOT NULL,
    -- The last word against overselling, should a statement ever forget it.
    CONSTRAINT never_oversold CHECK (reserved <= on_hand)
);

CREATE TABLE stock_adjustments (
    idempotency_key     TEXT        PRIMARY KEY,
    item_id             SORTED_TEXT NOT NULL REFERENCES stock_items (item_id),
    change              BIGINT      NOT NULL,
    reason              TEXT        NOT NULL,
    created_at          BIGINT      NOT NULL
);

CREATE TABLE stock_reservations (
    reservation_id      SORTED_TEXT PRIMARY KEY,
    state               TEXT        NOT NULL CHECK (state IN ('held', 'committed', 'released', 'expired')),
    created_at          BIGINT      NOT NULL,
    expires_at          BIGINT      NOT NULL
);

-- The ones that can still expire, the next first.
CREATE INDEX stock_reservations_held ON stock_reservations (expires_at) WHERE state = 'held';

CREATE TABLE stock_reservation_lines (
    reservation_id      SORTED_TEXT NOT NULL REFERENCES stock_reservations (reservation_id),
    position            BIGINT      NOT NULL,
    item_id             SORTED_TEXT NOT NULL REFERENCES stock_items (item_id),
    quantity            BIGINT      NOT NULL CHECK (quantity > 0),
    title               TEXT        NOT NULL,
    price_currency      TEXT        NOT NULL,
    price_micros        BIGINT      NOT NULL,
    PRIMARY KEY (reservation_id, position)
);
