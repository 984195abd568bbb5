"""Kafka plumbing: guard and dead letters, producers, readers with positions in PostgreSQL, the Faust driver."""

from shared.kafka import closing

closing.apply()
