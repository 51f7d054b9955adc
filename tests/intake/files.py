"""Realistic files: the result of each import, or the words with which the file is refused."""

from __future__ import annotations

from typing import NamedTuple

from tests.intake.cases import GOOD, HEADER
from tests.intake.channels import payment_id, row

BOM = "\ufeff"


class Taken(NamedTuple):
    """A file that is imported: rows stored, lines skipped, codes of the rejected rows."""

    name: str
    data: bytes
    inserted: int
    skipped: int = 0
    codes: tuple[str, ...] = ()


def file(*lines: str, header: str = HEADER, end: str = "\n", last: str | None = None) -> bytes:
    """A file with the header and these lines, all with the same line end."""
    return (end.join([header, *lines]) + (end if last is None else last)).encode()


def padded(n: int, *, by: int) -> str:
    return row(n) + "," * by


def backwards(line: str) -> str:
    return ",".join(reversed(line.split(",")))


def all_quoted(line: str) -> str:
    return '"' + line.replace(",", '","') + '"'


NO_VALUES = "," * 9
PADDED = HEADER + ",,,"
JOINED = b"".join(file(row(n), last="") for n in range(3))
JOINED_BOM = b"".join(BOM.encode() + file(row(n), last="") for n in range(2))
TITLED = "Transaction ID,Sender ID,Receiver ID,Amount,Currency,Timestamp,Status"
CAMEL = "transactionId,senderId,receiverId,amount,currency,timestamp,status"
EXTRA = HEADER + ",note"
SWAPPED = "transaction_id,receiver_id,sender_id,amount,currency,timestamp,status"
QUOTED_AFTER_BLANKS = '"' + row(2).replace(",", '", "') + '"'

