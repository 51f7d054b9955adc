"""The database of the read benchmark: payments over 10,000 users, one of whom has 100,000.

Every 2,000,000 payments fill three months. More payments go further back, so that a user's month does not change.
"""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db

USERS = 10_000
HEAVY_PAYMENTS = 100_000
CHUNK = 250_000
FIRST_DAY = "2025-04-01"
DAYS = 91  # April, May and June
A_SEASON = 2_000_000

REFERENCE = f"""
INSERT INTO currency (code, name) VALUES ('USD', 'US Dollar'), ('EUR', 'Euro'), ('PHP', 'Philippine Peso')
  ON CONFLICT DO NOTHING;
INSERT INTO users (user_id, name)
  SELECT lpad(to_hex(n), 32, '0')::uuid, 'User ' || n FROM generate_series(1, {USERS}) n ON CONFLICT DO NOTHING;
"""

# Scrambled, so that neighbours in the table are not neighbours in an index; the same rows every time.
PAYMENTS = f"""
WITH b AS (
  INSERT INTO intake_batches (kind, correlation_id, read_count, inserted_count, watermark)
  VALUES ('SEED', 'bench', :size, :size, (SELECT last FROM intake_watermark) + 1) RETURNING batch_id
), w AS (UPDATE intake_watermark SET last = last + 1)
INSERT INTO transactions
  (transaction_id, sender_id, receiver_id, timestamp, batch_id, source_position, is_suspicious,
   amount, currency, status)
SELECT md5('p' || n)::uuid,
       CASE WHEN n < {A_SEASON} AND n % :heavy_every = 0 AND n % 2 = 0 THEN lpad('1', 32, '0')::uuid
            ELSE lpad(to_hex(2 + abs(hashint8(n)) % ({USERS} - 1)), 32, '0')::uuid END,
       CASE WHEN n < {A_SEASON} AND n % :heavy_every = 0 AND n % 2 = 1 THEN lpad('1', 32, '0')::uuid
            ELSE lpad(to_hex(2 + abs(hashint8(n * 31 + 7)) % ({USERS} - 1)), 32, '0')::uuid END,
       timestamptz '{FIRST_DAY} 00:00+00' + make_interval(
         days => -{DAYS} * (n / {A_SEASON})::int, secs => abs(hashint8(n * 17 + 3)) % ({DAYS} * 24 * 3600)),
       b.batch_id, n, false, (abs(hashint8(n + 5)) % 1000000)::numeric / 100,
       (ARRAY['USD', 'USD', 'USD', 'EUR', 'PHP'])[1 + n % 5],
       (ARRAY['completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed',
              'pending', 'failed'])[1 + abs(hashint8(n + 11)) % 10]
  FROM b, generate_series(:first, :first + :size - 1) n
"""


INDEXES = """
SELECT indexname, indexdef FROM pg_indexes
 WHERE tablename = 'transactions' AND schemaname = 'public' AND indexname <> 'pk_transactions'
"""


def make(engine: Engine, payments: int) -> None:
    """Fill the migrated database to this many payments (it only grows); vacuum and analyse it.

    The indexes are created after all rows: faster, and as compact at 20,000,000 payments as at 2,000,000.
    """
    with db.write(engine) as connection:
        connection.exec_driver_sql(REFERENCE)
        have = connection.scalar(sa.text("SELECT count(*) FROM transactions")) or 0
        indexes = connection.execute(sa.text(INDEXES)).all() if have < payments else []
        for name, _ in indexes:
            connection.exec_driver_sql(f"DROP INDEX {name}")
    # The step is not even, so that both sent and received payments of the heavy user come up.
    heavy_every = min(payments, A_SEASON) // HEAVY_PAYMENTS | 1
    for first in range(have, payments, CHUNK):
        size = min(CHUNK, payments - first)
        with db.write(engine) as connection:
            connection.execute(sa.text(PAYMENTS), {"first": first, "size": size, "heavy_every": heavy_every})
    with db.write(engine) as connection:
        for _, definition in indexes:
            connection.exec_driver_sql(definition)
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE) transactions")
        connection.exec_driver_sql("VACUUM (ANALYZE) users")
