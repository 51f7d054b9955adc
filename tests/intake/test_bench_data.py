"""The benchmark's file with errors is correct: one kind of bad row per problem, and each row has only that problem."""

from __future__ import annotations

from tests.bench.payments_csv import BAD_KINDS, HEADER, payments, spoilt
from tests.intake.cases import USER
from tests.intake.channels import Resources


def test_a_spoilt_row_has_the_problem_of_its_kind_and_no_other(resources: Resources) -> None:
    made = payments("kinds", [USER.format(1), USER.format(2)])
    lines = [spoilt(next(made), kind) for kind in BAD_KINDS]
    resources.import_csv((HEADER + "\n".join(lines) + "\n").encode("utf-8", "surrogateescape"))
    assert [[p["code"] for p in records.problems] for records in resources.records()] == [[kind] for kind in BAD_KINDS]
