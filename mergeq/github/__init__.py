"""The one door to GitHub: what we ask, how its answers are read, and what its refusals mean. Its vocabulary stops
here.
"""

from mergeq.github.client import GitHub, Landing, MergeAnswer, MergeVerdict, Refused, Unreadable

__all__ = ["GitHub", "Landing", "MergeAnswer", "MergeVerdict", "Refused", "Unreadable"]
