"""REST endpoints of issues, and of the labels and comments that issues and pull requests share."""

from __future__ import annotations

from flask import jsonify

from mergeq.sandbox import pulls
from mergeq.sandbox.records import Pull
from mergeq.sandbox.refusals import NotSimulatedError
from mergeq.sandbox.rest import (
    Answer,
    body,
    changer,
    content,
    endpoint,
    paged,
    parameters,
    required,
    the_repo,
    the_ticket,
    triager,
)
from mergeq.sandbox.site import shapes, world

_ISSUES = "/repos/<owner>/<repo>/issues"
_ISSUE = f"{_ISSUES}/<int:issue_number>"


@endpoint("GET", _ISSUE)
def _get(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    parameters()
    return jsonify(shapes().issue(found, ticket))


@endpoint("POST", _ISSUES)
def _open(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = changer(found)
    fields = body("title", "body", "labels")
    title = required(fields, "Issue", "title")
    issue = pulls.open_issue(world(), found, title, fields.get("body") or "", _names(fields.get("labels") or []), by)
    return jsonify(shapes().issue(found, issue)), 201


@endpoint("PATCH", _ISSUE)
def _edit(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = changer(found)
    fields = body("title", "body", "state")
    if isinstance(ticket, Pull):
        raise NotSimulatedError("PATCH of a pull request as an issue")
    pulls.edit_issue(world(), ticket, by, title=fields.get("title"), body=fields.get("body"))
    if fields.get("state") is not None:
        pulls.set_issue_state(world(), ticket, fields["state"], by)
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


@endpoint("DELETE", f"{_ISSUE}/labels/<path:name>")
def _remove_label(owner: str, repo: str, issue_number: int, name: str) -> Answer:
    """Answers with the labels that are left (Q73)."""
    found, ticket = the_ticket(owner, repo, issue_number)
    pulls.remove_label(world(), ticket, name, triager(found))
    return jsonify(shapes().labels(found, ticket))


@endpoint("GET", f"{_ISSUE}/comments")
def _comments(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    parameters()
    shown = shapes()
    return paged(ticket.comments, lambda comment: shown.comment(found, ticket.number, comment))


@endpoint("POST", f"{_ISSUE}/comments")
def _comment(owner: str, repo: str, issue_number: int) -> Answer:
    found, ticket = the_ticket(owner, repo, issue_number)
    by = changer(found)
    said = pulls.comment(world(), ticket, required(body("body"), "IssueComment", "body"), by)
    return jsonify(shapes().comment(found, ticket.number, said)), 201


def _names(labels: list[str | dict[str, str]]) -> list[str]:
    """Labels may be given as names or as objects with a name."""
    return [label if isinstance(label, str) else label["name"] for label in labels]
