"""The first schema: users, currencies, payments, what the intake keeps account of, imports and reports.

References of `transactions` and `intake_records` are declared NOT ENFORCED and checked by one statement trigger over all
new rows at once: the same guarantee for every door at a fraction of the cost of a lookup per row. It holds because the
parents are guarded as well: they are never deleted or renumbered.
"""

from __future__ import annotations

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

TABLES = """
CREATE TABLE currency (
    code TEXT NOT NULL,
    name TEXT NOT NULL,
    symbol TEXT,
    minor_units SMALLINT DEFAULT '2' NOT NULL,
    suspicious_above NUMERIC(20, 4) DEFAULT '10000' NOT NULL,
    CONSTRAINT pk_currency PRIMARY KEY (code),
    CONSTRAINT ck_currency_code CHECK (code ~ '^[A-Z]{3}$'),
    CONSTRAINT ck_currency_minor_units CHECK (minor_units BETWEEN 0 AND 4),
    CONSTRAINT ck_currency_suspicious_above CHECK (suspicious_above >= 0 AND suspicious_above <> 'NaN')
);

CREATE TABLE imports (
    import_id UUID DEFAULT uuidv7() NOT NULL,
    file_key TEXT NOT NULL,
    file_name TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    mode TEXT NOT NULL,
    dry_run BOOLEAN NOT NULL,
    state TEXT DEFAULT 'QUEUED' NOT NULL,
    header BYTEA NOT NULL,
    ignored_columns TEXT[] DEFAULT '{}'::text[] NOT NULL,
    expected_row_count BIGINT,
    expected_totals JSONB,
    attempt INTEGER DEFAULT '0' NOT NULL,
    done_chunks INTEGER DEFAULT '0' NOT NULL,
    done_bytes BIGINT DEFAULT '0' NOT NULL,
    done_lines BIGINT DEFAULT '0' NOT NULL,
    failure TEXT,
    correlation_id TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    started_at timestamptz,
    heartbeat_at timestamptz,
    finished_at timestamptz,
    read_count BIGINT DEFAULT '0' NOT NULL,
    inserted_count BIGINT DEFAULT '0' NOT NULL,
    updated_count BIGINT DEFAULT '0' NOT NULL,
    duplicate_count BIGINT DEFAULT '0' NOT NULL,
    stale_count BIGINT DEFAULT '0' NOT NULL,
    conflict_count BIGINT DEFAULT '0' NOT NULL,
    rejected_count BIGINT DEFAULT '0' NOT NULL,
    suspicious_count BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_imports PRIMARY KEY (import_id),
    CONSTRAINT ck_imports_counts_add_up CHECK (read_count = inserted_count + updated_count + duplicate_count + stale_count + conflict_count + rejected_count),
    CONSTRAINT ck_imports_counts_not_negative CHECK (inserted_count >= 0 AND updated_count >= 0 AND duplicate_count >= 0 AND stale_count >= 0 AND conflict_count >= 0 AND rejected_count >= 0 AND suspicious_count >= 0),
    CONSTRAINT ck_imports_mode CHECK (mode IN ('VALID_ROWS', 'ALL_OR_NOTHING')),
    CONSTRAINT ck_imports_state CHECK (state IN ('QUEUED', 'RUNNING', 'SUCCEEDED', 'SUCCEEDED_WITH_REJECTS', 'FAILED', 'CANCELLED')),
    CONSTRAINT ck_imports_finished CHECK ((state IN ('QUEUED', 'RUNNING')) = (finished_at IS NULL))
);

CREATE INDEX ix_imports_sha256 ON imports (sha256);

CREATE INDEX ix_imports_unfinished ON imports (import_id) WHERE finished_at IS NULL;

CREATE TABLE intake_watermark (
    singleton BOOLEAN DEFAULT true NOT NULL,
    last BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_intake_watermark PRIMARY KEY (singleton),
    CONSTRAINT ck_intake_watermark_one_row CHECK (singleton)
);

CREATE TABLE job_runs (
    run_id UUID DEFAULT uuidv7() NOT NULL,
    job TEXT NOT NULL,
    state TEXT DEFAULT 'RUNNING' NOT NULL,
    detail TEXT,
    correlation_id TEXT NOT NULL,
    started_at timestamptz DEFAULT now() NOT NULL,
    finished_at timestamptz,
    CONSTRAINT pk_job_runs PRIMARY KEY (run_id),
    CONSTRAINT ck_job_runs_state CHECK (state IN ('RUNNING', 'SUCCEEDED', 'FAILED'))
);

CREATE INDEX ix_job_runs_job ON job_runs (job, started_at DESC);

CREATE TABLE kafka_topics (
    topic_ref INTEGER GENERATED ALWAYS AS IDENTITY,
    cluster_id TEXT NOT NULL,
    topic TEXT NOT NULL,
    topic_id TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_kafka_topics PRIMARY KEY (topic_ref),
    CONSTRAINT uq_kafka_topics_cluster_id_topic_topic_id UNIQUE (cluster_id, topic, topic_id)
);

CREATE TABLE reports (
    period TEXT NOT NULL,
    version INTEGER NOT NULL,
    file_name TEXT NOT NULL,
    file_key TEXT NOT NULL,
    sha256 TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    row_count BIGINT NOT NULL,
    watermark BIGINT NOT NULL,
    time_zone TEXT NOT NULL,
    statuses TEXT[] NOT NULL,
    totals JSONB NOT NULL,
    balanced BOOLEAN NOT NULL,
    is_final_period BOOLEAN NOT NULL,
    correlation_id TEXT NOT NULL,
    generated_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_reports PRIMARY KEY (period, version),
    CONSTRAINT uq_reports_file_name UNIQUE (file_name),
    CONSTRAINT ck_reports_period CHECK (period ~ '^[0-9]{4}-(0[1-9]|1[0-2])$'),
    CONSTRAINT ck_reports_version CHECK (version >= 1)
);

CREATE TABLE users (
    user_id UUID NOT NULL,
    name TEXT NOT NULL,
    created_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_users PRIMARY KEY (user_id)
);

CREATE INDEX ix_users_name ON users (name, user_id);

CREATE TABLE import_totals (
    import_id UUID NOT NULL,
    currency TEXT NOT NULL,
    accepted NUMERIC DEFAULT '0' NOT NULL,
    rejected NUMERIC DEFAULT '0' NOT NULL,
    CONSTRAINT pk_import_totals PRIMARY KEY (import_id, currency),
    CONSTRAINT fk_import_totals_import_id FOREIGN KEY(import_id) REFERENCES imports (import_id)
);

CREATE TABLE intake_batches (
    batch_id BIGINT GENERATED ALWAYS AS IDENTITY,
    watermark BIGINT,
    kind TEXT NOT NULL,
    import_id UUID,
    chunk INTEGER,
    topic_ref INTEGER,
    correlation_id TEXT NOT NULL,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    read_count BIGINT DEFAULT '0' NOT NULL,
    inserted_count BIGINT DEFAULT '0' NOT NULL,
    updated_count BIGINT DEFAULT '0' NOT NULL,
    duplicate_count BIGINT DEFAULT '0' NOT NULL,
    stale_count BIGINT DEFAULT '0' NOT NULL,
    conflict_count BIGINT DEFAULT '0' NOT NULL,
    rejected_count BIGINT DEFAULT '0' NOT NULL,
    suspicious_count BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_intake_batches PRIMARY KEY (batch_id),
    CONSTRAINT ck_intake_batches_counts_add_up CHECK (read_count = inserted_count + updated_count + duplicate_count + stale_count + conflict_count + rejected_count),
    CONSTRAINT ck_intake_batches_counts_not_negative CHECK (inserted_count >= 0 AND updated_count >= 0 AND duplicate_count >= 0 AND stale_count >= 0 AND conflict_count >= 0 AND rejected_count >= 0 AND suspicious_count >= 0),
    CONSTRAINT uq_intake_batches_watermark UNIQUE (watermark),
    CONSTRAINT uq_intake_batches_import_id_chunk UNIQUE (import_id, chunk),
    CONSTRAINT ck_intake_batches_kind CHECK (kind IN ('CSV', 'KAFKA', 'SEED')),
    CONSTRAINT ck_intake_batches_source CHECK ((kind = 'KAFKA') = (topic_ref IS NOT NULL) AND (kind = 'CSV') = (import_id IS NOT NULL)),
    CONSTRAINT fk_intake_batches_import_id FOREIGN KEY(import_id) REFERENCES imports (import_id),
    CONSTRAINT fk_intake_batches_topic_ref FOREIGN KEY(topic_ref) REFERENCES kafka_topics (topic_ref)
);

CREATE TABLE intake_records (
    record_id UUID DEFAULT uuidv7() NOT NULL,
    outcome TEXT NOT NULL,
    kind TEXT NOT NULL,
    import_id UUID,
    topic_ref INTEGER,
    partition INTEGER,
    position BIGINT NOT NULL,
    transaction_id UUID,
    raw BYTEA NOT NULL,
    problems JSONB DEFAULT '[]'::jsonb NOT NULL,
    differences JSONB DEFAULT '[]'::jsonb NOT NULL,
    received_at timestamptz DEFAULT now() NOT NULL,
    resolved_at timestamptz,
    resolution TEXT,
    note TEXT,
    CONSTRAINT pk_intake_records PRIMARY KEY (record_id),
    CONSTRAINT ck_intake_records_outcome CHECK (outcome IN ('REJECTED', 'CONFLICT')),
    CONSTRAINT ck_intake_records_kind CHECK (kind IN ('CSV', 'KAFKA', 'SEED')),
    CONSTRAINT ck_intake_records_resolved CHECK ((resolved_at IS NULL) = (resolution IS NULL)),
    CONSTRAINT fk_intake_records_import_id FOREIGN KEY(import_id) REFERENCES imports (import_id) NOT ENFORCED,
    CONSTRAINT fk_intake_records_topic_ref FOREIGN KEY(topic_ref) REFERENCES kafka_topics (topic_ref) NOT ENFORCED
);

CREATE UNIQUE INDEX uq_intake_records_csv ON intake_records (import_id, position) WHERE kind = 'CSV';

CREATE UNIQUE INDEX uq_intake_records_kafka ON intake_records (topic_ref, partition, position) WHERE kind = 'KAFKA';

CREATE TABLE kafka_positions (
    topic_ref INTEGER NOT NULL,
    partition INTEGER NOT NULL,
    next_offset BIGINT NOT NULL,
    CONSTRAINT pk_kafka_positions PRIMARY KEY (topic_ref, partition),
    CONSTRAINT fk_kafka_positions_topic_ref FOREIGN KEY(topic_ref) REFERENCES kafka_topics (topic_ref)
);

CREATE TABLE kafka_ranges (
    batch_id BIGINT NOT NULL,
    partition INTEGER NOT NULL,
    first_offset BIGINT NOT NULL,
    last_offset BIGINT NOT NULL,
    read_count BIGINT DEFAULT '0' NOT NULL,
    inserted_count BIGINT DEFAULT '0' NOT NULL,
    updated_count BIGINT DEFAULT '0' NOT NULL,
    duplicate_count BIGINT DEFAULT '0' NOT NULL,
    stale_count BIGINT DEFAULT '0' NOT NULL,
    conflict_count BIGINT DEFAULT '0' NOT NULL,
    rejected_count BIGINT DEFAULT '0' NOT NULL,
    suspicious_count BIGINT DEFAULT '0' NOT NULL,
    CONSTRAINT pk_kafka_ranges PRIMARY KEY (batch_id, partition),
    CONSTRAINT ck_kafka_ranges_counts_add_up CHECK (read_count = inserted_count + updated_count + duplicate_count + stale_count + conflict_count + rejected_count),
    CONSTRAINT ck_kafka_ranges_counts_not_negative CHECK (inserted_count >= 0 AND updated_count >= 0 AND duplicate_count >= 0 AND stale_count >= 0 AND conflict_count >= 0 AND rejected_count >= 0 AND suspicious_count >= 0),
    CONSTRAINT ck_kafka_ranges_offsets CHECK (first_offset <= last_offset),
    CONSTRAINT fk_kafka_ranges_batch_id FOREIGN KEY(batch_id) REFERENCES intake_batches (batch_id)
);

CREATE TABLE transactions (
    transaction_id UUID NOT NULL,
    sender_id UUID NOT NULL,
    receiver_id UUID NOT NULL,
    timestamp timestamptz NOT NULL,
    batch_id BIGINT NOT NULL,
    source_position BIGINT NOT NULL,
    source_partition INTEGER,
    is_suspicious BOOLEAN NOT NULL,
    amount NUMERIC(20, 4) NOT NULL,
    currency TEXT NOT NULL,
    status TEXT NOT NULL,
    suspicions TEXT[],
    CONSTRAINT pk_transactions PRIMARY KEY (transaction_id),
    CONSTRAINT ck_transactions_amount CHECK (amount >= 0 AND amount <> 'NaN'),
    CONSTRAINT ck_transactions_status CHECK (status IN ('pending', 'completed', 'failed')),
    CONSTRAINT fk_transactions_sender_id FOREIGN KEY(sender_id) REFERENCES users (user_id) NOT ENFORCED,
    CONSTRAINT fk_transactions_receiver_id FOREIGN KEY(receiver_id) REFERENCES users (user_id) NOT ENFORCED,
    CONSTRAINT fk_transactions_batch_id FOREIGN KEY(batch_id) REFERENCES intake_batches (batch_id) NOT ENFORCED,
    CONSTRAINT fk_transactions_currency FOREIGN KEY(currency) REFERENCES currency (code) NOT ENFORCED
);

CREATE INDEX ix_transactions_sender ON transactions (sender_id, timestamp DESC, transaction_id DESC) INCLUDE (currency, amount, status);

CREATE INDEX ix_transactions_batch_id ON transactions USING brin (batch_id) WITH (pages_per_range = 16);

CREATE INDEX ix_transactions_timestamp ON transactions (timestamp DESC, transaction_id DESC);

CREATE INDEX ix_transactions_receiver ON transactions (receiver_id, timestamp DESC, transaction_id DESC) INCLUDE (currency, amount, status);

CREATE TABLE payment_revisions (
    transaction_id UUID NOT NULL,
    revision INTEGER NOT NULL,
    status TEXT NOT NULL,
    previous JSONB NOT NULL,
    batch_id BIGINT NOT NULL,
    source_position BIGINT NOT NULL,
    source_partition INTEGER,
    note TEXT,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_payment_revisions PRIMARY KEY (transaction_id, revision),
    CONSTRAINT ck_payment_revisions_revision CHECK (revision >= 2),
    CONSTRAINT ck_payment_revisions_status CHECK (status IN ('pending', 'completed', 'failed')),
    CONSTRAINT fk_payment_revisions_transaction_id FOREIGN KEY(transaction_id) REFERENCES transactions (transaction_id),
    CONSTRAINT fk_payment_revisions_batch_id FOREIGN KEY(batch_id) REFERENCES intake_batches (batch_id)
);

CREATE INDEX ix_payment_revisions_batch_id ON payment_revisions (batch_id);
"""

