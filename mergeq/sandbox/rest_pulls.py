"""REST endpoints of pull requests: listing, opening, editing, reviewing and merging them."""

from __future__ import annotations

import re

from flask import Response, jsonify, request

from mergeq.sandbox import asking, mergeability, merging, outages, pulls, refs, updating
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.pull_shapes import file_shape, pull_full, pull_summary, review_shape
from mergeq.sandbox.records import Method, Pull, Repo, Review
from mergeq.sandbox.refusals import MergeRefused, NotSimulatedError, RefusedError, invalid, not_found
from mergeq.sandbox.rest import (
    Answer,
    body,
    changer,
    chosen,
    editor,
    endpoint,
    paged,
    parameters,
    required,
    the_pull,
    the_repo,
    triager,
    writer,
)
from mergeq.sandbox.shapes import Json
from mergeq.sandbox.site import shapes, world

_PULLS = "/repos/<owner>/<repo>/pulls"
_PULL = f"{_PULLS}/<int:pull_number>"


@endpoint("GET", _PULLS)
def _list(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    asked = parameters("state", "base", "head", "sort", "direction")
    state = chosen(asked.get("state", "open"), ("open", "closed", "all"), "PullRequest", "state")
    sort = chosen(asked.get("sort", "created"), ("created", "updated"), "PullRequest", "sort")
    falling = asked.get("direction", "desc") == "desc"
    listed = [
        pull
        for pull in world().lags.all_seen(found.pulls.values(), world().now())
        if state in ("all", pull.state)
        and asked.get("base") in (None, pull.base_ref)
        and asked.get("head") in (None, f"{pull.head_repo.partition('/')[0]}:{pull.head_ref}")
    ]
    listed.sort(key=lambda p: (p.updated_at if sort == "updated" else p.created_at, p.number), reverse=falling)
    shown = shapes()
    return paged(listed, lambda pull: pull_summary(shown, found, pull))


@endpoint("POST", _PULLS)
def _open(owner: str, repo: str) -> Answer:
    found = the_repo(owner, repo)
    by = changer(found)
    fields = body("title", "body", "head", "base", "draft", "maintainer_can_modify")
    title, base, head = (required(fields, "PullRequest", name) for name in ("title", "base", "head"))
    head_owner, colon, branch = head.rpartition(":")
    source = world().find_repo(f"{head_owner}/{found.name}") if colon else found
    if source is None:
        raise RefusedError(422, "Validation Failed", [{"resource": "PullRequest", "field": "head", "code": "invalid"}])
    wish = pulls.Request(title, fields.get("body") or "", base, source, branch, draft=bool(fields.get("draft")))
    pull = pulls.open_pull(world(), found, wish, by=by)
    pull.maintainer_can_modify = bool(fields.get("maintainer_can_modify", True))
    return jsonify(pull_full(shapes(), found, pull)), 201


@endpoint("GET", _PULL)
def _get(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    parameters()
    pull = world().lags.seen(pull, world().now())
    mergeability.note_read(world(), pull)
    form = re.search(r"application/vnd\.github\.(?:v3\.)?(diff|patch)", request.headers.get("Accept", ""))
    if form:
        text = found.git.patch(pull.base_sha, pull.head_sha, form[1])
        return Response(text, mimetype=f"application/vnd.github.v3.{form[1]}")
    return jsonify(pull_full(shapes(), found, pull))


@endpoint("PATCH", _PULL)
def _edit(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    fields = body("title", "body", "state", "base", "maintainer_can_modify")
    by = editor(found, pull, fields)
    pulls.edit(world(), pull, by, title=fields.get("title"), body=fields.get("body"), base=fields.get("base"))
    if "maintainer_can_modify" in fields:
        pull.maintainer_can_modify = bool(fields["maintainer_can_modify"])
    if fields.get("state") is not None:
        pulls.set_state(world(), pull, fields["state"], by)
    return jsonify(pull_full(shapes(), found, pull))


@endpoint("GET", f"{_PULL}/merge")
def _is_merged(owner: str, repo: str, pull_number: int) -> Answer:
    _, pull = the_pull(owner, repo, pull_number)
    if not world().lags.seen(pull, world().now()).merged:
        raise RefusedError(404, "Not Found")
    return "", 204


@endpoint("PUT", f"{_PULL}/merge")
def _merge(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    by = writer(found)
    fields = body("commit_title", "commit_message", "sha", "merge_method")
    if fields.get("merge_method") is not None:
        chosen(fields["merge_method"], tuple(Method), "PullRequest", "merge_method")
    sha = fields.get("sha")
    if sha is not None and not re.fullmatch(r"[0-9a-f]{40}", str(sha)):
        raise invalid("PullRequest", "sha is not a valid commit SHA", "sha")
    broken = _fault_before_merge(found, pull)
    if broken is not None:
        return broken
    where = (found.full_name, pull.number)
    late = world().faults.fires(FaultId.READ_LAG, *where, when=lambda fault: not fault.args.get("checks"))
    if late is not None:
        world().lags.hold(pull, world().now() + late.delay_s)
    landed = merging.merge(
        world(),
        pull,
        Method(fields.get("merge_method") or Method.MERGE),
        by=by,
        sha=sha,
        title=fields.get("commit_title"),
        message=fields.get("commit_message"),
    )
    if world().faults.fires(FaultId.MERGE_RESET, *where, when=_lands):
        outages.hang_up()
    lie = world().faults.fires(FaultId.MERGE_LIE_MERGED, *where)
    if lie is not None:
        return outages.broken(lie)
    return jsonify({"sha": landed, "merged": True, "message": "Pull Request successfully merged"})


@endpoint("PUT", f"{_PULL}/update-branch")
def _update_branch(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    by = changer(found)
    fields = body("expected_head_sha")
    updating.ask_for_update(world(), pull, by, expected=fields.get("expected_head_sha"))
    url = f"{shapes().web}/{found.full_name}/pull/{pull.number}"
    return jsonify({"message": "Updating pull request branch.", "url": url}), 202


def _lands(fault: Fault) -> bool:
    return bool(fault.args.get("landed", True))


def _fault_before_merge(repo: Repo, pull: Pull) -> Answer | None:
    """What goes wrong just before; a raced merge still succeeds unless the fault's args say ``refuse``."""
    faults = world().faults
    where = (repo.full_name, pull.number)
    if faults.fires(FaultId.MERGE_RESET, *where, when=lambda fault: not _lands(fault)):
        outages.hang_up()
    outage = faults.fires(FaultId.MERGE_5XX_NOP, *where)
    if outage is not None:
        return outages.broken(outage)
    if faults.fires(FaultId.MERGE_BASE_MODIFIED, *where):
        raise MergeRefused(405, merging.BASE_MODIFIED)
    if pushed := faults.fires(FaultId.MERGE_HEAD_PUSH, *where):
        head = world().repo(pull.head_repo)
        files = pushed.args.get("files") or {f"pushed-{pushed.hits}.txt": "just before the merge\n"}
        refs.push(world(), head, pull.head_ref, files, by=pull.author, message=None, onto=None)
    if raced := faults.fires(FaultId.MERGE_RACE_PUSH, *where):
        files = raced.args.get("files") or {f"raced-{raced.hits}.txt": "just before the merge\n"}
        refs.push(world(), repo, pull.base_ref, files, by="racer", message=None, onto=None)
        if raced.args.get("refuse"):
            raise MergeRefused(405, merging.BASE_MODIFIED)
    return None


@endpoint("GET", f"{_PULL}/commits")
def _commits(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    parameters()
    shown = shapes()
    return paged(world().listed_commits(pull)[:250], lambda info: shown.commit(found, info))


@endpoint("GET", f"{_PULL}/files")
def _files(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    parameters()
    shown = shapes()
    return paged(world().changes_of(pull)[:3000], lambda change: file_shape(shown, found, pull.head_sha, change))


@endpoint("GET", f"{_PULL}/reviews")
def _reviews(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    parameters()
    shown = shapes()
    return paged(pull.reviews, lambda review: review_shape(shown, found, pull, review))


@endpoint("POST", f"{_PULL}/reviews")
def _review(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    by = changer(found)
    fields: Json = body("body", "event", "commit_id", "comments")
    event = chosen(
        required(fields, "PullRequestReview", "event"), tuple(pulls.REVIEW_EVENTS), "PullRequestReview", "event"
    )
    if fields.get("commit_id") not in (None, pull.head_sha) or fields.get("comments"):
        raise NotSimulatedError("a review with comments in the code, or of a commit that is not the head")
    review = pulls.review(world(), pull, by, pulls.REVIEW_EVENTS[event], fields.get("body") or "")
    return jsonify(review_shape(shapes(), found, pull, review))


def _the_review(owner: str, repo: str, pull_number: int, review_id: int) -> tuple[Repo, Pull, Review]:
    found, pull = the_pull(owner, repo, pull_number)
    given = next((review for review in pull.reviews if review.id == review_id), None)
    if given is None:
        raise not_found()
    return found, pull, given


@endpoint("GET", f"{_PULL}/reviews/<int:review_id>")
def _get_review(owner: str, repo: str, pull_number: int, review_id: int) -> Answer:
    found, pull, given = _the_review(owner, repo, pull_number, review_id)
    parameters()
    return jsonify(review_shape(shapes(), found, pull, given))


@endpoint("PUT", f"{_PULL}/reviews/<int:review_id>/dismissals")
def _dismiss(owner: str, repo: str, pull_number: int, review_id: int) -> Answer:
    found, pull, given = _the_review(owner, repo, pull_number, review_id)
    by = writer(found)
    required(body("message", "event"), "PullRequestReview", "message")
    dismissed = pulls.dismiss(world(), pull, given, by)
    return jsonify(review_shape(shapes(), found, pull, dismissed))


@endpoint("GET", f"{_PULL}/requested_reviewers")
def _requested(owner: str, repo: str, pull_number: int) -> Answer:
    _, pull = the_pull(owner, repo, pull_number)
    parameters()
    shape = pull_summary(shapes(), world().repo_of(pull), pull)
    return jsonify({"users": shape["requested_reviewers"], "teams": shape["requested_teams"]})


@endpoint("POST", f"{_PULL}/requested_reviewers")
def _request_reviews(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    by = triager(found)
    fields = body("reviewers", "team_reviewers")
    asking.request_reviews(world(), pull, fields.get("reviewers") or (), fields.get("team_reviewers") or (), by)
    return jsonify(pull_summary(shapes(), found, pull)), 201


@endpoint("DELETE", f"{_PULL}/requested_reviewers")
def _withdraw_requests(owner: str, repo: str, pull_number: int) -> Answer:
    found, pull = the_pull(owner, repo, pull_number)
    by = triager(found)
    fields = body("reviewers", "team_reviewers")
    if "reviewers" not in fields:
        raise RefusedError(422, 'Invalid request.\n\n"reviewers" wasn\'t supplied.')
    asking.withdraw(world(), pull, fields["reviewers"], fields.get("team_reviewers") or (), by)
    return jsonify(pull_summary(shapes(), found, pull))
