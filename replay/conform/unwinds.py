"""Vectors of Ethereal, Kraken and OKX: an unwind to completion, an assignment, and a threshold. adl-rules.md 6 and 13."""

from fractions import Fraction

from events.model import Liquidation, Method, Role, Taker
from events.units import Contract
from replay.conform.answers import Chosen, Printed, Solved
from replay.conform.given import Given, InapplicableError, signed_size
from replay.conform.numbers import exact_close_price, spelled
from replay.conform.stage import Held, Listed, Party, Stage
from replay.conform.triggers import any_clause, bounded, conditions_of_fund
from replay.core.policy import LayerKind, Quantity
from replay.core.pricing import target_size
from replay.presets import preset

__all__ = ["ETHEREAL", "KRAKEN", "OKX"]

MARKET, FUND, OTHERS = "market", "the fund", "the other side"
ETHEREAL_RANK = ["effective leverage desc", "unrealised pnl desc", "account balance asc", "account number desc"]
ETHEREAL_PRICE = "oracle mark capped at bankruptcy price"
SHORTFALL = "the page closes at mark, {0}, and says what moves: the shortfall, which the preset's close at {1} brings in"
OKX_RULE = "8h average minus 30% or 50K, whichever is higher (as paraphrased)"
OKX_LEAST = 50_000
AT_THRESHOLD = "the page does not say whether a reserve exactly at the threshold is too low; the preset starts there"
MONEY_DECIMALS = 18
LARGER_CUT = "'whichever is higher' can mean the threshold or the deduction; the stated number is the larger deduction"
CUT_OFF = "the page cuts the price to whole dollars, which for a long leaves less than zero; rounded for the loser it is one up"
AT_ENTRY = "the page restates the maintenance margin at entry; at the liquidation price, of the value there, it is {0}"


def _ethereal_match(given: Given) -> Solved:
    """docs.ethereal.trade/trading/perpetual-futures/auto-deleveraging: an emptied fund, a loser closed to completion.

    Nobody of the other side is in ``given``: one account with as large a position, entered as the loser's was, stands for it.
    """
    account, position = given.row("accounts"), given.row("positions")
    params, prices = given.sub("params"), given.sub("prices")
    name = position.choice("account", account.text("id"))
    size, entry, equity = signed_size(position), position.number("entry"), account.number("equity")
    if params.texts("rank") != ETHEREAL_RANK or len(prices.keys()) != 1:
        raise InapplicableError("the rank or the markets are not those of the rule")
    params.choice("close_price", ETHEREAL_PRICE)
    mark, fund = prices.number(prices.keys()[0]), params.number("insurance_equity")
    if size == 0 or equity >= 0 or equity - size * (mark - entry) < 0:
        raise InapplicableError("the account has no position, is solvent, or without the position its money is below zero")
    stands_for = Party(abs(size) * (mark + entry), {MARKET: Held(-size, entry)})
    parties = {
        FUND: Party(fund, role=Role.FUND),
        name: Party(equity - size * mark, {MARKET: Held(size, entry)}),
        OTHERS: stands_for,
    }
    if len(parties) < 3:  # noqa: PLR2004  the three above
        raise InapplicableError(f"the account is called {name!r}")
    stage = Stage({MARKET: Listed(mark)}, parties, [preset("ethereal").texts], losers=[name])
    opened = stage.draft(name, MARKET)
    if not stage.holds(opened, stage.policy()):
        raise InapplicableError("by the preset's trigger the fund has money, so nothing is unwound")
    stage.begin(opened)
    closes = stage.plan(opened, stage.policy()).closes
    exact = exact_close_price(Contract.LINEAR, size, size * mark - equity)
    if len(closes) != 1 or exact is None:
        raise InapplicableError("the preset closes nothing")
    price = stage.unrounded(MARKET, closes[0].price, exact, long=size > 0)
    closed = stage.size(MARKET, closes[0].size) * (1 if size > 0 else -1)
    stage.close(opened, closes[0])
    reading = SHORTFALL.format(spelled(mark), spelled(price))
    return Solved(
        {"pnl_transferred": Chosen(closed * (price - mark), reading), f"{name}_closed": stage.held(name, MARKET) == 0},
        "preset ethereal: trigger, plan",
    )


