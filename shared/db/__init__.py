"""PostgreSQL access: pools bound to one service's schema, named queries from `.sql` files, migrations."""

from shared.db.migrations_runner import migrate
from shared.db.pool import create_pool, end_transaction, unusable
from shared.db.queries import Queries, load_queries

__all__ = ["Queries", "create_pool", "end_transaction", "load_queries", "migrate", "unusable"]
