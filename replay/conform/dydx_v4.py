"""dYdX v4 vectors: what is read of ``given``, and what is answered."""

from collections.abc import Mapping
from fractions import Fraction

from events.units import Contract
from replay.conform.answers import BY_VENUE_FUNCTION, Answer, Chosen, Solved, Tied
from replay.conform.dydx_v4_accounts import (
    QUOTE_PER_USDC,
    Market,
    Subaccount,
    bankruptcy_quote,
    maintenance,
    net_collateral,
    read_accounts,
    read_markets,
    reduces,
)
from replay.conform.dydx_v4_matches import Order, fillable_price, fund_delta, fund_delta_is_valid, liquidate
from replay.conform.dydx_v4_rounds import BANKRUPTCY, SETTLEMENT, Amount, Close, Walk, bankruptcy_amount, match, triggers, walk
from replay.conform.given import Given, InapplicableError
from replay.conform.numbers import exact_close_price
from replay.conform.stage import Held, Listed, Party, Stage
from replay.core import margin
from replay.core.bankruptcy import valid_update
from replay.presets import preset

__all__ = ["SOLVERS"]

SIZE_DELTA = Solved({"error": "invalid position size delta"})
STATUSES = ("ACTIVE", "FINAL_SETTLEMENT")
# The chain's own setting where a vector states none.
ADJUSTMENT_PPM = 10**6
LIQUIDATION_KEYS = ["abs(price-oracle)/oracle desc", "quote size desc", "order hash asc"]
HASH = "the last key, the order hash, is not in given"


def _usdc(quantums: int) -> Fraction:
    return Fraction(quantums, QUOTE_PER_USDC)


def _money(name: str, quantums: int) -> dict[str, object]:
    return {name: _usdc(quantums), f"{name}_quantums": quantums}


def _quote(name: str, amount: Amount) -> dict[str, object]:
    money = _money(name, amount.quote)
    return {key: Chosen(value, amount.reading) for key, value in money.items()} if amount.reading else money


def _through(rule: str, *amounts: Amount) -> str:
    """Return what ran: where the chain's own rounding was needed, that too."""
    return f"{rule}; {BY_VENUE_FUNCTION}" if any(amount.reading for amount in amounts) else rule


def _view(account: Subaccount, markets: Mapping[str, Market]) -> Answer:
    positions = [
        {"perp": name, "base_quantums": base, "size": Fraction(base, markets[name].per_unit)}
        for name, base in account.sizes.items()
    ]
    return {"id": account.name, **_money("usdc", account.usdc), "positions": positions}


def _only(accounts: Mapping[str, Subaccount]) -> Subaccount:
    if len(accounts) != 1:
        raise InapplicableError(f"given has {len(accounts)} accounts where the rule is for one")
    return next(iter(accounts.values()))


def _delta(params: Given, market: Market) -> int:
    return params.units("delta", "delta_base_quantums", market.per_unit)


def bankruptcy_price(given: Given) -> Solved:
    """Answer the quote amount of a full or partial close at the bankruptcy price."""
    markets, params = read_markets(given), given.sub("params")
    account, perpetual = _only(read_accounts(given, markets)), params.choice("perp", *markets)
    delta = _delta(params, markets[perpetual])
    if not reduces(account, perpetual, delta):
        return SIZE_DELTA
    amount = bankruptcy_amount(account, markets, perpetual, delta)
    return Solved(
        {
            **_quote("quote_delta", amount),
            **_money("net_collateral", net_collateral(account, markets)),
            **_money("maintenance", maintenance(account, markets)),
        },
        _through(f"core: bankruptcy price; preset {BANKRUPTCY}: rounding", amount),
    )


def liquidation_price(given: Given) -> Solved:
    """Answer the fillable price of a liquidation order."""
    markets, params = read_markets(given), given.sub("params")
    account, perpetual = _only(read_accounts(given, markets)), params.choice("perp", *markets)
    delta = _delta(params, markets[perpetual])
    adjustment, spread = params.whole("bankruptcy_adjustment_ppm"), params.whole("spread_to_mm_ppm")
    if not reduces(account, perpetual, delta):
        return SIZE_DELTA
    quote = fillable_price(account, markets, perpetual, adjustment, spread)
    price = quote * markets[perpetual].per_unit / QUOTE_PER_USDC
    return Solved({"price": price, "price_rational": price, "quote_per_base_quantum": quote})


