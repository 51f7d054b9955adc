"""The database of the read tests: the demo payments, edge cases, unusual currencies, a user with an unusual name."""

from __future__ import annotations

import uuid

import sqlalchemy as sa

from fcgraph import db
from fcgraph.intake import Writer
from fcgraph.settings import Settings
from seeds import load
from tests.api.cases import EDGE_PAYMENTS, UNUSUAL_NAME, ZOE


def make_demo(settings: Settings) -> None:
    """Fill the fresh database with test data."""
    engine = db.make_engine(settings.database_url, name="tests", pool_max=4)
    with db.write(engine) as connection:
        connection.execute(
            sa.text("INSERT INTO currency (code, name, minor_units) VALUES ('JPY', 'Yen', 0), ('KWD', 'Dinar', 3)")
        )
        connection.execute(
            sa.text("INSERT INTO users (user_id, name) VALUES (:id, :name)"),
            {"id": uuid.UUID(ZOE), "name": UNUSUAL_NAME},
        )
    load.load_demo(engine, settings)
    writer = Writer(engine, settings)
    writer.submit_rows(EDGE_PAYMENTS, correlation_id="edges")
    writer.close()
    engine.dispose()
