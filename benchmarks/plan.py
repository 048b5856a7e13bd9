"""Speed of planning one ADL round over many candidates, beside numpy's sort of the same scores.

The core's ``plan``, ``plan_fast`` with columns, ``numpy.sort`` and ``numpy.argsort`` of the scores as float64, interleaved in
one run; medians and their ratios are what is compared. What it costs to make the columns is measured apart. Each plan is
compared with the core's. ``python benchmarks/plan.py [--candidates N] [--repeats N] [--output FILE]``
"""

import argparse
import json
import platform
import sys
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))

from generate import opening_events  # found by the line above; benchmarks is no package
from run import interleaved

from events.model import FIRST_FREE_ACCOUNT, AdlRound, AnyEvent, Fill, PriceRule, PriceTick, Reason, Taker, Transfer
from replay.columns import Columns, plan_fast
from replay.core.evolve import evolve
from replay.core.margin import equity
from replay.core.plan import plan
from replay.core.policy import Policy
from replay.core.spelling import parse_texts
from replay.core.state import State
from replay.presets import preset

LOSER = FIRST_FREE_ACCOUNT
MARK = 1_000_000
SIZE_MAX = 1_000_000
CLOSED = (10, 1_000, 20_000)
# Of the candidates one in so many is exactly as the one before it, and one in so many holds a second market.
TIE_STEP = 20
SECOND_STEP = 10
# What the project promises, for rounds that close up to so many accounts: a plan within so many times the sort.
RATIO_MAX = 10
PROMISED_UP_TO = 1_000


def spread(place: int, step: int, count: int) -> int:
    """Return a number below ``count``, spread over them as places go on."""
    return place * step % 2_147_483_647 % count


def trades(candidates: int) -> Iterator[AnyEvent]:
    """Yield deposits and sales of ``candidates`` accounts to the loser, most of them with a profit at mark."""
    rest = (0, 0, None, Taker.BUYER, None, None, None, None, None, None)
    for place in range(candidates):
        account = LOSER + 1 + place
        drawn = place - 1 if place % TIE_STEP == 1 else place
        size, price = 1 + spread(drawn, 48_271, SIZE_MAX), 980_000 + spread(drawn, 69_621, 100_000)
        leverage = 2 + spread(drawn, 39_373, 19)
        yield Transfer(0, 0, 0, 0, account, size * price // leverage, Reason.DEPOSIT, None)
        yield Fill(0, 0, 0, 0, LOSER, account, price, size, *rest)
        if place % SECOND_STEP == 0:
            yield Fill(0, 0, 0, 1, LOSER, account, price, 1 + size // SECOND_STEP, *rest)


def built(candidates: int) -> State:
    """Return a state in which so many accounts hold the other side of the loser's position."""
    state = State()
    ticks = [PriceTick(0, 0, 0, market, MARK, None) for market in (0, 1)]
    for seq, event in enumerate([*opening_events(candidates + 1, 2), *trades(candidates), *ticks], 1):
        evolve(state, cast("AnyEvent", event), seq)
    return state


def a_round(accounts: int) -> AdlRound:
    """Return a round that closes about so many accounts."""
    stated = (None, PriceRule.MARK, None, None, None, None, (), None, None, None, None)
    return AdlRound(0, 0, 0, 0, LOSER, 0, accounts * SIZE_MAX // 2, *stated)


def float_scores(state: State) -> NDArray[np.float64]:
    """Return the scores of all candidates in float64, as the preset has them."""
    found = []
    for account, position in state.positions[0].items():
        worth, value = equity(state, account), position.size * MARK
        if account != LOSER and worth is not None:
            gain = (value - position.cost) / abs(position.cost)
            leverage = abs(value) / max(worth, 1)
            found.append(gain * leverage if gain > 0 else gain / leverage)
    return np.array(found)


def measure(candidates: int, repeats: int) -> dict[str, object]:
    """Build the state, run every comparison and return the figures."""
    state = built(candidates)
    policy: Policy = parse_texts(preset("queue").texts._replace(price="mark"))
    columns, scores = Columns.of(state, 0), float_scores(state)
    rounds = []
    for accounts in CLOSED:
        opened = a_round(accounts)
        expected = plan(state, opened, policy)
        assert plan_fast(columns, state, opened, policy) == expected
        seconds = interleaved(
            {
                "sort": partial(np.sort, scores),
                "argsort": partial(np.argsort, scores),
                "fast": partial(plan_fast, columns, state, opened, policy),
                "core": partial(plan, state, opened, policy),
            },
            repeats,
        )
        ms = {f"{name}_ms": round(value * 1e3, 2) for name, value in seconds.items()}
        rounds.append(
            {
                "closes": len(expected.closes),
                **ms,
                "fast_to_sort": round(seconds["fast"] / seconds["sort"], 2),
                "fast_to_argsort": round(seconds["fast"] / seconds["argsort"], 2),
                "core_to_sort": round(seconds["core"] / seconds["sort"], 1),
                "core_to_fast": round(seconds["core"] / seconds["fast"], 1),
            }
        )
    making = interleaved({"columns": lambda: Columns.of(state, 0)}, repeats)
    return {
        "machine": {
            "python": platform.python_version(),
            "numpy": np.__version__,
            "processor": platform.machine(),
            "numpy_simd": np.show_config(mode="dicts")["SIMD Extensions"]["found"],
            "system": platform.system(),
        },
        "repeats": repeats,
        "candidates": candidates,
        "columns_ms": round(making["columns"] * 1e3, 1),
        "rounds": rounds,
        "promised": {"fast_to_sort": RATIO_MAX, "closes_up_to": PROMISED_UP_TO},
    }


def main() -> None:
    """Parse the arguments, measure, print the figures, and keep them where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--candidates", type=int, default=200_000)
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--output", type=Path)
    arguments = parser.parse_args()
    text = json.dumps(measure(arguments.candidates, arguments.repeats), indent=2)
    print(text)
    if arguments.output:
        arguments.output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
