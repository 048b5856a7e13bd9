"""States and their parts as plain dicts of decimal strings: what ``--json`` prints and the tables are made from.

Keys are stable and documented in docs/cli.md. Money, prices and sizes are decimal strings; an unknown is None.
"""

from typing import Any

from events.units import format_units
from replay.core import margin, root
from replay.core.state import ENTRY_UNKNOWN, PROFIT_UNKNOWN, SIZE_UNKNOWN, Position, State

__all__ = ["account_view", "cash_text", "market_view", "position_view", "price_text", "roots_view", "size_text", "state_view"]


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
        "unrealised": cash_text(state, margin.unrealised(state, account, market)) if position.size else "0",
        "realised": cash_text(state, None if position.unknown & PROFIT_UNKNOWN else position.realised),
    }


def account_view(state: State, account: int) -> dict[str, Any]:
    """Return one account with its positions, by market."""
    opened = state.accounts[account]
    held = [(market, book[account]) for market, book in enumerate(state.positions) if account in book]
    return {
        "account": opened.name,
        "owner": state.accounts[opened.owner].name,
        "role": opened.role.name.lower(),
        "margin": opened.margin.name.lower(),
        "cash": cash_text(state, state.cash[account] if state.cash_known[account] else None),
        "cash_since_first_seen": cash_text(state, state.cash[account]),
        "equity": cash_text(state, margin.equity(state, account)),
        "maintenance_margin": cash_text(state, margin.maintenance(state, account)),
        "positions": [position_view(state, market, account, position) for market, position in held],
    }


def market_view(state: State, market: int) -> dict[str, Any]:
    """Return one market: its grid, prices and open interest. Open interest counts the long side, ``unobserved`` included."""
    listed = state.markets[market].listed
    book = state.positions[market]
    sizes = [position.size for position in book.values()]
    return {
        "market": listed.symbol,
        "contract": listed.contract.name.lower(),
        "price_decimals": listed.price_decimals,
        "size_decimals": listed.size_decimals,
        "grid_assumed": listed.grid_assumed,
        "mark": price_text(state, market, state.marks[market] or None),
        "oracle": price_text(state, market, state.oracles[market] or None),
        "open_interest": size_text(state, market, sum(size for size in sizes if size > 0)),
        "positions": sum(1 for size in sizes if size),
    }


def state_view(state: State) -> dict[str, Any]:
    """Return the head of a state: what ledger, how much of it, totals and roots."""
    opened = state.opened
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
        "policy": state.policies[-1].name if state.policies else None,
        **roots_view(state),
    }
