"""Validate rows as they arrived into a batch. Reads users and currencies; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from itertools import compress, count
from operator import eq
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db
from fcgraph.intake import csv_fields
from fcgraph.intake.batch import Batch, Rejected, Source, row_text, suspicions_text
from fcgraph.intake.csv_rows import Chunk, Header, Row, take_apart
from fcgraph.rules import fast_rules, records, timestamps
from fcgraph.rules.fast_rules import Columns, FastRows, Parsed
from fcgraph.rules.records import COLUMNS, CurrencyRule, PaymentRecord, Reference, Rejection

Message = tuple[int, int, bytes | None]  # partition, offset, value
_NO_SUSPICION = suspicions_text(())
NOT_REPLAYABLE = "; a replay cannot help, send the corrected row"


class BatchValidator:
    """Checks rows against the rules and against the users and currencies of the database.

    Known users are cached (users are never deleted), at most `known_users_max`; currencies are read for every batch.
    Used by one thread. `clock` returns the current time: rows more than `ahead_max` later are rejected, as are rows
    before `earliest`.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        clock: Callable[[], datetime],
        ahead_max: timedelta,
        known_users_max: int,
        earliest: datetime = records.EARLIEST,
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._ahead_max = ahead_max
        self._earliest = earliest
        self._known_users_max = known_users_max
        self._users: set[str] = set()
        self._formats: dict[object, FastRows] = {}

    def csv(self, chunk: Chunk, header: Header, source: Source, correlation_id: str, line_max_bytes: int) -> Batch:
        """Validate a chunk of a CSV file."""
        with db.read(self._engine) as connection:
            reference, latest = self._reference(connection)
            fast = self._format(header.columns, reference, latest)
            parsed = fast.parse(chunk.text, chunk.lines) if chunk.lines else Parsed(fast_rules.EMPTY, (), [])
            if parsed.rest:
                parsed = csv_fields.with_tidied_rows(fast, parsed, chunk, header)
            parsed = self._without_unknown_users(connection, parsed, chunk.text)
            first, lines = chunk.first_line, lru_cache(maxsize=1)(chunk.block.splitlines)  # the latter is rarely needed
            rows, skipped = _irregular_csv_rows(
                chunk, header, parsed, lambda line: lines()[line - first], line_max_bytes
            )
            self._unknown(connection, _user_ids(rows, header))
        validated = [(row.line, _validate_csv(row, header, reference)) for row in rows]
        irregular = {row.line: row.raw for row in rows}
        arrivals = _lines_of_a_file(lambda line: irregular.get(line) or lines()[line - first])
        batch = _batch(parsed, validated, arrivals, reference, source, correlation_id)
        batch.record_at = header.record_at
        batch.skipped_lines = skipped
        batch.other_header = next((f"line {row.line}: {row.problem}" for row in rows if row.ends_header), None)
        lines.cache_clear()
        return batch

    def messages(self, messages: Sequence[Message], source: Source, correlation_id: str) -> Batch:
        """Validate Kafka messages, passed as (partition, offset, value)."""
        # A value that contains line ends is replaced by an empty line, which leaves it to the rules.
        lines = [value if value and b"\n" not in value else b"" for _, _, value in messages]
        text = b"\n".join([*lines, b""]).decode("latin-1")
        with db.read(self._engine) as connection:
            reference, latest = self._reference(connection)
            fast = self._format("json", reference, latest)
            # The index in the slice serves as position, because offsets of different partitions may be equal.
            parsed = fast.parse(text, range(len(messages)))
            parsed = self._without_unknown_users(connection, parsed, text)
            found = [(n, records.read_message(messages[n][2])) for n, _ in parsed.rest]
            self._unknown(
                connection,
                {
                    _id_of(str(row.get(column)))
                    for _, row in found
                    if not isinstance(row, Rejection)
                    for column in ("sender_id", "receiver_id")
                },
            )
        validated = [(n, records.check_message(row, reference)) for n, row in found]
        arrivals = _slice_of_messages(messages)
        return _batch(parsed, validated, arrivals, reference, source, correlation_id)

    def rows(self, rows: Sequence[dict[str, str | None]], source: Source, correlation_id: str) -> Batch:
        """Validate generated rows (the demo payments); their position is their index in the list."""
        with db.read(self._engine) as connection:
            reference, _ = self._reference(connection)
            self._unknown(connection, {_id_of(str(row.get(c))) for row in rows for c in ("sender_id", "receiver_id")})
        validated = [(n, records.check(row, reference)) for n, row in enumerate(rows)]
        arrivals = _lines_of_a_file(lambda _: b"")
        return _batch(Parsed(fast_rules.EMPTY, (), []), validated, arrivals, reference, source, correlation_id)

    def _reference(self, connection: Connection) -> tuple[Reference, datetime]:
        found = connection.execute(sa.text("SELECT code, minor_units, suspicious_above FROM currency"))
        currencies = {code: CurrencyRule(units, above) for code, units, above in found}
        latest = self._clock() + self._ahead_max
        return Reference(currencies, self._users, latest, self._earliest), latest

    def _format(self, shape: object, reference: Reference, latest: datetime) -> FastRows:
        """The compiled pattern for a row format; recompiled when the currencies or the hour change."""
        bound = latest.replace(minute=0, second=0, microsecond=0)  # before `latest`: rules check the rest
        key = (shape, tuple(sorted(reference.currencies.items())), bound)
        if key not in self._formats:
            self._formats.clear()
            if shape == "json":
                self._formats[key] = fast_rules.JsonRows(reference.currencies, bound, reference.earliest)
            else:
                assert isinstance(shape, tuple)
                self._formats[key] = fast_rules.CsvRows(shape, reference.currencies, bound, reference.earliest)
        return self._formats[key]

    def _unknown(self, connection: Connection, user_ids: set[str]) -> set[str]:
        """Which of these are not users. Ids not cached are looked up, and cached if they exist."""
        unknown = user_ids - self._users
        if not unknown:
            return unknown
        if len(self._users) + len(unknown) > self._known_users_max:
            self._users.clear()
            unknown = user_ids
        ids = "{" + ",".join(user_id for user_id in unknown if records.is_uuid(user_id)) + "}"
        statement = sa.text("SELECT user_id::text FROM users WHERE user_id = ANY(CAST(:ids AS uuid[]))")
        found = set(connection.scalars(statement, {"ids": ids}))
        self._users |= found
        return unknown - found

    def _without_unknown_users(self, connection: Connection, parsed: Parsed, text: str) -> Parsed:
        """Leave accepted rows with an unknown user to the rules, which report all their problems."""
        senders, receivers = parsed.accepted.sender_id, parsed.accepted.receiver_id
        unknown = self._unknown(connection, {*senders, *receivers})
        if not unknown:
            return parsed
        is_unknown = unknown.__contains__
        return parsed.leaving(
            {*compress(count(), map(is_unknown, senders)), *compress(count(), map(is_unknown, receivers))}, text
        )


