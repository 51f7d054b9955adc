"""Generated payments at the edges of days and months, in currencies with other scales, to the sender, suspicious."""

from __future__ import annotations

import uuid


def user(n: int) -> str:
    """The id of the seed user number n."""
    return str(uuid.UUID(int=n))


ZOE = user(0xFF)
UNUSUAL_NAME = 'Zoë "Z" \\ O\'Neil\t\u0001\u2028ß'
ALICE, BOB, CHARLIE = user(1), user(2), user(3)


def _payment(
    n: int, sender: str, receiver: str, amount: str, currency: str, at: str, status: str = "completed"
) -> dict[str, str | None]:
    return {
        "transaction_id": str(uuid.UUID(int=(0xED6E << 112) + n)),
        "sender_id": sender,
        "receiver_id": receiver,
        "amount": amount,
        "currency": currency,
        "timestamp": at,
        "status": status,
    }


EDGE_PAYMENTS: list[dict[str, str | None]] = [
    _payment(1, ALICE, ZOE, "10.01", "USD", "2024-02-29T23:59:59.999Z"),
    _payment(2, ALICE, ZOE, "20.02", "USD", "2024-03-01T00:00:00Z"),
    _payment(3, ZOE, ALICE, "7", "EUR", "2024-03-01T00:00:00.000001Z"),
    _payment(4, ZOE, ALICE, "8.01", "USD", "2024-03-01T12:00:00.5Z"),
    _payment(5, ZOE, ZOE, "100", "JPY", "2024-03-01T12:30:00Z"),
    _payment(6, ZOE, BOB, "1.234", "KWD", "2024-03-01T12:30:00Z"),
    _payment(7, BOB, ZOE, "10000.01", "USD", "2024-03-01T16:00:00Z"),
    _payment(8, BOB, ZOE, "0", "USD", "2024-03-01T16:00:00Z"),
    _payment(9, BOB, ZOE, "5", "USD", "2024-03-01T17:00:00Z", "pending"),
    _payment(10, BOB, ZOE, "6", "USD", "2024-03-01T17:00:00Z", "failed"),
    *(_payment(100 + n, ZOE, CHARLIE, "1.00", "EUR", "2024-04-01T00:00:00Z") for n in range(40)),
]
