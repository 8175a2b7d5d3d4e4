"""GitHub's published descriptions of itself, as judges of what the sandbox answers and of what mergeq asks.

The files are not part of this repository; where they are not beside the checkout nothing is judged.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cache, partial
from pathlib import Path
from typing import Any

import jsonschema
from flask import Response, request
from graphql import (
    DocumentNode,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    OperationDefinitionNode,
    OperationType,
    build_schema,
    is_abstract_type,
    is_object_type,
    validate,
)

from mergeq.sandbox import graph_endpoint
from mergeq.sandbox.faults import Fault
from mergeq.sandbox.graph_cost import weigh
from mergeq.sandbox.graph_schema import Context

KIT = Path(__file__).parents[1].parent / "shared" / "github-kit"
EVERY = os.environ.get("MERGEQ_JUDGE_EVERY_ANSWER") == "1"
"""Judge every answer, not just the first of each route, status and shape."""
JSON = "application/json"
_BEGINS = re.compile(r"^/api/v3(?=/)")


@dataclass(frozen=True, slots=True)
class Allowed:
    """A deviation that is GitHub's, not ours: where it is met, what is said of it, and why that is no fault."""

    where: str
    says: str
    why: str

    def covers(self, where: str, says: str) -> bool:
        return bool(re.fullmatch(self.where, where) and re.search(self.says, says))


ALLOWED = (
    Allowed(
        r"GET /repos/\{\}/\{\}/pulls 200",
        r"labels\[\d+\]\.description: None is not of type 'string'",
        "labels of listed pull requests may lack a description, as they may everywhere else",
    ),
    Allowed(
        r".* 4\d\d",
        r"^\$\.status: GitHub knows no such key",
        "errors have told their status since 2024; some of the schemas are older",
    ),
    Allowed(r".* 401", "no status 401", "every route answers so to a wrong token, few say it"),
    Allowed("GET .* 404", "no status 404", "everything answers so about what is not there, or may not be seen"),
    Allowed(
        ".* 403",
        "no status 403",
        "every route answers so to who may not, in an archived repository, and where a plan does not have the feature",
    ),
    Allowed(
        r"POST /repos/\{\}/\{\}/(statuses/\{\}|check-runs) 422",
        "no status 422",
        "recorded answers have it: too many statuses, a commit that is not there",
    ),
    Allowed(
        r".* 4\d\d",
        "a body is there",
        "errors have a body everywhere; some are described by a sentence alone",
    ),
    Allowed(
        r"DELETE /repos/\{\}/\{\}/issues/\{\}/labels/\{\} 204",
        "no status 204",
        "taking a label off is answered without a body at times (Q73); a fault does so",
    ),
    Allowed(
        r".*/protection(/restrictions)? 200",
        r"apps\[\]\.permissions\.\w+: GitHub knows no such key",
        "an app may have any permission; this one schema lists four",
    ),
    Allowed(
        r"webhook pull_request.*",
        r"requested_team(s\[\])?\.(notification_setting|organization_id|type): GitHub knows no such key",
        "webhooks' schema of a team is older than these keys, without which the one of REST is not met",
    ),
    Allowed(
        "webhook branch_protection_rule edited",
        r"changes\.\w+: GitHub knows no such key",
        "recorded events tell of more fields that were changed than this schema lists",
    ),
    Allowed(
        r"(mergeq's )?GET /(orgs/\{\}/audit-log|user/\{\}).*",
        "no such route",
        "the description was cut without audit logs and people by their numbers",
    ),
    Allowed(
        "webhook repository_ruleset .*",
        "license_compliance_scanning",
        "webhooks' schema of a ruleset is older than this rule",
    ),
    Allowed(
        r"webhook (issues|issue_comment|deployment).*",
        "performed_via_github_app.client_id: GitHub knows no such key",
        "webhooks' schema of an App is older than client ids",
    ),
    Allowed(
        r"webhook pull_request_review_thread (un)?resolved",
        r"(head|base)\.repo\.\w+: GitHub knows no such key",
        "this one schema is older than some settings of a repository, which the events beside it show",
    ),
    Allowed(
        "webhook (create|delete|repository_dispatch.*|deployment(_status)? created)",
        "no webhook",
        "the description was cut without these",
    ),
    Allowed(
        r"(mergeq's )?GET /repos/\{\}/\{\}/actions/permissions/workflow.*",
        "no such route",
        "the description was cut without what GitHub Actions may do",
    ),
    Allowed(
        "GET /meta 200",
        r"installed_version: GitHub knows no such key",
        "an Enterprise Server tells its version there; the description of github.com does not know it",
    ),
    Allowed(
        r"(POST|PUT) .*/rulesets(/\{\})? 422",
        r"errors\[\d+\]: .* is not of type 'object'",
        "recorded answers have sentences here",
    ),
    Allowed(
        r"GET .*/rules/branches/\{\} 200",
        "phase_of_the_moon|waxing|ruleset_|type",
        "rules of kinds that are yet unknown will come (Q85); a fault brings one",
    ),
    Allowed(
        r"GET .*/pulls(/\{\})? 200|webhook pull_request.*",
        r"head\.repo: None is not of type 'object'",
        "the fork of a pull request may be deleted, and is null then (Q24)",
    ),
    Allowed(
        r"POST .*/git/blobs 422|PUT .*/contents/\{\} 409",
        "is valid under each of",
        "the two kinds of error that are described here do not exclude each other",
    ),
    Allowed(
        "GET /search/issues 200",
        r"items\[\d+\]\.body: None is not of type 'string'",
        "an issue without a body has none in a search either",
    ),
    Allowed(
        r"\w+ (/user/(orgs|memberships)|/repositories|/app-manifests|/orgs/\{\}/public_members).* \d+"
        r"|\w+ .*/(readme|lock|dispatches|transfer|deployments.*) \d+|mergeq's POST .*/dispatches",
        "no such route",
        "the description was cut without these",
    ),
    Allowed(
        ".* 30[17]",
        "no status 30[17]",
        "whoever asks for a repository by a name it had is sent on (Q27, Q29); few routes say it",
    ),
    Allowed(".* (415|429)", "no status (415|429)", "a request may be refused before any route is looked at"),
    Allowed(
        "GET /app/installations 200",
        r"\[\d+\]\.account: |client_id: GitHub knows no such key",
        "this one schema is older than client ids, and has an account that is a user and an enterprise at once",
    ),
)


