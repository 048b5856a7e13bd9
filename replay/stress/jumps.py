"""What the engine does after a jump of prices, on a copy of a state.

Marks, and oracle prices with them, jump by one share. Then the engine is asked about every account below its maintenance
margin, by ascending id, then about whoever its rounds hit, and about the vault, until nothing more is to be done. Nobody trades
on the way and the book takes nothing. That is the worst case for a fund, as every contract that a book takes before an account
is bankrupt makes its deficit smaller.

A deficit is counted once: it is what equities are below zero right after the jump. What a round then hands on to a winner who
cannot bear it is part of a deficit that is counted already.

The state given is never changed, and every change of a copy goes through ``evolve``. A fund whose balance is set is taken to
have had it for as long as the policies look back; otherwise setting it would look like a drawdown.
"""

from collections import Counter, deque
from collections.abc import Collection, Iterable, Mapping
from copy import copy

from msgspec import Struct

from events.errors import MisuseError
from events.model import (
    EXTERNAL,
    FIRST_FREE_ACCOUNT,
    AccountOpened,
    AdlClose,
    AdlRound,
    AnyEvent,
    InsuranceDraw,
    Liquidation,
    MarginMode,
    Opening,
    PriceTick,
    Reason,
    Role,
    Transfer,
)
from events.units import PPM, div_half_even, format_units
from replay.core import margin
from replay.core.engine import Look, Moment, Rules, decide
from replay.core.evolve import evolve
from replay.core.policy import Policy, policy_for
from replay.core.spelling import Texts, adopt, parse_policy
from replay.core.state import State
from replay.lights import open_interest

__all__ = ["MOVE_MAX_PPM", "PERCENT_DECIMALS", "Closed", "Jump", "Outcome", "Venue", "begins_round", "jump", "run", "venue"]

MOVE_MAX_PPM = 100 * PPM
PERCENT_DECIMALS = 4  # a percent counts 10,000 ppm
"""The largest jump: to about a hundredfold price."""

_REASONS_MAX = 5


class Closed(Struct, frozen=True):
    """What ADL closes in a market: ``lots``, and their ``notional`` at the moved mark in money units."""

    market: int
    lots: int
    notional: int


class Outcome(Struct, frozen=True):
    """What the engine did after one jump. Money in money units, contracts at the moved marks.

    ``liquidated`` counts the accounts found below their maintenance margin (not the vault, while it has equity), ``bankrupt``
    those below zero. ``draws`` are what each fund paid, ``vault_loss`` what the vault lost by what was done, ``charged`` what
    accounts paid where only money moves. ``interest`` is the open interest of all markets. ``hit`` counts the accounts that
    were closed or charged. ``debt`` is what accounts are below zero in the end. ``fund_left`` and ``vault_loss`` are None where
    the record does not tell them. ``undecided`` accounts are left out, in part for the reasons in ``missing``.
    """

    liquidated: int
    bankrupt: int
    deficit: int
    draws: Mapping[int, int]
    vault_loss: int | None
    rounds: int
    closed: tuple[Closed, ...]
    interest: int
    charged: int
    hit: int
    debt: int
    fund_left: int | None
    undecided: int
    missing: tuple[str, ...]

    @property
    def drawn(self) -> int:
        """What all funds paid."""
        return sum(self.draws.values())

    @property
    def closed_notional(self) -> int:
        """What ADL closed in all markets."""
        return sum(one.notional for one in self.closed)


class Venue(Struct, frozen=True):
    """What every jump begins from.

    ``policies`` are those in force, ``funds`` the accounts that pay deficits, by id. ``at_ns`` is just after the record,
    ``later_ns`` when no policy looks back to it any more. ``assumed`` says in sentences what the record lacks and what was put
    there.
    """

    state: State
    rules: Rules
    policies: tuple[Policy, ...]
    funds: tuple[int, ...]
    at_ns: int
    later_ns: int
    assumed: tuple[str, ...]


