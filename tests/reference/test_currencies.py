"""Currencies are added and changed, a running intake follows, and no change rounds a stored amount."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg2
import pytest
import sqlalchemy as sa
from sqlalchemy import Engine
from sqlalchemy.exc import DBAPIError

from fcgraph import db, intake
from fcgraph.errors import Refused, Unavailable
from fcgraph.intake import Source, Writer
from fcgraph.intake.apply import apply_batch
from fcgraph.intake.csv_rows import Chunk, read_header
from fcgraph.reference.currencies import Currency, currencies, save_currency
from tests.intake.cases import GOOD, HEADER
from tests.intake.channels import Resources, payment_id, row, settings_of
from tests.reports.stored import revise
from tests.waiting import until


@pytest.fixture
def resources(engine: Engine, database_url: str, tmp_path: Path) -> Resources:
    return Resources(engine, settings_of(database_url, tmp_path))


def save(engine: Engine, code: str = "VND", minor_units: int = 2, suspicious_above: str = "10000") -> Currency:
    return save_currency(
        engine, code, name="Dong", symbol="\u20ab", minor_units=minor_units, suspicious_above=Decimal(suspicious_above)
    )


def message(n: int, **changed: str) -> bytes:
    return json.dumps({**GOOD, "transaction_id": payment_id(n), **changed}).encode()


def amounts(resources: Resources) -> dict[str, str]:
    return {str(p[0]): str(p[3]) for p in resources.payments()}


def test_a_currency_is_added_changed_and_listed(engine: Engine) -> None:
    assert save(engine) == Currency("VND", "Dong", "\u20ab", 2, Decimal("10000.00"))
    changed = save_currency(
        engine, " vnd ", name=" New Dong ", symbol=" ", minor_units=0, suspicious_above=Decimal("5000000.00")
    )
    assert changed == Currency("VND", "New Dong", None, 0, Decimal(5000000))
    assert changed in currencies(engine)
    assert [c.code for c in currencies(engine)] == ["EUR", "PHP", "USD", "VND"]


@pytest.mark.parametrize(
    ("changed", "path"),
    [
        ({"code": "US"}, "code"),
        ({"code": "\u017fek"}, "code"),
        ({"code": ""}, "code"),
        ({"name": " "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "a\0b"}, "name"),
        ({"symbol": "x" * 11}, "symbol"),
        ({"minor_units": -1}, "minorUnits"),
        ({"minor_units": 5}, "minorUnits"),
        ({"suspicious_above": Decimal(-1)}, "suspiciousAbove"),
        ({"suspicious_above": Decimal("0.001")}, "suspiciousAbove"),
        ({"suspicious_above": Decimal("NaN")}, "suspiciousAbove"),
        ({"suspicious_above": Decimal("1e15")}, "suspiciousAbove"),
    ],
)
def test_what_no_currency_can_be_is_refused_with_its_path(
    engine: Engine, changed: dict[str, object], path: str
) -> None:
    good = {"code": "VND", "name": "Dong", "symbol": None, "minor_units": 2, "suspicious_above": Decimal(1)}
    with pytest.raises(Refused) as refused:
        save_currency(engine, **{**good, **changed})  # type: ignore[arg-type]
    assert (refused.value.code, refused.value.path) == ("INVALID_INPUT", (path,))
    assert [c.code for c in currencies(engine)] == ["EUR", "PHP", "USD"]


def test_a_running_intake_sees_a_new_and_a_changed_currency(resources: Resources) -> None:
    """The same writer continues: a consumer has one for its lifetime, a worker one per import."""
    with db.write(resources.engine) as connection:
        source = Source("KAFKA", topic_ref=intake.topic_ref(connection, "cluster", "t", "id"))
    header = read_header(f"{HEADER}\n".encode())
    job = resources.accept(f"{HEADER}\n{row(90)}\n").import_id
    writer = Writer(resources.engine, resources.settings)
    offset = 0

    def outcome(currency: str, amount: str) -> tuple[str, ...]:
        """The problem codes of a message and of a CSV line with these values, which must be the same."""
        nonlocal offset
        offset += 1
        value = message(offset, currency=currency, amount=amount)
        by_kafka = writer.submit_messages([(0, offset, value)], source, correlation_id="test")
        text = row(offset, currency=currency, amount=amount) + "\n"
        chunk = Chunk(text, [offset], [], text.encode(), offset, len(text), offset + 1)
        batch = writer._validator.csv(chunk, header, Source("CSV", import_id=job), "test", 1000)
        found = [tuple(p.code for r in b.rejected for p in r.rejection.problems) for b in (by_kafka, batch)]
        assert found[0] == found[1]
        return found[0]

    try:
        assert outcome("VND", "1.5") == ("UNKNOWN_CURRENCY",)
        save(resources.engine, minor_units=0)
        assert outcome("VND", "1.5") == ("TOO_MANY_DECIMALS",)
        assert outcome("VND", "15") == ()
        save(resources.engine, minor_units=1)
        assert outcome("VND", "1.5") == ()
        assert outcome("USD", "250.00") == ()
        writer.drain()
    finally:
        writer.close()
    assert sorted(amounts(resources).values()) == ["1.5000", "15.0000", "250.0000"]


@pytest.mark.parametrize("channel", ["csv", "kafka"])
def test_each_currency_has_its_own_threshold(resources: Resources, channel: str) -> None:
    """Thresholds below and above the others: both apply, strictly, and a change affects later payments only."""
    save(resources.engine, "VND", 0, "5000000")
    save(resources.engine, "BHD", 3, "100.5")
    wanted = {
        ("USD", "10000.00"): False,
        ("USD", "10000.01"): True,
        ("VND", "5000000"): False,
        ("VND", "5000001"): True,
        ("BHD", "100.500"): False,
        ("BHD", "100.501"): True,
        ("BHD", "9999.999"): True,
        ("EUR", "150.00"): False,
    }

    def bring(first: int) -> dict[tuple[str, str], bool]:
        rows = [{"currency": code, "amount": amount} for code, amount in wanted]
        if channel == "csv":
            resources.import_rows([row(n, **values) for n, values in enumerate(rows, first)])
        else:
            resources.send([(0, n, message(n, **values)) for n, values in enumerate(rows, first)])
        found = {str(p[0]): bool(p[7]) for p in resources.payments()}
        return {key: found[payment_id(n)] for n, key in enumerate(wanted, first)}

    assert bring(1) == wanted
    save(resources.engine, "BHD", 3, "20000")
    assert bring(101) == wanted | {("BHD", "100.501"): False, ("BHD", "9999.999"): False}
    assert sum(bool(p[7]) for p in resources.payments()) == sum(wanted.values()) * 2 - 2  # stored ones do not change


LOWER = "UPDATE currency SET minor_units = :units WHERE code = 'VND'"


def lower_by_sql(engine: Engine, units: int) -> None:
    with db.write(engine) as connection:
        connection.execute(sa.text(LOWER), {"units": units})


def lower_by_saving(engine: Engine, units: int) -> None:
    save(engine, minor_units=units)


@pytest.mark.parametrize("lower", [lower_by_sql, lower_by_saving])
def test_decimals_never_become_fewer_than_stored(resources: Resources, lower: Callable[[Engine, int], None]) -> None:
    save(resources.engine, minor_units=4)
    resources.import_rows([row(1, currency="VND", amount="10.50"), row(2, currency="VND", amount="0.4900"), row(3)])
    for units in (0, 1):
        with pytest.raises((DBAPIError, Refused), match=r"more than [01] decimals"):
            lower(resources.engine, units)
    assert next(c.minor_units for c in currencies(resources.engine) if c.code == "VND") == 4
    for units in (2, 4, 2):  # as many as needed, then increased again
        lower(resources.engine, units)
    assert amounts(resources)[payment_id(1)] == "10.5000"


def test_decimals_of_an_earlier_revision_and_of_the_threshold_count_as_well(resources: Resources) -> None:
    save(resources.engine, minor_units=2, suspicious_above="1000.5")
    with pytest.raises(DBAPIError, match="suspicious_above of VND has more than 0 decimals"):
        lower_by_sql(resources.engine, 0)
    save(resources.engine, minor_units=2)
    resources.import_rows([row(1, currency="VND", amount="10.50", status="pending")])
    resources.import_rows([row(1, currency="VND", amount="10.50", status="completed")])
    revise(resources.engine, UUID(payment_id(1)), amount="10")
    with pytest.raises(DBAPIError, match="payments in VND have more than 0 decimals"):
        lower_by_sql(resources.engine, 0)


def test_no_path_stores_an_amount_with_more_decimals_than_its_currency(resources: Resources) -> None:
    save(resources.engine, minor_units=0)
    resources.import_rows([row(1, currency="VND", amount="10"), row(2)])
    changes = ((payment_id(1), {"amount": "10.5"}), (payment_id(2), {"currency": "VND", "amount": "10.01"}))
    for transaction_id, change in changes:
        with pytest.raises(DBAPIError, match="decimals, and the currency allows 0"):
            revise(resources.engine, UUID(transaction_id), **change)
    with pytest.raises(DBAPIError, match="decimals, and the currency allows 0"), db.write(resources.engine) as c:
        c.exec_driver_sql(INSERT)
    with resources.engine.connect() as connection:
        connection = connection.execution_options(isolation_level="REPEATABLE READ")
        with pytest.raises(DBAPIError, match="READ COMMITTED"):
            connection.exec_driver_sql(INSERT)
    assert sorted(amounts(resources).values()) == ["10.0000", "250.0000"]


def test_a_stored_payment_older_than_the_check_can_still_advance(resources: Resources) -> None:
    resources.import_rows([row(1, status="pending")])
    with db.write(resources.engine) as connection:
        connection.execute(sa.text("SET LOCAL session_replication_role = replica"))  # as it was before the check
        connection.exec_driver_sql("UPDATE transactions SET amount = 250.001")
    job = resources.import_rows([row(1, amount="250.00", status="completed")])
    assert resources.counts(job).conflict == 1
    revise(resources.engine, UUID(payment_id(1)), status="completed")


INSERT = (
    "INSERT INTO transactions SELECT uuidv7(), sender_id, receiver_id, timestamp, batch_id, source_position,"
    " source_partition, is_suspicious, 0.5, 'VND', status, suspicions FROM transactions LIMIT 1"
)


def test_a_payment_that_is_just_being_written_is_not_overlooked(resources: Resources) -> None:
    """The writer has not committed, so its payment is invisible; lowering waits for it and then sees it."""
    save(resources.engine, minor_units=2)
    resources.import_rows([row(1)])
    errors: list[BaseException] = []

    def lower() -> None:
        try:
            save(resources.engine, minor_units=0)
        except (Refused, Unavailable) as e:
            errors.append(e)

    thread = threading.Thread(target=lower)
    with resources.engine.connect() as writer, writer.begin():
        writer.exec_driver_sql(INSERT)
        thread.start()
        until(lambda: is_trying(resources), 10)
        # Meanwhile others write in this currency without waiting for the pending change.
        with resources.engine.begin() as another:
            another.exec_driver_sql("SET LOCAL lock_timeout = '1s'")
            another.exec_driver_sql(INSERT)
    thread.join()
    assert [type(e) for e in errors] == [Refused]
    assert next(c.minor_units for c in currencies(resources.engine) if c.code == "VND") == 2


def test_lowering_gives_up_while_payments_are_written_and_says_so(resources: Resources) -> None:
    save(resources.engine, minor_units=2)
    resources.import_rows([row(1)])
    with resources.engine.connect() as writer, writer.begin():
        writer.exec_driver_sql(INSERT)
        save(resources.engine, minor_units=2, suspicious_above="5")  # other changes do not wait
        save(resources.engine, minor_units=3)
        with pytest.raises(Unavailable, match="VND or payments in it are being written; try again"):
            save(resources.engine, minor_units=2)


def test_a_batch_validated_before_the_change_is_validated_again(resources: Resources) -> None:
    """The currency loses its decimals between validation and writing: the payment is rejected, not stored or lost."""
    save(resources.engine, minor_units=2)
    with db.write(resources.engine) as connection:
        source = Source("KAFKA", topic_ref=intake.topic_ref(connection, "cluster", "t", "id"))
    writer = Writer(resources.engine, resources.settings)
    value = message(1, currency="VND", amount="10.50")
    try:
        batch = writer._validator.messages([(0, 1, value)], source, "test")
        assert batch.rejected == []
        save(resources.engine, minor_units=0)
        with pytest.raises(psycopg2.Error) as error, db.write(resources.engine) as connection:
            apply_batch(connection.connection.cursor(), batch)
        assert db.may_pass(error.value)  # so the consumer reads it again, and the worker resumes the import
        writer.submit_messages([(0, 1, value)], source, correlation_id="test")
        writer.drain()
    finally:
        writer.close()
    assert amounts(resources) == {}
    assert [p["code"] for k in resources.records() for p in k.problems] == ["TOO_MANY_DECIMALS"]


def is_trying(resources: Resources) -> bool:
    statement = "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'"
    return bool(resources.rows(statement))
