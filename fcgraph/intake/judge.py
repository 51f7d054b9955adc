"""Rows as they came become a batch with verdicts. Reads users and currencies; writes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from decimal import Decimal
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import Connection, Engine

from fcgraph import db, fastrows, formulas, records
from fcgraph.csv_rows import Chunk, Header, Row, parse_fields
from fcgraph.fastrows import Columns, FastRows, Parsed
from fcgraph.intake.batch import Batch, Rejected, Source, row_text, suspicions_text
from fcgraph.records import CurrencyRule, PaymentRecord, Reference, Rejection

Message = tuple[int, int, bytes | None]  # partition, offset, value
_NO_SUSPICION = suspicions_text(())


class Judge:
    """Holds rows against the rules and against the users and currencies of the database.

    Users are remembered once seen (they are never deleted), at most `known_users_max`; currencies are read for every
    batch. Belongs to one thread. `clock` gives the present, rows later than that by more than `ahead_max` are refused.
    """

    def __init__(
        self, engine: Engine, *, clock: Callable[[], datetime], ahead_max: timedelta, known_users_max: int
    ) -> None:
        self._engine = engine
        self._clock = clock
        self._ahead_max = ahead_max
        self._known_users_max = known_users_max
        self._users: set[str] = set()
        self._formats: dict[object, FastRows] = {}

    def csv(self, chunk: Chunk, header: Header, source: Source, correlation_id: str, line_max_bytes: int) -> Batch:
        """Judge a chunk of a CSV file."""
        if header.columns[-1] == "amount":
            chunk = _cut_row_aside(chunk)
        with db.read(self._engine) as connection:
            reference, latest = self._reference(connection)
            fast = self._format(header.columns, reference, latest)
            parsed = fast.parse(chunk.text, chunk.lines) if chunk.lines else Parsed(fastrows.EMPTY, (), [])
            parsed = self._without_unknown_users(connection, parsed, chunk.text)
            rows = self._odd_csv_rows(chunk, parsed, header, line_max_bytes)
            self._learn(connection, _user_ids(rows, header))
        judged = [(row.line, _judge_csv(row, header, reference)) for row in rows]
        raw_line = _raw_line(chunk)
        odd = {row.line: row.raw for row in rows}
        arrivals = _lines_of_a_file(lambda line: odd.get(line) or raw_line(line))
        return _batch(parsed, judged, arrivals, reference, source, correlation_id)

    def messages(self, messages: Sequence[Message], source: Source, correlation_id: str) -> Batch:
        """Judge Kafka messages, given as (partition, offset, value)."""
        # A value that has line ends of its own is left to the rules by an empty line in its place.
        lines = [value if value and b"\n" not in value else b"" for _, _, value in messages]
        text = b"\n".join([*lines, b""]).decode("latin-1")
        with db.read(self._engine) as connection:
            reference, latest = self._reference(connection)
            fast = self._format("json", reference, latest)
            # The place in the slice stands for the position: offsets of several partitions may be equal.
            parsed = fast.parse(text, range(len(messages)))
            parsed = self._without_unknown_users(connection, parsed, text)
            found = [(n, records.read_message(messages[n][2])) for n, _ in parsed.rest]
            self._learn(
                connection,
                {
                    str(row.get(column)).lower()
                    for _, row in found
                    if not isinstance(row, Rejection)
                    for column in ("sender_id", "receiver_id")
                },
            )
        judged = [(n, records.check_message(row, reference)) for n, row in found]
        arrivals = _slice_of_messages(messages)
        return _batch(parsed, judged, arrivals, reference, source, correlation_id)

    def rows(self, rows: Sequence[dict[str, str | None]], source: Source, correlation_id: str) -> Batch:
        """Judge rows made by ourselves (the demo payments); their position is their place in the list."""
        with db.read(self._engine) as connection:
            reference, _ = self._reference(connection)
            self._learn(connection, {str(row.get(c)).lower() for row in rows for c in ("sender_id", "receiver_id")})
        judged = [(n, records.check(row, reference)) for n, row in enumerate(rows)]
        arrivals = _lines_of_a_file(lambda _: b"")
        return _batch(Parsed(fastrows.EMPTY, (), []), judged, arrivals, reference, source, correlation_id)

    def _reference(self, connection: Connection) -> tuple[Reference, datetime]:
        found = connection.execute(sa.text("SELECT code, minor_units, suspicious_above FROM currency"))
        currencies = {code: CurrencyRule(units, above) for code, units, above in found}
        latest = self._clock() + self._ahead_max
        return Reference(currencies, self._users, latest), latest

    def _format(self, shape: object, reference: Reference, latest: datetime) -> FastRows:
        """The compiled pattern for a shape of rows; made anew when currencies change or the hour does."""
        bound = latest.replace(minute=0, second=0, microsecond=0)  # earlier than `latest`: the rules decide the rest
        key = (shape, tuple(sorted(reference.currencies.items())), bound)
        if key not in self._formats:
            self._formats.clear()
            if shape == "json":
                self._formats[key] = fastrows.JsonRows(reference.currencies, bound)
            else:
                assert isinstance(shape, tuple)
                self._formats[key] = fastrows.CsvRows(shape, reference.currencies, bound)
        return self._formats[key]

    def _learn(self, connection: Connection, user_ids: Iterable[str]) -> None:
        """Look up the users not known yet and remember those that exist."""
        wanted = set(user_ids)
        asked = wanted - self._users
        if not asked:
            return
        if len(self._users) + len(asked) > self._known_users_max:
            self._users.clear()
            asked = wanted
        asked = {user_id for user_id in asked if records.is_uuid(user_id)}
        statement = sa.text("SELECT user_id::text FROM users WHERE user_id = ANY(CAST(:ids AS uuid[]))")
        self._users.update(connection.scalars(statement, {"ids": "{" + ",".join(asked) + "}"}))

    def _without_unknown_users(self, connection: Connection, parsed: Parsed, text: str) -> Parsed:
        """Leave accepted rows with an unknown user to the rules, which say all that is wrong with them."""
        accepted = parsed.accepted
        named = {*accepted.sender_id, *accepted.receiver_id}
        self._learn(connection, named)
        unknown = named - self._users
        if not unknown:
            return parsed
        pairs = enumerate(zip(accepted.sender_id, accepted.receiver_id, strict=True))
        return parsed.leaving([n for n, (sender, receiver) in pairs if sender in unknown or receiver in unknown], text)

    def _odd_csv_rows(self, chunk: Chunk, parsed: Parsed, header: Header, line_max_bytes: int) -> list[Row]:
        """The rows the quick way did not take, taken apart. Blank lines are no rows."""
        rows = list(chunk.odd)
        for n, text in parsed.rest:
            if not text.strip():
                continue
            line = chunk.lines[n]
            raw = chunk.raw_of.get(line) or text.encode("latin-1")
            rows.append(_take_apart(line, raw, line_max_bytes))
        return sorted(rows)


def _raw_line(chunk: Chunk) -> Callable[[int], bytes]:
    """The bytes of a plain row by its line; asked for rarely, so the text is taken apart only then."""
    lines: list[str] = []
    index: dict[int, int] = {}

    def raw_line(line: int) -> bytes:
        if not lines:
            lines.extend(chunk.text.split("\n"))
            index.update(zip(chunk.lines, range(len(lines)), strict=False))  # behind the last LF there is no row
        return chunk.raw_of.get(line) or lines[index[line]].encode("latin-1")

    return raw_line


def _cut_row_aside(chunk: Chunk) -> Chunk:
    """A file that ends within an amount: 25 may be half of 250.00, so the row is no row. A closing quote tells."""
    line = chunk.unterminated_line
    if line is None or not chunk.lines or chunk.lines[-1] != line:
        return chunk
    before, _, text = chunk.text.removesuffix("\n").rpartition("\n")
    before += "\n" if before else ""
    raw = chunk.raw_of.get(line) or text.encode("latin-1")
    if raw.endswith(b'"') or not raw.strip():
        return chunk
    message = "the file ends within this line: without a line end nobody can tell whether the amount is whole"
    return chunk._replace(text=before, lines=chunk.lines[:-1], odd=[*chunk.odd, Row(line, raw, None, message)])


def _take_apart(line: int, raw: bytes, line_max_bytes: int) -> Row:
    if len(raw) > line_max_bytes:
        message = f"the line is longer than {line_max_bytes} bytes (CSV_LINE_MAX_BYTES); only its beginning is kept"
        return Row(line, raw[:line_max_bytes], None, message)
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as e:
        return Row(line, raw, None, f"the row is not UTF-8 at byte {e.start}", "INVALID_ENCODING")
    fields = parse_fields(text)
    return Row(line, raw, None, fields) if isinstance(fields, str) else Row(line, raw, fields)


def _user_ids(rows: Iterable[Row], header: Header) -> set[str]:
    places = [header.columns.index("sender_id"), header.columns.index("receiver_id")]
    return {row.fields[at].lower() for row in rows if row.fields for at in places if at < len(row.fields)}


def _judge_csv(row: Row, header: Header, reference: Reference) -> PaymentRecord | Rejection:
    if row.fields is None:
        return records.reject(row.code, row.problem or "the row is no CSV")
    fields = [formulas.without_guard(f) for f in row.fields] if header.guarded else row.fields
    return records.check_fields(fields, header.columns, reference)


class Arrivals(NamedTuple):
    """Where rows stand, by line or by their number in a slice: (partition, position), as a text's fields, and raw."""

    place: Callable[[int], tuple[int | None, int]]
    place_text: Callable[[int], str]
    raw: Callable[[int], bytes]