def insurance_fund(given: Given) -> Solved:
    """Answer whether the fund can bear a change, what a liquidation fill pays it, or the example of the documentation."""
    params = given.sub("params")
    if "fund_balance" in params or "fund_balance_quantums" in params:
        balance = params.units("fund_balance", "fund_balance_quantums", QUOTE_PER_USDC)
        delta = params.units("delta", "delta_quantums", QUOTE_PER_USDC)
        return Solved({"valid": fund_delta_is_valid(balance, delta)})
    return _fund_example(given) if "liquidation_fill_price" in params else _fund_of_fill(given)


def _fund_of_fill(given: Given) -> Solved:
    markets, params = read_markets(given), given.sub("params")
    account = _only(read_accounts(given, markets))
    perpetual = params.choice("perp", *markets) if "perp" in params or len(markets) != 1 else next(iter(markets))
    sells = params.choice("side", "buy", "sell") == "sell"
    size = params.whole("fill_base_quantums")
    price = params.number("fill_price") * QUOTE_PER_USDC / markets[perpetual].per_unit
    params.leave("fill_subticks")  # the same price in ticks, whose scale is not given
    fee = params.whole("max_liquidation_fee_ppm")
    if size == 0:
        raise InapplicableError("the chain refuses a fill of zero, and no vector says by which word")
    delta = -size if sells else size
    if not reduces(account, perpetual, delta):
        return SIZE_DELTA
    at_bankruptcy = bankruptcy_quote(account, markets, perpetual, delta)
    fill = int(-delta * price)
    paid = _money("fund_delta", fund_delta(fill, at_bankruptcy, fee))
    return Solved({"bankruptcy_quote_quantums": at_bankruptcy, "fill_quote_quantums": fill, **paid})


def _isolated(given: Given) -> tuple[str, Fraction, Fraction, Fraction, Fraction]:
    """Return id, deposit, size, entry and oracle of the one account in a documentation example."""
    account, position = given.row("accounts"), given.row("positions")
    name = position.choice("account", account.text("id"))
    oracle = given.sub("prices").sub(position.text("perp")).number("oracle")
    return name, account.number("deposit"), position.number("size"), position.number("entry"), oracle


def _fund_example(given: Given) -> Solved:
    """docs.dydx.xyz: a fill below the zero-equity price, of which the fund pays what the deposit does not."""
    _, deposit, size, entry, oracle = _isolated(given)
    params = given.sub("params")
    rate, fill = params.number("maintenance_margin_fraction"), params.number("liquidation_fill_price")
    equity, profit = deposit + size * (oracle - entry), size * (fill - entry)
    liquidated = equity < rate * abs(size) * oracle
    pays = max(Fraction(0), -(deposit + profit)) if liquidated else Fraction(0)
    return Solved({"equity_before": equity, "pnl_at_fill": profit, "fund_pays": pays})


def trigger(given: Given) -> Solved:
    """Answer whether a subaccount is deleveraged, and at which price."""
    markets, params = read_markets(given), given.sub("params")
    accounts = read_accounts(given, markets)
    account = accounts[params.choice("account", *accounts)]
    final = params.choice("market_status", *STATUSES) == "FINAL_SETTLEMENT"
    at_bankruptcy, at_oracle = triggers(account, markets, final_settlement=final)
    return Solved(
        {
            **_money("net_collateral", net_collateral(account, markets)),
            "deleverage_at_bankruptcy_price": at_bankruptcy,
            "deleverage_at_oracle_price": at_oracle,
        },
        f"preset {BANKRUPTCY}, {SETTLEMENT}: trigger",
    )


def validity(given: Given) -> Solved:
    """Answer whether an update of an account below its initial margin is accepted."""
    params = given.sub("params")
    keys = ("old_net_collateral", "old_maintenance", "new_net_collateral", "new_maintenance")
    return Solved({"valid": valid_update(*(params.whole(key) for key in keys))}, "core: valid update")


