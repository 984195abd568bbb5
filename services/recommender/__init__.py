"""The recommender learns what is bought together, what is bought later and when, and says what goes with each product.

Consumes: `orders`, `returns`, `customers`, `customer-moves` (first stage, by customer), `basket-deltas` (second stage, by
product), `pair-counts`, `catalog`, `complements` (ranker, and `serving`).
Produces: `basket-deltas`, `customer-moves`, `pair-counts`, `customer-products`, `complements`.
Owns: the tables `baskets` (by customer) and `pairs` (by product and bucket of 28 days).
Promises: counts equal a recount of the log after any crash; returns, cancellations and erasures within the horizon subtract
exactly what their orders added; guests count as the customers they became.
Beside it, as a process of its own, `serving` answers shops' pages from what it published.
Does not: decide who gets what, or know any contact data.
"""
