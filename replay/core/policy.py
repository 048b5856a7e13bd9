"""The ADL policy as a value: eight parameters that between them express every venue's rule.

A venue's rule is a value, not a class. ``spelling`` reads these values from the texts of a PolicyAdopted event and writes them
back; ``plan`` carries them out. Everything here is frozen and says nothing of any one ledger: money bounds are in the ledger's
currency, ratios are exact.

1. ``Trigger``: conditions on the loser, the fund and the market. Any of its clauses starts ADL, all conditions of a clause
   together. With a stop, ADL goes on after a start until the stop holds: hysteresis.
2. ``Scope``: who can be closed or charged.
3. ``Key``: in which order. The first measure is a return r and, mostly, a leverage L: ``r * L`` for a gain and ``r / L`` for a
   loss, so that leverage moves a gain up and a loss down. Ties go by further measures and end in the account id, always.
4. ``Fill``: how much of each: the queue, or one common level.
5. ``Price``: at which price, or none, where only money moves.
6. ``Target``: how much in all.
7. ``Layer``: what pays first: the sequence of book, vault, fund, ADL and the rest.
8. ``Rounding``: which way a price falls on its grid, and who gets the remainder of a division.
"""

from enum import IntEnum
from typing import NamedTuple

from msgspec import Struct

from replay.core.bankruptcy import Direction
from replay.core.state import State

__all__ = [
    "Atom",
    "Base",
    "Clauses",
    "Condition",
    "Direction",
    "Fill",
    "FillKind",
    "Insolvent",
    "Key",
    "Layer",
    "LayerKind",
    "Measure",
    "Order",
    "Policy",
    "Price",
    "ProfitFilter",
    "Quantity",
    "Ratio",
    "Relation",
    "Remainder",
    "Rounding",
    "Scope",
    "Side",
    "Target",
    "Tie",
    "Trigger",
    "policy_for",
]


class Ratio(NamedTuple):
    """An exact number in lowest terms; ``denominator`` is above zero. Not to be compared as a tuple."""

    numerator: int
    denominator: int


# ---- 1. Trigger


class Quantity(IntEnum):
    """What a condition looks at.

    ``EQUITY``: of the loser, in the currency. ``FUND``: equity of the policy's fund pools, in the currency. ``DRAWDOWN``: how
    far the pools are below their highest level of the window, as a share of that level. ``LEFTOVER``: what of the loser's
    position the layers before ADL left, in lots. ``POOL_FACTOR``: net profit of the winners' side over the vaults' balance.
    ``SETTLEMENT``: the market is being settled.
    """

    EQUITY = 1
    FUND = 2
    DRAWDOWN = 3
    LEFTOVER = 4
    POOL_FACTOR = 5
    SETTLEMENT = 6


class Relation(IntEnum):
    """How a quantity stands to its bound."""

    BELOW = 1
    AT_MOST = 2
    ABOVE = 3
    AT_LEAST = 4


class Condition(Struct, frozen=True, gc=False):
    """``quantity relation bound``. ``window_ns`` is that of a drawdown, else 0.

    Settlement has no relation or bound of its own: it is ``AT_LEAST`` 1.
    """

    quantity: Quantity
    relation: Relation
    bound: Ratio
    window_ns: int = 0


Clauses = tuple[tuple[Condition, ...], ...]


class Trigger(Struct, frozen=True, gc=False):
    """Any of the clauses, all conditions of a clause. ``stop`` is empty where ADL does not outlast its start."""

    start: Clauses
    stop: Clauses = ()


# ---- 2. Scope


class Side(IntEnum):
    """Who can bear a part: holders of the other side of the market, of both sides, or all accounts whatever they hold."""

    OPPOSITE = 1
    BOTH = 2
    ACCOUNTS = 3


class ProfitFilter(IntEnum):
    """Which candidates by their unrealised profit: any, those not at a loss, those with a profit."""

    ANY = 1
    NOT_NEGATIVE = 2
    POSITIVE = 3


class Scope(Struct, frozen=True, gc=False):
    """Who can be closed or charged.

    ``own_first``: accounts of the loser's owner before all others. ``unhedged``: only what an owner holds beyond the other side
    in its own other accounts. ``overlapping``: not a candidate whom a close at the round's price would leave short of initial
    margin and less safe than before (dYdX).
    """

    side: Side
    profit: ProfitFilter = ProfitFilter.ANY
    own_first: bool = False
    unhedged: bool = False
    overlapping: bool = False


# ---- 3. Key


class Atom(IntEnum):
    """A number of a candidate, in money units but for ``SIZE`` (lots) and ``ONE``.

    Of the position: size, notional at mark, notional at entry, profit, gain (profit, at least 0), position maintenance and
    initial margin, and what it was sold and bought for (a long was bought at entry and is sold at mark, a short the other way
    round). Of the account: equity, balance (equity less all unrealised profit), maintenance margin, exposure (notional of all
    its positions). For a scope of accounts, profit, gain and notional are of the whole account.
    """

    ONE = 1
    SIZE = 2
    NOTIONAL = 3
    ENTRY_NOTIONAL = 4
    PROFIT = 5
    GAIN = 6
    POSITION_MAINTENANCE = 7
    INITIAL = 8
    SOLD = 9
    BOUGHT = 10
    EQUITY = 11
    BALANCE = 12
    MAINTENANCE = 13
    EXPOSURE = 14


