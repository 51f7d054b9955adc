"""saveCurrency through the API and from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import services
from tests.api.client import Api

SAVE = """
mutation ($code: String!, $name: String!, $symbol: String, $minorUnits: Int!, $suspiciousAbove: Decimal!) {
  saveCurrency(
    code: $code, name: $name, symbol: $symbol, minorUnits: $minorUnits, suspiciousAbove: $suspiciousAbove
  ) {
    currency { code name symbol minorUnits suspiciousAbove }
    userErrors { code message path }
  }
}
"""
YEN: dict[str, Any] = {
    "code": "JPY",
    "name": "Japanese Yen",
    "symbol": "¥",
    "minorUnits": 0,
    "suspiciousAbove": "1000000",
}


def test_a_currency_is_added_and_changed(api: Api) -> None:
    for _ in range(2):  # repeating it changes nothing
        assert api.ask(SAVE, **YEN)["saveCurrency"] == {"currency": YEN, "userErrors": []}
    changed = api.ask(SAVE, **YEN | {"symbol": None, "minorUnits": 2, "suspiciousAbove": "5"})["saveCurrency"]
    assert changed["currency"] == YEN | {"symbol": None, "minorUnits": 2, "suspiciousAbove": "5.00"}
    assert (
        changed["currency"] in api.ask("{ currencies { code name symbol minorUnits suspiciousAbove } }")["currencies"]
    )


@pytest.mark.parametrize(
    ("changed", "path", "words"),
    [
        ({"code": "$"}, "code", "has a currency symbol"),
        ({"name": ""}, "name", "1 to 100 printable characters"),
        ({"minorUnits": 5}, "minorUnits", "must be 0 to 4"),
        ({"suspiciousAbove": "-1"}, "suspiciousAbove", "is below zero"),
        ({"suspiciousAbove": "0.5"}, "suspiciousAbove", "has 1 decimal and its currency allows 0"),
    ],
)
def test_what_cannot_be_is_a_user_error_with_its_path(api: Api, changed: dict[str, Any], path: str, words: str) -> None:
    answer = api.ask(SAVE, **YEN | changed)["saveCurrency"]
    assert answer["currency"] is None
    (error,) = answer["userErrors"]
    assert (error["code"], error["path"]) == ("INVALID_INPUT", [path])
    assert words in error["message"]


def test_the_command_line_lists_and_saves(database_url: str, tmp_path: Path) -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "fcgraph", "currencies", *arguments],
            cwd=services.ROOT,
            env=services.clean_environment() | {"DATABASE_URL": database_url, "DATA_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    yen = ["save", "JPY", "--name", "Japanese Yen", "--symbol", "¥", "--minor-units", "0", "--suspicious-above"]
    saved = run(*yen, "1000000", "--json")
    assert saved.returncode == 0, saved.stderr
    shown = {"code": "JPY", "name": "Japanese Yen", "symbol": "¥", "minor_units": 0, "suspicious_above": "1000000"}
    assert json.loads(saved.stdout) == shown
    assert shown in json.loads(run("list", "--json").stdout)["currencies"]
    assert run("list").stdout.splitlines() == [
        "EUR  Euro (€): 2 decimals, suspicious above 10,000.00",
        "JPY  Japanese Yen (¥): 0 decimals, suspicious above 1,000,000",
        "PHP  Philippine Peso (₱): 2 decimals, suspicious above 10,000.00",
        "USD  US Dollar ($): 2 decimals, suspicious above 10,000.00",
    ]
    refused = run(*yen, "0.5")
    assert (refused.returncode, refused.stdout) == (3, "")
    assert "suspiciousAbove has 1 decimal and its currency allows 0" in refused.stderr
    assert run(*yen, "much").returncode == 2
