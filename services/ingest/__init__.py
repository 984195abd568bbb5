"""Ingest: the one way in.

Consumes: `inbound.*` (anyone may produce to them), and `POST /v1/events`, which puts events there.
Produces: the canonical topics (`orders`, `shipments`, `returns`, `customers`, `carts`, `engagement`,
`catalog`), and the dead letters of `inbound.*`.
Owns: the event ids seen, which customer each order belongs to, the events that wait for their order, and the
newest version published of each customer and product.
Promises: a 2xx means that Kafka has the event; what is on `inbound.*` reaches its canonical topic or becomes
a dead letter with a reason, save duplicates and superseded states, which are counted; one customer's events
of a topic lie in one partition; contact data goes to `customers` only.
Does not: judge what an event means, know journeys, or send anything.
"""
