"""States and their parts as plain dicts of decimal strings: what ``--json`` prints and the tables are made from.

Keys are stable and documented in docs/cli.md. Money, prices and sizes are decimal strings; an unknown is None.
"""

from typing import Any

from events.model import UNOBSERVED
from events.times import format_utc
from events.units import format_units
from replay.core import margin, root
from replay.core.invariants import Finding
from replay.core.policy import policy_for
from replay.core.state import ENTRY_UNKNOWN, PROFIT_UNKNOWN, SIZE_UNKNOWN, Position, State

__all__ = [
    "account_view",
    "cash_text",
    "finding_view",
    "market_view",
    "position_view",
    "price_text",
    "roots_view",
    "size_text",
    "state_view",
]


def cash_text(state: State, cash: int | None) -> str | None:
    """Return money as decimal text in the ledger's currency."""
    decimals = state.opened.money_decimals if state.opened else 0
    return None if cash is None else format_units(cash, decimals)


def price_text(state: State, market: int, price: int | None) -> str | None:
    """Return a price as decimal text. A state keeps 0 for a mark that is not known; pass None for that."""
    return None if price is None else format_units(price, state.markets[market].listed.price_decimals)


def size_text(state: State, market: int, size: int | None) -> str | None:
    """Return a size as decimal text."""
    return None if size is None else format_units(size, state.markets[market].listed.size_decimals)


def roots_view(state: State) -> dict[str, str]:
    """Return the three roots as hex."""
    return {
        "state_root": root.state_root(state).hex(),
        "money_root": root.money_root(state).hex(),
        "basis_root": root.basis_root(state).hex(),
    }


def position_view(state: State, market: int, account: int, position: Position) -> dict[str, Any]:
    """Return one position. ``entry`` is the average entry price as an exact fraction cut to the price grid."""
    known = not position.unknown & SIZE_UNKNOWN
    has_entry = known and not position.unknown & ENTRY_UNKNOWN and position.size != 0
    return {
        "account": state.accounts[account].name,
        "market": state.markets[market].listed.symbol,
        "size": size_text(state, market, position.size) if known else None,
        "size_since_first_seen": size_text(state, market, position.size),
        "entry": price_text(state, market, margin.entry_price(state, account, market)) if has_entry else None,
        "mark": price_text(state, market, state.marks[market] or None),
        "unrealised": cash_text(state, margin.unrealised(state, account, market)),
        "realised": cash_text(state, None if position.unknown & PROFIT_UNKNOWN else position.realised),
    }


def account_view(state: State, account: int) -> dict[str, Any]:
    """Return one account with its positions, by market."""
    opened = state.accounts[account]
    held = sorted(state.holdings[account].items())
    return {
        "account": opened.name,
        "owner": state.accounts[opened.owner].name,
        "role": opened.role.name.lower(),
        "role_since_seq": state.role_since[account],
        "margin": opened.margin.name.lower(),
        "cash": cash_text(state, state.cash[account] if state.cash_known[account] else None),
        "cash_since_first_seen": cash_text(state, state.cash[account]),
        "equity": cash_text(state, margin.equity(state, account)),
        "maintenance_margin": cash_text(state, margin.maintenance(state, account)),
        "positions": [position_view(state, market, account, position) for market, position in held],
    }


def market_view(state: State, market: int) -> dict[str, Any]:
    """Return one market: its grid, prices, open interest and the policy in force.

    ``open_interest`` is None unless the record shows every holder and every size: what ``unobserved`` holds is only the net of
    many positions, and an unknown size can be of any side. What is decidable then is a lower bound: the known longs of the
    accounts on record, or their known shorts, whichever is more. That is ``open_interest_at_least``.
    """
    listed = state.markets[market].listed
    book = state.positions[market]
    seen = [position for account, position in book.items() if account != UNOBSERVED and not position.unknown & SIZE_UNKNOWN]
    longs = sum(position.size for position in seen if position.size > 0)
    shorts = -sum(position.size for position in seen if position.size < 0)
    stated = len(seen) == len(book) - (UNOBSERVED in book)
    unseen = any(not known and account not in book for account, known in enumerate(state.cash_known))
    whole = longs == shorts and stated and not unseen and not state.partial[market]
    policy = policy_for(state, market)
    return {
        "market": listed.symbol,
        "contract": listed.contract.name.lower(),
        "price_decimals": listed.price_decimals,
        "size_decimals": listed.size_decimals,
        "grid_assumed": listed.grid_assumed,
        "mark": price_text(state, market, state.marks[market] or None),
        "oracle": price_text(state, market, state.oracles[market] or None),
        "open_interest": size_text(state, market, longs) if whole else None,
        "open_interest_at_least": size_text(state, market, max(longs, shorts)),
        "positions": sum(1 for position in book.values() if position.size),
        "policy": None if policy is None else state.policies[policy].name,
    }


def state_view(state: State) -> dict[str, Any]:
    """Return the head of a state: what ledger, how much of it, totals and roots. ``policy`` is one in force for all markets."""
    opened = state.opened
    in_force = {policy_for(state, market) for market in range(max(len(state.markets), 1))}
    policy = in_force.pop() if len(in_force) == 1 else None
    return {
        "seq": state.seq,
        "venue": opened.venue if opened else None,
        "currency": opened.currency if opened else None,
        "money_decimals": opened.money_decimals if opened else None,
        "accounts": len(state.accounts),
        "markets": len(state.markets),
        "open_positions": sum(1 for book in state.positions for position in book.values() if position.size),
        "adl_rounds": len(state.rounds),
        "quarantined": state.quarantined,
        "policy": None if policy is None else state.policies[policy].name,
        **roots_view(state),
    }


def finding_view(state: State, finding: Finding) -> dict[str, Any]:
    """Return one finding with names for its ids, and its amounts in the units of the ledger. ``state`` is any after it."""
    account, market = finding.account, finding.market
    return {
        "law": finding.law,
        "id": finding.id,
        "seq": finding.seq,
        "what": finding.what,
        "account": None if account is None else state.accounts[account].name,
        "market": None if market is None else state.markets[market].listed.symbol,
        "expected": _amount(state, finding, finding.expected),
        "found": _amount(state, finding, finding.found),
    }


def _amount(state: State, finding: Finding, amount: int | str) -> str | None:
    if isinstance(amount, str):
        return amount
    if finding.unit == "cash":
        return cash_text(state, amount)
    if finding.unit == "time":
        return format_utc(amount)
    if finding.market is not None and finding.unit == "size":
        return size_text(state, finding.market, amount)
    if finding.market is not None and finding.unit == "price":
        return price_text(state, finding.market, amount)
    return str(amount)
