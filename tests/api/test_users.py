"""`importUsers`: a CSV as text or as a file; errors are returned row by row, or as a userError."""

from __future__ import annotations

import json
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy import Engine

from fcgraph import db
from fcgraph.settings import Settings
from tests.api.cases import ALICE, user
from tests.api.client import Api, serving

IMPORT = """
mutation($source: CsvSource!) {
  importUsers(source: $source) {
    read inserted renamed unchanged rejected problems { column code message value } userErrors { code message path }
  }
}"""
NOTHING = {"read": 0, "inserted": 0, "renamed": 0, "unchanged": 0, "rejected": 0, "problems": []}


def taken(api: Api, text: str) -> Any:
    return api.ask(IMPORT, source={"text": text})["importUsers"]


def upload(api: Api, content: bytes) -> Any:
    operations = {"query": IMPORT, "variables": {"source": {"upload": None}}}
    response = api.client.post(
        "/graphql",
        data={"operations": json.dumps(operations), "map": json.dumps({"0": ["variables.source.upload"]})},
        files={"0": ("users.csv", content, "text/csv")},
        headers={"GraphQL-Require-Preflight": "1"},
    )
    return response.json()["data"]["importUsers"]


def test_users_as_text(api: Api, engine: Engine) -> None:
    text = f"user_id,name\n{user(50)},Ünal Şahin\n{ALICE},Alice Smith\n{user(2)},Bob\n7,Eve\n"
    assert taken(api, text) == {
        "read": 4,
        "inserted": 1,
        "renamed": 1,
        "unchanged": 1,
        "rejected": 1,
        "problems": [
            {
                "column": "user_id",
                "code": "INVALID_UUID",
                "message": "line 5: user_id is not a UUID like 00000000-0000-0000-0000-000000000001",
                "value": "7",
            }
        ],
        "userErrors": [],
    }
    assert api.ask('{ users(search: "ÜNAL ş") { nodes { userId } } }')["users"]["nodes"] == [{"userId": user(50)}]
    assert api.ask("query($id: UUID!) { user(userId: $id) { name } }", id=ALICE)["user"]["name"] == "Alice Smith"
    with db.read(engine) as connection:
        assert connection.execute(sa.text("SELECT changed_by, renamed_count FROM user_batches")).one() == ("local", 1)


def test_users_as_a_file(api: Api) -> None:
    content = "\ufeffName,User_Id\r\n" + "".join(f"User {n},{user(1000 + n)}\r\n" for n in range(20_000))
    assert upload(api, content.encode()) == NOTHING | {"read": 20_000, "inserted": 20_000, "userErrors": []}
    assert upload(api, content.encode()) == NOTHING | {"read": 20_000, "unchanged": 20_000, "userErrors": []}


@pytest.mark.parametrize(
    ("content", "code"),
    [(b"user_id\n", "MISSING_HEADER"), (b"\xff\xfeu\0", "NOT_CSV"), (b"name,user_id\n", "INVALID_INPUT")],
)
def test_a_file_that_is_none_is_a_user_error(api: Api, content: bytes, code: str) -> None:
    answer = upload(api, content)
    (error,) = answer.pop("userErrors")
    assert answer == NOTHING
    assert (error["code"], error["path"]) == (code, ["source"])


def test_a_file_that_is_too_large(api_settings: Settings) -> None:
    with serving(api_settings.model_copy(update={"upload_max_bytes": 1000})) as api:
        (error,) = upload(api, b"user_id,name\n" + b"\n" * 1000)["userErrors"]
    assert (error["code"], error["path"]) == ("FILE_TOO_LARGE", ["source"])
    assert "UPLOAD_MAX_BYTES" in error["message"]


def test_an_upload_without_a_file(api: Api) -> None:
    (error,) = api.ask(IMPORT, source={"upload": "x"})["importUsers"]["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", ["source", "upload"])
