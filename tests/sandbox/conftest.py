"""A sandbox for each test: on a manual clock in process, or on real time behind a port."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from mergeq.sandbox import ManualClock, Sandbox, WsgiAdapter

BASE = "http://sandbox.test"
FILES = {"README.md": "rocket\n", "engine.py": "one\ntwo\nthree\n"}
GREEN = {**FILES, "ci.sh": "test ! -e broken.txt\n"}

Rest = Callable[..., requests.Response]
Query = Callable[..., Any]


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(clock=ManualClock()) as made:
        made.world.create_repo("acme/rocket", files=FILES, ci=None)
        yield made


@pytest.fixture
def served() -> Iterator[Sandbox]:
    with Sandbox() as made:
        made.world.create_repo("acme/rocket", files=FILES, ci=None)
        made.serve()
        yield made


@pytest.fixture
def session(sandbox: Sandbox) -> Iterator[requests.Session]:
    with requests.Session() as made:
        made.mount(BASE, WsgiAdapter(sandbox.app))
        made.trust_env = False  # no look at the environment for each request
        made.headers["Authorization"] = f"Bearer {sandbox.token}"
        yield made


@pytest.fixture
def rest(session: requests.Session) -> Rest:
    """``rest("GET", "/pulls/1")`` asks about acme/rocket; a path from ``//`` on is taken from the root."""

    def ask(method: str, path: str, **json: Any) -> requests.Response:
        whole = path[1:] if path.startswith("//") else f"/repos/acme/rocket{path}"
        return session.request(method, BASE + whole, json=json or None)

    return ask


@pytest.fixture
def query(session: requests.Session) -> Query:
    """The whole body of a GraphQL answer."""

    def ask(text: str, **variables: Any) -> Any:
        answer = session.post(f"{BASE}/graphql", json={"query": text, "variables": variables})
        assert answer.status_code == 200, answer.text
        return answer.json()

    return ask
