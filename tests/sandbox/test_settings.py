from __future__ import annotations

from mergeq.sandbox import Sandbox
from tests.sandbox.conftest import Query, Rest


def test_what_workflows_may_do_is_for_administrators(sandbox: Sandbox, rest: Rest) -> None:
    sandbox.world.repo("acme/rocket").workflows_may_write = True
    shown = rest("GET", "/actions/permissions/workflow").json()
    sandbox.world.users.set_role("mergeq-bot", "write")

    assert shown == {"default_workflow_permissions": "write", "can_approve_pull_request_reviews": False}
    assert rest("GET", "/actions/permissions/workflow").status_code == 404


def test_an_enterprise_server_tells_its_version_and_lacks_fields(sandbox: Sandbox, rest: Rest, query: Query) -> None:
    asked = """{ repository(owner: "acme", name: "rocket") { ref(qualifiedName: "main") { rules(first: 1) { totalCount }
      } } __type(name: "Ref") { fields { name } } }"""
    before = query(asked)
    sandbox.world.enterprise, sandbox.world.lacks = "3.9.4", frozenset({("Ref", "rules")})

    meta = rest("GET", "//meta")

    assert "rules" in {field["name"] for field in before["data"]["__type"]["fields"]}
    assert (meta.json()["installed_version"], meta.headers["X-GitHub-Enterprise-Version"]) == ("3.9.4", "3.9.4")
    assert [error["message"] for error in query(asked)["errors"]] == ["Cannot query field 'rules' on type 'Ref'."]
