"""How stale a version is, and the differences between two versions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from decimal import Decimal

import pytest
from sqlalchemy import Engine

from fcgraph import db, reports
from fcgraph.errors import BadInput, Unavailable
from fcgraph.reports import LineChange, LineTotals
from fcgraph.storage.files import Files
from tests.reports.conftest import Make
from tests.reports.stored import Paid, revise, store, user

IN_MAY = Paid(1, 2, "10.00", "USD", "2025-05-05T10:00:00Z")
IN_APRIL = Paid(1, 2, "11.00", "USD", "2025-04-30T23:00:00Z")


@dataclass(frozen=True)
class Basis:
    watermark: int
    period: str = "2025-05"
    time_zone: str = "UTC"


def since(engine: Engine, basis: Basis) -> int:
    with db.read(engine) as connection:
        return reports.changes_since(connection, basis)


def between(engine: Engine, files: Files, version: int, from_version: int) -> list[LineChange]:
    with db.read(engine) as connection:
        return list(reports.changes_between(files, connection, "2025-05", version, from_version))


def test_payments_that_came_later_are_counted_whatever_their_status(engine: Engine) -> None:
    basis = Basis(store(engine, IN_MAY, IN_APRIL))
    assert since(engine, basis) == 0
    store(engine, *(Paid(1, 2, "1.00", "USD", f"2025-05-{d}T00:00:00Z") for d in ("01", "31")))
    store(engine, Paid(1, 2, "1.00", "USD", "2025-05-31T23:59:59.999Z", status="pending"))
    store(engine, *(Paid(1, 2, "1.00", "USD", at) for at in ("2025-04-30T23:59:59Z", "2025-06-01T00:00:00Z")))
    assert since(engine, basis) == 3
    assert since(engine, Basis(basis.watermark + 1)) == 1
    assert since(engine, Basis(basis.watermark + 3)) == 0


def test_the_month_is_the_one_of_the_reports_own_zone(engine: Engine) -> None:
    store(engine, IN_APRIL)
    assert since(engine, Basis(0)) == 0
    assert since(engine, Basis(0, time_zone="Asia/Manila")) == 1


def test_a_payment_changed_many_times_is_counted_once(engine: Engine) -> None:
    basis = Basis(store(engine, IN_MAY))
    for status in ("failed", "completed", "failed"):
        revise(engine, IN_MAY.transaction_id, status=status)
    assert since(engine, basis) == 1
    assert since(engine, Basis(basis.watermark + 3)) == 0


def test_payments_that_left_or_entered_the_month_are_counted(engine: Engine) -> None:
    basis = Basis(store(engine, IN_MAY, IN_APRIL))
    revise(engine, IN_MAY.transaction_id, timestamp="2025-06-02T10:00:00+00:00")
    assert since(engine, basis) == 1
    revise(engine, IN_APRIL.transaction_id, timestamp="2025-05-02T10:00:00+00:00")
    assert since(engine, basis) == 2
    revise(engine, IN_APRIL.transaction_id, amount="12.00")
    assert since(engine, basis) == 2


def test_the_lines_that_differ(engine: Engine, files: Files, make: Make) -> None:
    goes = Paid(3, 3, "5.00", "EUR", "2025-05-07T10:00:00Z")
    store(engine, IN_MAY, goes, Paid(6, 7, "9.00", "PHP", "2025-05-09T10:00:00Z"))
    make()
    revise(engine, goes.transaction_id, status="failed")
    store(engine, Paid(1, 2, "0.50", "USD", "2025-05-05T23:00:00Z"), Paid(2, 5, "1.25", "EUR", "2025-05-05T11:00:00Z"))
    make()

    day, zero = date(2025, 5, 5), Decimal("0.00")
    changes = [
        LineChange(
            user(1), day, "USD", LineTotals(Decimal("10.00"), zero, 1, 0), LineTotals(Decimal("10.50"), zero, 2, 0)
        ),
        LineChange(user(2), day, "EUR", None, LineTotals(Decimal("1.25"), zero, 1, 0)),
        LineChange(
            user(2), day, "USD", LineTotals(zero, Decimal("10.00"), 0, 1), LineTotals(zero, Decimal("10.50"), 0, 2)
        ),
        LineChange(user(3), date(2025, 5, 7), "EUR", LineTotals(Decimal("5.00"), Decimal("5.00"), 1, 1), None),
        LineChange(user(5), day, "EUR", None, LineTotals(zero, Decimal("1.25"), 0, 1)),
    ]
    assert between(engine, files, 2, 1) == changes
    assert between(engine, files, 1, 2) == [
        LineChange(c.user_id, c.day, c.currency, before=c.after, after=c.before) for c in changes
    ]
    assert between(engine, files, 2, 2) == []


@pytest.mark.parametrize(("version", "from_version"), [(1, 2), (2, 1), (0, 1), (1, -1)])
def test_an_unknown_version_is_reported_before_anything_is_read(
    engine: Engine, files: Files, make: Make, version: int, from_version: int
) -> None:
    make()
    with db.read(engine) as connection, pytest.raises(BadInput, match="no version"):
        reports.changes_between(files, connection, "2025-05", version, from_version)


@pytest.mark.parametrize("harm", ["lost", "cut short"])
def test_a_file_that_is_not_whole_is_reported(engine: Engine, files: Files, make: Make, harm: str) -> None:
    make()
    store(engine, IN_MAY)
    make()
    path = files.path("monthly_report_2025-05_v1.csv")
    path.unlink() if harm == "lost" else path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(Unavailable, match=r"monthly_report_2025-05_v1\.csv"):
        between(engine, files, 2, 1)


def test_a_whole_file_can_come_and_go(engine: Engine, files: Files, make: Make) -> None:
    make()
    store(engine, IN_MAY)
    make()
    assert [(c.before, c.after is not None) for c in between(engine, files, 2, 1)] == [(None, True), (None, True)]
    assert [(c.before is not None, c.after) for c in between(engine, files, 1, 2)] == [(True, None), (True, None)]
