"""Verbs that look at the record: log, show, state."""

from itertools import islice
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from events.codec import decode
from events.errors import MisuseError
from events.model import AnyEvent
from events.sources.book import Book
from events.times import format_utc, parse_utc
from ledger.store import Ledger, open_ledger
from replay import views
from replay.cli.options import DEFAULT_LEDGER, AsJson, LedgerPath, seq_of
from replay.cli.output import clip, grouped, print_json, print_table, progress, say
from replay.core.evolve import evolve
from replay.core.state import State
from replay.fold import replay, stored, watched
from replay.selection import accounts_of, event_view, kinds_named, markets_of, select

__all__ = ["log", "show", "state"]

LIST_ROWS = 20
NAME_WIDTH = 20
HEX_BYTES_PER_LINE = 16
# What every line of `log` begins with, so its details need not say it again.
HEADER_KEYS = ("seq", "event", "at", "source", "row")


def log(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    kind: Annotated[
        list[str] | None, Parameter(name=["--type", "-t"], negative="", help="Only events of this type; may be repeated.")
    ] = None,
    account: Annotated[str | None, Parameter(help="Only events that name this account.")] = None,
    market: Annotated[str | None, Parameter(help="Only events of this market.")] = None,
    first: Annotated[str | None, Parameter(name="--from", help="First seq, or events after this UTC time.")] = None,
    last: Annotated[str | None, Parameter(name="--to", help="Last seq, or UTC time.")] = None,
    limit: Annotated[int, Parameter(help="Events on one page.")] = 50,
    json: AsJson = False,
) -> int:
    """List events, a page at a time. The last line says how to get the next page."""
    if limit < 1:
        raise MisuseError(f"a page of {limit} events cannot be shown.", cure="Give --limit a number from 1.")
    with open_ledger(ledger) as opened, stored(opened), progress("reading") as update:
        begin = _first_seq(opened, first)
        end = seq_of(opened, last, default=opened.head)
        chosen = select(opened, kinds=kinds_named(kind), account=account, market=market, first=begin, last=end, progress=update)
        # One more than a page tells whether there is another one.
        page = [event_view(seq, event, book) for seq, event, book in islice(chosen, limit + 1)]
        head = opened.head
    following = page[limit]["seq"] if len(page) > limit else None
    page = page[:limit]
    if json:
        print_json({"ledger": str(ledger), "head": head, "events": page, "next_seq": following})
        return 0
    rows = [(f"{view['seq']:,}", _when(view["at"]), view["event"], _details(view)) for view in page]
    print_table("", ("seq", "at (UTC)", "event", "details"), rows, right=("seq",), cut="details")
    if following:
        say(f"\n{len(page)} events shown. The next page: the same command with --from {following}")
    elif not page:
        say("No event matches.")
    return 0


def _first_seq(ledger: Ledger, point: str | None) -> int:
    """Return where a page begins: at the seq named, or after the last event that is not later than the time named."""
    if point is None or (point.isascii() and point.isdigit()):
        return max(seq_of(ledger, point, default=1), 1)
    return seq_of(ledger, point, default=0) + 1


def _when(at: str) -> str:
    """Return a time for a table: to the millisecond, and nothing for the epoch, which stands for a time not stated."""
    return "" if parse_utc(at) == 0 else at[: len("2025-10-10T21:16:04.831")]


def _details(view: dict[str, Any]) -> str:
    parts = []
    for key, value in view.items():
        if key in HEADER_KEYS or value is None or value == []:
            continue
        if isinstance(value, list):
            parts.append(f"{key}=[{len(value)}]")
        else:
            parts.append(f"{key}={clip(str(value), NAME_WIDTH)}")
    return " ".join(parts)


