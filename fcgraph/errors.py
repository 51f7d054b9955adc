"""Expected errors: a small hierarchy, each with a stable code.

A bad row is data (`records.Rejection`), not an error; any other exception is a bug.
"""

from __future__ import annotations


class FcgraphError(Exception):
    """Base of every error fcgraph raises on purpose. `code` is stable and safe to show to a client."""

    code = "INTERNAL"

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        if code is not None:
            self.code = code


class SettingsError(FcgraphError):
    """A setting is missing or wrong. Names the setting, never its value."""

    code = "INVALID_SETTING"


class BadInput(FcgraphError):
    """The request cannot be answered; `code` is one of the contract's codes."""

    code = "BAD_USER_INPUT"


class Refused(FcgraphError):
    """A mutation that was understood but not done; becomes a `UserError`. `code` is one of the contract's ErrorCode."""

    code = "INVALID_INPUT"

    def __init__(self, message: str, *, code: str | None = None, path: tuple[str, ...] = ()) -> None:
        super().__init__(message, code=code)
        self.path = path


class LimitReached(FcgraphError):
    """A named limit (a setting) was reached; the message names it."""

    code = "QUERY_TOO_COMPLEX"


class Unavailable(FcgraphError):
    """PostgreSQL, Redis, Kafka or a stored file is unavailable. Leads to waiting or a 503, never to a rejection."""

    code = "UNAVAILABLE"


class StorageFull(FcgraphError):
    """The disk behind uploads or reports has no room. No partial file is visible; it works again once there is room."""

    code = "STORAGE_FULL"


class UnsupportedServer(FcgraphError):
    """PostgreSQL is older than fcgraph needs, or its database has an encoding other than UTF8."""

    code = "UNSUPPORTED_SERVER"
