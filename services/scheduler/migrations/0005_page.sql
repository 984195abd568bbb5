-- What the thank-you page said of an order, so that it says the same when asked again. `body` is the offer as it was
-- answered (JSON without its token); where there was none, `reason` says why and the offer's columns are null.
CREATE TABLE page_answers (
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    order_id text NOT NULL,
    decided_at timestamptz NOT NULL,
    reason text,
    message_id uuid,
    body text,
    expires_at timestamptz,
    accepted_at timestamptz,
    PRIMARY KEY (shop_id, customer_id, order_id)
);
CREATE UNIQUE INDEX page_answers_message ON page_answers (message_id);
CREATE INDEX page_answers_age ON page_answers (decided_at);

-- Webhooks to shops. `next_at` is machine time: when to try, or until when an attempt that is under way may take.
CREATE TABLE webhooks (
    webhook_id text PRIMARY KEY,
    shop_id text NOT NULL,
    body text NOT NULL,
    created_at timestamptz NOT NULL,
    state text NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'done', 'failed')),
    attempts integer NOT NULL DEFAULT 0,
    next_at timestamptz NOT NULL,
    outcome text NOT NULL DEFAULT ''
) WITH (fillfactor = 80);
CREATE INDEX webhooks_next ON webhooks (next_at) WHERE state = 'waiting';
CREATE INDEX webhooks_age ON webhooks (created_at);

-- Addresses that said 410: nothing more goes there until the shop has another address or an operator enables it.
CREATE TABLE webhook_addresses_gone (
    shop_id text NOT NULL,
    url text NOT NULL,
    gone_at timestamptz NOT NULL,
    PRIMARY KEY (shop_id, url)
);
