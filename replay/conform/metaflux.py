"""MetaFlux vectors: the liquidation ladder, a partial close, and netting at mark. The preset is the haircut after these.

Source: github:mtf-exchange/metaflux-knowledges@9597aff, docs/concepts/{adl,tiered-liquidation}.md; adl-rules.md section 14.
"""

from fractions import Fraction

from replay.conform.answers import Solved
from replay.conform.given import Given, InapplicableError, signed_size, unique_ids
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core import margin

__all__ = ["SOLVERS", "netted_size", "tier"]

MARKET, NAME = "market", "account"
BANDS = "safe>=1.1, T0>=1.0, T1>=0.8, T2>=0.667, else T3"
FLOORS = (("safe", "1.1"), ("T0", "1.0"), ("T1", "0.8"), ("T2", "0.667"))


def tier(value: Fraction, required: Fraction) -> str:
    """Return the tier of an account value against a maintenance margin: the first whose floor the ratio reaches."""
    if required == 0:
        return "safe"
    return next((name for name, floor in FLOORS if value >= Fraction(floor) * required), "T3")


def netted_size(shortfall: Fraction, size: Fraction, entry: Fraction, mark: Fraction) -> Fraction:
    """Return how much of a winner's signed position is closed at mark so that it realises the shortfall, at most all."""
    profit = size * (mark - entry)
    return size * min(shortfall / profit, Fraction(1)) if profit > 0 else Fraction(0)


def _isolated(given: Given) -> tuple[Fraction, Fraction, Fraction, Fraction, Fraction]:
    """Return bucket, size, entry, mark and maintenance rate of the one account."""
    account, position = given.row("accounts"), given.row("positions")
    position.choice("account", account.text("id"))
    mark, rate = given.sub("prices").number("mark"), given.sub("params").number("maintenance")
    return account.number("bucket"), signed_size(position), position.number("entry"), mark, rate


def trigger(given: Given) -> Solved:
    """Answer an account's health, by the core's margins, and the tier that the bands give it, which no preset has."""
    given.sub("params").choice("bands", BANDS)
    bucket, size, entry, mark, rate = _isolated(given)
    party = Party(bucket - size * entry, {MARKET: Held(size, entry)})
    stage = Stage({MARKET: Listed(mark, initial=rate, maintenance=rate)}, {NAME: party}, [])
    value, required = stage.equity(NAME), stage.money(margin.maintenance(stage.state, stage.account(NAME)))
    if required == 0:
        raise InapplicableError("there is no maintenance margin, so health is not defined")
    return Solved({"health": value / required, "tier_by_rule": tier(value, required)}, "core: margin; venue function")


def adl_match(given: Given) -> Solved:
    """Answer a partial close at mark, or netting against the one profitable opposite position."""
    return _partial(given) if "close_fraction" in given.sub("params") else _netting(given)


def _partial(given: Given) -> Solved:
    bucket, size, entry, mark, rate = _isolated(given)
    closed = given.sub("params").number("close_fraction")
    left = size * (1 - closed)
    realised = size * closed * (mark - entry)
    value, required = bucket + realised + left * (mark - entry), rate * abs(left) * mark
    answer: dict[str, object] = {
        "realised": realised,
        "bucket_after": bucket + realised,
        "account_value_after": value,
        "maintenance_after": required,
    }
    return Solved({**answer, "health_after": value / required} if required else answer)


def _netting(given: Given) -> Solved:
    rows = given.rows("accounts")
    if len(unique_ids(rows)) != 1:
        raise InapplicableError("the rule is for one account with a shortfall")
    loser = rows[0].text("id")
    rows[0].leave("equity")  # the shortfall is what is left of the loss after it
    shortfall, mark = rows[0].number("shortfall"), given.sub("prices").number("mark")
    held = {row.text("account"): (row.number("size"), row.number("entry")) for row in given.rows("positions")}
    if loser not in held or len(held) != 2:  # noqa: PLR2004  a pair
        raise InapplicableError("the rule is for the loser and one opposite position")
    winner = next(name for name in held if name != loser)
    size, entry = held[winner]
    if size * held[loser][0] >= 0:
        raise InapplicableError("the two positions are not opposite")
    closed = netted_size(shortfall, size, entry, mark)
    return Solved({f"{winner}_size_after": size - closed, f"{winner}_realised": closed * (mark - entry)})


SOLVERS = {"adl_match": adl_match, "trigger": trigger}
