"""Reporting: what was decided, what came of it, and what it was worth.

Consumes: `decisions`, `engagement`, `orders`, `returns`.
Produces: nothing but dead letters of what it refuses.
Owns: the PostgreSQL schema `reporting`, which can be dropped and built again from the topics.
Promises: a record read twice changes nothing; every decision can be explained with each rule and its inputs;
    money is exact; a comparison that the figures cannot carry is called that.
Does not: decide, send, hold contact data, or feed anything back into a decision.
"""
