"""Vectors of venues whose ADL is a ranked queue: Binance, BitMEX, CoinCatch, KuCoin. Sources in adl-rules.md 3, 4 and 13.

BitMEX and CoinCatch state scores or ranks and not the figures that they come of. So accounts are made whose figures give these
scores under the preset's key, profit over entry notional times notional over equity; the preset ranks and closes them.
"""

from collections.abc import Mapping
from fractions import Fraction
from math import lcm

from events.units import Contract
from replay.conform.answers import Answer, ById, Printed, Solved
from replay.conform.given import Given, InapplicableError, signed_size, unique_ids
from replay.conform.stage import Held, Listed, Party, Stage, fraction
from replay.core.policy import Atom, Key
from replay.core.ranking import rank
from replay.core.scoring import scores, terms
from replay.lights import lights
from replay.presets import preset

__all__ = ["BINANCE", "BITMEX", "COINCATCH", "KUCOIN", "holders", "mark_for"]

BINANCE_OLD = "max(0,UP)/max(1,WB) * MM/(WB+UP)"
MARKET = "market"
LOSER = "the one that is closed"


# ---- Binance


def _binance_rank(given: Given) -> Solved:
    """dev.binance.vision/t/17801: one account; ``margin_ratio`` is MM / (WB + UP), and without that equity the score is 0."""
    account, params = given.row("accounts"), given.sub("params")
    account.leave("id")
    params.choice("formula", BINANCE_OLD)
    wallet, profit = account.number("wallet_balance"), account.number("unrealised")
    equity, ratio = wallet + profit, params.number("margin_ratio")
    figures = {
        Atom.GAIN: max(profit, Fraction(0)),
        Atom.BALANCE: wallet,
        Atom.EQUITY: equity,
        Atom.MAINTENANCE: max(ratio * equity, Fraction(0)),
    }
    percent, score = _return_and_score(preset("binance-old").policy.key, figures)
    return Solved({"pnl_percent": Printed(percent), "leverage_pnl": Printed(score)}, "preset binance-old: key")


def _return_and_score(key: Key, figures: Mapping[Atom, Fraction]) -> tuple[Fraction, Fraction]:
    """Return a candidate's return and score by a key, from its figures: columns of one candidate on a grid that is exact."""
    steps = lcm(*(figure.denominator for figure in figures.values()))
    columns = {atom: [int(figure * steps)] for atom, figure in figures.items()} | {Atom.SIZE: [1], Atom.ONE: [1]}
    missing = [atom for measure in (key.returns, key.leverage) if measure for atom in (measure.top, measure.bottom)]
    if key.returns is None or not columns.keys() >= set(missing):
        raise InapplicableError("the preset's key looks at figures that are not in given")
    returns = terms(key.returns, columns.__getitem__, steps)
    (score,) = scores(key, columns.__getitem__, steps)
    return Fraction(returns.numerators[0], returns.denominators[0]), Fraction(0) if score is None else fraction(score)


# ---- BitMEX and CoinCatch


def holders(scored: Mapping[str, tuple[Fraction, Fraction]], mark: Fraction) -> dict[str, Party]:
    """Return parties whose position and equity give them their score at that mark, from (score, signed size) by name.

    The entry is half the mark or twice it, for a return of one or a half, or mark for a score of 0; the equity then gives the
    leverage that the score needs.
    """
    parties = {}
    for name, (score, size) in scored.items():
        gains = score * size
        entry = mark if score == 0 else mark / 2 if gains > 0 else mark * 2
        profit = abs(entry - mark) / entry
        leverage = Fraction(1) if score == 0 else score / profit if score > 0 else profit / -score
        equity = mark * abs(size) / leverage
        parties[name] = Party(equity - mark * size, {MARKET: Held(size, entry)})
    return parties


def mark_for(scored: Mapping[str, tuple[Fraction, Fraction]]) -> Fraction:
    """Return a mark at which every equity of ``holders`` is a whole number."""
    return Fraction(2 * lcm(*(score.numerator if score > 0 else score.denominator for score, _ in scored.values() if score)))


def _scored(given: Given) -> dict[str, tuple[Fraction, Fraction]]:
    """Return score and contracts by id. The order of equal scores is left open by the venue."""
    rows = given.rows("accounts")
    by_id = {name: row.number("score") for name, row in zip(unique_ids(rows), rows, strict=True)}
    held = {row.choice("account", *by_id): abs(row.number("size")) for row in given.rows("positions")}
    if len(set(by_id.values())) < len(by_id) or set(held) != set(by_id) or len(held) < len(given.rows("positions")):
        raise InapplicableError("two accounts have the same score, which the venue does not order, or not one position each")
    if not held or not all(held.values()):
        raise InapplicableError("an account has no position")
    return {name: (by_id[name], size) for name, size in held.items()}


