"""Search users by name in every script, sort names of any length, and record who renamed a user.

`search_form` is the one definition of what counts as the same letter. It uses PostgreSQL's built-in Unicode tables, so
the locale of the database plays no part.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from fcgraph.errors import UnsupportedServer

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Compatibility forms and composed letters are made equal, then letters are folded in full (the German sharp s is ss, a
# final sigma is a sigma). I, i and their Turkish relatives with and without the dot count as one letter, because the
# language of a name is not known. Text in ASCII needs none of that and is twenty times as quick without it.
SEARCH = r"""
CREATE FUNCTION search_form(value TEXT) RETURNS TEXT LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN octet_length(value) = char_length(value) THEN lower(value COLLATE "C") COLLATE pg_unicode_fast
    ELSE normalize(replace(translate(casefold(normalize(value, NFKD) COLLATE pg_unicode_fast),
        U&'\0131', 'i'), U&'i\0307', 'i'), NFKC) END;

ALTER TABLE users ADD COLUMN search_name TEXT GENERATED ALWAYS AS (search_form(name)) STORED;
"""

# An index entry has at most 2,704 bytes, a cursor 2,048 characters: whole names do not fit, their beginnings do.
SORTED_CHARS = 200
SORT = f"""
CREATE INDEX ix_users_name_new ON users ("left"(name, {SORTED_CHARS}), user_id);
DROP INDEX ix_users_name;
ALTER INDEX ix_users_name_new RENAME TO ix_users_name;
"""

RENAMES = """
CREATE TABLE user_batches (
    user_batch_id BIGINT GENERATED ALWAYS AS IDENTITY,
    watermark BIGINT,
    read_count BIGINT NOT NULL,
    inserted_count BIGINT NOT NULL,
    renamed_count BIGINT NOT NULL,
    unchanged_count BIGINT NOT NULL,
    rejected_count BIGINT NOT NULL,
    changed_by TEXT NOT NULL,
    correlation_id TEXT NOT NULL,
    recorded_at timestamptz DEFAULT now() NOT NULL,
    CONSTRAINT pk_user_batches PRIMARY KEY (user_batch_id),
    CONSTRAINT uq_user_batches_watermark UNIQUE (watermark),
    CONSTRAINT ck_user_batches_counts_add_up CHECK (read_count = inserted_count + renamed_count + unchanged_count + rejected_count)
);

CREATE TABLE user_revisions (
    user_id UUID NOT NULL,
    revision INTEGER NOT NULL,
    name_before TEXT NOT NULL,
    name TEXT NOT NULL,
    user_batch_id BIGINT NOT NULL,
    CONSTRAINT pk_user_revisions PRIMARY KEY (user_id, revision),
    CONSTRAINT ck_user_revisions_revision CHECK (revision >= 2),
    CONSTRAINT fk_user_revisions_user_id FOREIGN KEY(user_id) REFERENCES users (user_id),
    CONSTRAINT fk_user_revisions_user_batch_id FOREIGN KEY(user_batch_id) REFERENCES user_batches (user_batch_id)
);

CREATE INDEX ix_user_revisions_user_batch_id ON user_revisions (user_batch_id);

-- A batch without a watermark is one that this transaction has opened: no other can be seen.
CREATE FUNCTION users_check_renames() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (
        SELECT FROM new_rows n JOIN old_rows o USING (user_id)
         WHERE n.name <> o.name AND NOT EXISTS (
               SELECT FROM user_revisions r JOIN user_batches b USING (user_batch_id)
                WHERE r.user_id = n.user_id AND r.name = n.name AND b.watermark IS NULL))
    THEN
        RAISE restrict_violation USING MESSAGE = 'users: a rename is written together with its user_revisions';
    END IF;
    RETURN NULL;
END $$;

CREATE TRIGGER users_renames_are_recorded AFTER UPDATE ON users
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION users_check_renames();

CREATE FUNCTION user_batches_check_watermark() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF EXISTS (SELECT FROM user_batches WHERE user_batch_id = NEW.user_batch_id AND watermark IS NULL) THEN
        RAISE restrict_violation USING MESSAGE = 'user_batches: a batch takes its watermark before it commits';
    END IF;
    RETURN NULL;
END $$;

CREATE CONSTRAINT TRIGGER user_batches_have_a_watermark AFTER INSERT ON user_batches
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION user_batches_check_watermark();
CREATE TRIGGER user_batches_stay BEFORE DELETE OR TRUNCATE ON user_batches
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER user_batches_stay_as_they_are BEFORE UPDATE ON user_batches
    FOR EACH ROW WHEN (OLD.watermark IS NOT NULL) EXECUTE FUNCTION refuse_change();
CREATE TRIGGER user_revisions_stay BEFORE UPDATE OR DELETE OR TRUNCATE ON user_revisions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
"""

DOWN = """
DROP TRIGGER users_renames_are_recorded ON users;
DROP TABLE user_revisions, user_batches;
DROP FUNCTION users_check_renames();
DROP FUNCTION user_batches_check_watermark();
DROP INDEX ix_users_name;
ALTER TABLE users DROP COLUMN search_name;
DROP FUNCTION search_form(TEXT);
CREATE INDEX ix_users_name ON users (name, user_id);
"""


def upgrade() -> None:
    encoding = op.get_bind().scalar(sa.text("SHOW server_encoding"))
    if encoding != "UTF8":
        raise UnsupportedServer(
            f"fcgraph needs a database with the encoding UTF8; the one at DATABASE_URL has {encoding}"
        )
    op.execute(SEARCH)
    op.execute(SORT)
    op.execute(RENAMES)


def downgrade() -> None:
    op.execute(DOWN)