def rank(given: Given) -> Solved:
    """Answer the order in which liquidation orders are placed."""
    params, prices = given.sub("params"), given.sub("prices")
    if params.texts("keys") != LIQUIDATION_KEYS or len(prices.keys()) != 1:
        raise InapplicableError("the keys of the order or the markets are not those of the rule")
    oracle = prices.sub(prices.keys()[0]).number("oracle")
    keyed: list[tuple[tuple[Fraction, Fraction], int]] = []
    for order in params.rows("orders"):
        order.choice("side", "buy", "sell")
        price, size = order.number("price"), order.number("size")
        order.leave("base_quantums")  # the same size
        keyed.append(((-abs(price - oracle) / oracle, -size * price), order.whole("index")))
    groups: dict[tuple[Fraction, Fraction], list[int]] = {}
    for key, index in sorted(keyed):
        groups.setdefault(key, []).append(index)
    if len(groups) < len(keyed):
        return Solved({"order": Tied(list(groups.values()), HASH)})
    return Solved({"order": [index for _, index in sorted(keyed)]})


def adl_match(given: Given) -> Solved:
    """Answer one match, a walk along a candidate list, or the example of the documentation."""
    params = given.sub("params")
    if "markets" not in params:
        return _match_example(given)
    markets = read_markets(given)
    accounts = read_accounts(given, markets)
    perpetual, liquidated = params.choice("perp", *markets), params.choice("liquidated", *accounts)
    delta = _delta(params, markets[perpetual])
    if "candidate_order" in params:
        names = params.texts("candidate_order")
        if not set(names) <= set(accounts) or not reduces(accounts[liquidated], perpetual, delta):
            raise InapplicableError("a candidate is not among the accounts, or the change does not reduce the position")
        done = walk(accounts, markets, perpetual, liquidated, delta, names, BANKRUPTCY)
        return _walk_view(done, markets[perpetual], markets)
    offsetting = params.choice("offsetting", *accounts)
    at_oracle = params.choice("close_price", "bankruptcy_of_liquidated", "oracle") == "oracle"
    name = SETTLEMENT if at_oracle else BANKRUPTCY
    if not reduces(accounts[liquidated], perpetual, delta):
        return Solved({"result": "size_delta"})
    one = match(accounts, markets, perpetual, liquidated, offsetting, delta, name)
    rule = f"preset {name}: {'trigger, plan' if at_oracle else 'plan'}"
    if isinstance(one, str):
        return Solved({"result": one}, rule)
    answer = {
        "result": "ok",
        **_quote("quote_delta_liquidated", one.closes[0].amount),
        "after": [_view(account, markets) for account in one.accounts.values()],
    }
    return Solved(answer, _through(rule, one.closes[0].amount))


def _walk_view(done: Walk, market: Market, markets: Mapping[str, Market]) -> Solved:
    answer = {
        "fills": [_close_view(close, market) for close in done.closes],
        "remaining_base_quantums": done.left,
        "after": [_view(account, markets) for account in done.accounts.values()],
    }
    return Solved(answer, _through(f"preset {BANKRUPTCY}: plan", *(close.amount for close in done.closes)))


def _close_view(close: Close, market: Market) -> Answer:
    return {
        "offsetting": close.offsetting,
        "base_quantums": abs(close.delta),
        "size": Fraction(abs(close.delta), market.per_unit),
        **_quote("quote_delta_liquidated", close.amount),
    }