def _irregular_csv_rows(
    chunk: Chunk, header: Header, parsed: Parsed, raw: Callable[[int], bytes], line_max_bytes: int
) -> tuple[list[Row], int]:
    """The parsed rows that the fast path did not accept, and the number of lines that are not rows."""
    left = [chunk.lines[n] for n, text in parsed.rest if not csv_fields.is_empty(text)]
    found = [*chunk.irregular, *(take_apart(line, raw(line), line_max_bytes) for line in left)]
    rows = [row for each in found if (row := csv_fields.as_row(each, header)) is not None]
    return sorted(rows), len(parsed.rest) - len(left) + len(found) - len(rows)


def _id_of(value: str) -> str:
    """The id in a value, normalized as by the rules."""
    return value.strip(records.BLANKS).lower()


def _user_ids(rows: Iterable[Row], header: Header) -> set[str]:
    places = [header.columns.index("sender_id"), header.columns.index("receiver_id")]
    return {_id_of(row.fields[at]) for row in rows if row.fields for at in places if at < len(row.fields)}


def _may_be_cut_off(fields: Sequence[str], header: Header) -> str | None:
    """The column whose value may be truncated: the last value of a file without a final line end.

    25 may be the beginning of 250.00, and the offset +05 that of +05:30. All other values have a fixed form.
    """
    column = header.columns[len(fields) - 1] if len(fields) <= len(header.columns) else None
    if column == "amount" or (column == "timestamp" and timestamps.may_be_cut_off(fields[-1].lstrip(records.BLANKS))):
        return column
    return None


def not_replayable(message: str) -> str:
    """The message of an INVALID_CSV problem; the stored part of such a row may not be the whole row."""
    return message if message.endswith(NOT_REPLAYABLE) else message + NOT_REPLAYABLE


def _validate_csv(row: Row, header: Header, reference: Reference) -> PaymentRecord | Rejection:
    if row.fields is None:
        problem = row.problem or "the row is not valid CSV"
        return records.reject(row.code, not_replayable(problem) if row.code == "INVALID_CSV" else problem)
    cut = _may_be_cut_off(row.fields, header) if row.is_last and not row.raw.endswith((b'"', b",")) else None
    if cut is not None:
        message = f"the file ends within this line: without a line end the {cut} may be incomplete"
        return records.reject("INVALID_CSV", not_replayable(message))
    return records.check_fields(row.fields, header.columns, reference)


