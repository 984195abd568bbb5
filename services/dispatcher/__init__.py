"""Dispatcher: hands each message to a provider once, or says that it cannot know.

Consumes `messages` into the ledger, `customers` and `engagement` into the last check of consent, `controls`
for pauses and stops; hears providers' call-backs. Produces `engagement`: accepted, rejected, withheld, unknown, and
what providers report: delivered, bounced, opened, clicked, complained, unsubscribed. Owns the schema `dispatcher`:
ledger, proofs of consent, suppressions, dead addresses. Promises that a message is written as handed over before its
provider is called, that nothing which may have been taken is handed over again unless that cannot double or somebody
says so, and that what nobody can know is listed (`orderwake ledger unknown`). States: docs/ledger.md. Does not decide
who gets what, nor when: the scheduler does.
"""