def show(seq: int, /, *, ledger: LedgerPath = DEFAULT_LEDGER, json: AsJson = False) -> int:
    """Show one event: its fields, its stored bytes, and the state of what it touches before and after.

    Parameters
    ----------
    seq
        The event's sequence number.
    """
    with open_ledger(ledger) as opened, stored(opened), progress("replaying") as update:
        raw = opened.read(seq)
        book, state = Book(), State()
        for number, earlier in watched(opened, update, 1, seq - 1):
            book.observe(earlier)
            evolve(state, earlier, number)
        event = decode(raw, seq)
        before = _touched(state, event)
        evolve(state, event, seq)
        after = _touched(state, event)
        view = event_view(seq, event, book)
    if json:
        print_json({"ledger": str(ledger), "event": view, "bytes": raw.hex(), "before": before, "after": after})
        return 0
    rows = [(key, _short(value)) for key, value in view.items()]
    print_table(f"Event {seq}: {type(event).__name__}", ("field", "value"), rows, cut="value")
    say(f"\n[bold]Stored bytes[/bold] ({len(raw)})")
    for offset in range(0, len(raw), HEX_BYTES_PER_LINE):
        chunk = raw[offset : offset + HEX_BYTES_PER_LINE]
        text = "".join(chr(byte) if 32 <= byte < 127 else "." for byte in chunk).replace("[", "\\[")  # noqa: PLR2004  # printable ASCII
        say(f"  {offset:04x}  {chunk.hex(' '):<{HEX_BYTES_PER_LINE * 3}} {text}")
    say()
    _print_changes(before, after)
    return 0


def _short(value: Any) -> str:
    if isinstance(value, list):
        return ", ".join(_short(part) for part in value) or "none"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_short(part)}" for key, part in value.items()) + "}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "-" if value is None else str(value)


def _grouped(value: Any) -> str:
    """Return a value of a page's head: numbers with separators, everything else as it is."""
    return grouped(str(value)) if isinstance(value, int) and not isinstance(value, bool) else _short(value)


def _touched(state: State, event: AnyEvent) -> dict[str, Any]:
    """Return the accounts and markets an event names, as they stand; those not there yet are left out."""
    accounts = [account for account in accounts_of(event) if account < len(state.accounts)]
    markets = [market for market in markets_of(event) if market < len(state.markets)]
    lines = []
    for account in accounts:
        view = views.account_view(state, account)
        # A statement of all positions belongs to `adl state --account`; here only what the event can have moved.
        symbols = {state.markets[market].listed.symbol for market in markets}
        view["positions"] = [position for position in view["positions"] if position["market"] in symbols]
        lines.append(view)
    return {"accounts": lines, "markets": [views.market_view(state, market) for market in markets]}


def _print_changes(before: dict[str, Any], after: dict[str, Any]) -> None:
    was = {view["account"]: _levels(view) for view in before["accounts"]}
    was |= {view["market"]: _market_levels(view) for view in before["markets"]}
    rows = []
    for name, levels in [(view["account"], _levels(view)) for view in after["accounts"]] + [
        (view["market"], _market_levels(view)) for view in after["markets"]
    ]:
        for label, now in levels.items():
            then = was.get(name, {}).get(label, "-")
            changed = "" if then == now else "changed"
            rows.append((clip(name, NAME_WIDTH), label, _amount(then), _amount(now), changed))
    if rows:
        print_table("State before and after", ("what", "level", "before", "after", ""), rows, right=("before", "after"))
    else:
        say("The event touches no account and no market.")


def _levels(view: dict[str, Any]) -> dict[str, str | None]:
    known = view["cash"] is not None
    levels = {"cash" if known else "cash since first seen": view["cash_since_first_seen"], "equity": view["equity"]}
    for position in view["positions"]:
        levels[f"{position['market']} size"] = position["size"]
        levels[f"{position['market']} entry"] = position["entry"]
        levels[f"{position['market']} realised"] = position["realised"]
    return levels


def _market_levels(view: dict[str, Any]) -> dict[str, str | None]:
    return {"mark": view["mark"], "oracle": view["oracle"], "open interest": view["open_interest"]}


def _amount(text: str | None) -> str:
    return "unknown" if text is None else grouped(text)


def state(
    *,
    ledger: LedgerPath = DEFAULT_LEDGER,
    at: Annotated[str | None, Parameter(help="A seq or a UTC time; the end of the ledger when left out.")] = None,
    account: Annotated[str | None, Parameter(help="The statement of this account.")] = None,
    market: Annotated[str | None, Parameter(help="The positions of this market.")] = None,
    json: AsJson = False,
) -> int:
    """Show the state at a point of the record: totals and roots, one account's statement, or one market's positions."""
    if account is not None and market is not None:
        raise MisuseError("--account and --market ask for two different pages.", cure="Give one of them.")
    with open_ledger(ledger) as opened, progress("replaying") as update:
        found = replay(opened, seq_of(opened, at, default=opened.head), progress=update)
    if account is not None:
        _account_page(found, ledger, account, as_json=json)
    elif market is not None:
        _market_page(found, ledger, market, as_json=json)
    else:
        _whole_page(found, ledger, as_json=json)
    return 0


