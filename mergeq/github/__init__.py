"""The one door to GitHub: what we ask, how its answers are read, and what its refusals mean. Its vocabulary stops
here.
"""

from mergeq.github.auth import App, Credentials, NoCredentials, Pat, key_of
from mergeq.github.budget import HeldBack, Meter
from mergeq.github.client import GitHub, Landing, LastLook, Look, Seen
from mergeq.github.merging import MergeAnswer, MergeVerdict, is_about_base
from mergeq.github.protecting import Changed, Protecting
from mergeq.github.wire import Refused, Reply, Unreadable, Wire

__all__ = [
    "App",
    "Changed",
    "Credentials",
    "GitHub",
    "HeldBack",
    "Landing",
    "LastLook",
    "Look",
    "MergeAnswer",
    "MergeVerdict",
    "Meter",
    "NoCredentials",
    "Pat",
    "Protecting",
    "Refused",
    "Reply",
    "Seen",
    "Unreadable",
    "Wire",
    "is_about_base",
    "key_of",
]
