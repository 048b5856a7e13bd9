"""Q09 and Q23: what the venue's own accounts made, and the totals of every account by day.

The change of an account's equity is a sum of parts, exactly, event by event:

- ``fees``: paid (below zero) or, for the fee account, received;
- ``fills``, ``liquidations``, ``adl``, ``settlements``: for each trade of that kind the cash it moved, fees aside, and the
  value at mark of the contracts it moved: what the price was better than the mark in force;
- ``funding``; ``draws``; ``transfers``; ``openings``, which state levels;
- ``marks``: what positions gained as marks moved. Contracts traded before a first mark are worth 0 until it comes.
"""

from msgspec import Struct

from events.model import (
    EXTERNAL,
    FEES,
    UNOBSERVED,
    AccountOpened,
    AdlClose,
    AnyEvent,
    Fill,
    Funding,
    InsuranceDraw,
    Liquidation,
    Opening,
    PriceTick,
    Role,
    Settlement,
    Transfer,
)
from events.times import NS_PER_DAY, format_utc
from replay.core import margin
from replay.core.missing import MISSING_ENTRY
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import Fold, margin_gaps
from replay.views import cash_text

__all__ = ["PARTS", "Daily", "ProtocolProfit"]

PARTS = ("fees", "fills", "liquidations", "adl", "settlements", "funding", "draws", "transfers", "openings", "marks")
_PART_OF = {
    Fill: "fills",
    Liquidation: "liquidations",
    AdlClose: "adl",
    Settlement: "settlements",
    Funding: "funding",
    InsuranceDraw: "draws",
    Transfer: "transfers",
    Opening: "openings",
    PriceTick: "marks",
}
# Where an event states no time. No day of a 64-bit time is so early.
NO_DAY = -(2**62)

_PROTOCOL = (Role.FUND, Role.VAULT, Role.LIQUIDATOR, Role.FEES)


class _Statement(Struct):
    """What one account made while it had one role. ``worth`` is its cash and its positions at mark, as far as known."""

    account: int
    role: Role
    first_seq: int
    opened: int | None
    worth: int
    missing: tuple[str, ...]
    parts: dict[str, int]
    last_seq: int = 0
    closed: int | None = None
    over: bool = False