class Measure(Struct, frozen=True, gc=False):
    """``top / bottom``. ``floored``: the bottom counts as at least one unit of currency. ``over``: only the excess counts.

    A bottom of 0 counts as one money unit, so that there is always a number.
    """

    top: Atom
    bottom: Atom = Atom.ONE
    floored: bool = False
    over: Ratio = Ratio(0, 1)


class Order(IntEnum):
    """Candidates stand by score, in the order of the recorded list, or in that list rotated by the recorded seed."""

    SCORE = 1
    LIST = 2
    ROTATION = 3


class Insolvent(IntEnum):
    """What becomes of candidates whose equity is not above 0, where a score needs it.

    ``ALIKE``: no score needs it. ``FIRST``, ``LAST``: before or after all others, by their ties. ``EXCLUDED``: no candidates.
    ``ZERO``: a score or a weight of 0. ``AT_LEAST_ONE``: equity counts as at least one unit of currency.
    """

    ALIKE = 1
    FIRST = 2
    LAST = 3
    EXCLUDED = 4
    ZERO = 5
    AT_LEAST_ONE = 6


class Tie(Struct, frozen=True, gc=False):
    """A further measure among equals."""

    measure: Measure
    descending: bool


class Key(Struct, frozen=True, gc=False):
    """The order of candidates. ``returns`` None: by ties and id alone.

    ``zero_is_gain`` says which branch a return of 0 takes; it is a choice even where both give 0. ``newest_first``: the highest
    account id first among equals.
    """

    order: Order
    returns: Measure | None = None
    leverage: Measure | None = None
    zero_is_gain: bool = True
    insolvent: Insolvent = Insolvent.ALIKE
    ties: tuple[Tie, ...] = ()
    newest_first: bool = False


# ---- 4. Fill


class FillKind(IntEnum):
    """How the target is shared.

    ``QUEUE``: in order, each as far as it reaches. ``SHARE``: in proportion to a weight, up to a cap. ``DRAIN``: the most
    levered are closed until their leverage is equal. ``LEAST_MAXIMUM``: whole lots, so that the largest close over equity is
    least. ``INDEX``: one rate per contract, rounded up.
    """

    QUEUE = 1
    SHARE = 2
    DRAIN = 3
    LEAST_MAXIMUM = 4
    INDEX = 5


class Fill(Struct, frozen=True, gc=False):
    """How much of each.

    ``weight`` is a product, empty unless the kind is SHARE. ``cash``: money is paid and no contract moves, each at most
    ``cap``. A weight or a cap below 0 counts as 0. ``once``: what a cap cuts off is not shared again.
    """

    kind: FillKind
    cash: bool = False
    weight: tuple[Measure, ...] = ()
    cap: Atom | None = None
    once: bool = False


# ---- 5. Price


class Base(IntEnum):
    """The reference of a close's price; ``NONE`` where only money moves, ``STATED`` for what the round says."""

    BANKRUPTCY = 1
    MARK = 2
    PREVIOUS_MARK = 3
    ORACLE = 4
    STATED = 5
    NONE = 6


class Price(Struct, frozen=True, gc=False):
    """``capped``: the bankruptcy price instead where that is better for the loser, so its loss is capped at its equity.

    ``band``: mark instead where the price is further than this share of mark from it. ``to_winner``: moved by this share in the
    winner's favour.
    """

    base: Base
    capped: bool = False
    band: Ratio | None = None
    to_winner: Ratio | None = None


# ---- 6. Target


class Target(Struct, frozen=True, gc=False):
    """``deficit`` None: the whole remaining position; else so much of the loser's deficit.

    ``stated``: what the round states is the venue's own choice, whatever it is. ``each`` caps every candidate, ``round`` the
    whole round, each at this share of the position concerned.
    """

    deficit: Ratio | None = None
    stated: bool = False
    each: Ratio | None = None
    round: Ratio | None = None


# ---- 7. Layers


class LayerKind(IntEnum):
    """Who pays.

    ``DEBT``: nobody, the loser's account stays below zero. ``ASSIGNMENT``: volunteers. ``WITHDRAWALS``: who leaves.
    """

    BOOK = 1
    VAULT = 2
    FUND = 3
    ADL = 4
    INDEX = 5
    ASSIGNMENT = 6
    WITHDRAWALS = 7
    DEBT = 8


class Layer(NamedTuple):
    """One layer. ``account`` names one fund of several; None stands for all fund accounts, by id."""

    kind: LayerKind
    account: int | None = None


# ---- 8. Rounding


class Remainder(IntEnum):
    """Who gets what a division leaves: the largest remainders, ties by id; or the first ids."""

    LARGEST = 1
    FIRST = 2


class Rounding(Struct, frozen=True, gc=False):
    """``price`` is None where only money moves."""

    price: Direction | None
    remainder: Remainder = Remainder.LARGEST


class Policy(Struct, frozen=True, gc=False):
    """A policy that can be carried out."""

    policy: int
    name: str
    trigger: Trigger
    scope: Scope
    key: Key
    fill: Fill
    price: Price
    target: Target
    layers: tuple[Layer, ...]
    rounding: Rounding


def policy_for(state: State, market: int) -> int | None:
    """Return the policy in force for ``market``: the last adopted that is for it or for all markets; None for none."""
    for event in reversed(state.policies):
        if event.markets is None or market in event.markets:
            return event.policy
    return None
