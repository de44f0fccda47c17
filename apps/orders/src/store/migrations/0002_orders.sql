-- Orders and everything that ever happened to them. Times are microseconds since 1970, prices millionths of a unit.

CREATE TABLE orders (
    order_id            SORTED_TEXT PRIMARY KEY,
    customer            TEXT        NOT NULL,
    note                TEXT        NOT NULL,
    total_currency      TEXT        NOT NULL,
    total_micros        BIGINT      NOT NULL,
    created_at          BIGINT      NOT NULL,
    hold_until          BIGINT      NOT NULL,
    -- From here on: as of the last event, whose number is the sequence.
    status              TEXT        NOT NULL
        CHECK (status IN ('confirmed', 'preparing', 'ready', 'completed', 'cancelled', 'expired')),
    kitchen             TEXT,
    expected_at         BIGINT,
    reason              TEXT        NOT NULL,
    updated_at          BIGINT      NOT NULL,
    sequence            BIGINT      NOT NULL,
    -- What Stock has still to be told about the goods.
    settlement          TEXT        CHECK (settlement IN ('commit', 'release'))
);

CREATE INDEX orders_by_customer ON orders (customer, order_id);
CREATE INDEX orders_by_status ON orders (status, order_id);
CREATE INDEX orders_held ON orders (hold_until) WHERE status = 'confirmed';
CREATE INDEX orders_unsettled ON orders (order_id) WHERE settlement IS NOT NULL;

CREATE TABLE order_lines (
    order_id            SORTED_TEXT NOT NULL REFERENCES orders (order_id),
    position            BIGINT      NOT NULL,
    item_id             SORTED_TEXT NOT NULL,
    title               TEXT        NOT NULL,
    quantity            BIGINT      NOT NULL CHECK (quantity > 0),
    price_currency      TEXT        NOT NULL,
    price_micros        BIGINT      NOT NULL,
    note                TEXT        NOT NULL,
    PRIMARY KEY (order_id, position)
);

-- What happened, numbered without gaps in the order in which it was committed. An event holds what an order's events can change;
-- the rest of the order never does.
CREATE TABLE order_events (
    sequence            BIGINT      PRIMARY KEY,
    order_id            SORTED_TEXT NOT NULL REFERENCES orders (order_id),
    at                  BIGINT      NOT NULL,
    previous_status     TEXT,
    status              TEXT        NOT NULL,
    kitchen             TEXT,
    expected_at         BIGINT,
    reason              TEXT        NOT NULL
);

CREATE INDEX order_events_by_order ON order_events (order_id, sequence);

-- One row: the number of the last event. Whoever wants to change an order changes this row first and so waits for whoever is
-- changing one: numbers are committed in their order, and a reader who has seen a number has seen all before it.
CREATE TABLE order_event_head (
    sequence            BIGINT      NOT NULL
);

INSERT INTO order_event_head (sequence) VALUES (0);

CREATE TABLE order_keys (
    idempotency_key     TEXT        PRIMARY KEY,
    order_id            SORTED_TEXT NOT NULL,
    fingerprint         TEXT        NOT NULL,
    created_at          BIGINT      NOT NULL
);

CREATE INDEX order_keys_by_age ON order_keys (created_at);
