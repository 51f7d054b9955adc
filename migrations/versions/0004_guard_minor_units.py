"""Amounts never have more decimals than their currency: not a new payment's, and no stored one's after a change.

Payments are checked a statement at a time. Their writers share a lock on each currency until they commit; lowering the
decimals of a currency needs that lock alone. It does not queue for it: writers of the intake wait for one another in
ways that PostgreSQL does not see, and a queue between them could be a circle.
"""

from __future__ import annotations

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

# The advisory locks' first key is 1668641394, "curr" in ASCII; the second is made of the currency's code.
UP = """
CREATE FUNCTION currency_check_amount(used text, decimals integer) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    allowed integer;
BEGIN
    PERFORM pg_advisory_xact_lock_shared(1668641394, hashtext(used));
    SELECT minor_units INTO allowed FROM currency WHERE code = used;
    IF decimals > allowed THEN
        -- Class 40: rolled back. Validated again, the payment is accepted or rejected by its rules.
        RAISE transaction_integrity_constraint_violation USING MESSAGE =
            format('a payment in %s has %s decimals, and the currency allows %s', used, decimals, allowed);
    END IF;
END $$;

CREATE FUNCTION transactions_check_decimals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    found record;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        -- A transaction with one snapshot would not see that the currency has changed meanwhile.
        RAISE invalid_transaction_state USING MESSAGE = 'payments are written in READ COMMITTED transactions only';
    END IF;
    IF TG_OP = 'INSERT' THEN
        FOR found IN SELECT currency, max(min_scale(amount)) AS decimals FROM new_rows GROUP BY currency LOOP
            PERFORM currency_check_amount(found.currency, found.decimals);
        END LOOP;
    ELSE
        -- An amount that stays as it was may be older than this check.
        FOR found IN SELECT n.currency, max(min_scale(n.amount)) AS decimals
                       FROM new_rows n LEFT JOIN old_rows o USING (transaction_id)
                      WHERE (n.amount, n.currency) IS DISTINCT FROM (o.amount, o.currency)
                      GROUP BY n.currency
        LOOP
            PERFORM currency_check_amount(found.currency, found.decimals);
        END LOOP;
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER transactions_decimals_of_new AFTER INSERT ON transactions
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION transactions_check_decimals();
CREATE TRIGGER transactions_decimals_of_changed AFTER UPDATE ON transactions
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION transactions_check_decimals();

CREATE FUNCTION currency_check_decimals() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    tries integer := 0;
BEGIN
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        -- A transaction with one snapshot would not see the payments that were committed meanwhile.
        RAISE invalid_transaction_state
            USING MESSAGE = 'the decimals of a currency are lowered in READ COMMITTED transactions only';
    END IF;
    -- Two seconds at most.
    WHILE NOT pg_try_advisory_xact_lock(1668641394, hashtext(NEW.code)) LOOP
        tries := tries + 1;
        IF tries >= 200 THEN
            RAISE lock_not_available USING MESSAGE =
                format('payments in %s are being written: try again to lower its minor_units', NEW.code);
        END IF;
        PERFORM pg_sleep(0.01);
    END LOOP;
    IF EXISTS (SELECT FROM transactions WHERE currency = NEW.code AND min_scale(amount) > NEW.minor_units)
        OR EXISTS (SELECT FROM payment_revisions WHERE previous ->> 'currency' = NEW.code
                    AND min_scale((previous ->> 'amount')::numeric) > NEW.minor_units)
    THEN
        RAISE check_violation USING CONSTRAINT = 'currency_minor_units_hold_what_is_stored', MESSAGE =
            format('payments in %s have more than %s decimals: its minor_units cannot be lowered to that',
                   NEW.code, NEW.minor_units);
    END IF;
    IF min_scale(NEW.suspicious_above) > NEW.minor_units THEN
        RAISE check_violation USING CONSTRAINT = 'currency_minor_units_hold_suspicious_above', MESSAGE =
            format('suspicious_above of %s has more than %s decimals', NEW.code, NEW.minor_units);
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER currency_keeps_the_decimals_in_use AFTER UPDATE OF minor_units ON currency
    FOR EACH ROW WHEN (NEW.minor_units < OLD.minor_units) EXECUTE FUNCTION currency_check_decimals();
"""

DOWN = """
DROP TRIGGER currency_keeps_the_decimals_in_use ON currency;
DROP TRIGGER transactions_decimals_of_changed ON transactions;
DROP TRIGGER transactions_decimals_of_new ON transactions;
DROP FUNCTION currency_check_decimals();
DROP FUNCTION transactions_check_decimals();
DROP FUNCTION currency_check_amount(text, integer);
"""


def upgrade() -> None:
    op.execute(UP)


def downgrade() -> None:
    op.execute(DOWN)
