"""The recommender learns which products are bought together and says what goes with each.

Consumes: `orders`, `returns` (first stage), `basket-deltas` (second stage), `pair-counts`, `catalog` (ranker).
Produces: `basket-deltas`, `pair-counts`, `complements`.
Owns: the tables `baskets` (by customer) and `pairs` (by product).
Promises: counts equal a recount of the log after any crash, and returns subtract exactly what their orders added.
Beside it, as a process of its own, `serving` answers shops' pages from what it published.
Does not: decide who gets what, look at stock or price, or know any contact data.
"""
