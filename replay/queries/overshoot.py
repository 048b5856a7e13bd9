"""Q07: how much was over-closed relative to the deficit, under each definition, as published headlines moved with it.

In contracts, by round, valued at the price of the last close: what was closed less

- ``position``: the loser's position just before;
- ``stated``: the size that the round states.

In money, by deficit episode: all rounds of one loser until a round leaves it without deficit. The deficit of an episode is what
its rounds find new: the loser's deficit just before each round less the deficit that the round before it left, so it counts
once.

- ``deficit``: what others gave up against the marks in force, or paid as a socialised loss, less the deficit;
- ``need_cash``: the same, less the targets that the rounds state in money;
- ``profit``: the profit that the closes made winners realise, less the deficit.

Each as ``net`` (over and under together), ``gross`` (what is over alone) and ``tracking`` (amounts of both).
"""

from collections.abc import Sequence

from msgspec import Struct

from events.model import AccountOpened, AdlCandidates, AdlClose, AdlRound, AnyEvent, MarketListed, Opening, Reason, Transfer
from replay.core import margin
from replay.core.missing import MISSING_ENTRY, MISSING_MARK
from replay.core.state import ENTRY_UNKNOWN, SIZE_UNKNOWN, State
from replay.queries.answers import CLAIM, RECONSTRUCTION, RECORD, Answer, Cell, Ground, Sheet, partly
from replay.queries.scope import Scope, Span
from replay.queries.walk import LACKS_POSITION, LACKS_ROUNDS, Fold, closed_side, gain, held, margin_gaps
from replay.views import cash_text, size_text
from replay.whatif.waves import overshoot

__all__ = ["Overshoot"]


class _Round(Struct):
    """A round and what its closes took. None where not known. ``found`` and ``left`` are deficits before and after it."""

    seq: int
    event: AdlRound
    position: int | None
    found: int | None
    price: int
    left: int | None = None
    closed: int = 0
    last_seq: int = 0
    given: int | None = 0
    profit: int | None = 0


class _Episode(Struct):
    """Rounds of one loser, from one that finds a deficit to one that leaves none."""

    loser: int
    rounds: list[_Round]

    @property
    def deficit(self) -> int | None:
        """Return the deficit that the rounds found, each part once."""
        total, before = 0, 0
        for one in self.rounds:
            if one.found is None or one.left is None:
                return None
            total += one.found - before
            before = one.left
        return total

    @property
    def need_cash(self) -> int | None:
        """Return the target stated in money."""
        return _sum([one.event.need_cash for one in self.rounds])

    @property
    def given(self) -> int | None:
        """Return what the winners gave up against the marks in force."""
        return _sum([one.given for one in self.rounds])

    @property
    def profit(self) -> int | None:
        """Return the profit that the closes made winners realise."""
        return _sum([one.profit for one in self.rounds])


def _sum(amounts: Sequence[int | None]) -> int | None:
    known = [amount for amount in amounts if amount is not None]
    return sum(known) if len(known) == len(amounts) else None


def _less(amount: int | None, need: int | None) -> int | None:
    return None if amount is None or need is None else amount - need


def _belongs(event: AnyEvent, opened: AdlRound) -> bool:
    """Tell whether an event is a part of a round: a candidate list, a close, or a loss that others pay to its loser.

    What a record states of accounts and markets at their first sight stands between.
    """
    if isinstance(event, AccountOpened | MarketListed | Opening):
        return True
    if type(event) is Transfer:
        return event.reason is Reason.SOCIALISED_LOSS and event.payee == opened.loser
    return isinstance(event, AdlCandidates | AdlClose) and event.round == opened.round


