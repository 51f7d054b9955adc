"""The words of docs/glossary.md are used, and those that had several meanings here are not: as names, nor in prose."""

from __future__ import annotations

import io
import re
import subprocess
import tokenize

from tests import services

NOT_NAMES = frozenset(
    {"door", "doors", "lane", "lanes", "judge", "judged", "settle", "settled", "kept", "told", "asked", "given", "odd",
     "careful", "beside", "ward", "wards", "verdict"}
)  # fmt: skip
NOT_PROSE = re.compile(r"\b(doors?|lanes?|judges?|judged|settles?|settled|wards?|verdicts?)\b", re.IGNORECASE)
FOREIGN = {"given"}  # hypothesis' decorator, in tests
ALLOWED = {("fcgraph/rules/words.py", "settled")}  # how other systems write the status completed
PUBLISHED = "migrations/versions/"  # never change


def sources(*patterns: str) -> list[str]:
    """The tracked files of these kinds, without the published migrations and this test."""
    listed = subprocess.run(
        ["git", "ls-files", *patterns], cwd=services.ROOT, capture_output=True, text=True, check=True
    ).stdout.split()
    return [path for path in listed if not path.startswith(PUBLISHED) and path != "tests/test_words.py"]


def test_names_have_one_meaning() -> None:
    found = []
    for path in sources("*.py"):
        text = (services.ROOT / path).read_text(encoding="utf-8")
        foreign = FOREIGN if "hypothesis" in text else set()
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            if token.type == tokenize.NAME and token.string in NOT_NAMES - foreign:
                found.append(f"{path}:{token.start[0]} {token.string}")
    assert found == []


def test_prose_has_no_words_of_its_own() -> None:
    found = []
    for path in sources("*.py", "*.md", "*.toml", "*.yaml", "Makefile", "Dockerfile", ".env.example"):
        for number, line in enumerate((services.ROOT / path).read_text(encoding="utf-8").splitlines(), 1):
            match = NOT_PROSE.search(line.replace("INTAKE_LANES", "").replace("intake_lanes", ""))
            if match and (path, match[0]) not in ALLOWED:
                found.append(f"{path}:{number} {match[0]}")
    assert found == []
