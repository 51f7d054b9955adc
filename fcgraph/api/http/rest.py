"""Plain HTTP: health, downloads, and two REST views that use the same statements as GraphQL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date, datetime
from email.utils import format_datetime, parsedate_to_datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import FileResponse, Response, StreamingResponse
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import Headers

from fcgraph import imports
from fcgraph.api.context import Context
from fcgraph.api.graphql.scalars import read_date, read_uuid, write_date_time, write_decimal
from fcgraph.api.loaders import read_totals
from fcgraph.errors import BadInput
from fcgraph.queries import payments as payments_sql
from fcgraph.queries import reports as reports_sql
from fcgraph.queries import users as users_sql
from fcgraph.queries.pages import cut
from fcgraph.queries.payments import PaymentQuery
from fcgraph.queries.totals import TotalsQuery

FILE_NAME_CHARS_MAX = 200
TAG = re.compile(r'(?:W/)?"([^"]*)"')

router = APIRouter()


def context_of(request: Request) -> Context:
    """The context of a REST request."""
    return Context.of(request.scope, request.app.state.resources)


Asks = Annotated[Context, Depends(context_of)]
Day = Annotated[str, Query(description="A day such as 2025-05-31; inclusive, in the reporting time zone.")]


@router.get("/health")
async def health() -> dict[str, str]:
    """Whether the process answers."""
    return {"status": "ok"}


@router.get("/health/ready")
async def ready(request: Request) -> Response:
    """Whether PostgreSQL, Redis and Kafka answer: 200, or 503 with the service that is unavailable."""
    found = await request.app.state.probe.ask()
    return _json(found.shown(), 200 if found.ready else 503)


@router.get("/users/{user_id}/payments")
async def user_payments(
    context: Asks, user_id: str, start: Day, end: Day, first: int | None = None, after: str | None = None
) -> Response:
    """A page of the user's payments in a range of days, newest first; `next` is the `after` of the next page."""
    known_id = await _user(context, user_id)
    query = PaymentQuery(start=_day(start, "start"), end=_day(end, "end"))
    query.check()
    page = context.page(first, after)
    rows = await context.reader.fetch(
        payments_sql.payments(
            query, page, user_id=known_id, zone=context.settings.report_timezone, viewer=context.viewer
        )
    )
    found = cut(list(rows), page)
    last: Any = found.rows[-1] if found.rows else None
    return _json(
        {
            "user_id": str(known_id),
            "start": start,
            "end": end,
            "payments": [_payment(row) for row in found.rows],
            "next": payments_sql.cursor_of(last["timestamp"], last["transactionId"]) if found.has_next else None,
        }
    )


@router.get("/users/{user_id}/daily-totals")
async def user_daily_totals(context: Asks, user_id: str, start: Day, end: Day) -> Response:
    """The user's totals per day and currency, completed payments only."""
    known_id = await _user(context, user_id)
    query = TotalsQuery(start=_day(start, "start"), end=_day(end, "end"), user_ids=(known_id,))
    _, rows = await read_totals(context.reader, query, context.settings, context.viewer)
    return _json(
        {
            "user_id": str(known_id),
            "start": start,
            "end": end,
            "daily_totals": [
                {
                    "day": row["day"],
                    "currency": row["currency"],
                    "total_sent": write_decimal(row["totalSent"]),
                    "total_received": write_decimal(row["totalReceived"]),
                    "sent_count": row["sentCount"],
                    "received_count": row["receivedCount"],
                }
                for row in rows
            ],
        }
    )


@router.head("/reports/{file_name}", include_in_schema=False)
@router.get("/reports/{file_name}")
async def report(context: Asks, request: Request, file_name: str) -> Response:
    """A report file. Its name is looked up in the database and never used as a path."""
    row = None
    if len(file_name) <= FILE_NAME_CHARS_MAX and "\0" not in file_name:
        row = await context.reader.row(reports_sql.report_by_name(file_name, viewer=context.viewer))
    if row is None:
        raise BadInput("There is no such report", code="NOT_FOUND")
    headers = {
        "ETag": f'"{row["sha256"]}"',
        "Last-Modified": format_datetime(row["generated_at"], usegmt=True),
        "Cache-Control": "private, no-cache",
    }
    if _is_known(request.headers, row["sha256"], row["generated_at"]):
        return Response(status_code=304, headers=headers)
    return FileResponse(
        await run_in_threadpool(context.resources.reports.whole, row["file_key"], row["size_bytes"]),
        headers=headers,
        media_type="text/csv; charset=utf-8",
        filename=row["file_name"],
    )


@router.head("/imports/{import_id}/rejects.csv", include_in_schema=False)
@router.get("/imports/{import_id}/rejects.csv")
async def rejects(context: Asks, request: Request, import_id: str) -> Response:
    """The rejected rows of an import, as a CSV that can be corrected and uploaded in the same format."""
    known_id = _uuid(import_id)
    if known_id is None or await context.loaders.import_job(known_id) is None:
        raise BadInput("There is no such import", code="NOT_FOUND")
    found: Iterator[bytes] | None = await context.resources.in_thread(
        imports.rejects_csv, context.resources.engine, known_id
    )
    if found is None:
        raise BadInput("There is no such import", code="NOT_FOUND")
    return StreamingResponse(
        found if request.method == "GET" else iter(()),
        media_type="text/csv; charset=utf-8",
        headers={"Content-Disposition": f'attachment; filename="rejects_{known_id}.csv"'},
    )


def _payment(row: Any) -> dict[str, Any]:
    return {
        "transaction_id": str(row["transactionId"]),
        "sender_id": str(row["senderId"]),
        "receiver_id": str(row["receiverId"]),
        "amount": write_decimal(row["amount"]),
        "currency": row["currency"],
        "timestamp": write_date_time(row["timestamp"]),
        "status": row["status"],
        "is_suspicious": row["isSuspicious"],
    }


async def _user(context: Context, text: str) -> UUID:
    known_id = _uuid(text)
    if known_id is None:
        raise BadInput("user_id is not a UUID")
    if await context.reader.row(users_sql.users_by_ids([known_id], viewer=context.viewer)) is None:
        raise BadInput("There is no such user", code="NOT_FOUND")
    return known_id


def _uuid(text: str) -> UUID | None:
    try:
        return read_uuid(text)
    except ValueError:
        return None


def _day(text: str, name: str) -> date:
    try:
        return read_date(text)
    except ValueError as e:
        raise BadInput(f"{name} is not a date such as 2025-05-31") from e


def _is_known(query: Headers, sha256: str, modified_at: datetime) -> bool:
    """Whether the client already has these bytes. The time is used only if there is no tag."""
    if_none_match = query.get("if-none-match")
    if if_none_match is not None:
        return if_none_match.strip() == "*" or sha256 in TAG.findall(if_none_match)
    try:
        since = parsedate_to_datetime(query.get("if-modified-since", ""))
    except ValueError:
        return False
    return since.tzinfo is not None and modified_at.replace(microsecond=0) <= since


def _json(body: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(body), status_code=status, media_type="application/json")
