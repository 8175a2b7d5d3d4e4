from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import requests

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import GREEN

METHODS = ("merge", "squash", "rebase")
LOOK = """{ search(type: ISSUE, query: "is:pr is:open", first: 50) { nodes { ... on PullRequest { mergeable } } } }"""


def test_many_people_at_once_lose_nothing_and_break_nothing(served: Sandbox) -> None:
    world = served.world
    world.create_repo("acme/busy", files=GREEN)

    def land(number: int) -> int:
        fork = "zoe" if number % 3 == 0 else None
        pull = world.open_pull("acme/busy", title="Add", files={f"{number}.txt": "x\n"}, head=f"b{number}", fork=fork)
        with requests.Session() as session:
            session.headers["Authorization"] = f"token {served.token}"
            looked = session.post(f"{served.url}/graphql", json={"query": LOOK}, timeout=180).json()
            assert "errors" not in looked
            method = {"merge_method": METHODS[number % 3]}
            url = f"{served.url}/repos/acme/busy/pulls/{pull.number}/merge"
            return session.put(url, json=method, timeout=180).status_code

    with ThreadPoolExecutor(6) as people:
        codes = list(people.map(land, range(12)))

    assert codes == [200] * 12
    assert served.settle()
    repo = world.repo("acme/busy")
    assert all(pull.merged for pull in repo.pulls.values())
    assert len(repo.git.files_at(str(repo.git.tip("main")), [f"{n}.txt" for n in range(12)])) == 12
    assert all(len(posted) == 2 for posted in repo.statuses.values())
    repo.git.git("fsck", "--connectivity-only")