def _lines_of_a_file(raw: Callable[[int], bytes]) -> Arrivals:
    """Rows that are known by their line (or index) and have no partition."""
    return Arrivals(lambda line: (None, line), ",{},".format, raw)


def _slice_of_messages(messages: Sequence[Message]) -> Arrivals:
    """Messages that are known by their number in the slice."""
    return Arrivals(
        lambda n: messages[n][:2], lambda n: "{},{},".format(*messages[n][:2]), lambda n: messages[n][2] or b""
    )


Judged = tuple[int, PaymentRecord | Rejection]  # the row's number in its block, and the rules' verdict


def _batch(
    parsed: Parsed,
    judged: Sequence[Judged],
    arrivals: Arrivals,
    reference: Reference,
    source: Source,
    correlation_id: str,
) -> Batch:
    """Put together, in the order of arrival, what the quick way accepted and what the rules judged."""
    accepted = parsed.accepted
    suspicious, tails = _suspicions(accepted, reference)
    texts = [
        f"{a},{b},{c},{d},{e},{f},{g},{place}{tail}"
        for a, b, c, d, e, f, g, place, tail in zip(
            accepted.transaction_id, accepted.sender_id, accepted.receiver_id, accepted.amount, accepted.currency,
            accepted.timestamp, accepted.status, map(arrivals.place_text, accepted.position), tails, strict=True,
        )
    ]  # fmt: skip
    rows = list(zip(accepted.position, accepted.transaction_id, texts, strict=True))
    sums = _sums(accepted.currency, accepted.amount)
    if parsed.left:
        rows = [row for n, row in enumerate(rows) if n not in parsed.left]
        for n in parsed.left:
            sums[accepted.currency[n]] -= Decimal(accepted.amount[n])
    rejected = []
    for at, verdict in judged:
        if isinstance(verdict, Rejection):
            rejected.append(Rejected(*arrivals.place(at), arrivals.raw(at), verdict))
            continue
        found = _suspicions_of(verdict, reference)
        if found:
            suspicious.add(at)
        rows.append((at, verdict.transaction_id, row_text(verdict, *arrivals.place(at), found)))
        sums[verdict.currency] = sums.get(verdict.currency, Decimal(0)) + verdict.decimal
    rows.sort()
    numbers = [at for at, _, _ in rows]
    return Batch(
        source,
        correlation_id,
        transaction_ids=[transaction_id for _, transaction_id, _ in rows],
        texts=[text for _, _, text in rows],
        places=list(map(arrivals.place, numbers)),
        raw=lambda n: arrivals.raw(numbers[n]),
        suspicious={n for n, at in enumerate(numbers) if at in suspicious} if suspicious else set(),
        rejected=rejected,
        accepted_sums=sums,
    )