def shape_of(value: Any) -> object:
    """What is alike in answers that need no second look: keys and types, not texts and numbers."""
    if isinstance(value, dict):
        return tuple((key, shape_of(value[key])) for key in sorted(value))
    return frozenset(map(shape_of, value)) if isinstance(value, list) else type(value).__name__


def plain(node: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` as JSON Schema says it."""
    if isinstance(node, list):
        return [plain(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept = {key: plain(value) for key, value in node.items() if key not in ("nullable", "example", "examples")}
    return {"anyOf": [{"type": "null"}, kept]} if node.get("nullable") is True else kept


FORMATS = jsonschema.FormatChecker(())


@FORMATS.checks("date-time")
def _is_moment(value: object) -> bool:
    return not isinstance(value, str) or bool(
        re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)", value)
    )


@FORMATS.checks("uri")
def _is_uri(value: object) -> bool:
    return not isinstance(value, str) or bool(re.match(r"[a-z][a-z0-9+.-]*:", value))


@dataclass(slots=True)
class Description:
    """One OpenAPI document, its schemas made ready for a JSON Schema validator when first needed."""

    components: Mapping[str, Any]
    _validators: dict[int, jsonschema.Draft202012Validator] = field(default_factory=dict)

    def faults(self, schema: Mapping[str, Any], value: Any) -> Iterator[str]:
        """Where a value is not what a schema says, or says more than it knows."""
        if id(schema) not in self._validators:
            whole = {**schema, "components": self.components}
            self._validators[id(schema)] = jsonschema.Draft202012Validator(whole, format_checker=FORMATS)
        for error in self._validators[id(schema)].iter_errors(value):
            said = error.message if len(error.message) <= 200 else error.message.replace(repr(error.instance), "it")
            yield f"{error.json_path}: {said[:200]}"
        yield from self._unknown(schema, value, "$")

    def resolved(self, node: Mapping[str, Any]) -> Mapping[str, Any]:
        while "$ref" in node:
            *_, kind, name = node["$ref"].split("/")
            node = self.components[kind][name]
        return node

    def _unknown(self, schema: Mapping[str, Any], value: Any, path: str) -> Iterator[str]:
        parts = list(self._parts(schema))
        if isinstance(value, list):
            items = [part["items"] for part in parts if "items" in part]
            for item in value if items else ():
                yield from self._unknown({"anyOf": items}, item, f"{path}[]")
        if not isinstance(value, dict) or any("additionalProperties" in part for part in parts):
            return
        known: dict[str, list[Any]] = {}
        for part in parts:
            for key, inner in part.get("properties", {}).items():
                known.setdefault(key, []).append(inner)
        for key, inner_value in value.items() if known else ():
            if key not in known:
                yield f"{path}.{key}: GitHub knows no such key"
            else:
                yield from self._unknown({"anyOf": known[key]}, inner_value, f"{path}.{key}")

    def _parts(self, schema: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
        schema = self.resolved(schema)
        yield schema
        for word in ("allOf", "anyOf", "oneOf"):
            for inner in schema.get(word, ()):
                yield from self._parts(inner)


@cache
def rest() -> tuple[Description, Mapping[str, Any]]:
    """The description of the REST API, and its operations by ``METHOD /path/{}``."""
    document = plain(json.loads((KIT / "rest-api.github.com.trim.json").read_text(encoding="utf-8")))
    operations = {
        f"{method.upper()} {nameless(path)}": operation
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method in ("get", "put", "post", "patch", "delete")
    }
    return Description(document["components"]), operations


@cache
def webhooks() -> tuple[Description, Mapping[str, Any]]:
    """The description of the webhooks, and their payloads' schemas by ``event-action``."""
    document = json.loads((KIT / "webhooks.openapi31.trim.json").read_text(encoding="utf-8"))
    schemas = {
        name: hook["post"]["requestBody"]["content"][JSON]["schema"] for name, hook in document["webhooks"].items()
    }
    return Description(document["components"]), schemas


def nameless(path: str) -> str:
    """A route without the names of its variables: the sandbox's and the description's spelling are one."""
    return re.sub(r"/contents/$", "/contents/{}", re.sub(r"<[^>]+>|\{[^}]+\}", "{}", _BEGINS.sub("", path)))


def judge_answer(method: str, route: str, status: int, content: Any) -> list[str]:
    """What is wrong with an answer; ``content`` None: it had no body."""
    description, operations = rest()
    operation = operations.get(f"{method} {route}")
    if operation is None:
        return ["the description has no such route"]
    said = operation["responses"].get(str(status))
    if said is None:
        return [f"the description has no status {status}"]
    schema = description.resolved(said).get("content", {}).get(JSON, {}).get("schema")
    if schema is None or content is None:
        return [] if schema is None and content is None else ["a body is there and should not, or the other way round"]
    return list(description.faults(schema, content))


def judge_request(method: str, route: str, query: Mapping[str, str], content: Any) -> list[str]:
    """What is wrong with a request: parameters the route has not, a body it does not describe."""
    description, operations = rest()
    operation = operations.get(f"{method} {route}")
    if operation is None:
        return ["the description has no such route"]
    parameters = [description.resolved(parameter) for parameter in operation.get("parameters", ())]
    known = {p["name"]: p["schema"] for p in parameters if p["in"] == "query"}
    faults = [f"?{name}: no such parameter" for name in query if name not in known]
    for name in query.keys() & known.keys():
        whole = description.resolved(known[name]).get("type") == "integer" and query[name].isdigit()
        faults += description.faults(known[name], int(query[name]) if whole else query[name])
    schema = operation.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema")
    if content is not None and schema is None:
        return [*faults, "a body where none is described"]
    return faults + list(description.faults(schema, content) if content is not None else ())


def judge_hook(event: str, payload: Mapping[str, Any]) -> list[str]:
    """What is wrong with a webhook's payload."""
    description, schemas = webhooks()
    name = "-".join(filter(None, (event, payload.get("action")))).replace("_", "-")
    if name not in schemas:
        return [f"no webhook {name} is described"]
    return list(description.faults(schemas[name], payload))


@cache
def whole_schema() -> GraphQLSchema:
    """GitHub's published GraphQL schema; what the sandbox's own schema answers is answered the same way."""
    text = (KIT / "schema.graphql").read_text(encoding="utf-8")
    whole, ours = build_schema(text, assume_valid=True, assume_valid_sdl=True), graph_endpoint.schema()
    for name, mine in ours.type_map.items():
        theirs = whole.type_map[name]
        if is_abstract_type(mine) and is_abstract_type(theirs):
            theirs.resolve_type = mine.resolve_type
        elif is_object_type(mine) and is_object_type(theirs) and not name.startswith("__"):
            _answer_alike(mine, theirs)
    return whole


@cache
def remember(schema: GraphQLSchema) -> None:
    """Have a schema of the sandbox keep what its mutations answer, so that the published one can answer the same."""
    for mutation in schema.mutation_type.fields.values() if schema.mutation_type else ():
        mutation.resolve = partial(_remembered, mutation.resolve)


def _answer_alike(mine: GraphQLObjectType, theirs: GraphQLObjectType) -> None:
    for name, field_ in mine.fields.items():
        twin = theirs.fields[name]
        known = {}
        for argument_name, argument in field_.args.items():
            out_name = known[argument_name] = argument.out_name or argument_name
            twin.args[argument_name].out_name = out_name
        twin.resolve = partial(_without_defaults, field_.resolve, frozenset(known.values()))
        if mine.name == "Mutation":
            twin.resolve = _replayed


def _without_defaults(
    resolve: Callable[..., Any], known: frozenset[str], source: Any, info: GraphQLResolveInfo[Context], **arguments: Any
) -> Any:
    """Leave out what only the published schema has a default for."""
    return resolve(source, info, **{name: value for name, value in arguments.items() if name in known})


_done: dict[int, list[Any]] = {}
"""What mutations answered, by the identity of the request's context: they are carried out once and shown twice."""


def _remembered(resolve: Callable[..., Any], source: Any, info: GraphQLResolveInfo[Context], **arguments: Any) -> Any:
    try:
        answered = resolve(source, info, **arguments)
    except Exception as refusal:
        _done.setdefault(id(info.context), []).append(refusal)
        raise
    _done.setdefault(id(info.context), []).append(answered)
    return answered


def _replayed(_source: Any, info: GraphQLResolveInfo[Context], **_arguments: Any) -> Any:
    return _done[id(info.context)].pop(0)


class Witness:
    """Looks at everything the sandbox says while tests run, and keeps what GitHub would not have said."""

    def __init__(self) -> None:
        self.deviations: list[str] = []
        self.used: set[Allowed] = set()
        self.seen: set[object] = set()

    def note(self, where: str, faults: list[str]) -> None:
        for says in faults:
            excuse = next((one for one in ALLOWED if one.covers(where, says)), None)
            if excuse is None:
                self.deviations.append(f"{where}: {says}")
            else:
                self.used.add(excuse)

    def is_known(self, *key: object) -> bool:
        """Whether the like has been judged before."""
        if key in self.seen and not EVERY:
            return True
        self.seen.add(key)
        return False

    def answer(self, response: Response) -> Response:
        """Judge one REST answer, and mergeq's request that it is the answer to."""
        if request.blueprint not in ("rest", "rest-v3") or request.url_rule is None:
            return response
        route = nameless(request.url_rule.rule)
        where = f"{request.method} {route}"
        if request.user_agent.string.startswith("mergeq"):
            sent = request.get_json(force=True) if request.get_data() else None
            if not self.is_known("sent", where, shape_of(sent), frozenset(request.args)):
                self.note(f"mergeq's {where}", judge_request(request.method, route, request.args, sent))
        if response.status_code >= 500 or (response.get_data() and not response.is_json):
            return response  # a gateway's page, what is not simulated, or a bare text as the client wanted it
        where += f" {response.status_code}"
        content = response.get_json() if response.get_data() else None
        if not self.is_known(where, shape_of(content)):
            self.note(where, judge_answer(request.method, route, response.status_code, content))
        return response

    def hook(self, event: str, payload: Mapping[str, Any]) -> None:
        """Judge one webhook."""
        if not self.is_known(event, shape_of(payload)):
            self.note(f"webhook {event} {payload.get('action', '')}".strip(), judge_hook(event, payload))

    def execute(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        context: Context,
    ) -> Any:
        """Execute a document on the sandbox's own schema and on GitHub's: the answers have to be equal."""
        whole, faults = whole_schema(), context.world.faults.listed()
        before = _state_of(faults)
        remember(schema)
        answer = _execute(schema, document, operation, variables, context)
        text = document.loc.source.body if document.loc else ""
        if "__schema" in text or "__type(" in text or self.is_known(text, shape_of(answer)):
            _done.pop(id(context), None)
            return answer
        after = _state_of(faults)
        if operation.operation is OperationType.QUERY:  # what happened the first time has to happen again
            _set_back(before)
        twin = replace(context, looked_at={pull.id for repo in context.world.repos() for pull in repo.pulls.values()})
        _done[id(twin)] = _done.pop(id(context), [])
        where = f"GraphQL {operation.name.value if operation.name else text[:80]}"
        wrong = [error.message for error in validate(whole, document)]
        if not wrong and _execute(whole, document, operation, variables, twin) != answer:
            wrong = ["the published schema answers otherwise"]
        prices = {str(weigh(one, document, operation, variables)) for one in (schema, whole)}
        self.note(where, wrong + ["the published schema asks another price"] * (len(prices) > 1))
        del _done[id(twin)]
        _set_back(after)
        return answer


FaultState = list[tuple[Fault, int, int, Any]]


def _state_of(faults: Iterable[Fault]) -> FaultState:
    return [(fault, fault.chances, fault.hits, fault.dice.getstate()) for fault in faults]


def _set_back(states: FaultState) -> None:
    for fault, chances, hits, dice in states:
        fault.chances, fault.hits = chances, hits
        fault.dice.setstate(dice)


_execute = graph_endpoint.execute
