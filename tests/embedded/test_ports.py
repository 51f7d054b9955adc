"""Ports: a free one is found, a taken one is reported with its setting."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest

from fcgraph.embedded import ports


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_a_taken_port_is_reported_with_its_setting(taken: int) -> None:
    with pytest.raises(ports.PortTaken, match=rf"port {taken} \(API_PORT\) is taken.*set API_PORT"):
        ports.require_free(taken, "API_PORT")


def test_the_preferred_port_is_used_while_it_is_free(taken: int) -> None:
    other = ports.free(taken)
    assert other != taken
    assert ports.free(other) == other
    assert ports.require_free(other, "API_PORT") == other


def test_a_free_port_is_none_that_an_outgoing_connection_may_get() -> None:
    first_handed_out = 32_768  # Linux's default; elsewhere the range starts higher
    assert all(ports.free() < first_handed_out for _ in range(20))
