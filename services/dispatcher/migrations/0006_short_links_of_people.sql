-- Erased people's links are found by whom they were sent to.
CREATE INDEX short_links_customer ON short_links (shop_id, customer_id);
