"""The mutations of the contract. Errors that the caller can act on are returned as userErrors, never as exceptions."""

from __future__ import annotations

import io
from collections.abc import Iterator
from decimal import Decimal
from typing import Annotated, BinaryIO
from uuid import UUID

import strawberry
from starlette.datastructures import UploadFile
from strawberry.file_uploads import Upload

from fcgraph import imports, intake, queue
from fcgraph.api.context import Context, Info
from fcgraph.api.graphql.record_ends import dismiss_records, replay_by_filter
from fcgraph.api.graphql.scalars import Month
from fcgraph.api.graphql.types.enums import ConflictResolution, ErrorCode, ImportMode, RowProblemCode
from fcgraph.api.graphql.types.imports import ImportJob, IntakeRecord, RowProblem
from fcgraph.api.graphql.types.payments import Payment
from fcgraph.api.graphql.types.record_filter import IntakeRecordFilter, records_meant
from fcgraph.api.graphql.types.reports import ReportFile, generate, report_file
from fcgraph.api.graphql.types.users import Currency
from fcgraph.errors import Refused, Unavailable
from fcgraph.observability import log
from fcgraph.queries import imports as imports_sql
from fcgraph.queries import payments as payments_sql
from fcgraph.reference.currencies import save_currency
from fcgraph.reference.users import Imported, import_users

BLOCK_BYTES = 1024 * 1024
TEXT_NAME = "pasted.csv"

logger = log.get(__name__)


@strawberry.type(description="Why a mutation was not performed; an error the caller can act on.")
class UserError:
    code: ErrorCode = strawberry.field(description="The error, for programs.")
    message: str = strawberry.field(description="The error, for people.")
    path: list[str] = strawberry.field(description="The argument that caused the error.")

    @staticmethod
    def of(refused: Refused) -> UserError:
        return UserError(code=ErrorCode(refused.code), message=refused.message, path=list(refused.path))


@strawberry.input(description="Set exactly one. `text` exists because GraphiQL cannot send files.", one_of=True)
class CsvSource:
    upload: Upload | None = strawberry.field(
        default=strawberry.UNSET, description="A file, sent as in the GraphQL multipart request specification."
    )
    text: str | None = strawberry.field(default=strawberry.UNSET, description="The CSV as text.")


@strawberry.input(description="A sum that the sender expects.")
class ControlTotalInput:
    currency: str = strawberry.field(description="The currency.")
    amount: Decimal = strawberry.field(description="The sum of all amounts in it.")


@strawberry.input(description="What the sender expects of the file; differences are shown with the import.")
class ExpectedControls:
    row_count: int | None = strawberry.field(default=None, description="Number of rows, without the header.")
    totals: list[ControlTotalInput] | None = strawberry.field(default=None, description="Sums per currency.")


@strawberry.input(description="A CSV file and how to import it.")
class ImportCsvInput:
    source: CsvSource = strawberry.field(description="The CSV.")
    file_name: str | None = strawberry.field(
        default=None, description="The name of the file; by default the name of the uploaded file."
    )
    dry_run: bool | None = strawberry.field(
        default=False, description="Report the outcomes of a real run without writing payments."
    )
    mode: ImportMode | None = strawberry.field(
        default=ImportMode.VALID_ROWS, description="Whether one rejected row stops the whole import."
    )
    expected: ExpectedControls | None = strawberry.field(default=None, description="What to check the file against.")
    reimport: bool | None = strawberry.field(
        default=False, description="Import the same bytes again instead of returning their first import."
    )


@strawberry.type(description="The accepted import.")
class ImportCsvPayload:
    job: ImportJob | None = strawberry.field(description="The import; null when it was not accepted.")
    already_imported: bool = strawberry.field(
        description="Whether the same bytes were imported before; `job` is then that import."
    )
    user_errors: list[UserError] = strawberry.field(description="Why it was not accepted; empty when it was.")


