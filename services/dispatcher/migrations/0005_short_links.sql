-- Short links of texts; a row goes when the link has ended. `expires_at` and `clicked_at` (the first click) are business time.
CREATE TABLE short_links (
    code text PRIMARY KEY,
    message_id uuid NOT NULL,
    shop_id text NOT NULL,
    customer_id text NOT NULL,
    channel text NOT NULL,
    target text NOT NULL,
    expires_at timestamptz NOT NULL,
    clicked_at timestamptz
);
CREATE INDEX short_links_expires_at ON short_links (expires_at);