TAKEN: tuple[Taken, ...] = (
    # padded rows and empty rows
    Taken("a07", file(padded(1, by=3), NO_VALUES, padded(2, by=3), *[NO_VALUES] * 3, header=PADDED, end="\r\n"), 2, 4),
    Taken("a08", file(padded(1, by=1), padded(2, by=2), end="\r\n"), 2),
    Taken("a header padded by 200", file(padded(1, by=200), row(2), "," * 206, header=HEADER + "," * 200), 2, 1),
    Taken("a header padded, rows not", file(row(1), row(2), header=HEADER + ",,,"), 2),
    Taken("quoted rows, padded", file(all_quoted(padded(1, by=2)), all_quoted(row(2)) + ',"",'), 2),
    Taken("padded with blanks", file(row(1) + ", ,\t", row(2) + ", , "), 2),
    Taken("surplus values that are none and one", file(row(1) + ",,x", row(2)), 1, codes=("EXTRA_VALUES",)),
    Taken("a surplus value of a quoted comma", file(row(1) + ',","', row(2)), 1, codes=("EXTRA_VALUES",)),
    Taken("padding above the header", (",,,,,,\n\n" + file(row(1)).decode()).encode(), 1),
    Taken("commas at the end", file(row(1), *["," * 6] * 50), 1, 50),
    Taken("commas at the end, many", file(row(1), *[",,"] * 3000), 1, 3000),
    Taken("empty values in quotes", file(row(1), '"","","","","","",""', '"",,', '""', row(2)), 2, 3),
    Taken("empty values over two lines", file(row(1), '"\n",,,,,,', row(2)), 2, 1),
    Taken("blanks between commas", file(row(1), " , ,\t, , , , ", row(2)), 2, 1),
    Taken("blank lines", file("", row(1), "", "  ", "\t", row(2), "", ""), 2, 6),
    Taken("blank lines, CR", file("", row(1), "", " ", row(2), "", end="\r"), 2, 4),
    Taken("blank lines, CRLF", file("", row(1), "", row(2), "", end="\r\n"), 2, 3),
    Taken("blanks without a line end", file(row(1), "  ", last=""), 1, 1),
    Taken("commas without a line end", file(row(1), ",,,,,,", last=""), 1, 1),
    Taken("only some values are missing", file(",,,5.00,USD,,", row(1)), 1, codes=("MISSING_VALUE",) * 5),
    Taken("a total", file(row(1), "Total,,,250.00,USD,,"), 1, codes=("MISSING_VALUE",) * 4 + ("INVALID_UUID",)),
    Taken("nothing but a note", file(row(1) + ",x", ",,,,,,,total", header=EXTRA), 1, codes=("MISSING_VALUE",) * 7),
    # concatenated files
    Taken("a05", f"{BOM}{HEADER}\n{row(1)}\n{BOM}{HEADER}\n{row(2)}\n".encode(), 2, 1),
    Taken("a13", file(row(1), HEADER, row(2)), 2, 1),
    Taken("the header again in quotes", file(row(1), all_quoted(HEADER), row(2)), 2, 1),
    Taken("the header again in quotes with BOM", file(row(1), BOM + all_quoted(HEADER), row(2)), 2, 1),
    Taken("the header again, spelled otherwise", file(row(1), TITLED, row(2), CAMEL.upper(), row(3)), 3, 2),
    Taken("the header again with blanks", file(row(1), HEADER.replace(",", " , "), row(2)), 2, 1),
    Taken("the header again, padded", file(row(1), HEADER + ",,", row(2)), 2, 1),
    Taken("the header again without the note", file(row(1) + ",x", HEADER, row(2), header=EXTRA), 2, 1),
    Taken("the header again with a note", file(row(1), EXTRA, row(2) + ","), 2, 1),
    Taken("the header again as the last line", file(row(1), HEADER, last=""), 1, 1),
    Taken("the header again, CR", file(row(1), HEADER, "", row(2), end="\r"), 2, 2),
    Taken("three files", b"".join(file(row(n)) for n in range(3)), 3, 2),
    Taken("three files with BOM", b"".join(BOM.encode() + file(row(n), end="\r\n") for n in range(3)), 3, 2),
    Taken("a BOM before a row", file(row(1), BOM + row(2)), 2),
    Taken("a BOM before a quoted row", file(row(1), BOM + all_quoted(row(2))), 2),
    Taken("an empty file with BOM in the middle", file(row(1), BOM, row(2)), 2, 1),
    Taken("three files that do not end with a line end", JOINED, 1, codes=("INVALID_CSV", "INVALID_CSV")),
    Taken("two with BOM that do not end with a line end", JOINED_BOM, 1, codes=("INVALID_CSV",)),
    Taken("a comment of names", file(row(1) + ",sender_id receiver_id", row(2) + ",", header=EXTRA), 2),
    # blanks around values
    Taken("a19", file(row(1).replace(",", ", "), QUOTED_AFTER_BLANKS, header=HEADER.replace(",", ", ")), 2),
    Taken("blanks on both sides of quotes", file('"' + row(1).replace(",", '" ,\t"') + '" ', row(2)), 2),
    Taken("blanks next to necessary quotes", file(row(1) + ', "a, ""b"" , c" ', row(2) + ', "x"', header=EXTRA), 2),
    Taken("blanks inside quotes", file('" ' + row(1).replace(",", ' "," ') + ' "', row(2)), 2),
    Taken("blanks in a header in quotes", file(row(1), header='" ' + HEADER.replace(",", ' ", " ') + '"'), 1),
    Taken("text after a closing quote", file(row(1, status=' "completed" x'), row(2)), 1, codes=("INVALID_STATUS",)),
    # headers
    Taken("a20", file(row(1), header=TITLED), 1),
    Taken("camel case", file(row(1), header=CAMEL), 1),
    Taken("capitals, dashes and blanks", file(row(1), header=HEADER.upper().replace("_", "-").replace(",", " , ")), 1),
    Taken("another order", file(backwards(row(1)), header=backwards(HEADER)), 1),
    Taken("an index without a name", file("0," + row(1), header="," + HEADER), 1),
    # the end of a file
    Taken("Ctrl-Z", file(row(1), "\x1a", last=""), 1, 1),
    Taken("Ctrl-Z and a line end", file(row(1), "\x1a", end="\r\n"), 1, 1),
    Taken("many Ctrl-Z", file(row(1), "\x1a" * 100, last=""), 1, 1),
    Taken("Ctrl-Z behind the last row", file(row(1), row(2), last="\x1a"), 2),
    Taken("Ctrl-Z behind a quoted row", file(row(1), all_quoted(row(2)), last="\x1a"), 2),
    Taken("two DOS files", file(row(1), "\x1a" + HEADER, row(2), "\x1a", end="\r\n", last=""), 2, 2),
    Taken("no line end", file(row(1), row(2), last=""), 2),
    # other encodings in a row
    Taken(
        "Windows-1252 in a note", file(header=EXTRA) + f"{row(1)},Jürgen\n{row(2)},\n".encode("cp1252"), 1,
        codes=("INVALID_ENCODING",),
    ),
)  # fmt: skip


