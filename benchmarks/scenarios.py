"""Every shipped scenario as a whole under some policies: what it comes to, and how long it takes.

python benchmarks/scenarios.py [SCENARIO ...] [--policy NAME ...]
"""

import argparse
import time
from collections import Counter

from msgspec.structs import replace

from events.model import AdlClose, AdlRound, InsuranceDraw, Liquidation
from replay.audit import audit_events
from replay.deficits import register
from replay.presets import preset, presets
from replay.scenarios import load, play, shipped


def main() -> None:
    """Print one line for each scenario and policy. Seconds are of the events, then of their audit and register."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("scenario", nargs="*", default=shipped())
    parser.add_argument("--policy", nargs="*", default=list(presets()))
    arguments = parser.parse_args()
    columns = ("events", "liquid.", "draws", "rounds", "closes", "deficit", "left", "make s", "judge s")
    print(f"{'scenario':<13}{'policy':<20}" + "".join(f"{name:>11}" for name in columns) + "  verdicts")
    for name in arguments.scenario:
        for policy in arguments.policy:
            print(_line(name, policy), flush=True)


def _line(name: str, policy: str) -> str:
    scenario = replace(load(name), policy=preset(policy).texts)
    begun = time.perf_counter()
    events = list(play(scenario))
    made = time.perf_counter()
    kinds = Counter(type(event) for event in events)
    verdicts = Counter(verdict.verdict for verdict in audit_events(enumerate(events, 1)))
    found = register(enumerate(events, 1))
    judged = time.perf_counter()
    unit = 10**scenario.money_decimals
    totals = (found.users, found.venue)
    counts = (
        len(events),
        *(kinds[kind] for kind in (Liquidation, InsuranceDraw, AdlRound, AdlClose)),
        sum(total.deficit_cash for total in totals) // unit,
        sum(total.left_cash for total in totals) // unit,
    )
    cells = "".join(f"{count:>11,}" for count in counts)
    return f"{name:<13}{policy:<20}{cells}{made - begun:>11.1f}{judged - made:>11.1f}  {dict(verdicts)}"


if __name__ == "__main__":
    main()