def _account_page(state: State, ledger: Path, name: str, *, as_json: bool) -> None:
    number = next((i for i, opened in enumerate(state.accounts) if opened.name == name), None)
    if number is None:
        raise MisuseError(f"there is no account {name!r} at seq {state.seq}.", cure="`adl state` lists the largest ones.")
    view = views.account_view(state, number)
    if as_json:
        print_json({"ledger": str(ledger), "seq": state.seq, **view})
        return
    # Where cash is known, what it was since first seen says the same again.
    hidden = "cash" if view["cash"] is None else "cash_since_first_seen"
    rows = [
        (key.replace("_", " "), _grouped(value) if isinstance(value, int) else _amount(value))
        for key, value in view.items()
        if not isinstance(value, list) and key != hidden
    ]
    print_table(f"Account {name} at seq {state.seq:,}", ("", ""), rows)
    say()
    columns = ("market", "size", "entry", "mark", "unrealised", "realised")
    held = [tuple(_amount(position[column]) for column in columns) for position in view["positions"]]
    print_table("Positions", columns, held, right=columns[1:])


def _market_page(state: State, ledger: Path, symbol: str, *, as_json: bool) -> None:
    number = next((i for i, market in enumerate(state.markets) if market.listed.symbol == symbol), None)
    if number is None:
        known = ", ".join(market.listed.symbol for market in state.markets[:LIST_ROWS]) or "none yet"
        raise MisuseError(f"there is no market {symbol!r} at seq {state.seq}.", cure=f"There are: {known}.")
    book = state.positions[number]
    order = sorted((account for account in book if book[account].size), key=lambda a: (-abs(book[a].size), a))
    positions = [views.position_view(state, number, account, book[account]) for account in order]
    view = views.market_view(state, number)
    if as_json:
        print_json({"ledger": str(ledger), "seq": state.seq, **view, "held": positions})
        return
    amounts = ("mark", "oracle", "open_interest", "open_interest_at_least")
    rows = [(key.replace("_", " "), _amount(value) if key in amounts else _grouped(value)) for key, value in view.items()]
    print_table(f"Market {symbol} at seq {state.seq:,}", ("", ""), rows)
    say()
    columns = ("size", "entry", "unrealised", "realised")
    held = [(clip(p["account"], NAME_WIDTH), *(_amount(p[column]) for column in columns)) for p in positions[:LIST_ROWS]]
    print_table(f"Largest positions ({len(held)} of {len(positions)})", ("account", *columns), held, right=columns)


def _whole_page(state: State, ledger: Path, *, as_json: bool) -> None:
    view = views.state_view(state)
    markets = [views.market_view(state, market) for market in range(len(state.markets))]
    if as_json:
        accounts = [views.account_view(state, account) for account in range(len(state.accounts))]
        print_json({"ledger": str(ledger), **view, "market_list": markets, "account_list": accounts})
        return
    rows = [(key.replace("_", " "), _grouped(value)) for key, value in view.items()]
    print_table(f"State of {ledger}", ("", ""), rows)
    say()
    columns = ("market", "mark", "oracle", "open_interest", "positions")
    listed = [tuple(_amount(str(m[c]) if m[c] is not None else None) for c in columns) for m in markets[:LIST_ROWS]]
    print_table(f"Markets ({len(listed)} of {len(markets)})", columns, listed, right=columns[1:])
    say()
    special = [i for i, opened in enumerate(state.accounts) if opened.role.value]
    with_role = []
    for number in special[:LIST_ROWS]:
        page = views.account_view(state, number)
        name, role = clip(page["account"], NAME_WIDTH * 2), page["role"]
        with_role.append((name, role, _amount(page["cash_since_first_seen"]), "" if page["cash"] else "since first seen"))
    print_table("Accounts with a role", ("account", "role", "cash", ""), with_role, right=("cash",))
    say(f"\nStatements: adl state --ledger {ledger} --account NAME, or --market NAME. Time: --at SEQ or --at {_example(state)}")


def _example(state: State) -> str:
    return format_utc(state.accounts[-1].at_ns, 0) if state.accounts else "2025-10-10T21:16:04Z"
