"""REST endpoints of issues and their search, and of the labels and comments they share with pull requests."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from flask import jsonify

from mergeq.sandbox import asking, pulls, search
from mergeq.sandbox.clock import iso
from mergeq.sandbox.faults import FaultId
from mergeq.sandbox.records import Issue, Label, Pull, Repo
from mergeq.sandbox.refusals import RefusedError, invalid, not_found
from mergeq.sandbox.rest import (
    Answer,
    body,
    changer,
    chosen,
    content,
    editor,
    endpoint,
    page_asked,
    paged,
    parameters,
    required,
    sorts,
    the_repo,
    the_ticket,
    triager,
    writer,
)
from mergeq.sandbox.searching import find
from mergeq.sandbox.site import caller, shapes, via_app, world

_ISSUES = "/repos/<owner>/<repo>/issues"
_ISSUE = f"{_ISSUES}/<int:issue_number>"
_COMMENT = f"{_ISSUES}/comments/<int:comment_id>"
_LABELS = "/repos/<owner>/<repo>/labels"


@endpoint("GET", _ISSUES)
def _list(owner: str, repo: str) -> Answer:
    """Issues and pull requests alike, as GitHub lists them."""
    found = the_repo(owner, repo)
    asked = parameters("state", "labels", "creator", "assignee", "sort", "direction", "since")
    state = chosen(asked.get("state", "open"), ("open", "closed", "all"), "Issue", "state")
    sort = chosen(asked.get("sort", "created"), ("created", "updated", "comments"), "Issue", "sort")
    labels = [name for name in asked.get("labels", "").split(",") if name]
    keys: dict[str, Callable[[Pull | Issue], float]] = {
        "created": lambda ticket: ticket.created_at,
        "updated": lambda ticket: ticket.updated_at,
        "comments": lambda ticket: len(ticket.comments),
    }
    listed = [
        ticket
        for ticket in found.tickets
        if state in ("all", ticket.state)
        and all(ticket.has_label(name) for name in labels)
        and asked.get("creator") in (None, ticket.author)
        and asking.is_assigned(ticket, asked.get("assignee"))
        and iso(ticket.updated_at) >= asked.get("since", "")
    ]
    listed.sort(key=lambda t: (keys[sort](t), t.number), reverse=asked.get("direction", "desc") == "desc")
    shown = shapes()
    return paged(listed, lambda ticket: shown.issue(found, ticket))


@endpoint("GET", "/search/issues")
def _search() -> Answer:
    """The search of GraphQL; free text and boolean operators are not simulated."""
    asked = parameters("q", "sort", "order", "advanced_search")
    text = asked.get("q", "")
    if not text:
        raise RefusedError(422, "Validation Failed", [{"resource": "Search", "field": "q", "code": "missing"}])
    if len(text) > search.MAX_LENGTH:
        raise invalid("Search", f"The search is longer than {search.MAX_LENGTH} characters.", "q")
    sort = asked.get("sort") and chosen(asked["sort"], ("created", "updated"), "Search", "sort")
    hits = find(
        world(),
        caller().sees,
        text,
        sort or None,
        chosen(asked.get("order", "desc"), ("asc", "desc"), "Search", "order"),
    )
    page, size = page_asked()
    if page * size > search.MAX_RESULTS and page > 1:
        raise RefusedError(422, "Only the first 1000 search results are available")
    shown = shapes()
    return paged(
        hits[: search.MAX_RESULTS],
        lambda ticket: {**shown.issue(world().repo_of(ticket), ticket), "score": 1.0},
        "items",
        total=len(hits),
        incomplete_results=False,
        search_type="lexical",
    )


@endpoint("GET", _ISSUE)
def _get(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    parameters()
    return jsonify(shapes().issue(found, ticket))


@endpoint("POST", _ISSUES)
def _open(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = changer(found)
    fields = body("title", "body", "labels", "assignees")
    title = required(fields, "Issue", "title")
    labels, assignees = (fields.get(name) or [] if sorts(found) else [] for name in ("labels", "assignees"))
    asking.refuse_strangers(found, assignees)
    issue = pulls.open_issue(world(), found, title, fields.get("body") or "", _names(labels), by, via_app())
    asking.assign(world(), issue, assignees, by)
    return jsonify(shapes().issue(found, issue)), 201


@endpoint("PATCH", _ISSUE)
def _edit(owner: str, repo: str, issue_number: int) -> Answer:
    """A pull request may be changed as the issue that it is too."""
    found, ticket = the_ticket(owner, repo, issue_number)
    fields = body("title", "body", "state", "labels", "assignees")
    by = editor(found, ticket, fields)
    title, text, state = (fields.get(name) for name in ("title", "body", "state"))
    if sorts(found):
        if "assignees" in fields:
            asking.set_assignees(world(), ticket, fields["assignees"] or (), by)
        if "labels" in fields:
            pulls.set_labels(world(), ticket, _names(fields["labels"] or []), by)
    if isinstance(ticket, Pull):
        pulls.edit(world(), ticket, by, title=title, body=text)
    else:
        pulls.edit_issue(world(), ticket, by, title=title, body=text)
    if state is not None:
        pulls.set_state(world(), ticket, state, by)
    return jsonify(shapes().issue(found, ticket))


@endpoint("POST", f"{_ISSUE}/assignees")
def _assign(owner: str, repo: str, issue_number: int) -> Answer:
    """Whoever may not sort issues, and whoever cannot be assigned, is passed over in silence."""
    found, ticket = the_ticket(owner, repo, issue_number)
    by = changer(found)
    assignees = body("assignees").get("assignees") or []
    if sorts(found):
        asking.assign(world(), ticket, assignees, by)
    return jsonify(shapes().issue(found, ticket)), 201


@endpoint("DELETE", f"{_ISSUE}/assignees")
def _unassign(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = changer(found)
    assignees = body("assignees").get("assignees") or []
    if sorts(found):
        asking.unassign(world(), ticket, assignees, by)
    return jsonify(shapes().issue(found, ticket))


@endpoint("GET", f"{_ISSUE}/labels")
def _labels(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    parameters()
    return paged(shapes().labels(found, ticket), dict)


@endpoint("POST", f"{_ISSUE}/labels")
def _add_labels(owner: str, repo: str, issue_number: int) -> Answer:
    """Takes ``{"labels": […]}`` or the bare list that older clients send."""
    found, ticket = the_ticket(owner, repo, issue_number)
    by = triager(found)
    sent = content()
    for name in _names(sent if isinstance(sent, list) else body("labels").get("labels") or []):
        pulls.add_label(world(), ticket, name, by)
    return jsonify(shapes().labels(found, ticket))


@endpoint("PUT", f"{_ISSUE}/labels")
def _set_labels(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = triager(found)
    sent = content()
    names = _names(sent if isinstance(sent, list) else body("labels").get("labels") or [])
    pulls.set_labels(world(), ticket, names, by)
    return jsonify(shapes().labels(found, ticket))


@endpoint("DELETE", f"{_ISSUE}/labels")
def _clear_labels(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    pulls.set_labels(world(), ticket, (), triager(found))
    return "", 204


@endpoint("PUT", f"{_ISSUE}/lock")
def _lock(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = writer(found)
    reason = body("lock_reason").get("lock_reason")
    if reason is not None:
        chosen(reason, ("off-topic", "too heated", "resolved", "spam"), "Issue", "lock_reason")
    pulls.lock(world(), ticket, by, locked=True, reason=reason)
    return "", 204


@endpoint("DELETE", f"{_ISSUE}/lock")
def _unlock(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    pulls.lock(world(), ticket, writer(found), locked=False)
    return "", 204


@endpoint("DELETE", f"{_ISSUE}/labels/<path:name>")
def _remove_label(owner: str, repo: str, issue_number: int, name: str) -> Answer:
    """Answers with the labels that are left; at times with 204, or 404 as if somebody had been faster (Q73)."""
    found, ticket = the_ticket(owner, repo, issue_number)
    pulls.remove_label(world(), ticket, name, triager(found))
    odd = world().faults.fires(FaultId.LABELS_REMOVE, found.full_name, ticket.number)
    if odd is not None:
        if odd.args.get("code") == 404:
            raise RefusedError(404, "Label does not exist")
        return "", 204
    return jsonify(shapes().labels(found, ticket))


@endpoint("GET", f"{_ISSUE}/comments")
def _comments(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    asked = parameters("since")
    shown, since = shapes(), asked.get("since", "")
    found_since = [comment for comment in ticket.comments if iso(comment.created_at) >= since]
    return paged(found_since, lambda comment: shown.comment(found, ticket.number, comment))


@endpoint("POST", f"{_ISSUE}/comments")
def _comment(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = changer(found)
    said = pulls.comment(world(), ticket, required(body("body"), "IssueComment", "body"), by, via_app())
    return jsonify(shapes().comment(found, ticket.number, said)), 201


def _the_comment(repo: Repo, comment_id: int) -> tuple[Pull | Issue, int]:
    """The conversation a comment stands in and its place there; raises RefusedError 404."""
    for ticket in repo.tickets:
        for place, comment in enumerate(ticket.comments):
            if comment.id == comment_id:
                return ticket, place
    raise not_found()


@endpoint("GET", _COMMENT)
def _get_comment(owner: str, repo: str, comment_id: int) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    ticket, place = _the_comment(found, comment_id)
    return jsonify(shapes().comment(found, ticket.number, ticket.comments[place]))


@endpoint("PATCH", _COMMENT)
def _edit_comment(owner: str, repo: str, comment_id: int) -> Answer:
    found = the_repo(owner, repo)
    by = changer(found)
    ticket, place = _the_comment(found, comment_id)
    text = required(body("body"), "IssueComment", "body")
    edited = pulls.edit_comment(world(), ticket, place, text, by)
    return jsonify(shapes().comment(found, ticket.number, edited))


@endpoint("DELETE", _COMMENT)
def _delete_comment(owner: str, repo: str, comment_id: int) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    ticket, place = _the_comment(found, comment_id)
    pulls.delete_comment(world(), ticket, place, by)
    return "", 204


@endpoint("GET", _LABELS)
def _repo_labels(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    shown = shapes()
    return paged(list(found.labels.values()), lambda label: shown.label(found, label))


@endpoint("POST", _LABELS)
def _create_label(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("name", "color", "description")
    name, color = required(fields, "Label", "name"), fields.get("color") or "ededed"
    label = Label(world().next_id(), name, color, fields.get("description"))
    pulls.create_label(world(), found, label, by)
    return jsonify(shapes().label(found, label)), 201


def _the_label(repo: Repo, name: str) -> Label:
    if name.casefold() not in repo.labels:
        raise not_found()
    return repo.labels[name.casefold()]


@endpoint("GET", f"{_LABELS}/<path:name>")
def _label(owner: str, repo: str, name: str) -> Answer:
    found = the_repo(owner, repo)
    parameters()
    return jsonify(shapes().label(found, _the_label(found, name)))


@endpoint("PATCH", f"{_LABELS}/<path:name>")
def _edit_label(owner: str, repo: str, name: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    fields = body("new_name", "color", "description")
    label = _the_label(found, name)
    kept = {key: fields[key] for key in ("color", "description") if key in fields}
    found.labels[label.name.casefold()] = replace(label, **kept)
    new = fields.get("new_name") or label.name
    if new != label.name:
        pulls.rename_label(world(), found, label.name, new, by)
    return jsonify(shapes().label(found, _the_label(found, new)))


@endpoint("DELETE", f"{_LABELS}/<path:name>")
def _delete_label(owner: str, repo: str, name: str) -> Answer:
    found = the_repo(owner, repo)
    by = writer(found)
    pulls.delete_label(world(), found, _the_label(found, name), by)
    return "", 204


def _names(labels: list[str | dict[str, str]]) -> list[str]:
    """Labels may be given as names or as objects with a name."""
    return [label if isinstance(label, str) else label["name"] for label in labels]
