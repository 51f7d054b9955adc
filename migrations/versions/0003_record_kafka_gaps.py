"""Gaps of Kafka partitions, and when each process last made progress.

A gap is a range of offsets that was deleted before it was read. It is written once and never changed.
"""

from __future__ import annotations

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

LOCK_TIMEOUT = "SET LOCAL lock_timeout = '4s'"

TABLES = """
CREATE TABLE kafka_gaps (
    topic_ref INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    last_offset BIGINT NOT NULL,
    noticed_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_kafka_gaps PRIMARY KEY (topic_ref, partition, first_offset),
    CONSTRAINT ck_kafka_gaps_offsets CHECK (first_offset <= last_offset),
    CONSTRAINT fk_kafka_gaps_topic_ref FOREIGN KEY(topic_ref) REFERENCES kafka_topics (topic_ref)
);

CREATE INDEX ix_kafka_gaps_noticed_at ON kafka_gaps (noticed_at);

CREATE FUNCTION refuse_any_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('%s: rows are never changed or deleted', TG_TABLE_NAME);
END $$;

CREATE TRIGGER kafka_gaps_are_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON kafka_gaps
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_any_change();

CREATE TABLE process_heartbeats (
    process TEXT NOT NULL,
    instance TEXT NOT NULL,
    host TEXT NOT NULL,
    pid INTEGER NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    progress_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_process_heartbeats PRIMARY KEY (process, instance)
);
"""


def upgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute(TABLES)


def downgrade() -> None:
    op.execute(LOCK_TIMEOUT)
    op.execute("DROP TABLE process_heartbeats, kafka_gaps; DROP FUNCTION refuse_any_change()")