GUARDS = """
INSERT INTO intake_watermark (singleton, last) VALUES (true, 0);

CREATE FUNCTION transactions_check_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    missing text;
BEGIN
    -- Planned anew each time, since a batch is one row or a hundred thousand; without LIMIT, which would have the
    -- planner look every user up by itself.
    EXECUTE 'SELECT u.user_id::text'
        ' FROM (SELECT sender_id AS user_id FROM new_rows UNION ALL SELECT receiver_id FROM new_rows) u'
        ' WHERE NOT EXISTS (SELECT FROM users WHERE users.user_id = u.user_id)' INTO missing;
    IF missing IS NOT NULL THEN
        RAISE foreign_key_violation USING MESSAGE = 'no user ' || missing, CONSTRAINT = 'fk_transactions_sender_id';
    END IF;
    SELECT c.currency INTO missing
      FROM (SELECT DISTINCT currency FROM new_rows) c
     WHERE NOT EXISTS (SELECT FROM currency WHERE currency.code = c.currency)
     LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'no currency ' || missing, CONSTRAINT = 'fk_transactions_currency';
    END IF;
    SELECT b.batch_id::text INTO missing
      FROM (SELECT DISTINCT batch_id FROM new_rows) b
     WHERE NOT EXISTS (SELECT FROM intake_batches WHERE intake_batches.batch_id = b.batch_id)
     LIMIT 1;
    IF FOUND THEN
        RAISE foreign_key_violation USING MESSAGE = 'no batch ' || missing, CONSTRAINT = 'fk_transactions_batch_id';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER transactions_references_of_new AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION transactions_check_references();

CREATE TRIGGER transactions_references_of_changed AFTER UPDATE ON transactions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION transactions_check_references();

CREATE FUNCTION intake_records_check_references() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    origin record;
BEGIN
    FOR origin IN SELECT DISTINCT import_id, topic_ref FROM new_rows LOOP
        IF origin.import_id IS NOT NULL AND NOT EXISTS (SELECT FROM imports WHERE import_id = origin.import_id) THEN
            RAISE foreign_key_violation
                USING MESSAGE = 'no import ' || origin.import_id, CONSTRAINT = 'fk_intake_records_import_id';
        END IF;
        IF origin.topic_ref IS NOT NULL AND NOT EXISTS (SELECT FROM kafka_topics WHERE topic_ref = origin.topic_ref)
        THEN
            RAISE foreign_key_violation
                USING MESSAGE = 'no topic ' || origin.topic_ref, CONSTRAINT = 'fk_intake_records_topic_ref';
        END IF;
    END LOOP;
    RETURN NULL;
END $$;

CREATE TRIGGER intake_records_references_of_new AFTER INSERT ON intake_records
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION intake_records_check_references();

CREATE TRIGGER intake_records_references_of_changed AFTER UPDATE ON intake_records
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION intake_records_check_references();

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE =
        format('%s: rows are never deleted and their keys never change', TG_TABLE_NAME);
END $$;

CREATE TRIGGER users_are_kept BEFORE DELETE OR TRUNCATE ON users
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER users_keep_their_key BEFORE UPDATE OF user_id ON users
    FOR EACH ROW WHEN (OLD.user_id IS DISTINCT FROM NEW.user_id) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER currency_is_kept BEFORE DELETE OR TRUNCATE ON currency
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER currency_keeps_its_code BEFORE UPDATE OF code ON currency
    FOR EACH ROW WHEN (OLD.code IS DISTINCT FROM NEW.code) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER imports_are_kept BEFORE DELETE OR TRUNCATE ON imports
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER imports_keep_their_key BEFORE UPDATE OF import_id ON imports
    FOR EACH ROW WHEN (OLD.import_id IS DISTINCT FROM NEW.import_id) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER kafka_topics_are_kept BEFORE DELETE OR TRUNCATE ON kafka_topics
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER transactions_are_kept BEFORE DELETE OR TRUNCATE ON transactions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER intake_batches_are_kept BEFORE DELETE OR TRUNCATE ON intake_batches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DOWN = """
DROP TABLE job_runs, reports, intake_records, payment_revisions, transactions, kafka_ranges, intake_watermark,
    intake_batches, import_totals, imports, kafka_positions, kafka_topics, currency, users;
DROP FUNCTION transactions_check_references();
DROP FUNCTION intake_records_check_references();
DROP FUNCTION refuse_change();
"""


def upgrade() -> None:
    op.execute(TABLES)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute(DOWN)
