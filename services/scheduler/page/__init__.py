"""The thank-you page: a process of its own that decides one offer while the customer looks on.

Follows: `complements`, `catalog`, `controls`. Reads and writes the scheduler's schema: a customer's row is locked while it
is decided, as everywhere. Writes, through the scheduler's outbox: `decisions`, `engagement`; and signed webhooks to shops.
Promises: an order has one decision however often and from wherever it is asked; an answer within its deadline; never an
error in a shop's checkout. Does not relay the outbox: the scheduler's processes do.
"""
