"""Settings: from the environment or from files, errors that name the setting and not its value, all of them listed."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from fcgraph import settings
from fcgraph.errors import SettingsError
from fcgraph.settings import Settings
from tests import services

EXAMPLE = (services.ROOT / ".env.example").read_text(encoding="utf-8")
SECRET = "hunter2"


def test_a_setting_is_read_from_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KAFKA_TOPIC", "payments")
    assert settings.load().kafka_topic == "payments"


def test_a_setting_is_read_from_the_file_its_name_file_names(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    url = f"postgresql://app:{SECRET}@db/fcgraph"
    (tmp_path / "url").write_text(f"{url}\n")
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "url"))
    assert settings.load().database_url == url


def test_the_name_itself_is_stronger_than_the_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "topic").write_text("from-file")
    monkeypatch.setenv("KAFKA_TOPIC_FILE", str(tmp_path / "topic"))
    monkeypatch.setenv("KAFKA_TOPIC", "from-environment")
    assert settings.load().kafka_topic == "from-environment"


def test_an_empty_name_counts_as_not_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("KAFKA_TOPIC", "")
    assert settings.load().kafka_topic == "transactions"
    (tmp_path / "topic").write_text("from-file")
    monkeypatch.setenv("KAFKA_TOPIC_FILE", str(tmp_path / "topic"))
    assert settings.load().kafka_topic == "from-file"


def test_a_file_that_is_not_there_is_an_error_that_names_the_setting(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DATABASE_URL_FILE", str(tmp_path / "nothing"))
    with pytest.raises(SettingsError, match="DATABASE_URL_FILE cannot be read: No such file"):
        settings.load()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", f"mysql://root:{SECRET}@db"),
        ("REPORT_TIMEZONE", f"Mars/{SECRET}"),
        ("API_PORT", f"80{SECRET}"),
        ("PAGE_MAX", "0"),
        ("LOG_LEVEL", SECRET),
        ("KAFKA_EMBEDDED", SECRET),
    ],
)
def test_an_error_names_the_setting_and_not_its_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=f"^Wrong setting: {name}: ") as caught:
        settings.load()
    assert SECRET not in str(caught.value)
    assert caught.value.__suppress_context__
    assert SECRET not in "".join(capsys.readouterr())


def test_all_wrong_settings_are_named_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PAGE_MAX", "many")
    monkeypatch.setenv("API_PORT", "http")
    with pytest.raises(SettingsError, match=r"API_PORT: .*; PAGE_MAX: "):
        settings.load()


def test_addresses_with_passwords_are_in_no_repr() -> None:
    made = Settings(database_url=f"postgresql://app:{SECRET}@db/x", redis_url=f"redis://:{SECRET}@cache/0")
    assert SECRET not in repr(made)


def test_the_example_lists_every_setting_with_its_default() -> None:
    listed = dict(re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE))
    made = Settings()
    assert listed == {name.upper(): str(getattr(made, name)) for name in Settings.model_fields}


def test_the_example_as_it_is_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in re.findall(r"^#([A-Z_]+)=(.*)$", EXAMPLE, flags=re.MULTILINE):
        monkeypatch.setenv(name, value)
    assert settings.load() == Settings.model_construct(**{k: f.default for k, f in Settings.model_fields.items()})


def test_every_line_of_the_example_is_a_comment() -> None:
    assert [line for line in EXAMPLE.splitlines() if line and not line.startswith("#")] == []