class Jump(Struct, frozen=True):
    """A venue right after a jump. ``risky`` are the accounts below maintenance margin; of ``unknown`` it cannot be told."""

    venue: Venue
    state: State
    risky: tuple[int, ...]
    unknown: int
    deficit: int


# ---- Before


def venue(state: State, policy: Texts | None = None, fund_cash: int | None = None) -> Venue:
    """Return a copy of ``state`` to begin from, with ``policy`` in force for all markets and a fund of ``fund_cash``, if given.

    Raises ``MisuseError`` where no policy is in force, where a fund is to be set and the policies name several, or before the
    ledger's own beginning is complete.
    """
    if len(state.accounts) < FIRST_FREE_ACCOUNT:
        raise MisuseError(f"there is nothing to stress at seq {state.seq} yet.", cure="Choose a later --at.")
    made, assumed = _copy(state), []
    times = [one.event.at_ns for one in state.rounds]
    times += [level.at_ns for levels in state.fund_levels.values() for level in levels]
    at_ns = max([0, *times, *state.liquidated.values()]) + 1
    if policy is not None:
        _apply(made, [adopt(policy, policy=len(made.policies), at_ns=at_ns, source=0, row=0)])
    policies = _policies(made)
    if not any(account.role is Role.FUND for account in made.accounts):
        assumed.append("The record has no insurance fund; an empty one is assumed.")
        _open(made, "assumed insurance fund", Role.FUND, at_ns)
    vault = next((one for role in (Role.LIQUIDATOR, Role.VAULT) if (one := _first(made, role)) is not None), None)
    if vault is None:
        assumed.append("The record has no liquidator or vault; an empty one is assumed to take what is closed at mark.")
        vault = _open(made, "assumed liquidator", Role.LIQUIDATOR, at_ns)
    named = {layer.account for one in policies for layer in one.layers if layer.account is not None}
    funds = [one.account for one in made.accounts if one.role is Role.FUND or one.account in named]
    windows = [one.window_ns for rule in policies for clause in (*rule.trigger.start, *rule.trigger.stop) for one in clause]
    later_ns = at_ns + max(windows, default=0) + 1
    if fund_cash is not None:
        if named and len(funds) > 1:
            cure = "Leave the funds as they are: the policies name the accounts that pay."
            raise MisuseError("this venue has several funds, so there is no one balance to set.", cure=cure)
        _set_funds(made, {**dict.fromkeys(funds, 0), funds[0]: fund_cash}, {}, at_ns)
        at_ns = later_ns
    return Venue(made, Rules(vault), tuple(policies), tuple(funds), at_ns, later_ns, tuple(assumed))


def _policies(state: State) -> list[Policy]:
    """Return the policies in force, each once. Every market that somebody holds has one."""
    found: dict[int, Policy] = {}
    for market, book in enumerate(state.positions):
        number = policy_for(state, market)
        if number is not None and number not in found:
            found[number] = parse_policy(state.policies[number])
        if number is None and any(position.size for position in book.values()):
            symbol = state.markets[market].listed.symbol
            raise MisuseError(f"no ADL policy is in force for {symbol}.", cure="Name one; `adl policies` lists them.")
    return list(found.values())


def _first(state: State, role: Role) -> int | None:
    return next((one.account for one in state.accounts if one.role is role and state.cash_known[one.account]), None)


def _open(state: State, name: str, role: Role, at_ns: int) -> int:
    account = len(state.accounts)
    _apply(state, [AccountOpened(at_ns, 0, 0, account, name, account, role, MarginMode.CROSS, new=True, adl_exempt=None)])
    return account


def _copy(state: State) -> State:
    """Return a state that can be changed without changing ``state``. What is frozen is shared."""
    made = copy(state)
    for name in ("accounts", "role_since", "cash", "cash_known", "marks", "previous_marks", "oracles", "partial", "policies"):
        setattr(made, name, list(getattr(state, name)))
    made.rounds = list(state.rounds)  # a round of the record is over, so none of these is changed
    made.positions = [{account: copy(position) for account, position in book.items()} for book in state.positions]
    books = made.positions
    made.holdings = [{market: books[market][account] for market in held} for account, held in enumerate(state.holdings)]
    made.fund_levels = {fund: list(levels) for fund, levels in state.fund_levels.items()}
    made.liquidated = dict(state.liquidated)
    return made


