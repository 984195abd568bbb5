-- What incentives have reserved of a shop's discount budgets, by calendar period. Whoever decides for the shop holds the row
-- from before the first decision until commit, so that no two can spend the same money. Take it after customers' rows,
-- several in the order of the primary key.
CREATE TABLE budgets (
    shop_id text NOT NULL,
    currency text NOT NULL,
    per text NOT NULL CHECK (per IN ('day', 'week', 'month')),
    period_start timestamptz NOT NULL,
    reserved numeric NOT NULL DEFAULT 0 CHECK (reserved >= 0),
    PRIMARY KEY (shop_id, currency, per, period_start)
) WITH (fillfactor = 50);

-- Discount codes of customers' own. Codes of a pool wait here without a message; made ones come with theirs. A code that has a
-- message keeps it, and a message has one code. `added_at` is machine time, all others are business time.
CREATE TABLE discount_codes (
    shop_id text NOT NULL,
    code text NOT NULL,
    pool text,
    place bigint GENERATED ALWAYS AS IDENTITY,
    added_at timestamptz NOT NULL,
    message_id uuid,
    journey text,
    step text,
    kind text,
    value numeric,
    currency text,
    issued_at timestamptz,
    expires_at timestamptz,
    redeemed_at timestamptz,
    redeemed_by text,
    PRIMARY KEY (shop_id, code),
    CHECK (pool IS NOT NULL OR message_id IS NOT NULL),
    CHECK ((message_id IS NULL) = (issued_at IS NULL)),
    CHECK ((redeemed_by IS NULL) = (redeemed_at IS NULL)),
    CHECK (redeemed_by IS NULL OR message_id IS NOT NULL)
);
CREATE UNIQUE INDEX discount_codes_message ON discount_codes (message_id) WHERE message_id IS NOT NULL;
CREATE INDEX discount_codes_left ON discount_codes (shop_id, pool, place) WHERE message_id IS NULL;