def _kraken_price(given: Given) -> Solved:
    """support.kraken.com 360022835671, coin-margined: the close order's limit is the price of zero equity."""
    account, position, params = given.row("accounts"), given.row("positions"), given.sub("params")
    name = position.choice("account", account.text("id"))
    position.choice("contract", "inverse BTC-USD")
    size, entry, margin = signed_size(position), position.number("entry"), account.number("margin_btc")
    required = params.number("maintenance_margin_btc")
    params.leave("initial_margin_btc")
    if size == 0 or entry <= 0:
        raise InapplicableError("there is no position, or its entry is not above zero")
    value, cash = abs(size) / entry, margin + size / entry
    exact = exact_close_price(Contract.INVERSE, size, -cash)
    if exact is None:
        raise InapplicableError("no positive price leaves the account at zero")
    # What a quotient has beyond the money grid moves the price by less than a step.
    money = Party(Fraction(round(cash * 10**MONEY_DECIMALS), 10**MONEY_DECIMALS), {MARKET: Held(size)})
    stage = Stage({MARKET: Listed(entry, Contract.INVERSE)}, {name: money}, [], losers=[name])
    exact = stage.bankruptcy_price(name, MARKET, exact)
    liquidation = size * (1 + required / value) / cash if size > 0 else size * (1 - required / value) / cash
    limit = Fraction(int(exact))
    there = cash - size / liquidation
    return Solved(
        {
            "position_value_at_entry_btc": value,
            "bankruptcy_price": exact,
            "liquidation_price": Printed(liquidation),
            "ioc_limit_price": Chosen(limit, CUT_OFF) if size > 0 and limit < exact else limit,
            "equity_at_liquidation_btc": Chosen(required, AT_ENTRY.format(spelled(Fraction(int(there * 10**8), 10**8)))),
            f"equity_at_{limit}_exact_btc": Printed(cash - size / limit),
        },
        "core: bankruptcy price; venue function",
    )


def _kraken_assignment(given: Given) -> Solved:
    """Answer what the book did not take, which is assigned (the same page): the preset's target once the book has filled.

    No price is given, and none is needed for it.
    """
    position = given.row("positions")
    name, size, filled = position.text("account"), signed_size(position), given.sub("params").number("filled_on_book")
    if size == 0 or not 0 <= filled <= abs(size) or name == OTHERS:
        raise InapplicableError("there is no position, or more was filled than there was")
    layers = [layer.kind for layer in preset("kraken").policy.layers]
    if layers[:2] != [LayerKind.BOOK, LayerKind.ASSIGNMENT]:
        raise InapplicableError("by the preset nothing is assigned after the book")
    parties = {name: Party(Fraction(0), {MARKET: Held(size)}), OTHERS: Party(Fraction(0), {MARKET: Held(-size)})}
    stage = Stage({MARKET: Listed(Fraction(1))}, parties, [preset("kraken").texts])
    if filled:
        stage.apply(_on_book(stage, name, size, filled))
    left = target_size(stage.state, stage.draft(name, MARKET), stage.policy())
    if left is None:
        raise InapplicableError("the preset's target is not the whole position that is left")
    return Solved({"assigned": abs(stage.size(MARKET, left))}, "preset kraken: layers, target")


def _on_book(stage: Stage, name: str, size: Fraction, filled: Fraction) -> Liquidation:
    loser, other = stage.account(name), stage.account(OTHERS)
    return Liquidation(
        0,
        0,
        0,
        market=0,
        buyer=other if size > 0 else loser,
        seller=loser if size > 0 else other,
        price=stage.state.marks[0],
        size=stage.lots(MARKET, filled),
        buyer_fee=0,
        seller_fee=0,
        trade=None,
        taker=Taker.UNKNOWN,
        buyer_order=None,
        seller_order=None,
        buyer_start_claim=None,
        seller_start_claim=None,
        buyer_profit_claim=None,
        seller_profit_claim=None,
        account=loser,
        method=Method.MARKET,
        mark=None,
        equity_claim=None,
        requirement_claim=None,
    )


def _okx_trigger(given: Given) -> Solved:
    """ukcamo.com/4352, a third-party paraphrase: the 8 hours' average less a deduction, at least 50,000.

    The preset has the fall from a peak as a share; a level that stood all the time is both average and peak.
    """
    params = given.sub("params")
    params.choice("rule", OKX_RULE)
    average, now = params.number("reserve_8h_average"), params.number("reserve_now")
    if average <= 0:
        raise InapplicableError("the average is not above zero")
    falls = [one for clause in preset("okx").policy.trigger.start for one in clause if one.quantity is Quantity.DRAWDOWN]
    if len(falls) != 1:
        raise InapplicableError("the preset does not look at one fall of the fund")
    share = max(Fraction(*falls[0].bound), OKX_LEAST / average)
    conditions = conditions_of_fund(bounded("okx", {Quantity.DRAWDOWN: share}), now, max(average, now), now)
    threshold, triggered = average - share * average, any_clause(conditions)
    return Solved(
        {
            "threshold_stated": Chosen(threshold, LARGER_CUT),
            "triggered": Chosen(triggered, AT_THRESHOLD) if now == threshold else triggered,
        },
        "preset okx: trigger",
    )


ETHEREAL = {"adl_match": _ethereal_match}
KRAKEN = {"allocation": _kraken_assignment, "bankruptcy_price": _kraken_price}
OKX = {"trigger": _okx_trigger}