@strawberry.type(description="The import as it is now.")
class ImportJobPayload:
    job: ImportJob | None = strawberry.field(description="The import; null when unknown.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not done; empty when it was.")


@strawberry.type(description="The version with the current content of the month.")
class ReportFilePayload:
    report_file: ReportFile | None = strawberry.field(description="The version; null when none was made.")
    unchanged: bool = strawberry.field(description="Whether the content has not changed; no version was added then.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not done; empty when it was.")


@strawberry.type(description="How many records were resolved.")
class ResolvePayload:
    resolved: int = strawberry.field(description="Open records that this call resolved.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not done; empty when it was.")


@strawberry.type(description="How many records passed validation, and how many still fail it.")
class ReplayPayload:
    replayed: int = strawberry.field(description="Records that passed validation.")
    still_rejected: int = strawberry.field(description="Records that still fail a rule.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not done; empty when it was.")


@strawberry.type(description="The resolved record and its payment.")
class ResolveConflictPayload:
    record: IntakeRecord | None = strawberry.field(description="The record with its resolution.")
    payment: Payment | None = strawberry.field(description="The payment as it is now.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not done; empty when it was.")


@strawberry.type(description="The outcomes of the rows of a user file.")
class UsersImportPayload:
    read: int = strawberry.field(description="Rows read, without the header; the sum of the four counts below.")
    inserted: int = strawberry.field(description="New users.")
    renamed: int = strawberry.field(description="Known users whose name changed; the old name is stored.")
    unchanged: int = strawberry.field(description="Known users who have that name already.")
    rejected: int = strawberry.field(description="Rows that fail a rule; they are not stored.")
    problems: list[RowProblem] = strawberry.field(
        description="What is wrong with rejected rows, by line: the first USERS_PROBLEMS_MAX (1,000) problems."
    )
    user_errors: list[UserError] = strawberry.field(description="Why the file was not accepted; empty when it was.")

    @staticmethod
    def of(done: Imported, errors: list[UserError]) -> UsersImportPayload:
        return UsersImportPayload(
            read=done.read,
            inserted=done.inserted,
            renamed=done.renamed,
            unchanged=done.unchanged,
            rejected=done.rejected,
            problems=[
                RowProblem(column=p.column, code=RowProblemCode(p.code), message=p.message, value=p.value)
                for p in done.problems
            ],
            user_errors=errors,
        )


@strawberry.type(description="The currency as it is now.")
class CurrencyPayload:
    currency: Currency | None = strawberry.field(description="The currency; null when it was not saved.")
    user_errors: list[UserError] = strawberry.field(description="Why it was not saved; empty when it was.")


