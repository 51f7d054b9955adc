"""The subscription of the contract. It polls PostgreSQL for the state, so it cannot miss a message."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from uuid import UUID

import strawberry

from fcgraph.api.context import Info
from fcgraph.api.graphql.types.enums import FINAL_STATES
from fcgraph.api.graphql.types.imports import ImportJob
from fcgraph.errors import BadInput
from fcgraph.queries import imports as sql


@strawberry.type
class Subscription:
    @strawberry.subscription(description="Sends the current state, then each change, and ends with a final state.")
    async def import_progress(self, info: Info, import_id: UUID) -> AsyncGenerator[ImportJob, None]:
        context = info.context
        shown = None
        while True:
            row = await context.reader.row(sql.imports_by_ids([import_id], viewer=context.viewer))
            if row is None:
                raise BadInput("There is no such import")
            if row != shown:
                shown = row
                context.forget()  # rows cached for the last event are outdated
                job = ImportJob.of(row)
                yield job
                if job.state in FINAL_STATES:
                    return
            await asyncio.sleep(context.settings.subscription_poll_seconds)
