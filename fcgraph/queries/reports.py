"""Report files: the latest, one version, a page, one by its file name, and the changes since a version."""

from __future__ import annotations

from collections.abc import Sequence

from fcgraph.queries.pages import Order, PageRequest
from fcgraph.queries.report_changes import Basis, changes_since_sql
from fcgraph.queries.statement import Statement, Values
from fcgraph.queries.viewer import Viewer

REPORTS_ORDER = Order("reports", (("f.period", "text"), ("f.version", "bigint")), descending=True)
LATEST = "f.version = (SELECT max(l.version) FROM reports l WHERE l.period = f.period)"
FILE = (
    "f.period, f.version, f.file_name, f.file_key, f.sha256, f.size_bytes, f.row_count, f.watermark, f.time_zone,"
    f" f.statuses, f.totals, f.balanced, f.is_final_period, f.generated_at, {LATEST} AS is_latest"
)


def _conditions(values: Values, period: str | None, latest_only: bool, viewer: Viewer) -> list[str]:
    # A report contains the totals of all users: only an operator sees it.
    where = [] if viewer.user_id is None else ["false"]
    if period is not None:
        where.append(f"f.period = {values.add(period, 'text')}")
    if latest_only:
        where.append(LATEST)
    return where


def _where(conditions: list[str]) -> str:
    return " WHERE " + " AND ".join(conditions) if conditions else ""


def report_files(period: str | None, latest_only: bool, page: PageRequest, *, viewer: Viewer) -> Statement:
    """A page of report files, newest period and version first."""
    values = Values()
    where = _conditions(values, period, latest_only, viewer)
    seek, tail = REPORTS_ORDER.seek(values, page)
    return Statement(f"SELECT {FILE} FROM reports f{_where(where + seek)}{tail}", values.items)


def report_files_count(period: str | None, latest_only: bool, *, viewer: Viewer) -> Statement:
    """The number of report files in the whole list."""
    values = Values()
    where = _conditions(values, period, latest_only, viewer)
    return Statement(f"SELECT count(*) FROM reports f{_where(where)}", values.items)


def report_file(period: str, version: int | None, *, viewer: Viewer) -> Statement:
    """One version of a period's report (None: the latest), or no row."""
    values = Values()
    where = _conditions(values, period, version is None, viewer)
    if version is not None:
        where.append(f"f.version = {values.add(version, 'bigint')}")
    return Statement(f"SELECT {FILE} FROM reports f{_where(where)}", values.items)


def report_by_name(file_name: str, *, viewer: Viewer) -> Statement:
    """The report file with this name, or no row. A name in a request reaches a stored file only through this."""
    values = Values()
    where = [*_conditions(values, None, False, viewer), f"f.file_name = {values.add(file_name, 'text')}"]
    return Statement(f"SELECT {FILE} FROM reports f{_where(where)}", values.items)


def changes_since(reports: Sequence[Basis]) -> Statement:
    """One row per report, in order, with the column `changes`: the number of payments that arrived or changed since."""
    values = Values()
    return Statement(changes_since_sql(values, reports), values.items)
