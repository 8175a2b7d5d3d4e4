"""``POST /graphql``: parse, validate, price and run one document against the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, cast

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
from mergeq.sandbox.graph_cost import weigh
from mergeq.sandbox.graph_schema import Context, GraphRefusedError, Resolvers
from mergeq.sandbox.rates import Rates
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.shapes import Json, Shapes
from mergeq.sandbox.world import World

_MAX_DOCUMENTS = 512
_DIFFERENT_TYPES = "because they return conflicting types"
"""What GitHub does not mind: fields of one name but several types in fragments that exclude each other."""


@cache
def schema() -> GraphQLSchema:
    """The schema, built once in a process."""
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
def schema_without(lacks: frozenset[tuple[str, str]]) -> GraphQLSchema:
    """The schema of a server that lacks some fields of types."""
    if not lacks:
        return schema()
    made = schema.__wrapped__()
    for name, field in lacks:
        del cast("GraphQLObjectType", made.type_map[name]).fields[field]
    return made


@dataclass(frozen=True, slots=True)
class _Read:
    """A document text after parsing and validation."""

    document: DocumentNode | None
    errors: tuple[Json, ...] = ()


class GraphEndpoint:
    """Answers GraphQL requests; every answer is HTTP 200, errors stand in the body."""

    def __init__(self, world: World, rates: Rates) -> None:
        self._world = world
        self._rates = rates
        self._documents: dict[tuple[str, frozenset[tuple[str, str]]], _Read] = {}

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
        return self._run(read.document, operation, variables, caller, shapes)

    def operation(self, body: Mapping[str, Any]) -> OperationDefinitionNode | None:
        """The operation that is to be run; None if there is none."""
        text = body.get("query")
        read = self._read(text) if isinstance(text, str) else None
        if read is None or read.document is None:
            return None
        return get_operation_ast(read.document, body.get("operationName"))

    def _read(self, text: str) -> _Read:
        lacks = self._world.lacks
        known = self._documents.get((text, lacks))
        if known is None:
            if len(self._documents) >= _MAX_DOCUMENTS:
                self._documents.clear()
            known = self._documents[text, lacks] = _parse_and_validate(text, schema_without(lacks))
        return known

    def _run(
        self,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
        caller: Caller,
        shapes: Shapes,
    ) -> Json:
        cost = weigh(schema_without(self._world.lacks), document, operation, variables)
        if cost.refusals:
            return {"errors": [_shown(refusal) for refusal in cost.refusals]}
        world = self._world
        if not self._rates.charge(caller.payer, "graphql", cost.points, world.now()):
            message = f"API rate limit exceeded for {caller.payer.name}."
            return {"errors": [{"type": "RATE_LIMITED", "message": message}]}
        budget = self._rates.budget(caller.payer, "graphql", world.now())
        context = Context(world, shapes, caller, budget, cost.points, cost.nodes)
        return execute(schema_without(world.lacks), document, operation, variables, context)


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


def _parse_and_validate(text: str, known: GraphQLSchema) -> _Read:
    try:
        document = parse(text)
    except GraphQLError as error:
        return _Read(None, (_shown(error),))
    found: Sequence[GraphQLError] = validate(known, document)
    errors = [error for error in found if _DIFFERENT_TYPES not in error.message]
    return _Read(None, tuple(map(_shown, errors))) if errors else _Read(document)


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
