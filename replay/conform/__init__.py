"""Conformance: other people's numbers, recomputed from their inputs by rules of ours.

``conform(folder)`` runs every vector of a folder. Each module here answers for one venue or one group of venues: by the venue's
preset wherever that decides what is stated, on a small ledger (``stage``), and else by functions of the venue's own mechanics.
"""

from replay.conform.runner import Result, Status, conform

__all__ = ["Result", "Status", "conform"]
