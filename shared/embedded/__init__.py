"""Real Kafka and real PostgreSQL for a machine with Python and nothing else."""

from shared.embedded.choose import Infrastructure, choose
from shared.embedded.kafka import EmbeddedKafka
from shared.embedded.postgres import EmbeddedPostgres

__all__ = ["EmbeddedKafka", "EmbeddedPostgres", "Infrastructure", "choose"]
