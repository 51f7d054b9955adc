"""A client of the API for tests."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from starlette.testclient import TestClient

from fcgraph.api.entry import ViewerOf, local_operator
from fcgraph.api.http.app import Application, create
from fcgraph.settings import Settings


@dataclass
class Api:
    """A running API and its client."""

    app: Application
    client: TestClient

    def post(self, query: str, variables: dict[str, Any] | None = None, **body: Any) -> Any:
        """The HTTP response to an operation."""
        return self.client.post("/graphql", json={"query": query, "variables": variables, **body})

    def ask(self, query: str, **variables: Any) -> Any:
        """The data of an answer without errors."""
        response = self.post(query, variables)
        assert response.status_code == 200, response.text
        body = response.json()
        assert "errors" not in body, body["errors"]
        return body["data"]

    def refused(self, query: str, **variables: Any) -> Any:
        """The one error of an answer without data."""
        body = self.post(query, variables).json()
        assert body["data"] is None, body
        (error,) = body["errors"]
        return error

    def code(self, query: str, **variables: Any) -> str:
        """The code of the one error of an answer without data."""
        found: str = self.refused(query, **variables)["extensions"]["code"]
        return found


@contextmanager
def serving(settings: Settings, *, viewer_of: ViewerOf = local_operator) -> Iterator[Api]:
    """An API with these settings, from its start to its end."""
    app = create(settings, viewer_of=viewer_of)
    with TestClient(app, raise_server_exceptions=False) as client:
        yield Api(app, client)
