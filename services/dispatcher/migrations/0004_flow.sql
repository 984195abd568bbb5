-- What goes first: 0 is a service message, 1 an offer.
ALTER TABLE ledger ADD COLUMN priority smallint NOT NULL DEFAULT 1;
-- Whether it was ever unknown: what one provider may have taken goes to no other.
ALTER TABLE ledger ADD COLUMN doubted boolean NOT NULL DEFAULT false;
UPDATE ledger SET doubted = true WHERE state = 'unknown';

-- A line for each channel, priority and shop; a claim leaps from line to line.
CREATE INDEX ledger_lines ON ledger (channel, priority, shop_id, next_try) WHERE state = 'intended';
DROP INDEX ledger_next_try;

-- What a provider, a sender or a shop may still hand over: a bucket that fills by machine time, and a count for the UTC day.
CREATE TABLE allowances (
    scope text PRIMARY KEY,
    tokens double precision NOT NULL,
    counted_at timestamptz NOT NULL,
    day date NOT NULL,
    used bigint NOT NULL
) WITH (fillfactor = 50);

-- Where the customer is, as last read, for the hours of texts.
ALTER TABLE consents ADD COLUMN country text;
ALTER TABLE consents ADD COLUMN region text;
ALTER TABLE consents ADD COLUMN time_zone text;
