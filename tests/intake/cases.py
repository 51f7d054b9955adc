"""The table of good and bad rows. VALUES run through both channels; LINES through CSV, MESSAGES through Kafka."""

from __future__ import annotations

import bz2
import gzip
import json
import lzma
from typing import NamedTuple

from fcgraph.rules.records import COLUMNS

USER = "00000000-0000-0000-0000-00000000000{}"
GOOD: dict[str, str] = {
    "transaction_id": "a1b2c3d4-e5f6-7a8b-9c0d-000000000001",
    "sender_id": USER.format(1),
    "receiver_id": USER.format(2),
    "amount": "250.00",
    "currency": "USD",
    "timestamp": "2025-05-01T12:00:00Z",
    "status": "completed",
}
HEADER = ",".join(COLUMNS)
STRANGER = "99999999-9999-4999-8999-999999999999"


class Value(NamedTuple):
    """One column of a good row replaced; `codes` are the problems expected, none when the row is good."""

    column: str
    text: str
    codes: tuple[str, ...] = ()
    canonical: str | None = None


VALUES: tuple[Value, ...] = (
    # ids
    Value("transaction_id", "A1B2C3D4-E5F6-7A8B-9C0D-000000000001", (), GOOD["transaction_id"]),
    Value("transaction_id", "a1B2c3d4-e5f6-7a8b-9c0d-000000000001", (), GOOD["transaction_id"]),
    Value("transaction_id", "invalid-uuid", ("INVALID_UUID",)),
    Value("transaction_id", "{a1b2c3d4-e5f6-7a8b-9c0d-000000000001}", ("INVALID_UUID",)),
    Value("transaction_id", "a1b2c3d4e5f67a8b9c0d000000000001", ("INVALID_UUID",)),
    Value("transaction_id", "urn:uuid:a1b2c3d4-e5f6-7a8b-9c0d-000000000001", ("INVALID_UUID",)),
    Value("transaction_id", " a1b2c3d4-e5f6-7a8b-9c0d-000000000001", (), GOOD["transaction_id"]),
    Value("transaction_id", "a1b2c3d4-e5f6-7a8b -9c0d-000000000001", ("INVALID_UUID",)),
    Value("transaction_id", "a1b2c3d4-e5f6-7a8b-9c0d-0000000001", ("INVALID_UUID",)),
    Value("transaction_id", "a1b2c3d4e5f6-7a8b-9c0d-0000-00000001", ("INVALID_UUID",)),
    Value("transaction_id", "\u00a0a1b2c3d4-e5f6-7a8b-9c0d-000000000001", ("INVALID_UUID",)),
    Value("transaction_id", "\\N", ("MISSING_VALUE",)),
    Value("transaction_id", "a1b2c3d4-e5f6-7a8b-9c0d-00000000000g", ("INVALID_UUID",)),
    Value("transaction_id", "a1b2c3d4-e5f6-7a8b-9c0d-00000000000\u0661", ("INVALID_UUID",)),
    Value("transaction_id", "", ("MISSING_VALUE",)),
    Value("transaction_id", "   ", ("MISSING_VALUE",)),
    Value("sender_id", f" {USER.format(3)}\t", (), USER.format(3)),
    Value("sender_id", f" {STRANGER} ", ("UNKNOWN_SENDER",)),
    Value("sender_id", "\\N", ("MISSING_VALUE",)),
    Value("sender_id", STRANGER, ("UNKNOWN_SENDER",)),
    Value("sender_id", "1", ("INVALID_UUID",)),
    Value("sender_id", "", ("MISSING_VALUE",)),
    Value("receiver_id", STRANGER, ("UNKNOWN_RECEIVER",)),
    Value("receiver_id", f"  {USER.format(4).upper()}", (), USER.format(4)),
    Value("receiver_id", "Bob", ("INVALID_UUID",)),
    Value("receiver_id", USER.format(1)),  # a transfer to the sender: allowed, but suspicious
    # amounts
    Value("amount", "0", (), "0"),
    Value("amount", "0.00", (), "0.00"),
    Value("amount", "-0.00", (), "0.00"),
    Value("amount", "+5.5", (), "5.5"),
    Value("amount", "000250.00", (), "250.00"),
    Value("amount", "999999999999999.99", (), "999999999999999.99"),
    Value("amount", "10000.00", (), "10000.00"),
    Value("amount", "1000000000000000", ("AMOUNT_TOO_LARGE",)),
    Value("amount", "-5.00", ("NEGATIVE_AMOUNT",)),
    Value("amount", "-0.01", ("NEGATIVE_AMOUNT",)),
    Value("amount", "1.999", ("TOO_MANY_DECIMALS",)),
    Value("amount", "1.000", (), "1.00"),
    Value("amount", "10.0000", (), "10.00"),
    Value("amount", "10.5000000000", (), "10.50"),
    Value("amount", "0.0000", (), "0.00"),
    Value("amount", "-0.000", (), "0.00"),
    Value("amount", "999999999999999.9900", (), "999999999999999.99"),
    Value("amount", "1.0010", ("TOO_MANY_DECIMALS",)),
    Value("amount", "0.00000001", ("TOO_MANY_DECIMALS",)),
    Value("amount", "-1.000", ("NEGATIVE_AMOUNT",)),
    Value("amount", "-1.999", ("TOO_MANY_DECIMALS", "NEGATIVE_AMOUNT")),
    Value("amount", "1e3", ("INVALID_AMOUNT",)),
    Value("amount", "1_000", ("INVALID_AMOUNT",)),
    Value("amount", "0x1F", ("INVALID_AMOUNT",)),
    Value("amount", "NaN", ("INVALID_AMOUNT",)),
    Value("amount", "Infinity", ("INVALID_AMOUNT",)),
    Value("amount", "-inf", ("INVALID_AMOUNT",)),
    Value("amount", "1,000.00", ("INVALID_AMOUNT",)),
    Value("amount", "250,00", ("INVALID_AMOUNT",)),
    Value("amount", "$250.00", ("INVALID_AMOUNT",)),
    Value("amount", "250.00 USD", ("INVALID_AMOUNT",)),
    Value("amount", " 250.00", (), "250.00"),
    Value("amount", "\t250.00 ", (), "250.00"),
    Value("amount", " -5.00 ", ("NEGATIVE_AMOUNT",)),
    Value("amount", "1 000.00", ("INVALID_AMOUNT",)),
    Value("amount", "1\u00a0000.00", ("INVALID_AMOUNT",)),
    Value("amount", "- 5.00", ("INVALID_AMOUNT",)),
    Value("amount", "(5.00)", ("INVALID_AMOUNT",)),
    Value("amount", "5.00-", ("INVALID_AMOUNT",)),
    Value("amount", "\u22125.00", ("INVALID_AMOUNT",)),  # the minus sign of typography
    Value("amount", "1.000,00", ("INVALID_AMOUNT",)),
    Value("amount", "1'000.00", ("INVALID_AMOUNT",)),
    Value("amount", "\\N", ("MISSING_VALUE",)),
    Value("amount", "250.", ("INVALID_AMOUNT",)),
    Value("amount", ".5", ("INVALID_AMOUNT",)),
    Value("amount", "--5", ("INVALID_AMOUNT",)),
    Value("amount", "\u0662\u0665\u0660", ("INVALID_AMOUNT",)),  # Arabic digits
    Value("amount", "\uff12\uff15\uff10", ("INVALID_AMOUNT",)),  # full-width digits
    Value("amount", "two", ("INVALID_AMOUNT",)),
    Value("amount", "", ("MISSING_VALUE",)),
    # currencies
    Value("currency", "usd", (), "USD"),
    Value("currency", " Eur ", (), "EUR"),
    Value("currency", "\\N", ("MISSING_VALUE",)),
    Value("currency", "$", ("INVALID_CURRENCY",)),
    Value("currency", "840", ("INVALID_CURRENCY",)),
    Value("currency", "USD\u00a0", ("INVALID_CURRENCY",)),
    Value("currency", "XXX", ("UNKNOWN_CURRENCY",)),
    Value("currency", "US", ("INVALID_CURRENCY",)),
    Value("currency", "USDT", ("INVALID_CURRENCY",)),
    Value("currency", "U$D", ("INVALID_CURRENCY",)),
    Value("currency", "\u017fek", ("INVALID_CURRENCY",)),  # the long s, whose upper case is an ASCII S
    Value("currency", "", ("MISSING_VALUE",)),
    # timestamps
    Value("timestamp", "2025-05-01T20:00:00+08:00", (), "2025-05-01T12:00:00Z"),
    Value("timestamp", "2025-05-01t12:00:00z", (), "2025-05-01T12:00:00Z"),
    Value("timestamp", "2025-05-01 12:00:00Z", (), "2025-05-01T12:00:00Z"),
    Value("timestamp", "2025-05-01T12:00:00.120Z", (), "2025-05-01T12:00:00.12Z"),
    Value("timestamp", "2025-05-31T23:59:59.999999999Z", (), "2025-05-31T23:59:59.999999Z"),
    Value("timestamp", "2024-02-29T00:00:00Z", (), "2024-02-29T00:00:00Z"),
    Value("timestamp", "2025-02-29T00:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-04-31T00:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-13-01T00:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T24:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T23:59:60Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T12:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T12:00:00", ("TIMESTAMP_WITHOUT_OFFSET",)),
    Value("timestamp", "2025-05-01T12:00:00+24:00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", " 2025-05-01T12:00:00Z ", (), "2025-05-01T12:00:00Z"),
    # PostgreSQL's form
    Value("timestamp", "2025-05-20 10:00:00+00", (), "2025-05-20T10:00:00Z"),
    Value("timestamp", "2025-05-20 10:00:00.123456+00", (), "2025-05-20T10:00:00.123456Z"),
    Value("timestamp", "2025-05-20 15:30:00+05:30", (), "2025-05-20T10:00:00Z"),
    Value("timestamp", "2025-05-20 07:00:00.5-03", (), "2025-05-20T10:00:00.5Z"),
    Value("timestamp", "2025-05-20 10:00:00", ("TIMESTAMP_WITHOUT_OFFSET",)),
    Value("timestamp", "2025-05-20 10:00:00+24", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20 10:00:00+05:53:28", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "0044-03-15 10:00:00+00 BC", ("INVALID_TIMESTAMP",)),
    # almost RFC 3339
    Value("timestamp", "2025-05-20T10:00:00+00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20T10:00:00+0530", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20T10:00+08:00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20 10:00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20  10:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20 10:00:00 +00:00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20 10:00:00 UTC", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-20T10:00:00,5Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-5-1T12:00:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "20250501T120000Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "05/12/2025", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T12:61:00Z", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2025-05-01T12:00:00+05:60", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "1746100800123", ("INVALID_TIMESTAMP",)),
    # before and after the accepted range
    Value("timestamp", "1900-01-01T00:00:00Z", (), "1900-01-01T00:00:00Z"),
    Value("timestamp", "1899-12-31T23:30:00-00:30", (), "1900-01-01T00:00:00Z"),
    Value("timestamp", "1899-12-31T23:59:59Z", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "1900-01-01T00:59:59+01:00", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "1601-01-01T00:00:00Z", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "1000-01-01T00:00:00Z", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "0001-01-01T00:00:00Z", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "0001-01-01 00:00:00+00", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "0001-01-01T00:00:00+01:00", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "0000-00-00T00:00:00Z", ("TIMESTAMP_TOO_OLD",)),
    Value("timestamp", "9999-12-31T23:59:59Z", ("TIMESTAMP_IN_FUTURE",)),
    Value("timestamp", "9999-12-31T23:59:59-01:00", ("TIMESTAMP_IN_FUTURE",)),
    Value("timestamp", "\\N", ("MISSING_VALUE",)),
    Value("timestamp", "01/05/2025 12:00", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "1746100800", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "now", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "infinity", ("INVALID_TIMESTAMP",)),
    Value("timestamp", "2999-01-01T00:00:00Z", ("TIMESTAMP_IN_FUTURE",)),
    Value("timestamp", "", ("MISSING_VALUE",)),
    # statuses
    Value("status", "Completed", (), "completed"),
    Value("status", " PENDING ", (), "pending"),
    Value("status", "failed", (), "failed"),
    Value("status", "\\N", ("MISSING_VALUE",)),
    Value("status", "Paid", ("INVALID_STATUS",)),
    Value("status", "completed\u00a0", ("INVALID_STATUS",)),
    Value("status", "done", ("INVALID_STATUS",)),
    Value("status", "complete", ("INVALID_STATUS",)),
    Value("status", "", ("MISSING_VALUE",)),
)


class Line(NamedTuple):
    """A CSV line as bytes, put between two good rows; `codes` empty: it is a good row."""

    name: str
    raw: bytes
    codes: tuple[str, ...] = ()


def line(**changed: str) -> str:
    """A good row as a CSV line, with some columns replaced."""
    return ",".join({**GOOD, **changed}.values())


_LINE = line().encode()
EVERY_COLUMN = ("INVALID_UUID",) * 3 + ("INVALID_CURRENCY", "INVALID_AMOUNT", "INVALID_TIMESTAMP", "INVALID_STATUS")
LINES: tuple[Line, ...] = (
    Line("quoted", ('"' + '","'.join(GOOD.values()) + '"').encode()),
    Line("one quoted", line(status='"completed"').encode()),
    Line("short row", ",".join(list(GOOD.values())[:5]).encode(), ("MISSING_VALUE", "MISSING_VALUE")),
    Line("one value", b"hello", ("INVALID_UUID",) + ("MISSING_VALUE",) * 6),
    Line("long row", _LINE + b",extra", ("EXTRA_VALUES",)),
    Line("very long row", _LINE + b",a,b,c,d", ("EXTRA_VALUES",)),
    Line("semicolons", _LINE.replace(b",", b";"), ("INVALID_UUID",) + ("MISSING_VALUE",) * 6),
    Line("tabs", _LINE.replace(b",", b"\t"), ("INVALID_UUID",) + ("MISSING_VALUE",) * 6),
    Line("not UTF-8", line(status="completed").encode() + b"\xff", ("INVALID_ENCODING",)),
    Line("latin-1", line(currency="\xa3GB").encode("latin-1"), ("INVALID_ENCODING",)),
    Line("cut UTF-8", line(status="").encode() + b"\xe2\x82", ("INVALID_ENCODING",)),
    Line("NUL", line(status="comple\0ted").encode(), ("INVALID_ENCODING",)),
    Line("NUL as a value", line(amount="\0").encode(), ("INVALID_ENCODING",)),
    Line("quote inside a field", line(amount='25"0').encode(), ("INVALID_CSV",)),
    Line("text after a quote", line(amount='"250"x').encode(), ("INVALID_CSV",)),
    Line("unclosed quote", line(status='"completed').encode(), ("INVALID_CSV",)),
    Line("unclosed quote first", b'"' + _LINE, ("INVALID_CSV",)),
    Line("doubled quotes", line(status='"""completed"""').encode(), ("INVALID_STATUS",)),
    Line("backslash quotes", line(status='\\"completed\\"').encode(), ("INVALID_STATUS",)),
    Line("quoted comma", line(amount='"250,00"').encode(), ("INVALID_AMOUNT",)),
    Line("quoted line end", line(amount='"250\n.00"').encode(), ("INVALID_AMOUNT",)),
    Line("quoted CRLF", line(status='"completed\r\n"').encode()),
    Line("a comment", b"# exported by somebody", ("INVALID_UUID",) + ("MISSING_VALUE",) * 6),
    Line("markup", b"<html><body>504</body></html>", ("INVALID_UUID",) + ("MISSING_VALUE",) * 6),
    Line("JSON", json.dumps(GOOD).encode(), EVERY_COLUMN),
    Line("a formula", line(amount="=1+1").encode(), ("INVALID_AMOUNT",)),
    Line("over 64 KiB", line(status="c" * 70_000).encode(), ("INVALID_CSV",)),
    Line("everything wrong", b"x,y,z,a,b,c,d", EVERY_COLUMN),
    Line("a BOM within", b"\xef\xbb\xbf" + _LINE),
    Line("non-breaking space", line(amount="250.00\u00a0").encode(), ("INVALID_AMOUNT",)),
    Line("right-to-left mark", line(amount="250.00\u200f").encode(), ("INVALID_AMOUNT",)),
    Line("quotes inside a field", line(amount='2"5"0').encode(), ("INVALID_AMOUNT",)),
    Line("over 64 KiB, quoted", line(status='"' + "c" * 70_000 + '"').encode(), ("INVALID_CSV",)),
    Line("over 64 KiB, unclosed", line(status='"' + "c" * 70_000).encode(), ("INVALID_CSV",)),
    Line("a NUL in an extra value", _LINE + b",ex\0tra", ("EXTRA_VALUES",)),
    Line("an escape that is text", line(amount="\\u0000").encode(), ("INVALID_AMOUNT",)),
    Line("blanks after commas", _LINE.replace(b",", b", ")),
    Line("tabs and blanks around values", b"\t" + _LINE.replace(b",", b" ,\t ") + b" "),
    Line("blanks inside quotes", b'" ' + _LINE.replace(b",", b' "," ') + b' "'),
    Line("as PostgreSQL copies it", line(amount="250.0000", timestamp="2025-05-01 12:00:00+00").encode()),
    Line("all values missing", b",".join([rb"\N"] * 7), ("MISSING_VALUE",) * 7),
    Line(
        "an unquoted decimal comma", line(amount="250,00").encode(),
        ("EXTRA_VALUES", "INVALID_CURRENCY", "INVALID_TIMESTAMP", "INVALID_STATUS"),
    ),
    Line("UTF-16 within", _LINE.decode().encode("utf-16-le"), ("INVALID_ENCODING",) * 7),
    Line("a control character", line(status="completed\x1b").encode(), ("INVALID_STATUS",)),
    Line(
        "a row of another file", b"2025-05-01,Alice,Bob,250.00,USD,note,paid",
        ("INVALID_UUID", "INVALID_UUID", "INVALID_UUID", "INVALID_TIMESTAMP", "INVALID_STATUS"),
    ),
    Line("a total", b"Total,,,250.00,USD,,", ("INVALID_UUID",) + ("MISSING_VALUE",) * 4),
    Line("line separator", line(status="completed\u2028").encode(), ("INVALID_STATUS",)),
)  # fmt: skip


class File(NamedTuple):
    """A file that is refused when it is sent, with the error code and part of its message."""

    name: str
    data: bytes
    code: str
    word: str


FILES: tuple[File, ...] = (
    File("empty", b"", "MISSING_HEADER", "empty"),
    File("blank lines", b"\n\n  \n", "MISSING_HEADER", "empty"),
    File("a BOM and nothing", b"\xef\xbb\xbf", "MISSING_HEADER", "empty"),
    File("a header and nothing", HEADER.encode() + b"\n", "INVALID_INPUT", "no rows"),
    File("a header without a line end", HEADER.encode(), "INVALID_INPUT", "no rows"),
    File("a header and blank lines", HEADER.encode() + b"\r\n\r\n \n", "INVALID_INPUT", "no rows"),
    File("a header and rows of commas", HEADER.encode() + b"\n,,,,,,\n,,\n", "INVALID_INPUT", "no rows"),
    File("a header twice", HEADER.encode() + b"\n" + HEADER.encode() + b"\n", "INVALID_INPUT", "no rows"),
    File("rows without a header", _LINE + b"\n", "MISSING_HEADER", "transaction_id"),
    File("a column less", HEADER.replace("amount,", "").encode() + b"\n1\n", "MISSING_HEADER", "amount"),
    File("a column misspelt", HEADER.replace("amount", "amout").encode() + b"\n1\n", "MISSING_HEADER", "amount"),
    File("a column twice", (HEADER + ",amount").encode() + b"\n1\n", "MISSING_HEADER", "twice"),
    File("semicolons", HEADER.replace(",", ";").encode() + b"\n1\n", "MISSING_HEADER", "semicolon"),
    File("tabs", HEADER.replace(",", "\t").encode() + b"\n1\n", "MISSING_HEADER", "tab"),
    File("sep=;", b"sep=;\n" + HEADER.encode() + b"\n1\n", "NOT_CSV", "';'"),
    File("UTF-16", f"{HEADER}\n1\n".encode("utf-16"), "NOT_CSV", "UTF-16"),
    File("UTF-16, big end first", b"\xfe\xff" + f"{HEADER}\n1\n".encode("utf-16-be"), "NOT_CSV", "UTF-16"),
    File("UTF-16 without a mark", f"{HEADER}\n1\n".encode("utf-16-le"), "NOT_CSV", "UTF-16"),
    File("gzip", gzip.compress(_LINE), "NOT_CSV", "gzip"),
    File("bzip2", bz2.compress(_LINE), "NOT_CSV", "bzip2"),
    File("xz", lzma.compress(_LINE), "NOT_CSV", "xz"),
    File("zip", b"PK\x03\x04" + b"x" * 50, "NOT_CSV", "zip"),
    File("an old spreadsheet", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"\0" * 50, "NOT_CSV", "spreadsheet"),
    File("PDF", b"%PDF-1.7\n", "NOT_CSV", "PDF"),
    File("a header that is not UTF-8", b"\xff" * 10 + HEADER.encode(), "NOT_CSV", "not a CSV header"),
    File("a header with an unclosed quote", b'"' + HEADER.encode(), "NOT_CSV", "not a CSV header"),
    File("a header with a NUL", HEADER.encode() + b",no\0te\n" + _LINE + b",x\n", "NOT_CSV", "NUL"),
    File("a header without an end", HEADER.encode() + b",x" * 40_000 + b"\n" + _LINE, "NOT_CSV", "65536"),
    File("binary", b"\0" * 100, "NOT_CSV", "binary"),
)


class Message(NamedTuple):
    """A Kafka value as bytes; `codes` empty: it is a good row."""

    name: str
    value: bytes | None
    codes: tuple[str, ...] = ()


def message(**changed: object) -> bytes:
    """A good row as JSON with some keys replaced."""
    return json.dumps({**GOOD, **changed}).encode()


_JSON = message()
MESSAGES: tuple[Message, ...] = (
    Message("amount as a number", _JSON.replace(b'"250.00"', b"250.00")),
    Message("keys in another order", json.dumps(dict(reversed(GOOD.items()))).encode()),
    Message("extra keys", message(comment="hello", more={"a": [1]})),
    Message("blanks between", json.dumps(GOOD, indent=2).encode()),
    Message("compact", json.dumps(GOOD, separators=(",", ":")).encode()),
    Message("a BOM", b"\xef\xbb\xbf" + _JSON),
    Message("exact beyond a float", _JSON.replace(b'"250.00"', b"999999999999999.99")),
    Message("no value", None, ("INVALID_JSON",)),
    Message("empty", b"", ("INVALID_JSON",)),
    Message("blank", b"  ", ("INVALID_JSON",)),
    Message("null", b"null", ("INVALID_JSON",)),
    Message("a string", b'"hello"', ("INVALID_JSON",)),
    Message("a number", b"250.00", ("INVALID_JSON",)),
    Message("an array", b"[" + _JSON + b"]", ("INVALID_JSON",)),
    Message("cut", _JSON[:50], ("INVALID_JSON",)),
    Message("two objects", _JSON + _JSON, ("INVALID_JSON",)),
    Message("single quotes", str(GOOD).encode(), ("INVALID_JSON",)),
    Message("trailing comma", _JSON[:-1] + b",}", ("INVALID_JSON",)),
    Message("NaN", _JSON.replace(b'"250.00"', b"NaN"), ("INVALID_JSON",)),
    Message("Infinity", _JSON.replace(b'"250.00"', b"-Infinity"), ("INVALID_JSON",)),
    Message("a key twice", _JSON[:-1] + b', "amount": 1}', ("INVALID_JSON",)),
    Message("nested too deep", b"[" * 100_000, ("INVALID_JSON",)),
    Message("not UTF-8", _JSON[:-1] + b"\xff}", ("INVALID_ENCODING",)),
    Message("UTF-16", json.dumps(GOOD).encode("utf-16"), ("INVALID_ENCODING",)),
    Message("a NUL byte", _JSON + b"\0", ("INVALID_ENCODING",)),
    Message("an escaped NUL", message(status="comple\0ted"), ("INVALID_ENCODING",)),
    Message("half a surrogate pair", _JSON.replace(b"completed", b"\\ud800"), ("INVALID_STATUS",)),
    Message("no keys", b"{}", ("MISSING_VALUE",) * 7),
    Message("a key less", json.dumps({k: v for k, v in GOOD.items() if k != "status"}).encode(), ("MISSING_VALUE",)),
    Message("keys in capitals", json.dumps({k.upper(): v for k, v in GOOD.items()}).encode(), ("MISSING_VALUE",) * 7),
    Message("null inside", message(currency=None), ("MISSING_VALUE",)),
    Message("a number as id", message(transaction_id=5), ("INVALID_UUID",)),
    Message("a boolean as amount", message(amount=True), ("INVALID_AMOUNT",)),
    Message("an object as amount", message(amount={"value": "1"}), ("INVALID_AMOUNT",)),
    Message("an array as status", message(status=["completed"]), ("INVALID_STATUS",)),
    Message("a number as time", message(timestamp=1746100800), ("INVALID_TIMESTAMP",)),
    Message("a number as currency", message(currency=840), ("INVALID_CURRENCY",)),
    Message("an exponent", _JSON.replace(b'"250.00"', b"2.5e2"), ("INVALID_AMOUNT",)),
    Message("a number too exact", _JSON.replace(b'"250.00"', b"250.001"), ("TOO_MANY_DECIMALS",)),
    Message("a negative number", _JSON.replace(b'"250.00"', b"-5.00"), ("NEGATIVE_AMOUNT",)),
    Message("a CSV line", ",".join(GOOD.values()).encode(), ("INVALID_JSON",)),
)
