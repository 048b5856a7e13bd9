"""dYdX v1 vectors: P1Deleveraging, github:dydxprotocol/perpetual@87f2263 (Apache-2.0); adl-rules.md section 2."""

from fractions import Fraction

from msgspec import Struct

from replay.conform.answers import Solved
from replay.conform.given import Given, InapplicableError, unique_ids
from replay.conform.stage import Held, Listed, Party, Stage
from replay.presets import preset

__all__ = ["SOLVERS", "Balance", "Done", "deleverage", "may_deleverage"]

MARKET, MAKER, TAKER = "market", "maker", "taker"
THROUGH = "preset dydx-v1: trigger, plan"
ROUNDING = "up if liquidated is long, down if short"


class Balance(Struct, frozen=True):
    """Signed whole units of margin and position."""

    margin: int
    position: int


class Done(Struct, frozen=True):
    """A match that was made: both sides afterwards, and how much of position and margin moved."""

    maker: Balance
    taker: Balance
    moved: int
    margin: int


def deleverage(maker: Balance, taker: Balance, price: Fraction, amount: int, *, buys: bool, all_or_nothing: bool) -> Done | str:
    """Return what the preset does with two accounts at that oracle price, or the refusal.

    ``maker`` is the underwater account, by the preset's trigger; ``buys`` says that the taker takes its long. The margin moved
    is what the plan's price brings in, in whole units for the maker: rounded up if it is long, down if it is short.
    """
    parties = {
        name: Party(Fraction(one.margin), {MARKET: Held(Fraction(one.position))})
        for name, one in ((MAKER, maker), (TAKER, taker))
    }
    stage = Stage({MARKET: Listed(price)}, parties, [preset("dydx-v1").texts], losers=[MAKER])
    if not stage.holds(stage.draft(MAKER, MARKET), stage.policy()):
        return "maker_not_underwater"
    refusal = _refusal(maker, taker, amount, buys=buys, all_or_nothing=all_or_nothing)
    if refusal is not None:
        return refusal
    # The contract closes no more than there is of either.
    wanted = min(amount, abs(maker.position))
    if wanted == 0:
        return Done(maker, taker, 0, 0)
    opened = stage.draft(MAKER, MARKET, size=Fraction(wanted if maker.position > 0 else -wanted))
    stage.begin(opened, [TAKER])
    closes = stage.plan(opened, stage.policy()).closes
    if not closes:
        return Done(maker, taker, 0, 0)
    moved = closes[0].size
    signed = moved if maker.position > 0 else -moved
    cash = stage.whole(MARKET, signed, stage.close(opened, closes[0]), stage.rounding())
    positions = [int(stage.held(name, MARKET)) for name in (MAKER, TAKER)]
    return Done(Balance(maker.margin + cash, positions[0]), Balance(taker.margin - cash, positions[1]), moved, abs(cash))


def _refusal(maker: Balance, taker: Balance, amount: int, *, buys: bool, all_or_nothing: bool) -> str | None:
    """Return why the contract refuses the arguments of a call about an underwater maker, in its order."""
    if all_or_nothing and abs(maker.position) < amount:
        return "all_or_nothing_maker"
    if buys is not (maker.position > 0):
        return "would_increase_maker"
    if (taker.position > 0) is (maker.position > 0):
        return "taker_wrong_sign"
    if all_or_nothing and abs(taker.position) < amount:
        return "all_or_nothing_taker"
    if maker.margin < 0 and maker.position <= 0:
        raise InapplicableError(
            "position and margin are both negative: the contract refuses it, and no vector says by which word"
        )
    return None


def may_deleverage(*, operator: bool, seconds_past_timelock: Fraction) -> bool:
    """Return whether a sender may call: the operator always, anybody else once the account's mark is old enough."""
    return operator or seconds_past_timelock >= 0


def adl_match(given: Given) -> Solved:
    """Answer one match: what moved, who has what afterwards, or the refusal."""
    params, rows = given.sub("params"), given.rows("accounts")
    names = unique_ids(rows)
    positions = {row.choice("account", *names): row.whole("size") for row in given.rows("positions")}
    balances = {name: Balance(row.whole("margin"), positions.get(name, 0)) for name, row in zip(names, rows, strict=True)}
    price = given.sub("prices").sub("index").number("oracle")
    maker, taker = params.choice("liquidated", *names), params.choice("offsetting", *names)
    amount, whole, buys = params.whole("amount"), params.flag("all_or_nothing"), params.flag("is_buy")
    if "margin_rounding" in params:
        params.choice("margin_rounding", ROUNDING)
    if maker == taker or amount < 0:
        raise InapplicableError("an account cannot be matched with itself, nor for less than nothing")
    done = deleverage(balances[maker], balances[taker], price, amount, buys=buys, all_or_nothing=whole)
    if isinstance(done, str):
        by_preset = done == "maker_not_underwater"
        return Solved({"result": done}, "preset dydx-v1: trigger" if by_preset else "preset dydx-v1: trigger; venue function")
    balances |= {maker: done.maker, taker: done.taker}
    through = THROUGH if done.moved else "preset dydx-v1: trigger"
    after = [{"id": name, "margin": held.margin, "position": held.position} for name, held in balances.items()]
    return Solved({"result": "ok", "base_executed": done.moved, "margin_moved": done.margin, "after": after}, through)


def permission(given: Given) -> Solved:
    """Answer whether a sender may deleverage an account that was marked some time ago."""
    params = given.sub("params")
    operator = params.choice("sender", "anyone", "operator") == "operator"
    params.leave("timelock_s")
    for row in (*given.rows("accounts"), *given.rows("positions")):
        row.leave("id", "margin", "account", "size")  # who may call does not depend on them
    given.sub("prices").sub("index").leave("oracle")
    past = Fraction(0) if operator else params.number("seconds_after_mark_minus_timelock")
    if operator:
        params.leave("seconds_after_mark_minus_timelock")
    return Solved({"allowed": may_deleverage(operator=operator, seconds_past_timelock=past)})


SOLVERS = {"adl_match": adl_match, "permission": permission}