class Refusal(NamedTuple):
    """A file that is refused, with the code and the words that the message must contain."""

    name: str
    data: bytes
    code: str
    words: tuple[str, ...]


def separated(by: str, *, amount: str = "10,50", header: str = HEADER) -> bytes:
    values = {**GOOD, "transaction_id": payment_id(1), "amount": amount}
    return (header.replace(",", by) + "\n" + by.join(values.values()) + "\n").encode()


INVOICE = b"Invoice,Date,Customer,Net,VAT,Gross\n2025-001,2025-05-01,Alice,100.00,20.00,120.00\n"
GERMAN = HEADER + ",Empfänger"

REFUSED: tuple[Refusal, ...] = (
    Refusal("a01", separated(";"), "MISSING_HEADER", ("transaction_id;sender_id;", "semicolon", "commas", "10,50")),
    Refusal("tabs", separated("\t"), "MISSING_HEADER", (r"transaction_id\tsender_id", "a tab", "10,50")),
    Refusal("pipes", separated("|", amount="10.50"), "MISSING_HEADER", ("transaction_id|sender_id", "a pipe")),
    Refusal("two pipes", separated("||"), "MISSING_HEADER", ("a pipe",)),
    Refusal("blanks", separated(" "), "MISSING_HEADER", ("a blank",)),
    Refusal("carets", separated("^"), "MISSING_HEADER", ("'^'",)),
    Refusal("a control character", separated("\x01"), "MISSING_HEADER", (r"'\x01'",)),
    Refusal("semicolons, quoted", separated('";"'), "MISSING_HEADER", ("semicolon",)),
    Refusal("semicolons, another spelling", separated(";", header=TITLED), "MISSING_HEADER", ("semicolon",)),
    Refusal("sep=;", b"sep=;\n" + separated(";"), "NOT_CSV", ("';'", "comma")),
    Refusal("a02", f"{GERMAN}\n{row(1)},Jürgen\n".encode("cp1252"), "NOT_CSV",
            ("UTF-8", "Windows-1252", "0xE4", "column 8", "Empf", "'ä'", "position 75")),
    Refusal("Latin-1, first", ("Größe," + HEADER + "\n").encode("latin-1"), "NOT_CSV", ("0xF6", "column 1", "'ö'")),
    Refusal("a DOS code page", f"{GERMAN}\n{row(1)},x\n".encode("cp850"), "NOT_CSV", ("0x84", "850", "'ä'")),
    Refusal("Cyrillic", (HEADER + ",Примечание\n").encode("cp1251"), "NOT_CSV", ("0xCF", "column 8", "Windows-1251")),
    Refusal("Japanese", (HEADER + ",受取人の名前\n").encode("shift-jis"), "NOT_CSV", ("column 8", "Shift-JIS")),
    Refusal("UTF-16", f"{HEADER}\n{row(1)}\n".encode("utf-16"), "NOT_CSV", ("UTF-16", "CSV UTF-8")),
    Refusal("a04", b"Account statement 2025-05,,,,,,\n" + file(row(1)), "MISSING_HEADER",
            ("Account statement 2025-05", "line 2", "delete")),
    Refusal("a title, a blank line", b"My bank\n\nMay 2025\n" + file(row(1)), "MISSING_HEADER", ("My bank", "line 4")),
    Refusal("a title, semicolons", b"My bank\n" + separated(";"), "MISSING_HEADER", ("line 2", "semicolon", "10,50")),
    Refusal("no header", f"{row(1)}\n{row(2)}\n".encode(), "MISSING_HEADER",
            (payment_id(1), "row", HEADER.replace(",", ", "))),
    Refusal("an invoice", INVOICE, "MISSING_HEADER", ("Invoice,Date,Customer", "lacks", "transaction_id")),
    Refusal("a misspelt name", file(row(1), header=HEADER.replace("amount", "amout")), "MISSING_HEADER",
            ("'amout'", "amount")),
    Refusal("two spellings of a name", (HEADER + ",Sender ID\n1\n").encode(), "MISSING_HEADER",
            ("twice", "sender_id", "'Sender ID'")),
    Refusal("an unclosed quote", b'"' + file(row(1)), "NOT_CSV", ("not a CSV header", "transaction_id")),
    Refusal("JSON", b'{"transaction_id": "1", "amount": 5}\n', "MISSING_HEADER", ("transaction_id", "lacks")),
    Refusal("a long line", b"x" * 5000 + b"\n1\n", "MISSING_HEADER", ("…", "lacks")),
)  # fmt: skip