def _suspicions_of(record: PaymentRecord, reference: Reference) -> tuple[str, ...]:
    rule = reference.currencies[record.currency]
    return records.suspicions(record.decimal, rule, self_transfer=record.sender_id == record.receiver_id)


def _suspicions(accepted: Columns, reference: Reference) -> tuple[set[int], list[str]]:
    """The numbers of suspicious rows, and the last fields of every row's text. Small amounts need no second look."""
    lowest = min((rule.suspicious_above for rule in reference.currencies.values()), default=Decimal(0))
    digits = len(str(int(lowest))) if lowest >= 1 else 0
    tails = [_NO_SUSPICION] * len(accepted.amount)
    suspicious = set()
    look = [
        n
        for n, (amount, sender, receiver) in enumerate(
            zip(accepted.amount, accepted.sender_id, accepted.receiver_id, strict=True)
        )
        if (amount.find(".", 0, digits) < 0 and len(amount) >= digits) or sender == receiver
    ]
    for n in look:
        rule = reference.currencies[accepted.currency[n]]
        same = accepted.sender_id[n] == accepted.receiver_id[n]
        found = records.suspicions(Decimal(accepted.amount[n]), rule, self_transfer=same)
        if found:
            suspicious.add(accepted.position[n])
            tails[n] = suspicions_text(found)
    return suspicious, tails


def _sums(currencies: Sequence[str], amounts: Sequence[str]) -> dict[str, Decimal]:
    """The exact sum of the amounts per currency."""
    return {
        code: sum((Decimal(a) for c, a in zip(currencies, amounts, strict=True) if c == code), Decimal(0))
        for code in set(currencies)
    }