@strawberry.type
class Mutation:
    @strawberry.mutation(description="Store a CSV file and start its import; returns immediately.")
    async def import_csv(self, info: Info, input: ImportCsvInput) -> ImportCsvPayload:
        context = info.context
        try:
            accepted = await context.resources.in_thread(_accept, context, input)
        except Refused as e:
            return ImportCsvPayload(job=None, already_imported=False, user_errors=[UserError.of(e)])
        if not accepted.already_imported:
            await context.resources.in_thread(_wake, context, accepted.import_id)
        job = await _job(context, accepted.import_id)
        return ImportCsvPayload(job=job, already_imported=accepted.already_imported, user_errors=[])

    @strawberry.mutation(description="Stop an import; committed batches stay.")
    async def cancel_import(self, info: Info, import_id: UUID) -> ImportJobPayload:
        context = info.context
        errors = []
        try:
            await context.resources.in_thread(imports.cancel, context.resources.engine, import_id)
        except Refused as e:
            errors = [UserError.of(e)]
        return ImportJobPayload(job=await _job(context, import_id), user_errors=errors)

    @strawberry.mutation(
        description="Validate rejected records again, for instance once a user exists. A record with INVALID_CSV stays"
        " rejected because its stored row is incomplete."
    )
    async def replay_intake_records(self, info: Info, record_ids: list[UUID]) -> ReplayPayload:
        context = info.context
        try:
            done = await context.resources.in_thread(
                intake.replay,
                context.resources.engine,
                context.settings,
                record_ids,
                context.request_id,
                principal=context.viewer.principal,
            )
        except Refused as e:
            return ReplayPayload(replayed=0, still_rejected=0, user_errors=[UserError.of(e)])
        return ReplayPayload(replayed=done.replayed, still_rejected=done.still_rejected, user_errors=[])

    @strawberry.mutation(
        description="Replay every open rejection that matches the filter, in batches; safe to repeat. NOT_FINISHED: the"
        " time was not enough for all of them; the same call continues the work."
    )
    async def replay_matching(self, info: Info, filter: IntakeRecordFilter) -> ReplayPayload:
        context = info.context
        done, refused = await context.resources.in_thread(replay_by_filter, context, records_meant(filter))
        return ReplayPayload(
            replayed=done.replayed,
            still_rejected=done.still_rejected,
            user_errors=[UserError.of(refused)] if refused is not None else [],
        )

    @strawberry.mutation(
        description="Dismiss rejections that will not be corrected: those with these ids (all or none), or every open"
        " one that matches the filter. Set exactly one of the two. Conflicts are not dismissed; use resolveConflict."
    )
    async def dismiss_intake_records(
        self,
        info: Info,
        note: str,
        record_ids: list[UUID] | None = None,
        filter: IntakeRecordFilter | None = None,
    ) -> ResolvePayload:
        context = info.context
        wanted = records_meant(filter) if filter is not None else None
        resolved, refused = await context.resources.in_thread(dismiss_records, context, record_ids, wanted, note)
        return ResolvePayload(resolved=resolved, user_errors=[UserError.of(refused)] if refused is not None else [])

    @strawberry.mutation(description="Resolve a conflict. The stored payment changes only with ACCEPT_INCOMING.")
    async def resolve_conflict(
        self, info: Info, record_id: UUID, resolution: ConflictResolution, note: str
    ) -> ResolveConflictPayload:
        context = info.context
        try:
            done = await context.resources.in_thread(_resolve, context, record_id, resolution, note)
        except Refused as e:
            return ResolveConflictPayload(record=None, payment=None, user_errors=[UserError.of(e)])
        record = await context.reader.row(imports_sql.record(done.record_id, viewer=context.viewer))
        payment = await context.reader.row(payments_sql.payment(done.transaction_id, viewer=context.viewer))
        return ResolveConflictPayload(
            record=IntakeRecord.of(record) if record is not None else None,
            payment=Payment.of(payment) if payment is not None else None,
            user_errors=[],
        )

    @strawberry.mutation(
        description="Generate the report of a month now; a version is added only if the content changed."
    )
    async def generate_monthly_report(self, info: Info, period: Month) -> ReportFilePayload:
        context = info.context
        try:
            made = await context.resources.in_thread(generate, context, period)
        except Refused as e:
            return ReportFilePayload(report_file=None, unchanged=False, user_errors=[UserError.of(e)])
        found = await report_file(context, made.period, made.version)
        return ReportFilePayload(report_file=found, unchanged=made.unchanged, user_errors=[])

    @strawberry.mutation(
        description="Import users from a CSV with the header user_id,name. A known id with another name is renamed; the"
        " old name is stored with the watermark. The import is synchronous; only invalid rows are rejected."
    )
    async def import_users(
        self, info: Info, source: Annotated[CsvSource, strawberry.argument(description="The CSV of users.")]
    ) -> UsersImportPayload:
        context = info.context
        try:
            done = await context.resources.in_thread(_import_users, context, source)
        except Refused as e:
            return UsersImportPayload.of(Imported(), [UserError.of(e)])
        return UsersImportPayload.of(done, [])

    @strawberry.mutation(
        description="Add a currency, or change the one with this code. It applies to new payments immediately;"
        " stored payments keep their suspicions. Decimals cannot be fewer than stored payments have."
    )
    async def save_currency(
        self,
        info: Info,
        *,
        code: Annotated[str, strawberry.argument(description="Three letters, such as USD.")],
        name: Annotated[str, strawberry.argument(description="The name of the currency.")],
        symbol: Annotated[str | None, strawberry.argument(description="The currency symbol; null for none.")] = None,
        minor_units: Annotated[int, strawberry.argument(description="Decimals of an amount, 0 to 4.")],
        suspicious_above: Annotated[
            Decimal, strawberry.argument(description="A payment of more than this is suspicious.")
        ],
    ) -> CurrencyPayload:
        context = info.context
        try:
            saved = await context.resources.in_thread(
                save_currency,
                context.resources.engine,
                code,
                name=name,
                symbol=symbol,
                minor_units=minor_units,
                suspicious_above=suspicious_above,
            )
        except Refused as e:
            return CurrencyPayload(currency=None, user_errors=[UserError.of(e)])
        return CurrencyPayload(currency=Currency(**saved._asdict()), user_errors=[])