class ProtocolProfit(Fold):
    """Q09: the equity change of each protocol account in the window, split into its parts."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._statements: list[_Statement] = []
        self._running: dict[int, _Statement] = {}
        self._begun = False

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Begin the statements of accounts that have a role already when the window begins, and end those of a lost role."""
        if not self._begun and self._scope.covers(seq):
            self._begun = True
            for account in range(len(state.accounts)):
                self._begin(state, account, seq)
        if type(event) is AccountOpened and event.account in self._running:
            one = self._running[event.account]
            if event.role is not one.role:
                self._end(state, one, seq - 1)
                del self._running[event.account]

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Book what an event did to the accounts that have a statement."""
        if not self._scope.covers(seq):
            return
        if type(event) is AccountOpened and event.account not in self._running:
            self._begin(state, event.account, seq)
        part = _PART_OF.get(type(event))
        if part is None:
            return
        for account in self._parties(state, event):
            one = self._running[account]
            one.last_seq = seq
            worth = _worth(state, account)
            change, one.worth = worth - one.worth, worth
            if isinstance(event, Fill | Liquidation | AdlClose | Settlement):
                fees = _fees(event, account)
                one.parts["fees"] += fees
                change -= fees
            one.parts[part] += change

    def _parties(self, state: State, event: AnyEvent) -> list[int]:
        """Return the accounts with a statement whose equity an event may change, each once."""
        accounts: tuple[int, ...]
        match event:
            case Fill() | Liquidation() | AdlClose() | Settlement():
                accounts = (event.buyer, event.seller, FEES)
            case PriceTick():
                book = state.positions[event.market]
                return [account for account in self._running if account in book]
            case Funding():
                accounts = (event.against, *(payment.account for payment in event.payments))
            case InsuranceDraw():
                accounts = (event.fund, event.account)
            case Transfer():
                accounts = (event.payer, event.payee)
            case Opening():
                accounts = (event.account,)
            case _:
                accounts = ()
        return [account for account in dict.fromkeys(accounts) if account in self._running]

    def _begin(self, state: State, account: int, seq: int) -> None:
        opened = state.accounts[account]
        asked = self._scope.account in {None, opened.name}
        if opened.role in _PROTOCOL and asked:
            gaps = margin_gaps(state, account)
            equity = margin.equity(state, account)
            one = _Statement(account, opened.role, seq, equity, _worth(state, account), gaps, dict.fromkeys(PARTS, 0))
            self._statements.append(one)
            self._running[account] = one

    @staticmethod
    def _end(state: State, one: _Statement, seq: int) -> None:
        one.closed, one.over = margin.equity(state, one.account), True
        one.missing = (*one.missing, *margin_gaps(state, one.account))
        one.last_seq = one.last_seq or seq

    def answer(self, state: State) -> Answer:
        """Return equity changes and their parts."""
        for one in self._running.values():
            if not one.over:
                self._end(state, one, self._scope.last)
        sheet = Sheet("Q09", state, self._scope)
        if not self._statements:
            return sheet.lacks("change", "equity change of the venue's own accounts", "accounts with a protocol role")
        known = [one for one in self._statements if one.opened is not None and one.closed is not None]
        gaps = {name for one in self._statements for name in one.missing}
        span = Span(min(one.first_seq for one in self._statements), max(one.last_seq for one in self._statements))
        on = partly(RECONSTRUCTION, span, len(known), len(self._statements), gaps)
        sheet.cash("change", "equity change of all accounts that are decidable", sum(_change(one) for one in known), on)
        for part in PARTS:
            total = sum(one.parts[part] for one in known)
            if total:
                sheet.cash(f"part.{part}", f"of it {part}", total, on)
        unexplained = sum(abs(_change(one) - sum(one.parts.values())) for one in known)
        sheet.cash("unexplained", "equity changes less their parts, amounts of all accounts", unexplained, on)
        rows: list[tuple[Cell, ...]] = []
        for one in self._statements:
            head = (state.accounts[one.account].name, one.role.name.lower())
            whole = one in known
            rows.append((*head, "equity change", cash_text(state, _change(one)) if whole else None))
            for part in PARTS:
                if one.parts[part]:
                    rows.append((*head, part, cash_text(state, one.parts[part]) if whole else None))  # noqa: PERF401  nested by account
        title = "Equity change by account and part"
        sheet.table("parts", title, ("account", "role", "part", "cash"), rows, on)
        sheet.note(
            "Trades are what their price was better than the mark in force; marks are what positions gained as it moved."
        )
        return sheet.answer()


def _change(one: _Statement) -> int:
    return (one.closed or 0) - (one.opened or 0)


def _worth(state: State, account: int) -> int:
    """Return cash and positions at mark, a position without a mark at 0."""
    total = state.cash[account]
    for market, position in state.holdings[account].items():
        if position.size and state.marks[market]:
            total += margin.market_value(state.markets[market], position.size, state.marks[market])
    return total


def _fees(event: Fill | Liquidation | AdlClose | Settlement, account: int) -> int:
    """Return what a trade's fees did to an account's cash."""
    cash = 0
    if account == event.buyer:
        cash -= event.buyer_fee
    if account == event.seller:
        cash -= event.seller_fee
    if account == FEES:
        cash += event.buyer_fee + event.seller_fee
    return cash


class _Day(Struct):
    """One account's day. ``claims`` counts the claims in ``claimed``, ``unknown`` the trades with an unknown entry."""

    first_seq: int
    last_seq: int = 0
    realised: int = 0
    trades: int = 0
    unknown: int = 0
    claimed: int = 0
    claims: int = 0
    funding: int = 0
    fees: int = 0
    transfers: int = 0


