"""The database of the read benchmark: payments over 10,000 users, one of whom has 100,000, all inside three months."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db

USERS = 10_000
HEAVY_PAYMENTS = 100_000
CHUNK = 250_000
FIRST_DAY = "2025-04-01"
SECONDS = 91 * 24 * 3600  # April, May and June

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
       CASE WHEN n % :heavy_every = 0 AND n % 2 = 0 THEN lpad('1', 32, '0')::uuid
            ELSE lpad(to_hex(2 + abs(hashint8(n)) % ({USERS} - 1)), 32, '0')::uuid END,
       CASE WHEN n % :heavy_every = 0 AND n % 2 = 1 THEN lpad('1', 32, '0')::uuid
            ELSE lpad(to_hex(2 + abs(hashint8(n * 31 + 7)) % ({USERS} - 1)), 32, '0')::uuid END,
       timestamptz '{FIRST_DAY} 00:00+00' + make_interval(secs => abs(hashint8(n * 17 + 3)) % {SECONDS}),
       b.batch_id, n, false, (abs(hashint8(n + 5)) % 1000000)::numeric / 100,
       (ARRAY['USD', 'USD', 'USD', 'EUR', 'PHP'])[1 + n % 5],
       (ARRAY['completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed', 'completed',
              'pending', 'failed'])[1 + abs(hashint8(n + 11)) % 10]
  FROM b, generate_series(:first, :first + :size - 1) n
"""


def make(engine: Engine, payments: int) -> None:
    """Bring the migrated database to this many payments (it only grows), vacuumed and analysed."""
    with db.write(engine) as connection:
        connection.exec_driver_sql(REFERENCE)
        have = connection.scalar(sa.text("SELECT count(*) FROM transactions")) or 0
    # An odd step, so that both sent and received payments of the heavy user come up.
    heavy_every = payments // HEAVY_PAYMENTS | 1
    for first in range(have, payments, CHUNK):
        size = min(CHUNK, payments - first)
        with db.write(engine) as connection:
            connection.execute(sa.text(PAYMENTS), {"first": first, "size": size, "heavy_every": heavy_every})
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE) transactions")
        connection.exec_driver_sql("VACUUM (ANALYZE) users")
