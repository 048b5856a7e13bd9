"""Hypothesis strategies for policies: every value that can be carried out, and nothing that contradicts itself."""

from hypothesis import strategies as st
from msgspec.structs import replace

from replay.core.policy import (
    Atom,
    Base,
    Condition,
    Direction,
    Fill,
    FillKind,
    Insolvent,
    Key,
    Layer,
    LayerKind,
    Measure,
    Order,
    Policy,
    Price,
    ProfitFilter,
    Quantity,
    Ratio,
    Relation,
    Remainder,
    Rounding,
    Scope,
    Side,
    Target,
    Tie,
    Trigger,
)
from replay.core.spelling.contradictions import OF_ACCOUNTS, contradictions

__all__ = ["policies"]

_PARTS_MAX = 10**12
_ACCOUNT_MAX = 2**32 - 1
_WINDOW_MAX_NS = 10**18
_PAID = (FillKind.QUEUE, FillKind.SHARE)


@st.composite
def _ratios(draw: st.DrawFn, *, least: int = 0, share: bool = False) -> Ratio:
    """Draw an exact number not below ``least``, or a share above 0."""
    bottom = draw(st.one_of(st.sampled_from([1, 2, 3, 10, 100, 10**6]), st.integers(1, _PARTS_MAX)))
    top = draw(st.integers(1, bottom) if share else st.integers(least, _PARTS_MAX))
    return _reduced(top, bottom)


