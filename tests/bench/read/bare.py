"""The baseline: a bare ASGI application that sends results of plain SQL; `uvicorn tests.bench.read.bare:app`."""

from __future__ import annotations

import os
from datetime import date
from typing import Any
from uuid import UUID

import asyncpg
import orjson

PAYMENT = """'{"transactionId":"' || t.transaction_id || '","senderId":"' || t.sender_id || '","receiverId":"' ||
 t.receiver_id || '","amount":"' || round(t.amount, 2) || '","currency":"' || t.currency || '","timestamp":' ||
 to_json(t.timestamp)::text || ',"status":"' || t.status || '","isSuspicious":' || t.is_suspicious"""
COLUMNS = "transaction_id, sender_id, receiver_id, amount, currency, timestamp, status, is_suspicious"
NEWEST = "ORDER BY timestamp DESC, transaction_id DESC LIMIT 100"
MONTH = "timestamp >= $2 AND timestamp < $3::date + 1"
PAGE = f"""((SELECT {COLUMNS} FROM transactions WHERE sender_id = $1 AND {MONTH} {NEWEST}) UNION ALL (SELECT {COLUMNS}
 FROM transactions WHERE receiver_id = $1 AND sender_id <> $1 AND {MONTH} {NEWEST}) {NEWEST}) t"""
TOTALS = """SELECT '{"day":"' || day || '","currency":"' || currency || '","totalSent":"' ||
 round(COALESCE(sum(sent), 0), 2) || '","totalReceived":"' || round(COALESCE(sum(received), 0), 2) ||
 '","sentCount":' || count(sent) || ',"receivedCount":' || count(received) || '}' FROM (
 SELECT timestamp::date AS day, currency, amount AS sent, NULL::numeric AS received FROM transactions
 WHERE sender_id = $1 AND timestamp >= $2 AND timestamp < $3::date + 1 AND status = 'completed'
 UNION ALL SELECT timestamp::date, currency, NULL, amount FROM transactions
 WHERE receiver_id = $1 AND timestamp >= $2 AND timestamp < $3::date + 1 AND status = 'completed') m
 GROUP BY day, currency ORDER BY day, currency"""
STATEMENTS = {
    "Q1": f"SELECT {PAYMENT} || '}}' FROM {PAGE}",
    "Q2": TOTALS,
    "Q3": 'SELECT \'{"userId":"\' || user_id || \'","name":\' || to_json(name) || \',"createdAt":\' ||'
    " to_json(created_at) || '}' FROM users WHERE user_id = $1",
    "Q4": f'SELECT {PAYMENT} || \',"sender":{{"name":\' || to_json(s.name) || \'}},"receiver":{{"name":\' ||'
    f" to_json(r.name) || '}}}}' FROM {PAGE} JOIN users s ON s.user_id = t.sender_id"
    " JOIN users r ON r.user_id = t.receiver_id ORDER BY t.timestamp DESC, t.transaction_id DESC",
}


async def _no_reset(connection: Any) -> None:
    return None


class Bare:
    """One path per query; the body is JSON with the variables."""

    def __init__(self) -> None:
        self._pool: Any = None

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await self._lifespan(receive, send)
            return
        if scope["method"] == "GET":
            await self._send(send, b"{}")
            return
        arguments = orjson.loads((await receive())["body"])["variables"]
        values: list[Any] = [UUID(arguments["id"])]
        name = scope["path"][1:]
        if name != "Q3":
            values += [date.fromisoformat(arguments["start"]), date.fromisoformat(arguments["end"])]
        async with self._pool.acquire() as connection:
            rows = await connection.fetch(STATEMENTS[name], *values)
        await self._send(send, ('{"data":[' + ",".join([row[0] for row in rows]) + "]}").encode())

    async def _lifespan(self, receive: Any, send: Any) -> None:
        await receive()
        settings = {"TimeZone": "UTC", "jit": "off"}
        self._pool = await asyncpg.create_pool(
            os.environ["DATABASE_URL"], min_size=8, max_size=8, reset=_no_reset, server_settings=settings
        )
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._pool.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _send(self, send: Any, body: bytes) -> None:
        headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


app = Bare()
