"""`users(search:)` in every script, on databases of any locale, on both execution paths."""

from __future__ import annotations

import unicodedata
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sa

from fcgraph import db
from fcgraph.embedded import postgres
from tests import services
from tests.api.client import Api, serving
from tests.api.conftest import settings_for
from tests.api.generator import Operation
from tests.api.test_fastpath import BothPaths

LOCALES = {
    "C": "LOCALE_PROVIDER libc LOCALE 'C'",
    "builtin-C.UTF-8": "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'C.UTF-8' LOCALE 'C'",
    "builtin-PG_UNICODE_FAST": "LOCALE_PROVIDER builtin BUILTIN_LOCALE 'PG_UNICODE_FAST' LOCALE 'C'",
}
# A name and the searches that find it; each is also typed in upper and lower case, composed and decomposed.
FOUND = {
    "José Álvarez": ["JOSÉ", "álv", "josé á", "ALVAREZ"[1:], "é"],
    "Jose\u0301 Decomposed": ["josé d", "jose\u0301 D"],
    "ÖZGÜR ŞAHİN": ["özgür", "şahin", "ŞAHIN", "şahi\u0307n"],
    "Işık Ilıcalı": ["ışık", "IŞIK", "işık", "ılıcalı", "ilicali"],
    "Anna Straße": ["strasse", "STRASSE", "straße", "STRAẞE"],
    "Γιώργος Παπαδόπουλος": ["ΓΙΏΡΓΟΣ", "γιώργοσ", "παπαδόπουλος", "πουλοσ"],
    "Ёлкина Мария": ["ЁЛКИНА", "ёлк", "мАРИЯ"],
    "Nguyễn Thị Ánh": ["NGUYỄN", "thị", "ánh"],
    "山田 太郎": ["山田", "太郎"],
    "ﾔﾏﾀﾞ ハナコ": ["ヤマダ", "ﾊﾅｺ"],
    "Ｆｕｌｌ Ｗｉｄｔｈ": ["full width", "ＦＵＬＬ"],
    "ﬁona Ligature": ["FIONA", "fiona"],
    "საქართველო": ["ᲡᲐᲥᲐᲠᲗᲕᲔᲚᲝ"],
    "محمد": ["محمد"],
    "100%_sure\\": ["%_", "0%", "\\"],
    "A\u00a0B": ["a b"],
    "x" * 1990 + "Ü": ["xü"],
}
NOT_FOUND = ["joseph", "alvarez", "jose a", "%z", "100_", "strase", "елкина", "\u0301\u0301\u0301"]
SEARCH = "query($s: String) { users(search: $s, first: 100) { totalCount nodes { name } pageInfo { endCursor } } }"


@pytest.fixture(scope="module", params=LOCALES)
def named(
    request: pytest.FixtureRequest, postgres_port: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Api]:
    """An API on a database of some locale, with these names."""
    database = f"search_{uuid.uuid4().hex}"
    services.execute(
        postgres_port, f"CREATE DATABASE \"{database}\" TEMPLATE template0 ENCODING 'UTF8' {LOCALES[request.param]}"
    )
    url = postgres.url(postgres_port, database)
    services.migrate(url)
    engine = db.make_engine(url, name="tests")
    with db.write(engine) as connection:
        values = [{"id": uuid.uuid4(), "name": name} for name in FOUND]
        connection.execute(sa.text("INSERT INTO users (user_id, name) VALUES (:id, :name)"), values)
    with serving(settings_for(url, tmp_path_factory.mktemp("named"))) as api:
        yield api
    services.drop_database(postgres_port, database)


def typed(search: str) -> set[str]:
    """The variants of a search that people, keyboards and systems produce."""
    cased = {search, search.upper(), search.lower(), search.swapcase()}
    return {unicodedata.normalize(form, text) for text in cased for form in ("NFC", "NFD")}


def test_case_and_composition_do_not_matter(named: Api) -> None:
    for name, searches in FOUND.items():
        for search in searches:
            for text in typed(search):
                nodes = named.ask(SEARCH, s=text)["users"]["nodes"]
                assert {"name": name} in nodes, (text, name)


def test_other_names_are_not_found(named: Api) -> None:
    for search in NOT_FOUND:
        assert named.ask(SEARCH, s=search)["users"] == {
            "totalCount": 0, "nodes": [], "pageInfo": {"endCursor": None}
        }, search  # fmt: skip


def test_both_ways_of_answering_find_the_same(named: Api) -> None:
    both = BothPaths(named)
    for search in [None, "", *NOT_FOUND, *(s for searches in FOUND.values() for s in searches)]:
        fast, slow = both.answers(Operation(SEARCH, {"s": search}))
        assert fast == slow, search


def test_a_text_that_cannot_be_searched_for_is_bad_input(demo: Api, demo_url: str, tmp_path: Path) -> None:
    for text in ("a\0b", "x" * 4001):
        assert demo.code(SEARCH, s=text) == "BAD_USER_INPUT"
    assert demo.ask(SEARCH, s="x" * 4000)["users"]["totalCount"] == 0
    with serving(settings_for(demo_url, tmp_path, search_max_chars=3)) as api:
        assert "SEARCH_MAX_CHARS" in api.refused(SEARCH, s="abcd")["message"]


def test_an_impossible_text_costs_no_connection(demo: Api) -> None:
    """In any argument that becomes a value of a statement."""
    reader = demo.app.state.resources.reader
    demo.ask(SEARCH, s="Alice")
    before = list(reader._idle)
    day = 'query($c: String) { dailyTotals(start: "2025-05-01", end: "2025-05-01", currency: $c) { rows { day } } }'
    several = "query($f: PaymentFilter) { payments(filter: $f) { totalCount } }"
    assert demo.code(SEARCH, s="a\0b") == "BAD_USER_INPUT"
    assert demo.code(day, c="\0") == "BAD_USER_INPUT"
    assert demo.code(several, f={"currencies": ["USD", "\0"]}) == "BAD_USER_INPUT"
    assert reader._idle == before
