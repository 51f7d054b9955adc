"""GraphiQL at GET /graphql, from assets that `make playground` puts beside this file; nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles
from starlette.datastructures import Headers
from starlette.types import Scope

from fcgraph.api import media

DIST = Path(__file__).parent / "dist"
PAGE = Path(__file__).parent / "page.html"
MISSING = Path(__file__).parent / "missing.html"
# Only what this server itself serves may run in the page.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'"
    " data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
)


class Assets(StaticFiles):
    """The files of a folder that need not exist: then no file is found, where StaticFiles would fail."""

    async def check_config(self) -> None:
        if self.directory is not None and Path(self.directory).is_dir():
            await super().check_config()


router = APIRouter()
router.mount("/playground", Assets(directory=DIST, check_dir=False), name="playground")


def is_wanted(scope: Scope) -> bool:
    """Whether a GET of /graphql is for the playground: it brings no query, and does not prefer JSON."""
    names = [parameter.partition(b"=")[0] for parameter in scope["query_string"].split(b"&")]
    accept = ", ".join(Headers(scope=scope).getlist("accept"))
    return b"query" not in names and media.prefers_html(accept.encode("latin-1"), when_equal=True)


@router.get("/graphql", include_in_schema=False)
async def page() -> Response:
    """The playground, or a page that says what is missing."""
    built = (DIST / "playground.js").is_file()
    text = (PAGE if built else MISSING).read_text(encoding="utf-8")
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY", "Vary": "Accept"})
