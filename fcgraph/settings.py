"""The only reader of the environment. Every limit has its name here.

Each setting is read from `NAME`, or from the file that `NAME_FILE` names (for mounted secrets).
"""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pydantic_settings
from pydantic import Field, ValidationError, field_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, EnvSettingsSource, PydanticBaseSettingsSource, SettingsConfigDict

from fcgraph import joined, zone_names
from fcgraph.errors import SettingsError

# As browsers send it: the host in ASCII, an IPv6 address in brackets.
ORIGIN = re.compile(r"https?://(?:[a-z0-9.-]+|\[[0-9a-f:.]+\])(?::[0-9]{1,5})?")


class EnvironmentOrFile(EnvSettingsSource):
    """`NAME` first, then the text of the file named by `NAME_FILE`, without its trailing line end."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        value, key, is_complex = super().get_field_value(field, field_name)
        if value is None:
            path = os.environ.get(f"{field_name.upper()}_FILE")
            if path:
                try:
                    value = Path(path).read_text(encoding="utf-8").rstrip("\r\n")
                except OSError as e:
                    raise SettingsError(f"{field_name.upper()}_FILE cannot be read: {e.strerror}") from e
        return value, key, is_complex


class Settings(BaseSettings):
    """All settings of all processes. Sizes are bytes, times are seconds, unless the name says otherwise."""

    model_config = SettingsConfigDict(case_sensitive=False, extra="ignore", frozen=True, env_ignore_empty=True)

    # where things are
    fcgraph_env: Literal["development", "production"] = "development"
    database_url: str = Field("postgresql://postgres@127.0.0.1:5432/fcgraph", repr=False)
    redis_url: str = Field("redis://127.0.0.1:6379/0", repr=False)
    kafka_broker: str = Field("127.0.0.1:9092", repr=False)
    kafka_topic: str = "transactions"
    kafka_consumer_group: str = "first-circle-consumers"
    csv_file: Path = Path("seeds/sample_transactions.csv")
    reports_dir: Path = Path("reports")
    uploads_dir: Path = Path("uploads")
    data_dir: Path = Path(".fcgraph")

    # reporting
    report_timezone: str = "UTC"
    timestamp_ahead_max_seconds: int = Field(24 * 3600, ge=0)
    timestamp_year_min: int = Field(1900, ge=1000, le=9999)  # in UTC; earlier dates usually stand for a missing value

    # logs
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"

    # the API
    api_host: str = "127.0.0.1"
    api_port: int = Field(8000, ge=1, le=65535)
    cors_allowed_origins: str = ""  # such as https://app.example.com, separated by commas; empty: none
    page_default: int = Field(25, ge=1)
    page_max: int = Field(100, ge=1)
    list_argument_max: int = Field(100, ge=1)
    search_max_chars: int = Field(4000, ge=1)
    range_max_days: int = Field(366, ge=1)
    totals_rows_max: int = Field(10_000, ge=1)
    body_max_bytes: int = Field(256 * 1024, ge=1)
    query_tokens_max: int = Field(1000, ge=1)
    query_depth_max: int = Field(8, ge=1)
    query_nesting_max: int = Field(60, ge=1)  # of selections with their fragments, and of values inside values
    query_fields_max: int = Field(200, ge=1)
    query_introspection_fields_max: int = Field(300, ge=1)  # the playground's query has 230
    query_aliases_max: int = Field(15, ge=0)
    query_root_fields_max: int = Field(10, ge=1)
    query_directives_max: int = Field(20, ge=0)
    query_nodes_max: int = Field(10_000, ge=1)
    operation_timeout_seconds: float = Field(10, gt=0)
    read_statement_timeout_seconds: float = Field(5, gt=0)
    read_pool_max: int = Field(16, ge=2)  # connections of one API process: half for each of its two event loops
    read_pool_wait_seconds: float = Field(2, gt=0)
    slow_statement_seconds: float = Field(0.015, gt=0)  # slower ones are queued
    slow_answer_seconds: float = Field(0.1, gt=0)  # the same for answers by Strawberry, including its own time
    slow_statements_max: int = Field(1, ge=1)  # at a time; other slow ones wait, fast ones do not
    write_threads_max: int = Field(4, ge=1)  # each has its own connection, in addition to READ_POOL_MAX
    documents_cached_max: int = Field(500, ge=1)
    subscriptions_max: int = Field(10, ge=1)
    subscription_poll_seconds: float = Field(0.5, gt=0)
    websocket_init_seconds: float = Field(5, gt=0)

    # uploads and imports
    upload_max_bytes: int = Field(1024**3, ge=1)
    csv_line_max_bytes: int = Field(64 * 1024, ge=256)
    csv_chunk_bytes: int = Field(2 * 1024 * 1024, ge=1024)
    user_name_max_chars: int = Field(4000, ge=1)
    users_problems_max: int = Field(1000, ge=0)  # shown of one import of users; all rejected rows are counted
    import_lease_seconds: float = Field(15, gt=0)
    import_resume_seconds: float = Field(10, gt=0)

    # jobs: reports, sweeps, the worker and the scheduler
    report_retry_seconds: float = Field(300, gt=0)  # failed due reports are retried after this
    report_check_seconds: float = Field(60, gt=0)  # how often due reports are checked
    draft_kept_seconds: float = Field(24 * 3600, gt=0)  # older half-written files are orphaned files
    leaving_young_seconds: float = Field(7 * 24 * 3600, gt=0)  # older reports without a row are another database's
    job_runs_kept_max: int = Field(200, ge=2)  # of each scheduled job
    scheduler_interval_seconds: float = Field(2, gt=0)
    worker_ttl_seconds: int = Field(25, ge=17)  # an idle worker wakes up every 15 s less than this
    worker_maintenance_seconds: int = Field(10, ge=1)
    worker_monitoring_seconds: int = Field(5, ge=1)

    # intake
    intake_lanes: int = Field(3, ge=1, le=8)
    known_users_max: int = Field(400_000, ge=1)
    intake_lock_timeout_seconds: float = Field(2, gt=0)
    write_statement_timeout_seconds: float = Field(60, gt=0)

    # the consumer
    kafka_commit_every: int = Field(50_000, ge=1)
    kafka_commit_interval_seconds: float = Field(0.2, gt=0)
    kafka_read_max: int = Field(1000, ge=1)  # messages per read; as many within the interval are a backlog
    kafka_flood_interval_seconds: float = Field(2, gt=0)  # between commits during a backlog
    kafka_slice_max: int = Field(10_000, ge=1)
    kafka_session_timeout_seconds: float = Field(10, ge=6)
    kafka_instance_id: str = ""  # empty: the host's name and a slot on it, see workers/instance.py
    kafka_partitions: int = Field(4, ge=1)  # of a missing topic that we create
    kafka_request_timeout_seconds: float = Field(5, gt=0)
    kafka_delivery_timeout_seconds: float = Field(30, gt=0)
    kafka_topic_check_seconds: float = Field(1, gt=0)
    waiting_retry_seconds: float = Field(2, gt=0)
    heartbeat_seconds: float = Field(5, gt=0)  # between two heartbeats of a process
    stalled_seconds: float = Field(20, gt=0)  # a process without progress for so long is stalled

    # one machine without Docker: what `up` starts. Port 0: any free one
    kafka_embedded: Literal["auto", "apache", "in-process"] = "auto"
    embedded_postgres_port: int = Field(0, ge=0, le=65535)
    embedded_redis_port: int = Field(0, ge=0, le=65535)
    embedded_kafka_port: int = Field(0, ge=0, le=65535)
    maven_reach_seconds: float = Field(15, gt=0)
    maven_download_seconds: float = Field(600, gt=0)
    start_seconds: float = Field(90, gt=0)  # a service that is not ready by then is an error

    @field_validator("report_timezone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError) as e:
            meant = zone_names.meant_by(value)
            offered = f"; perhaps {' or '.join(meant)} is meant" if meant else ""
            raise ValueError(f"is not an IANA time zone name such as UTC or Asia/Manila{offered}") from e
        return value

    @field_validator("cors_allowed_origins")
    @classmethod
    def _origins(cls, value: str) -> str:
        origins = [origin.strip().lower() for origin in value.split(",") if origin.strip()]
        if "*" in origins and len(origins) > 1:
            raise ValueError("has * together with other origins")
        for origin in origins:
            if origin != "*" and not ORIGIN.fullmatch(origin):
                raise ValueError("must list origins such as https://app.example.com (scheme, host, port; no path)")
        return ",".join(origins)

    @field_validator("database_url")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if not value.startswith(("postgresql://", "postgresql+psycopg2://", "postgres://")):
            raise ValueError("must start with postgresql://")
        return value

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        return init_settings, EnvironmentOrFile(settings_cls)


def load() -> Settings:
    """Read and check the environment. Raises SettingsError naming every wrong setting, never a value.

    In a shell that has joined a stack, uses its current addresses; raises NotUp when it has ended.
    """
    joined.refresh(os.environ)
    try:
        return Settings()  # all fields have defaults, as the pydantic plugin knows
    except pydantic_settings.SettingsError as e:
        if isinstance(e.__cause__, SettingsError):  # a file that cannot be read, wrapped on its way here
            raise e.__cause__ from None
        raise
    except ValidationError as e:
        wrong = "; ".join(
            f"{'.'.join(str(p) for p in err['loc']).upper()}: {err['msg']}" for err in e.errors(include_input=False)
        )
        raise SettingsError(f"Wrong setting: {wrong}") from None


def failpoint() -> str:
    """FCGRAPH_FAILPOINT as it was when the process started: for tests only, so it is not a field of Settings."""
    return os.environ.get("FCGRAPH_FAILPOINT", "")


@lru_cache(maxsize=1)
def current() -> Settings:
    """The settings of this process, read once. Only entry points call this; the core takes arguments."""
    return load()
