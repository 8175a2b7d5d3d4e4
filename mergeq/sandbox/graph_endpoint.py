"""``POST /graphql``: parse, validate, price and run one document against the world."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from graphql import (
    DocumentNode,
    ExecutionResult,
    GraphQLError,
    GraphQLObjectType,
    GraphQLSchema,
    OperationDefinitionNode,
    execute_sync,
    get_operation_ast,
    parse,
    validate,
)

from mergeq.sandbox import (
    graph_commits,
    graph_conversations,
    graph_mutations,
    graph_protection,
    graph_pulls,
    graph_repos,
    graph_rulesets,
)
from mergeq.sandbox.callers import Caller
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.graph_cost import weigh
from mergeq.sandbox.graph_schema import Context, GraphRefusedError, Resolvers
from mergeq.sandbox.rates import Rates
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.world import World

_MAX_DOCUMENTS = 512
_UNKNOWN_FIELD = re.compile(r"Cannot query field '(\w+)' on type '(\w+)'")
_NOT_ON_OLD_SERVERS = {
    "PullRequest": ("mergeStateStatus", "isInMergeQueue", "isMergeQueueEnabled", "autoMergeRequest"),
    "Ref": ("rules",),
    "Repository": (
        "rulesets",
        "mergeCommitTitle",
        "mergeCommitMessage",
        "squashMergeCommitTitle",
        "squashMergeCommitMessage",
    ),
}
_DIFFERENT_TYPES = "because they return conflicting types"
"""What GitHub does not mind: fields of one name but several types in fragments that exclude each other."""


@cache
def schema() -> GraphQLSchema:
    """The schema, built once in a process."""
    return _built()


def _built() -> GraphQLSchema:
    resolvers = Resolvers()
    graph_commits.bind(resolvers)
    graph_conversations.bind(resolvers)
    graph_mutations.bind(resolvers)
    graph_protection.bind(resolvers)
    graph_pulls.bind(resolvers)
    graph_repos.bind(resolvers)
    graph_rulesets.bind(resolvers)
    return resolvers.schema()


@cache
def older_schema() -> GraphQLSchema:
    """The schema without what an old GitHub Enterprise Server does not have (Q84)."""
    older = _built()
    for name, fields in _NOT_ON_OLD_SERVERS.items():
        type_ = older.type_map[name]
        assert isinstance(type_, GraphQLObjectType)  # noqa: S101 -- for the type checker
        for field in fields:
            del type_.fields[field]
    return older


@dataclass(frozen=True, slots=True)
class _Read:
    """A document text after parsing and validation."""

    document: DocumentNode | None
    schema: GraphQLSchema
    errors: tuple[Json, ...] = ()


class GraphEndpoint:
    """Answers GraphQL requests; every answer is HTTP 200, errors stand in the body."""

    def __init__(self, world: World, rates: Rates) -> None:
        self._world = world
        self._rates = rates
        self._documents: dict[tuple[str, GraphQLSchema], _Read] = {}

    def answer(self, body: Mapping[str, Any], caller: Caller, shapes: Shapes) -> Json:
        text = body.get("query")
        if not isinstance(text, str):
            raise RefusedError(400, "A query attribute must be specified and must be a string.")
        read = self._read(text)
        if read.document is None:
            return {"errors": list(read.errors)}
        variables: Mapping[str, Any] = body.get("variables") or {}
        operation = get_operation_ast(read.document, body.get("operationName"))
        if operation is None:
            return {"errors": [{"message": f"No operation named {str(body.get('operationName'))!r}"}]}
        return self._run(read, operation, variables, caller, shapes)

    def operation(self, body: Mapping[str, Any]) -> OperationDefinitionNode | None:
        """The operation that is to be run; None if there is none."""
        text = body.get("query")
        read = self._read(text) if isinstance(text, str) else None
        if read is None or read.document is None:
            return None
        return get_operation_ast(read.document, body.get("operationName"))

    def _read(self, text: str) -> _Read:
        found = schema()
        if self._world.faults.fires(FaultId.PROFILE_GHES):
            found = older_schema()
        known = self._documents.get((text, found))
        if known is None:
            if len(self._documents) >= _MAX_DOCUMENTS:
                self._documents.clear()
            known = self._documents[text, found] = _parse_and_validate(text, found)
        return known

    def _run(
        self,
        read: _Read,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        caller: Caller,
        shapes: Shapes,
    ) -> Json:
        document, known = read.document, read.schema
        assert document is not None  # noqa: S101 -- it has been validated
        cost = weigh(known, document, operation, variables)
        if cost.refusals:
            return {"errors": [_shown(refusal) for refusal in cost.refusals]}
        world = self._world
        if not self._rates.charge(caller.payer, "graphql", cost.points, world.now()):
            message = f"API rate limit exceeded for {caller.payer.name}."
            return {"errors": [{"type": "RATE_LIMITED", "message": message}]}
        budget = self._rates.budget(caller.payer, "graphql", world.now())
        context = Context(world, shapes, caller, budget, cost.points, cost.nodes)
        return execute(known, document, operation, variables, context)


def execute(
    schema: GraphQLSchema,
    document: DocumentNode,
    operation: OperationDefinitionNode,
    variables: Mapping[str, Any],
    context: Context,
) -> Json:
    """The body that answers one operation of a validated document."""
    result = execute_sync(
        schema,
        document,
        context_value=context,
        variable_values=dict(variables),
        operation_name=operation.name.value if operation.name else None,
    )
    return _body(result)


def _parse_and_validate(text: str, against: GraphQLSchema) -> _Read:
    try:
        document = parse(text)
    except GraphQLError as error:
        return _Read(None, against, (_shown(error),))
    found: Sequence[GraphQLError] = validate(against, document)
    errors = [error for error in found if _DIFFERENT_TYPES not in error.message]
    return _Read(document, against) if not errors else _Read(None, against, tuple(map(_invalid, errors)))


def _invalid(error: GraphQLError) -> Json:
    """An error of validation; GitHub has its own words for a field that it does not know."""
    shown = _shown(error)
    unknown = _UNKNOWN_FIELD.match(error.message)
    if unknown is not None:
        shown["message"] = f"Field '{unknown[1]}' doesn't exist on type '{unknown[2]}'"
        shown["extensions"] = {"code": "undefinedField", "typeName": unknown[2], "fieldName": unknown[1]}
    return shown


def _body(result: ExecutionResult) -> Json:
    if not result.errors:
        return {"data": result.data}
    for error in result.errors:
        cause = error.original_error
        if cause is not None and not isinstance(cause, RefusedError | GraphQLError):
            raise cause
    shown = [_shown(error) for error in result.errors]
    return {"errors": shown} if result.data is None else {"data": result.data, "errors": shown}


def _shown(error: GraphQLError) -> Json:
    cause = error.original_error
    kind = next((e.kind for e in (error, cause) if isinstance(e, GraphRefusedError)), None)
    body: Json = {} if kind is None else {"type": kind}
    if error.path:
        body["path"] = list(error.path)
    if error.locations:
        body["locations"] = [{"line": place.line, "column": place.column} for place in error.locations]
    body["message"] = cause.message if isinstance(cause, RefusedError) else error.message
    return body
