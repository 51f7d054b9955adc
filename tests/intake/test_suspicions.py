"""Suspicious payments are counted at their origin: each in the range of its own partition."""

from __future__ import annotations

from tests.intake.cases import message
from tests.intake.channels import Resources, payment_id


def test_a_suspicion_counts_in_the_range_of_its_own_partition(resources: Resources) -> None:
    def sent(n: int, amount: str) -> bytes:
        return message(transaction_id=payment_id(n), amount=amount)

    resources.send(
        [
            (0, 0, sent(1, "10000.01")),
            (0, 1, sent(2, "1.00")),
            (1, 0, sent(3, "10000.01")),
            (1, 1, sent(4, "20000.00")),
            (1, 2, sent(3, "10000.01")),  # a duplicate is not counted as suspicious again
            (2, 0, sent(5, "1.00")),
        ]
    )
    ranges = resources.rows("SELECT partition, inserted_count, suspicious_count FROM kafka_ranges ORDER BY partition")
    assert [tuple(row) for row in ranges] == [(0, 2, 1), (1, 2, 2), (2, 1, 0)]
    assert resources.batch_counts().suspicious == 3