class Overshoot(Fold):
    """Needed and closed, by round and by episode."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope
        self._span = Span()
        self._rounds: list[_Round] = []
        self._episodes: list[_Episode] = []
        self._running: dict[int, _Episode] = {}
        self._current: _Round | None = None
        self._realised: int | None = None
        self._gaps: set[str] = set()

    def before(self, state: State, event: AnyEvent, seq: int) -> None:
        """Begin and end rounds, and look at each close before it is booked."""
        current = self._current
        if current is not None and not _belongs(event, current.event):
            self._end(state, current)
            self._current = None
        if type(event) is AdlRound and self._scope.covers(seq, event.market, event.loser):
            self._begin(state, event, seq)
        elif type(event) is AdlClose and self._current is not None:
            position = state.positions[event.market].get(event.winner)
            known = position is not None and not position.unknown & (SIZE_UNKNOWN | ENTRY_UNKNOWN)
            self._realised = position.realised if position is not None and known else None

    def _begin(self, state: State, event: AdlRound, seq: int) -> None:
        worth = margin.equity(state, event.loser)
        if worth is None:
            self._gaps.update(margin_gaps(state, event.loser))
        # A round without closes has no price of its own.
        price = event.price or state.marks[event.market]
        one = _Round(seq, event, held(state, event.loser, event.market), None if worth is None else max(-worth, 0), price)
        self._current = one
        self._rounds.append(one)
        self._span.add(seq)
        episode = self._running.get(event.loser)
        if episode is None or not episode.rounds[-1].left:
            episode = self._running[event.loser] = _Episode(event.loser, [])
            self._episodes.append(episode)
        episode.rounds.append(one)

    def _end(self, state: State, one: _Round) -> None:
        worth = margin.equity(state, one.event.loser)
        if worth is None:
            self._gaps.update(margin_gaps(state, one.event.loser))
        one.left = None if worth is None else max(-worth, 0)

    def after(self, state: State, event: AnyEvent, seq: int) -> None:
        """Add up what a close took."""
        one = self._current
        if one is not None and type(event) is Transfer:
            self._span.add(seq)
            one.given = _sum((one.given, event.cash))
        if type(event) is not AdlClose or one is None:
            return
        market = event.market
        self._span.add(seq)
        one.last_seq, one.price = seq, event.price
        one.closed += event.size
        mark = state.marks[market]
        given = -gain(state, market, closed_side(event), event.size, event.price, mark) if mark else None
        profit = None if self._realised is None else state.positions[market][event.winner].realised - self._realised
        one.given, one.profit = _sum((one.given, given)), _sum((one.profit, profit))

    def answer(self, state: State) -> Answer:
        """Return the set of overshoots, by definition."""
        if self._current is not None:
            self._end(state, self._current)
        sheet = Sheet("Q07", state, self._scope)
        if not self._rounds:
            return sheet.lacks("overshoot", "closed less needed, under each definition", LACKS_ROUNDS)
        episodes = self._episodes
        by_position = [self._over(state, one, one.position) for one in self._rounds]
        by_statement = [self._over(state, one, one.event.size) for one in self._rounds]
        by_deficit = [_less(episode.given, episode.deficit) for episode in episodes]
        by_target = [_less(episode.given, episode.need_cash) for episode in episodes]
        by_profit = [_less(episode.profit, episode.deficit) for episode in episodes]
        unpriced = () if all(one.price for one in self._rounds) else (MISSING_MARK,)
        stated, target = "size stated by the venue", "target in money stated by the venue"
        self._triple(sheet, "position", "closed less the loser's position", by_position, RECORD, {LACKS_POSITION, *unpriced})
        self._triple(sheet, "stated", "closed less the round's stated size", by_statement, CLAIM, {stated, *unpriced})
        gaps = {MISSING_MARK, *self._gaps} if not self._gaps else self._gaps
        self._triple(sheet, "deficit", "given up at mark less the deficit", by_deficit, RECONSTRUCTION, gaps)
        self._triple(sheet, "need_cash", "given up at mark less the stated target", by_target, CLAIM, {target})
        gaps = {MISSING_ENTRY, *self._gaps} if not self._gaps else self._gaps
        self._triple(sheet, "profit", "winners' profit realised less the deficit", by_profit, RECONSTRUCTION, gaps)
        need = [episode.deficit for episode in episodes if episode.deficit is not None]
        on = partly(RECONSTRUCTION, self._span, len(need), len(episodes), self._gaps)
        sheet.cash("need.deficit", "deficit that the rounds found, counted once", sum(need), on)
        self._tables(state, sheet)
        sheet.note("Above zero more was closed than needed, below zero less. Contracts are valued at the round's last price.")
        return sheet.answer()

    @staticmethod
    def _over(state: State, one: _Round, need: int | None) -> int | None:
        """Return what the contracts closed beyond the need are worth, below zero for those that are lacking."""
        if need is None:
            return None
        beyond, market = one.closed - abs(need), state.markets[one.event.market]
        if not beyond:
            return 0
        if not one.price or (one.price < 0 and not market.linear):
            return None
        worth = abs(margin.market_value(market, beyond, one.price))
        return worth if beyond > 0 else -worth

    def _triple(self, sheet: Sheet, name: str, what: str, overs: list[int | None], basis: str, lacks: set[str]) -> None:
        known = [over for over in overs if over is not None]
        on = partly(basis, self._span, len(known), len(overs), lacks)
        sums = overshoot((0, over) for over in known)
        sheet.cash(f"overshoot.{name}.net", what, sums.net, on)
        sheet.cash(f"overshoot.{name}.gross", "the same, only where it is over", sums.gross, on)
        sheet.cash(f"overshoot.{name}.tracking", "the same, amounts over and under", sums.tracking, on)

    def _tables(self, state: State, sheet: Sheet) -> None:
        rounds: list[tuple[Cell, ...]] = [
            (
                one.event.round,
                one.seq,
                state.markets[one.event.market].listed.symbol,
                size_text(state, one.event.market, one.closed),
                size_text(state, one.event.market, None if one.position is None else abs(one.position)),
                size_text(state, one.event.market, None if one.event.size is None else abs(one.event.size)),
                cash_text(state, self._over(state, one, one.position)),
            )
            for one in self._rounds
        ]
        columns = ("round", "seq", "market", "closed", "position", "stated", "over_position")
        sheet.table("rounds", "Contracts by round", columns, rounds, Ground(RECORD, self._span), drop=("stated", "seq"))
        rows: list[tuple[Cell, ...]] = [
            (
                state.accounts[e.loser].name,
                e.rounds[0].seq,
                len(e.rounds),
                *(cash_text(state, amount) for amount in (e.deficit, e.given, _less(e.given, e.deficit), e.profit)),
            )
            for e in self._episodes
        ]
        columns = ("loser", "seq", "rounds", "deficit", "given_up", "over_deficit", "profit")
        title = "Money by deficit episode"
        sheet.table("episodes", title, columns, rows, Ground(RECONSTRUCTION, self._span), drop=("rounds", "seq"))