def _match_example(given: Given) -> Solved:
    """docs.dydx.xyz: two isolated accounts, the loser closed against the other at its bankruptcy price."""
    rows = {row.text("id"): row.number("deposit") for row in given.rows("accounts")}
    held = {row.choice("account", *rows): row for row in given.rows("positions")}
    loser = given.sub("params").choice("liquidated", *held)
    if len(held) != 2 or len(rows) != 2:  # noqa: PLR2004  a pair
        raise InapplicableError("the example is of two accounts with a position each")
    winner = next(name for name in held if name != loser)
    sizes = {name: row.number("size") for name, row in held.items()}
    entries = {name: row.number("entry") for name, row in held.items()}
    markets = {name: row.text("perp") for name, row in held.items()}
    oracle = given.sub("prices").sub(markets[loser]).number("oracle")
    if markets[winner] != markets[loser] or sizes[loser] == 0 or sizes[winner] != -sizes[loser]:
        raise InapplicableError("the example is of two equal and opposite positions in one market")
    exact = exact_close_price(Contract.LINEAR, sizes[loser], sizes[loser] * entries[loser] - rows[loser])
    if exact is None:
        raise InapplicableError("there is no bankruptcy price")
    perpetual = markets[loser]
    parties = {
        name: Party(rows[name] - sizes[name] * entries[name], {perpetual: Held(sizes[name], entries[name])}) for name in rows
    }
    # Margin rates are not given: with none, only an equity below zero makes a match less safe.
    stage = Stage({perpetual: Listed(oracle)}, parties, [preset(BANKRUPTCY).texts], losers=[loser])
    before = stage.equity(loser), stage.money(margin.unrealised(stage.state, stage.account(winner), 0))
    opened = stage.draft(loser, perpetual)
    if not stage.holds(opened, stage.policy()):
        raise InapplicableError("by the preset's trigger nobody is deleveraged")
    stage.begin(opened, [winner])
    closes = stage.plan(opened, stage.policy()).closes
    if len(closes) != 1 or abs(sizes[loser]) != stage.size(perpetual, closes[0].size):
        raise InapplicableError("the preset does not close the whole position")
    price = stage.unrounded(perpetual, closes[0].price, exact, long=sizes[loser] > 0)
    answer = {
        f"equity_{loser}_before": before[0],
        f"unrealised_{winner}_before": before[1],
        "close_price": price,
        f"realised_{winner}": sizes[winner] * (price - entries[winner]),
        f"equity_{loser}_after": rows[loser] + sizes[loser] * (price - entries[loser]),
    }
    return Solved(answer, f"preset {BANKRUPTCY}: trigger, plan")


def scenario(given: Given) -> Solved:
    """Answer where accounts and fund stand after one block with a liquidation, and deleveraging where it had no fill."""
    markets, params = read_markets(given), given.sub("params")
    accounts = read_accounts(given, markets)
    liquidated = params.choice("liquidated", *accounts)
    held = list(accounts[liquidated].sizes)
    if "perp" not in params and len(held) != 1:
        raise InapplicableError("given does not say which of several positions is liquidated")
    perpetual = params.choice("perp", *held) if "perp" in params else held[0]
    market = markets[perpetual]
    book = [
        Order(
            order.choice("account", *accounts),
            order.choice("side", "buy", "sell") == "buy",
            order.units("size", "base_quantums", market.per_unit),
            order.number("price") * QUOTE_PER_USDC / market.per_unit,
        )
        for order in params.rows("book")
    ]
    balance = params.units("insurance_fund", "insurance_fund_quantums", QUOTE_PER_USDC)
    adjustment = params.whole("bankruptcy_adjustment_ppm") if "bankruptcy_adjustment_ppm" in params else ADJUSTMENT_PPM
    final = params.choice("market_status", *STATUSES) == "FINAL_SETTLEMENT"
    limits = params.whole("max_liquidation_fee_ppm"), params.whole("spread_to_mm_ppm")
    after: Mapping[str, Subaccount] = accounts
    fund, left, through = balance, -accounts[liquidated].sizes[perpetual], BY_VENUE_FUNCTION
    if not final:
        after, fund, left = liquidate(
            accounts,
            markets,
            perpetual,
            liquidated,
            book,
            fund=balance,
            max_fee_ppm=limits[0],
            adjustment_ppm=adjustment,
            spread_ppm=limits[1],
        )
    if left == -accounts[liquidated].sizes[perpetual]:
        # Any fill cancels deleveraging in this block.
        at_bankruptcy, at_oracle = triggers(accounts[liquidated], markets, final_settlement=final)
        through = f"preset {BANKRUPTCY}, {SETTLEMENT}: trigger; {BY_VENUE_FUNCTION}"
        if at_bankruptcy or at_oracle:
            name = BANKRUPTCY if at_bankruptcy else SETTLEMENT
            others = [name for name in accounts if name != liquidated]
            after = walk(accounts, markets, perpetual, liquidated, left, others, name).accounts
            through = f"preset {name}: trigger, plan; {BY_VENUE_FUNCTION}"
    answer = {"after": [_view(account, markets) for account in after.values()], **_money("fund_gain", fund - balance)}
    return Solved(answer, through)


SOLVERS = {
    "adl_match": adl_match,
    "bankruptcy_price": bankruptcy_price,
    "insurance_fund": insurance_fund,
    "liquidation_price": liquidation_price,
    "rank": rank,
    "scenario": scenario,
    "trigger": trigger,
    "validity": validity,
}
