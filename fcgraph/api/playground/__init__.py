"""GraphiQL at GET /graphql, from assets that `make playground` puts beside this file; nothing comes from elsewhere."""

from __future__ import annotations

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from fastapi.staticfiles import StaticFiles

DIST = Path(__file__).parent / "dist"
PAGE = Path(__file__).parent / "page.html"
MISSING = Path(__file__).parent / "missing.html"
# Only what this server itself serves may run in the page.
POLICY = (
    "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; font-src 'self'"
    " data:; connect-src 'self' ws: wss:; worker-src 'self' blob:; frame-ancestors 'none'; base-uri 'none'"
)

router = APIRouter()
router.mount("/playground", StaticFiles(directory=DIST, check_dir=False), name="playground")


@router.get("/graphql")
async def page() -> Response:
    """The playground, or a page that says what is missing."""
    built = (DIST / "playground.js").is_file()
    text = (PAGE if built else MISSING).read_text(encoding="utf-8")
    return HTMLResponse(text, headers={"Content-Security-Policy": POLICY, "X-Frame-Options": "DENY"})