class Arrivals(NamedTuple):
    """The origin and raw bytes of rows by their number (the line in a file, the index in a slice)."""

    place: Callable[[int], tuple[int | None, int]]
    place_texts: Callable[[Sequence[int]], list[str]]  # partition and position as fields of a row's text
    raw: Callable[[int], bytes]


def _lines_of_a_file(raw: Callable[[int], bytes]) -> Arrivals:
    """Rows identified by their line (or index), without a partition."""
    return Arrivals(lambda line: (None, line), lambda lines: [f",{line}," for line in lines], raw)


def _slice_of_messages(messages: Sequence[Message]) -> Arrivals:
    """Messages identified by their index in the slice."""
    return Arrivals(
        lambda n: messages[n][:2],
        lambda numbers: [f"{messages[n][0]},{messages[n][1]}," for n in numbers],
        lambda n: messages[n][2] or b"",
    )


Validated = tuple[int, PaymentRecord | Rejection]  # the row's number in its block, and its result


def _batch(
    parsed: Parsed,
    validated: Sequence[Validated],
    arrivals: Arrivals,
    reference: Reference,
    source: Source,
    correlation_id: str,
) -> Batch:
    """Merge, in order of arrival, the rows that the fast path accepted and those that the rules checked."""
    accepted = parsed.accepted
    amounts = list(map(Decimal, accepted.amount))
    sums = _sums(accepted.currency, amounts)
    numbers, ids, texts = accepted.position, list(accepted.transaction_id), _texts(parsed, arrivals)
    suspicious = _add_suspicions(texts, accepted, amounts, reference)
    rejected = []
    more: list[tuple[int, str, str]] = []
    for at, expected in validated:
        if isinstance(expected, Rejection):
            rejected.append(Rejected(*arrivals.place(at), arrivals.raw(at), expected))
            continue
        found = _suspicions_of(expected, reference)
        if found:
            suspicious.add(at)
        more.append((at, expected.transaction_id, row_text(expected, *arrivals.place(at), found)))
        sums[expected.currency] = sums.get(expected.currency, Decimal(0)) + expected.decimal
    if more:
        rows = sorted([*zip(numbers, ids, texts, strict=True), *more])
        numbers, ids, texts = [at for at, _, _ in rows], [row[1] for row in rows], [text for _, _, text in rows]
    return Batch(
        source,
        correlation_id,
        transaction_ids=ids,
        texts=texts,
        place=lambda n: arrivals.place(numbers[n]),
        raw=lambda n: arrivals.raw(numbers[n]),
        suspicious={n for n, at in enumerate(numbers) if at in suspicious} if suspicious else set(),
        rejected=rejected,
        accepted_sums=sums,
    )


def _texts(parsed: Parsed, arrivals: Arrivals) -> list[str]:
    """The accepted rows in COPY format, not yet marked as suspicious; see `row_text`."""
    accepted = parsed.accepted
    places = arrivals.place_texts(accepted.position)
    if parsed.lines is not None:
        return [f"{line},{place}{_NO_SUSPICION}" for line, place in zip(parsed.lines, places, strict=True)]
    columns = (getattr(accepted, name) for name in COLUMNS)
    return [f"{','.join(row[:-1])},{row[-1]}{_NO_SUSPICION}" for row in zip(*columns, places, strict=True)]


def _suspicions_of(record: PaymentRecord, reference: Reference) -> tuple[str, ...]:
    rule = reference.currencies[record.currency]
    return records.suspicions(record.decimal, rule, self_transfer=record.sender_id == record.receiver_id)


def _add_suspicions(texts: list[str], accepted: Columns, amounts: Sequence[Decimal], reference: Reference) -> set[int]:
    """Write suspicions into the texts; returns the numbers of suspicious rows. Most rows are not examined further."""
    lowest = min((rule.suspicious_above for rule in reference.currencies.values()), default=Decimal(0))
    look = {
        *compress(count(), map(lowest.__lt__, amounts)),
        *compress(count(), map(eq, accepted.sender_id, accepted.receiver_id)),
    }
    suspicious = set()
    for n in look:
        rule = reference.currencies[accepted.currency[n]]
        same = accepted.sender_id[n] == accepted.receiver_id[n]
        found = records.suspicions(amounts[n], rule, self_transfer=same)
        if found:
            suspicious.add(accepted.position[n])
            texts[n] = texts[n].removesuffix(_NO_SUSPICION) + suspicions_text(found)
    return suspicious


def _sums(currencies: Sequence[str], amounts: Sequence[Decimal]) -> dict[str, Decimal]:
    """The exact sum of the amounts per currency."""
    return {code: sum(compress(amounts, map(code.__eq__, currencies)), Decimal(0)) for code in set(currencies)}
