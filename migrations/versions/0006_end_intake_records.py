"""Every intake record has an end that can be read back, and every change of a payment has its revision.

Who ended a record and what took its place become columns. Triggers hold what the code promises: a payment changes only
together with a revision that says what it was; revisions are only added; an intake record is never deleted (a rehearsal
may start over), what arrived never changes, and an end is never undone.
"""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

COLUMNS = """
ALTER TABLE intake_records
    ADD COLUMN resolved_by TEXT,
    ADD COLUMN superseded_import_id UUID,
    ADD COLUMN superseded_position BIGINT,
    ADD CONSTRAINT fk_intake_records_superseded_import_id
        FOREIGN KEY (superseded_import_id) REFERENCES imports (import_id),
    ADD CONSTRAINT ck_intake_records_superseded CHECK (
        (superseded_import_id IS NULL) = (superseded_position IS NULL)
        AND (superseded_import_id IS NULL) = (resolution IS DISTINCT FROM 'SUPERSEDED'));
CREATE INDEX ix_intake_records_open ON intake_records (record_id) WHERE resolved_at IS NULL;
ALTER TABLE payment_revisions ADD COLUMN decided_by TEXT;
"""

GUARDS = """
CREATE FUNCTION transactions_check_revisions() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    changed text;
BEGIN
    -- Planned anew each time, since a batch is one row or a hundred thousand. LATERAL with LIMIT has every payment's
    -- revisions looked up in the index: while the table grows, the planner would rather read it whole, every time.
    -- The revision must come from this transaction (its xmin) and say what the payment was, so that one revision does
    -- not cover two changes.
    EXECUTE 'SELECT n.transaction_id::text FROM new_rows n JOIN old_rows o USING (transaction_id)'
        ' LEFT JOIN LATERAL (SELECT true AS is_there FROM payment_revisions r WHERE r.transaction_id = n.transaction_id'
        ' AND r.xmin = pg_current_xact_id()::xid AND r.status = n.status'
        ' AND r.previous->>''status'' = o.status AND (r.previous->>''amount'')::numeric = o.amount'
        ' AND r.previous->>''currency'' = o.currency AND (r.previous->>''timestamp'')::timestamptz = o.timestamp'
        ' AND (r.previous->>''sender_id'')::uuid = o.sender_id'
        ' AND (r.previous->>''receiver_id'')::uuid = o.receiver_id LIMIT 1) revision ON true'
        ' WHERE revision.is_there IS NULL AND'
        ' (n.sender_id, n.receiver_id, n.amount, n.currency, n.timestamp, n.status, n.is_suspicious, n.suspicions)'
        ' IS DISTINCT FROM'
        ' (o.sender_id, o.receiver_id, o.amount, o.currency, o.timestamp, o.status, o.is_suspicious, o.suspicions)'
        INTO changed;
    IF changed IS NOT NULL THEN
        RAISE restrict_violation USING
            MESSAGE = format('payment %s: a change needs a revision in the same transaction', changed),
            HINT = 'First insert a row into payment_revisions with what the payment was; resolveConflict does both.';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER transactions_change_with_a_revision AFTER UPDATE ON transactions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION transactions_check_revisions();

CREATE FUNCTION refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE restrict_violation USING MESSAGE = format('%s: %s', TG_TABLE_NAME, TG_ARGV[0]);
END $$;

CREATE TRIGGER transactions_keep_their_origin
    BEFORE UPDATE OF transaction_id, batch_id, source_partition, source_position ON transactions
    FOR EACH ROW WHEN ((OLD.transaction_id, OLD.batch_id, OLD.source_partition, OLD.source_position)
        IS DISTINCT FROM (NEW.transaction_id, NEW.batch_id, NEW.source_partition, NEW.source_position))
    EXECUTE FUNCTION refuse_rewrite('the id of a payment and where it first came from never change');

CREATE TRIGGER payment_revisions_are_only_added BEFORE UPDATE OR DELETE OR TRUNCATE ON payment_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite('rows are only added');

CREATE TRIGGER intake_records_are_never_deleted BEFORE DELETE ON intake_records
    FOR EACH ROW WHEN (OLD.resolution IS NULL OR OLD.resolution NOT IN ('DRY_RUN', 'NOT_IMPORTED'))
    EXECUTE FUNCTION refuse_rewrite('rows are never deleted');
CREATE TRIGGER intake_records_are_never_truncated BEFORE TRUNCATE ON intake_records
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_rewrite('rows are never deleted');
CREATE TRIGGER intake_records_keep_what_arrived
    BEFORE UPDATE OF record_id, kind, import_id, topic_ref, partition, position, raw, received_at ON intake_records
    FOR EACH ROW WHEN (
        (OLD.record_id, OLD.kind, OLD.import_id, OLD.topic_ref, OLD.partition, OLD.position, OLD.raw, OLD.received_at)
        IS DISTINCT FROM
        (NEW.record_id, NEW.kind, NEW.import_id, NEW.topic_ref, NEW.partition, NEW.position, NEW.raw, NEW.received_at))
    EXECUTE FUNCTION refuse_rewrite('what arrived, where and when never changes');
CREATE TRIGGER intake_records_end_once BEFORE UPDATE ON intake_records
    FOR EACH ROW WHEN (OLD.resolved_at IS NOT NULL AND OLD IS DISTINCT FROM NEW)
    EXECUTE FUNCTION refuse_rewrite('a record that has ended never changes');
"""

DOWN = """
DROP TRIGGER intake_records_end_once ON intake_records;
DROP TRIGGER intake_records_keep_what_arrived ON intake_records;
DROP TRIGGER intake_records_are_never_truncated ON intake_records;
DROP TRIGGER intake_records_are_never_deleted ON intake_records;
DROP TRIGGER payment_revisions_are_only_added ON payment_revisions;
DROP TRIGGER transactions_keep_their_origin ON transactions;
DROP TRIGGER transactions_change_with_a_revision ON transactions;
DROP FUNCTION refuse_rewrite();
DROP FUNCTION transactions_check_revisions();
ALTER TABLE payment_revisions DROP COLUMN decided_by;
DROP INDEX ix_intake_records_open;
ALTER TABLE intake_records
    DROP CONSTRAINT ck_intake_records_superseded,
    DROP COLUMN superseded_position, DROP COLUMN superseded_import_id, DROP COLUMN resolved_by;
"""


def upgrade() -> None:
    op.execute(COLUMNS)
    op.execute(GUARDS)


def downgrade() -> None:
    op.execute(DOWN)