def _bitmex_rank(given: Given) -> Solved:
    """bitmex.com/app/autoDeleveragingExamples: the order, and the percentile that is shown to each."""
    rule, scored = preset("bitmex"), _scored(given)
    mark = mark_for(scored)
    stage = Stage({MARKET: Listed(mark)}, holders(scored, mark), [rule.texts])
    queue = lights(stage.state, 0, 1, stage.policy(), rule.lights)
    if queue.missing:
        raise InapplicableError(f"the queue misses {', '.join(queue.missing)}")
    shown = [(stage.name(place.ranked.account), place.percentile) for place in queue.places]
    return Solved(
        {
            "order": [name for name, _ in shown],
            "percentile_shown": ById({name: fraction(percentile) for name, percentile in shown if percentile is not None}),
        },
        "preset bitmex: key, lights",
    )


def _bitmex_allocation(given: Given) -> Solved:
    params = given.sub("params")
    params.choice("allocation", "greedy by score")
    bankruptcy, size = given.sub("prices").number("bankruptcy"), params.number("liquidated_short")
    scored = _scored(given)
    return _allocation("bitmex", scored, mark_for(scored), -size, bankruptcy)


def _coincatch_allocation(given: Given) -> Solved:
    """coincatch.zendesk.com 8378691164047: by rank, at the bankruptcy price of the one that is closed."""
    params = given.sub("params")
    params.choice("allocation", "greedy by rank")
    params.choice("close_price", "bankruptcy price of the liquidated order")
    rows = given.rows("positions")
    losers = [row for row in rows if "bankruptcy_price" in row]
    if len(losers) != 1:
        raise InapplicableError("not one position has a bankruptcy price")
    (loser,) = losers
    loser.leave("account", "entry", "liquidation_price")
    ranks = {row.text("account"): (row.number("rank"), signed_size(row)) for row in rows if row is not loser}
    if len({(number, size > 0) for number, size in ranks.values() if size}) < len(rows) - 1:
        raise InapplicableError("two positions of one side have the same rank or account, or one is flat")
    # Only their order is stated; by powers of two every equity ends in decimals.
    ordered = sorted(ranks, key=lambda name: -ranks[name][0])
    scored = {name: (Fraction(2**number), ranks[name][1]) for number, name in enumerate(ordered)}
    bankruptcy = loser.number("bankruptcy_price")
    return _allocation("coincatch", scored, given.sub("prices").number("mark"), signed_size(loser), bankruptcy)


def _allocation(
    name: str, scored: Mapping[str, tuple[Fraction, Fraction]], mark: Fraction, size: Fraction, bankruptcy: Fraction
) -> Solved:
    """Answer whom the plan closes of a loser's position, at which price, and what is left to those closed in part."""
    if LOSER in scored:
        raise InapplicableError(f"an account is called {LOSER!r}")
    if size == 0:
        return Solved({"fills": [], "left": ById()}, f"preset {name}: plan")
    parties = {**holders(scored, mark), LOSER: Party(-size * bankruptcy, {MARKET: Held(size)})}
    stage = Stage({MARKET: Listed(mark)}, parties, [preset(name).texts], losers=[LOSER])
    opened = stage.draft(LOSER, MARKET)
    stage.begin(opened)
    fills: list[Answer] = []
    left = {}
    for close in stage.plan(opened, stage.policy()).closes:
        price = stage.unrounded(MARKET, close.price, bankruptcy, long=size > 0)
        winner = stage.name(close.winner)
        stage.close(opened, close)
        fills.append({"account": winner, "size": stage.size(MARKET, close.size), "price": price})
        left[winner] = abs(stage.held(winner, MARKET))
    return Solved({"fills": fills, "left": ById({who: rest for who, rest in left.items() if rest})}, f"preset {name}: plan")


# ---- KuCoin


def _kucoin_rank(given: Given) -> Solved:
    """support.kucoin.com 35084312224281, cross margin: the score is the return that it ranks by."""
    position, params = given.row("positions"), given.sub("params")
    position.leave("account", "multiplier")
    size, entry, mark = signed_size(position), position.number("entry"), given.sub("prices").number("mark")
    if min(entry, mark) <= 0 or size == 0:
        raise InapplicableError("a price is not above zero, or there is no position")
    contract = Contract.INVERSE if params.choice("contract", "linear", "inverse") == "inverse" else Contract.LINEAR
    stage = Stage(
        {MARKET: Listed(mark, contract)}, {"a": Party(Fraction(0), {MARKET: Held(size, entry)})}, [preset("kucoin").texts]
    )
    ranking = rank(stage.state, 0, 1 if size > 0 else -1, stage.policy())
    if ranking.missing or ranking.ranked[0].score is None:
        raise InapplicableError("the preset's key gives no score")
    return Solved({"position_return_pct": Printed(100 * fraction(ranking.ranked[0].score))}, "preset kucoin: key")


BINANCE = {"rank": _binance_rank}
BITMEX = {"allocation": _bitmex_allocation, "rank": _bitmex_rank}
COINCATCH = {"allocation": _coincatch_allocation}
KUCOIN = {"rank": _kucoin_rank}