def _apply(state: State, events: Iterable[AnyEvent]) -> None:
    for event in events:
        evolve(state, event, state.seq + 1)


def _set_funds(state: State, levels: Mapping[int, int], lost: Mapping[int, int], at_ns: int) -> None:
    """Give each fund a balance: its equity, with what it ``lost`` since counted as still there."""
    for fund, level in levels.items():
        has = margin.equity(state, fund)
        if has is None:
            _apply(state, [Opening(at_ns, 0, 0, fund, level, ())])
            continue
        more = level - has - lost.get(fund, 0)
        if more:
            payer, payee = (EXTERNAL, fund) if more > 0 else (fund, EXTERNAL)
            _apply(state, [Transfer(at_ns, 0, 0, payer, payee, abs(more), Reason.TOP_UP, None)])


# ---- The jump


def jump(begun: Venue, move_ppm: int, markets: Collection[int] | None = None) -> Jump:
    """Return a venue after its marks in ``markets``, by default in all, jumped by ``move_ppm``, and who is at risk then.

    A price falls to its nearest step, and to no less than one. Raises ``MisuseError`` for a move out of range.
    """
    if not -PPM < move_ppm <= MOVE_MAX_PPM:
        percent = format_units(move_ppm, PERCENT_DECIMALS)
        raise MisuseError(f"a move of {percent}% is out of range.", cure="Moves are above -100% and up to 10000%.")
    state = _copy(begun.state)
    for market in range(len(state.markets)):
        mark = state.marks[market]
        if mark and (markets is None or market in markets):
            oracle = _moved(state.oracles[market], move_ppm) if state.oracles[market] else None
            _apply(state, [PriceTick(begun.at_ns, 0, 0, market, _moved(mark, move_ppm), oracle)])
    risky, unknown, deficit = [], 0, 0
    for account in range(FIRST_FREE_ACCOUNT, len(state.accounts)):
        equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
        if equity is None or maintenance is None:
            unknown += 1
            continue
        deficit += max(-equity, 0)
        if equity < maintenance:
            risky.append(account)
    return Jump(begun, state, tuple(risky), unknown, deficit)


def _moved(price: int, move_ppm: int) -> int:
    return max(div_half_even(price * (PPM + move_ppm), PPM), 1)


# ---- After


class _Seen:
    """What the engine's events add up to."""

    def __init__(self, funds: Collection[int]) -> None:
        self._funds = funds
        self.draws: Counter[int] = Counter()
        self.lots: Counter[int] = Counter()
        self.rounds = self.charged = self.trades = 0
        self.hit: dict[int, None] = {}
        self.liquidated: dict[int, None] = {}
        self.bankrupt: dict[int, None] = {}
        self.stuck: dict[int, str] = {}

    def note(self, event: AnyEvent) -> int | None:
        """Take an event in, and return the account that a round closed or charged, if it did."""
        match event:
            case AdlRound():
                self.rounds += 1
            case AdlClose():
                self.trades += 1
                self.lots[event.market] += event.size
                self.hit[event.winner] = None
                return event.winner
            case Liquidation():
                self.trades += 1
            case InsuranceDraw() if event.fund in self._funds:
                self.draws[event.fund] += event.cash
            case Transfer(reason=Reason.SOCIALISED_LOSS):
                self.charged += event.cash
                self.hit[event.payer] = None
                return event.payer
        return None


def run(jumped: Jump, funds: Mapping[int, int] | None = None) -> tuple[Outcome, State]:
    """Return what the engine does after a jump, and the state that it leaves; with other fund balances before it, if given."""
    state, seen = _copy(jumped.state), _Seen(jumped.venue.funds)
    _act(state, jumped, funds, seen, to_first_round=False)
    return _outcome(state, jumped, seen), state


