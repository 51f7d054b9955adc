"""The shortcut for plain objects: the same answers and errors as from graphql-core alone."""

from __future__ import annotations

import json
from decimal import Decimal
from enum import Enum
from typing import Any

import pytest
import strawberry

from fcgraph.api.graphql.executor import AttributeObjects


@strawberry.enum
class Colour(Enum):
    RED = "red"


@strawberry.type
class Thing:
    name: str
    amount: Decimal
    colour: Colour
    note: str | None = None
    tags: list[str] = strawberry.field(default_factory=list)

    @strawberry.field
    def loud(self) -> str:
        return self.name.upper()


class Broken:
    colour = Colour.RED
    note = None

    @property
    def name(self) -> str:
        raise ValueError("no name")


def things() -> list[Thing]:
    return [Thing(name=str(n), amount=Decimal(n), colour=Colour.RED, note=None if n % 2 else "x") for n in range(9)]


@strawberry.type
class Query:
    things: list[Thing] = strawberry.field(resolver=things)

    @strawberry.field
    def thing(self) -> Thing:
        return things()[0]

    @strawberry.field
    def nothing(self) -> Thing | None:
        return None

    @strawberry.field
    def some(self) -> list[Thing | None]:
        return [things()[0], None]

    @strawberry.field
    def broken(self) -> list[Thing | None]:
        return [things()[0], Broken()]  # type: ignore[list-item]

    @strawberry.field
    def missing(self) -> list[Thing | None]:
        return [Thing(name=None, amount=Decimal(1), colour=Colour.RED)]  # type: ignore[arg-type]

    @strawberry.field
    def irregular(self) -> Thing | None:
        return Thing(name="n", amount=Decimal(1), colour="blue")  # type: ignore[arg-type]


FAST = strawberry.Schema(query=Query, execution_context_class=AttributeObjects)
DEFAULT = strawberry.Schema(query=Query)
FIELDS = "name amount colour note n: name __typename"


@pytest.mark.parametrize(
    "query",
    [
        f"{{ things {{ {FIELDS} }} thing {{ {FIELDS} }} }}",
        f"{{ things {{ loud {FIELDS} }} thing {{ tags {FIELDS} }} }}",
        f"{{ nothing {{ {FIELDS} }} some {{ {FIELDS} }} }}",
        f"{{ things {{ ...F note @skip(if: true) }} }} fragment F on Thing {{ {FIELDS} note @include(if: false) }}",
        "{ broken { name } }",
        "{ broken { colour note } }",
        "{ missing { amount name } }",
        "{ odd { name colour } }",
    ],
)
def test_both_ways_answer_alike(query: str) -> None:
    def execute(schema: strawberry.Schema) -> tuple[str, list[Any]]:
        result: Any = schema.execute_sync(query)
        return json.dumps(result.data), [(e.message, e.path) for e in result.errors or ()]  # the order matters, too

    assert execute(FAST) == execute(DEFAULT)


def test_what_is_default_is_read_without_graphql_core(monkeypatch: pytest.MonkeyPatch) -> None:
    fields: list[str] = []
    one_field = AttributeObjects.execute_field

    def counted(self: Any, parent: Any, source: Any, details: Any, path: Any, position: Any) -> Any:
        fields.append(details[0].node.name.value)
        return one_field(self, parent, source, details, path, position)

    monkeypatch.setattr(AttributeObjects, "execute_field", counted)
    FAST.execute_sync("{ things { name colour } thing { name loud } }")
    assert fields == ["things", "thing", "name", "loud"]