class Daily(Fold):
    """Q23: what each account realised, paid and received on each UTC day, as an independent statement has it."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._days: dict[tuple[int, int], _Day] = {}  # by account and day since 1970
        self._realised: dict[int, int | None] = {}

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Note what both sides of a trade have realised before it."""
        if isinstance(event, Fill | Liquidation | AdlClose | Settlement) and self._scope.covers(seq, event.market):
            self._realised = {account: _realised(state, account, event.market) for account in (event.buyer, event.seller)}

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Book an event on its day."""
        if not self._scope.covers(seq):
            return
        match event:
            case Fill() | Liquidation() | AdlClose() | Settlement():
                if self._scope.covers(seq, event.market):
                    self._trade(state, event, seq)
            case Funding():
                if self._scope.covers(seq, event.market):
                    for payment in event.payments:
                        self._add(event, payment.account, seq, "funding", payment.cash)
                    self._add(event, event.against, seq, "funding", -sum(payment.cash for payment in event.payments))
            case Transfer() | InsuranceDraw():
                payer, payee = (event.fund, event.account) if isinstance(event, InsuranceDraw) else (event.payer, event.payee)
                self._add(event, payer, seq, "transfers", -event.cash)
                self._add(event, payee, seq, "transfers", event.cash)
            case _:
                pass

    def _trade(self, state: State, event: Fill | Liquidation | AdlClose | Settlement, seq: int) -> None:
        sides = (
            (event.buyer, event.buyer_fee, event.buyer_profit_claim),
            (event.seller, event.seller_fee, event.seller_profit_claim),
        )
        if event.buyer_fee or event.seller_fee:
            self._add(event, FEES, seq, "fees", event.buyer_fee + event.seller_fee)
        for account, fee, claim in sides:
            day = self._add(event, account, seq, "fees", -fee)
            if day is None:
                continue
            day.trades += 1
            after, before = _realised(state, account, event.market), self._realised[account]
            if before is None:
                day.unknown += 1
            elif after is not None:
                day.realised += after - before
            if claim is not None:
                day.claimed += claim
                day.claims += 1

    def _add(self, event: AnyEvent, account: int, seq: int, field: str, cash: int) -> _Day | None:
        if account in {EXTERNAL, UNOBSERVED} or not self._scope.covers(seq, None, account):
            return None
        key = account, event.at_ns // NS_PER_DAY if event.at_ns else NO_DAY
        day = self._days.get(key)
        if day is None:
            day = self._days[key] = _Day(seq)
        day.last_seq = seq
        setattr(day, field, getattr(day, field) + cash)
        return day

    def answer(self, state: State) -> Answer:
        """Return one row for each account and day, and the sums of all."""
        sheet = Sheet("Q23", state, self._scope)
        if not self._days:
            return sheet.lacks("rows", "totals by account and day", "trades, funding and transfers")
        days, on = list(self._days.values()), Ground(RECORD)
        sheet.count("rows", "account days", len(days), "rows", on)
        traded = [day for day in days if day.trades]
        known = [day.realised for day in traded if not day.unknown]
        told = partly(RECONSTRUCTION, None, len(known), len(traded), (MISSING_ENTRY,))
        sheet.cash("realised", "profit realised, gross of fees, from the basis", sum(known), told)
        claimed = [day.claimed for day in traded if day.claims]
        said = partly(CLAIM, None, len(claimed), len(traded), ("profit claimed by the venue",))
        sheet.cash("claimed", "profit realised, as claimed where it is", sum(claimed), said)
        sheet.cash("funding", "funding, received less paid", sum(day.funding for day in days), on)
        sheet.cash("fees", "fees, received less paid", sum(day.fees for day in days), on)
        sheet.cash("transfers", "transfers, received less paid", sum(day.transfers for day in days), on)
        rows = [
            (
                state.accounts[account].name,
                None if date == NO_DAY else format_utc(date * NS_PER_DAY, 0)[:10],
                cash_text(state, None if day.unknown else day.realised),
                cash_text(state, day.claimed if day.claims else None),
                *(cash_text(state, cash) for cash in (day.funding, day.fees, day.transfers)),
            )
            for (account, date), day in sorted(self._days.items())
        ]
        columns = ("account", "day", "realised", "claimed", "funding", "fees", "transfers")
        title = "Totals by account and UTC day, received less paid"
        sheet.table("days", title, columns, rows, Ground(RECONSTRUCTION), drop=("claimed", "transfers", "day"))
        return sheet.answer()


def _realised(state: State, account: int, market: int) -> int | None:
    """Return the realised profit on the books, None where what is held now has no known entry."""
    position = state.positions[market].get(account)
    if position is None:
        return 0 if state.cash_known[account] else None
    return None if position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN) else position.realised