async def _job(context: Context, import_id: UUID) -> ImportJob | None:
    row = await context.reader.row(imports_sql.imports_by_ids([import_id], viewer=context.viewer))
    return ImportJob.of(row) if row is not None else None


def _accept(context: Context, arguments: ImportCsvInput) -> imports.Accepted:
    file, name = _opened(arguments.source, ("input", "source", "upload"))
    return imports.accept(
        context.resources.engine,
        context.resources.uploads,
        _blocks(file),
        file_name=arguments.file_name or name or TEXT_NAME,
        dry_run=bool(arguments.dry_run),
        mode=(arguments.mode or ImportMode.VALID_ROWS).value,
        expected=_expected(arguments.expected),
        reimport=bool(arguments.reimport),
        correlation_id=context.request_id,
        upload_max_bytes=context.settings.upload_max_bytes,
    )


def _opened(source: CsvSource, path: tuple[str, ...]) -> tuple[BinaryIO, str | None]:
    """The CSV as a file, and its name. Raises Refused."""
    if isinstance(source.upload, UploadFile):
        return source.upload.file, source.upload.filename
    if isinstance(source.text, str):
        # A lone surrogate is not valid UTF-8: the rules report it row by row.
        return io.BytesIO(source.text.encode("utf-8", "surrogatepass")), TEXT_NAME
    raise Refused("The upload has no file: send it as multipart/form-data", path=path)


def _import_users(context: Context, source: CsvSource) -> Imported:
    file, _ = _opened(source, ("source", "upload"))
    return import_users(
        context.resources.engine,
        file,
        context.settings,
        changed_by=context.viewer.principal,
        correlation_id=context.request_id,
    )


def _blocks(file: BinaryIO) -> Iterator[bytes]:
    while block := file.read(BLOCK_BYTES):
        yield block


def _expected(arguments: ExpectedControls | None) -> imports.Expected | None:
    if arguments is None:
        return None
    totals: dict[str, Decimal] = {}
    for total in arguments.totals or ():
        if total.currency in totals:
            raise Refused(f"{total.currency} is expected twice", path=("input", "expected", "totals"))
        totals[total.currency] = total.amount
    return imports.Expected(arguments.row_count, totals)


def _wake(context: Context, import_id: UUID) -> None:
    try:
        queue.enqueue_import(context.settings.redis_url, import_id)
    except Unavailable:
        # The import is recorded; the sweep finds it once Redis is back.
        logger.warning("import_not_enqueued", import_id=str(import_id))


def _resolve(context: Context, record_id: UUID, wanted: ConflictResolution, note: str) -> intake.Resolved:
    return intake.resolve_conflict(
        context.resources.engine,
        context.settings,
        record_id,
        wanted.value,
        note,
        context.request_id,
        principal=context.viewer.principal,
    )