def begins_round(jumped: Jump, funds: Mapping[int, int]) -> bool:
    """Return whether the engine begins an ADL round after a jump, with these fund balances before it."""
    seen = _Seen(jumped.venue.funds)
    _act(_copy(jumped.state), jumped, funds, seen, to_first_round=True)
    return seen.rounds > 0


def _act(state: State, jumped: Jump, funds: Mapping[int, int] | None, seen: _Seen, *, to_first_round: bool) -> None:
    """Ask the engine about everybody at risk until nothing more is to be done, or until there is a round."""
    begun, at_ns = jumped.venue, jumped.venue.at_ns
    if funds is not None:
        before = {fund: margin.equity(begun.state, fund) for fund in funds}
        lost = {fund: (margin.equity(state, fund) or 0) - (has or 0) for fund, has in before.items()}
        _set_funds(state, funds, {fund: -change for fund, change in lost.items()}, at_ns)
        at_ns = begun.later_ns
    vault = begun.rules.vault
    waiting = deque(account for account in jumped.risky if account != vault)
    waiting.append(vault)
    while waiting:
        account = waiting.popleft()
        for winner in _settle(state, account, begun.rules, at_ns, seen):
            if winner not in waiting and _below(state, winner):
                waiting.append(winner)
        if to_first_round and seen.rounds:
            return
        if account != vault and vault not in waiting and _below(state, vault):
            waiting.append(vault)


def _below(state: State, account: int) -> bool:
    equity, maintenance = margin.equity(state, account), margin.maintenance(state, account)
    return equity is not None and maintenance is not None and equity < maintenance


def _settle(state: State, account: int, rules: Rules, at_ns: int, seen: _Seen) -> dict[int, None]:
    """Carry out what the engine decides about one account, as far as it goes, and return whom its rounds hit."""
    hit: dict[int, None] = {}
    bankrupt = (margin.equity(state, account) or 0) < 0
    # A vault that takes over more than its margin allows is nobody's liquidation.
    if bankrupt or (account != rules.vault and _below(state, account)):
        seen.liquidated[account] = None
    if bankrupt:
        seen.bankrupt[account] = None
    try:
        while events := decide(state, Look(account), rules, Moment(at_ns, 0, 0, seen.trades + 1)).events:
            for event in events:
                evolve(state, event, state.seq + 1)
                winner = seen.note(event)
                if winner is not None:
                    hit[winner] = None
    except MisuseError as error:
        # What the record does not decide about one account is no reason to leave out the others.
        seen.stuck[account] = error.message
    return hit


def _outcome(state: State, jumped: Jump, seen: _Seen) -> Outcome:
    marks, begun = jumped.state, jumped.venue
    worth = {market: abs(_value(marks, market, lots)) for market, lots in sorted(seen.lots.items())}
    interest = sum(abs(_value(marks, market, open_interest(marks, market))) for market in range(len(marks.markets)))
    equities = [margin.equity(state, account) for account in dict.fromkeys([*jumped.risky, *seen.hit, begun.rules.vault])]
    vault = [margin.equity(one, begun.rules.vault) for one in (marks, state)]
    left = [margin.equity(state, fund) for fund in begun.funds]
    return Outcome(
        liquidated=len(seen.liquidated),
        bankrupt=len(seen.bankrupt),
        deficit=jumped.deficit,
        draws=dict(sorted(seen.draws.items())),
        vault_loss=None if vault[0] is None or vault[1] is None else vault[0] - vault[1],
        rounds=seen.rounds,
        closed=tuple(Closed(market, seen.lots[market], notional) for market, notional in worth.items()),
        interest=interest,
        charged=seen.charged,
        hit=len(seen.hit),
        debt=sum(max(-equity, 0) for equity in equities if equity is not None),
        fund_left=None if None in left else sum(one for one in left if one is not None),
        undecided=jumped.unknown + len(seen.stuck),
        missing=tuple(sorted(set(seen.stuck.values())))[:_REASONS_MAX],
    )


def _value(state: State, market: int, lots: int) -> int:
    """Return what lots are worth at mark; 0 without a mark."""
    mark = state.marks[market]
    return margin.market_value(state.markets[market], lots, mark) if mark else 0
