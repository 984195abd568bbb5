"""The recommendation API: a process of its own that answers from memory.

Follows: `complements`, `catalog`, `pair-counts`. Writes nothing, keeps nothing on disk, needs no database.
Promises: it is ready once it has read all that was there at its start, and goes on answering while Kafka is away.
"""
