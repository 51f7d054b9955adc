"""An import counts the lines of its file that are no rows: blank ones, rows of empty values, a repeated header."""

from __future__ import annotations

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        "ALTER TABLE imports ADD COLUMN skipped_lines bigint NOT NULL DEFAULT 0,"
        " ADD CONSTRAINT ck_imports_skipped_lines CHECK (skipped_lines >= 0)"
    )


def downgrade() -> None:
    op.execute("ALTER TABLE imports DROP COLUMN skipped_lines")