def _reduced(top: int, bottom: int) -> Ratio:
    left, right = abs(top), bottom
    while right:
        left, right = right, left % right
    return Ratio(top // left, bottom // left)


@st.composite
def _conditions(draw: st.DrawFn) -> Condition:
    quantity = draw(st.sampled_from(Quantity))
    if quantity is Quantity.SETTLEMENT:
        return Condition(quantity, Relation.AT_LEAST, Ratio(1, 1))
    window_ns = draw(st.integers(1, _WINDOW_MAX_NS)) if quantity is Quantity.DRAWDOWN else 0
    return Condition(quantity, draw(st.sampled_from(Relation)), draw(_ratios(least=-_PARTS_MAX)), window_ns)


def _clauses(least: int) -> st.SearchStrategy[tuple[tuple[Condition, ...], ...]]:
    clause = st.lists(_conditions(), min_size=1, max_size=3, unique=True).map(tuple)
    return st.lists(clause, min_size=least, max_size=3, unique=True).map(tuple)


@st.composite
def _measures(draw: st.DrawFn, side: Side, *, weight: bool = False) -> Measure:
    atoms = OF_ACCOUNTS if side is Side.ACCOUNTS else tuple(Atom)
    top = draw(st.sampled_from([atom for atom in atoms if not (weight and atom is Atom.PROFIT)]))
    bottom = draw(st.sampled_from([Atom.ONE, *(atom for atom in atoms if atom is not top and atom is not Atom.PROFIT)]))
    floored = bottom is Atom.BALANCE or (bottom not in {Atom.ONE, Atom.SIZE} and draw(st.booleans()))
    return Measure(top, bottom, floored, draw(st.one_of(st.just(Ratio(0, 1)), _ratios(least=1))))


@st.composite
def _keys(draw: st.DrawFn, fill: Fill, side: Side) -> Key:
    order = draw(st.sampled_from(Order)) if fill.kind is FillKind.QUEUE else Order.SCORE
    if fill.kind is not FillKind.QUEUE or order is not Order.SCORE:
        return Key(order)
    returns = draw(st.none() | _measures(side))
    leverage = None if returns is None else draw(st.none() | _measures(side))
    zero_is_gain = leverage is None or draw(st.booleans())
    ties = draw(st.lists(st.builds(Tie, _measures(side), st.booleans()), max_size=2))
    return Key(order, returns, leverage, zero_is_gain, ties=tuple(ties), newest_first=draw(st.booleans()))


@st.composite
def _fills(draw: st.DrawFn, side: Side) -> Fill:
    # Contracts are closed against the other side; a scope of accounts holds none.
    known = {Side.OPPOSITE: tuple(FillKind), Side.BOTH: (*_PAID, FillKind.INDEX), Side.ACCOUNTS: _PAID}
    kind = draw(st.sampled_from(known[side]))
    if kind not in _PAID:
        return Fill(kind, cash=kind is FillKind.INDEX)
    cash = side is not Side.OPPOSITE or draw(st.booleans())
    atoms = OF_ACCOUNTS if side is Side.ACCOUNTS else tuple(Atom)
    cap = draw(st.sampled_from([atom for atom in atoms if atom not in {Atom.ONE, Atom.SIZE, Atom.PROFIT}])) if cash else None
    if kind is FillKind.QUEUE:
        return Fill(kind, cash, cap=cap)
    weight = draw(st.lists(_measures(side, weight=True), min_size=1, max_size=3))
    return Fill(kind, cash, tuple(weight), cap, draw(st.booleans()))


@st.composite
def _prices(draw: st.DrawFn) -> Price:
    base = draw(st.sampled_from([base for base in Base if base is not Base.NONE]))
    if base is Base.STATED:
        return Price(base)
    capped = base is not Base.BANKRUPTCY and draw(st.booleans())
    band = None if base is Base.MARK and not capped else draw(st.none() | _ratios(share=True))
    return Price(base, capped, band, draw(st.none() | _ratios(share=True)))


@st.composite
def _targets(draw: st.DrawFn, fill: Fill, price: Price) -> Target:
    stated = draw(st.booleans())
    share, none = _ratios(share=True), st.none()
    if fill.cash:
        return Target(None if stated else draw(share), stated)
    # A close at mark brings in nothing of a deficit.
    deficit = none if stated or (price.base is Base.MARK and not price.capped) else none | share
    return Target(draw(deficit), stated, draw(none | share), None if stated else draw(none | share))


@st.composite
def _layers(draw: st.DrawFn, acting: LayerKind | None) -> tuple[Layer, ...]:
    numbered = st.lists(st.integers(0, _ACCOUNT_MAX), min_size=1, max_size=3, unique=True)
    funds = draw(st.one_of(st.just([]), st.just([None]), numbered))
    before = [LayerKind.BOOK, LayerKind.VAULT, LayerKind.ASSIGNMENT, *([acting] if acting else [])]
    named = draw(st.lists(st.sampled_from(before), unique=True))
    named += [acting] if acting and acting not in named else []
    first = draw(st.permutations([*map(Layer, named), *(Layer(LayerKind.FUND, account) for account in funds)]))
    takes_all = first and first[-1].kind in {LayerKind.VAULT, LayerKind.ADL, LayerKind.INDEX}
    last = draw(st.sampled_from([None, LayerKind.DEBT, LayerKind.WITHDRAWALS] if takes_all else [LayerKind.DEBT]))
    return (*first, *([Layer(last)] if last else []))


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Draw a policy of id 0."""
    side = draw(st.sampled_from(Side))
    fill = draw(_fills(side))
    own_first = fill.kind is FillKind.QUEUE and draw(st.booleans())
    flags = (own_first, *(not fill.cash and draw(st.booleans()) for _ in range(2)))
    start = draw(_clauses(0))
    stop = draw(_clauses(0)) if start else ()
    acting = (LayerKind.INDEX if fill.kind is FillKind.INDEX else LayerKind.ADL) if start else None
    remainder = draw(st.sampled_from(Remainder)) if fill.kind is FillKind.SHARE and not fill.once else Remainder.LARGEST
    price = Price(Base.NONE) if fill.cash else draw(_prices())
    drawn = Policy(
        0,
        "drawn",
        Trigger(start, stop),
        Scope(side, draw(st.sampled_from(ProfitFilter)), *flags),
        draw(_keys(fill, side)),
        fill,
        price,
        draw(_targets(fill, price)),
        draw(_layers(acting)),
        Rounding(None if fill.cash else draw(st.sampled_from(Direction)), remainder),
    )
    # Which choice there is for candidates without equity follows from all the rest; to leave them out always is one.
    choices = [replace(drawn, key=replace(drawn.key, insolvent=choice)) for choice in Insolvent]
    return draw(st.sampled_from([policy for policy in choices if not any(contradictions(policy))]))
