"""Dispatcher: hands each message to a provider once, or says that it cannot know.

Consumes `messages` into the ledger, `customers` and `engagement` into the last check of consent, `controls`
for pauses and stops. Produces `engagement`: accepted, rejected, withheld, unknown (and unsubscribed, where a provider
refuses because of it). Owns the schema `dispatcher`: ledger, consent, suppressions. Promises that a message
is written as handed over before its provider is called, that nothing which may have been taken is handed over
again, and that what nobody can know is listed (`orderwake ledger unknown`). States: docs/ledger.md. Does not
decide who gets what, nor when: the scheduler does.
"""
