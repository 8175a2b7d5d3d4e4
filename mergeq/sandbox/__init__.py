"""GitHub, offline: real git repositories behind GitHub's HTTP API, its CI, its webhooks, its faults, its clock."""

from mergeq.sandbox.clock import Clock, ManualClock, RealClock
from mergeq.sandbox.records import CiConfig, CiKind
from mergeq.sandbox.refusals import MergeRefused, RefusedError
from mergeq.sandbox.sandbox import Sandbox
from mergeq.sandbox.server import WsgiAdapter
from mergeq.sandbox.world import World

__all__ = [
    "CiConfig",
    "CiKind",
    "Clock",
    "ManualClock",
    "MergeRefused",
    "RealClock",
    "RefusedError",
    "Sandbox",
    "World",
    "WsgiAdapter",
]
