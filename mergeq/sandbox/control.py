"""``/_sim``: the controls that GitHub does not have; hits, faults, clock, seeds and CI logs."""

from __future__ import annotations

import re
from typing import Any

from flask import Blueprint, Response, jsonify, request

from mergeq.sandbox import acts
from mergeq.sandbox.faults import Fault, FaultId
from mergeq.sandbox.refusals import RefusedError
from mergeq.sandbox.rest import Answer
from mergeq.sandbox.site import site, world

control = Blueprint("control", __name__, url_prefix="/_sim")
_UNITS = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0}


@control.get("/hits")
def _hits() -> Answer:
    return jsonify(site().hits.counts())


@control.get("/faults")
def _faults() -> Answer:
    return jsonify([_shown(fault) for fault in world().faults.listed()])


@control.post("/faults")
def _add_fault() -> Answer:
    asked: dict[str, Any] = request.get_json(force=True)
    unknown = asked.keys() - {"id", "match", "times", "after", "args"}
    match = asked.get("match") or {}
    unknown |= match.keys() - {"repo", "pr"}
    if unknown or asked.get("id") not in set(FaultId):
        what = f"key {min(unknown)}" if unknown else f"fault {asked.get('id')}"
        return jsonify({"message": f"unknown {what}", "known": list(FaultId)}), 422
    fault = world().faults.add(
        asked["id"],
        repo=match.get("repo"),
        pr=match.get("pr"),
        times=asked.get("times", 1),
        after=asked.get("after", 0),
        args=asked.get("args"),
    )
    try:
        acts.carry_out(world(), fault)
    except (KeyError, RefusedError) as error:
        return jsonify({"message": f"{fault.id}: {error.args[0]}"}), 422
    return jsonify(_shown(fault)), 201


def _shown(fault: Fault) -> dict[str, Any]:
    return {
        "id": fault.id,
        "match": {"repo": fault.repo, "pr": fault.pr},
        "times": fault.times,
        "after": fault.after,
        "args": dict(fault.args),
        "hits": fault.hits,
    }


@control.post("/clock")
def _clock() -> Answer:
    clock = world().clock
    asked = request.get_json(force=True).get("advance", 0)
    span = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd]?)", str(asked))
    if span is None:
        return jsonify({"message": f"advance is a number of seconds or like 30s, 5m; not {asked!r}"}), 422
    clock.advance(float(span[1]) * _UNITS[span[2]])
    return jsonify({"now": clock.now()})


@control.post("/seed")
def _seed() -> Answer:
    try:
        site().load(request.get_json(force=True))
    except ValueError as error:
        return jsonify({"message": str(error)}), 422
    return jsonify({"repos": [repo.full_name for repo in world().repos()]}), 201


@control.post("/reset")
def _reset() -> Answer:
    """Forget hits and faults; the world stays."""
    site().hits.clear()
    world().faults.clear()
    return "", 204


@control.get("/ci/<int:number>")
def _ci_log(number: int) -> Answer:
    log = world().ci.logs.get(number)
    if log is None:
        return jsonify({"message": f"run {number} has no log (yet)"}), 404
    return Response(log, mimetype="text/plain")
