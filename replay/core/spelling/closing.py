"""How fill, price, target, layers and rounding are written: how much of each, at which price, and who else pays."""

from replay.core.policy import (
    Atom,
    Base,
    Direction,
    Fill,
    FillKind,
    Layer,
    LayerKind,
    Price,
    Ratio,
    Remainder,
    Rounding,
    Target,
)
from replay.core.spelling.measures import ATOMS, read_measure, spell_measure
from replay.core.spelling.reading import (
    Unknown,
    between,
    done,
    find,
    is_number,
    parts_of,
    read_share,
    spell_ratio,
    take,
)

__all__ = [
    "read_fill",
    "read_layers",
    "read_price",
    "read_rounding",
    "read_target",
    "spell_fill",
    "spell_layers",
    "spell_price",
    "spell_rounding",
    "spell_target",
]

_QUEUE, _DRAIN, _LEAST, _INDEX = "queue", "level(exposure/equity)", "least maximum(closed/equity)", "index(size)"
_QUEUE_PAID, _CAP, _ONCE = "queue(paid)", "cap ", "once"
_FILLS = f"{_QUEUE}, level(closed/w), {_DRAIN}, {_LEAST}, {_QUEUE_PAID}, level(paid/w), {_INDEX}"


def spell_fill(fill: Fill) -> str:
    """Return a fill as text."""
    match fill.kind:
        case FillKind.QUEUE:
            text = _QUEUE_PAID if fill.cash else _QUEUE
        case FillKind.SHARE:
            product = " * ".join(map(spell_measure, fill.weight))
            product = product if len(fill.weight) == 1 else f"({product})"
            text = f"level({'paid' if fill.cash else 'closed'}/{product})"
        case FillKind.DRAIN:
            text = _DRAIN
        case FillKind.LEAST_MAXIMUM:
            text = _LEAST
        case FillKind.INDEX:
            text = _INDEX
    return ", ".join([text, *([f"{_CAP}{ATOMS[fill.cap]}"] if fill.cap else []), *([_ONCE] if fill.once else [])])


def read_fill(text: str) -> Fill:
    """Return the fill that ``text`` spells."""
    head, *parts = parts_of(text)
    spelled = between(parts, _CAP, "")
    once = take(parts, _ONCE)
    done(parts, "cap and an atom, once")
    cap = None if spelled is None else find(ATOMS, spelled)
    known = {
        _QUEUE: Fill(FillKind.QUEUE),
        _QUEUE_PAID: Fill(FillKind.QUEUE, cash=True, cap=cap),
        _DRAIN: Fill(FillKind.DRAIN),
        _LEAST: Fill(FillKind.LEAST_MAXIMUM),
        _INDEX: Fill(FillKind.INDEX, cash=True),
    }
    fill = known[head] if head in known else _share(head, cap, once=once)
    if fill.cap is not cap or fill.once is not once:
        raise Unknown(f"{text!r} has a cap or a 'once' that it cannot have", _FILLS)
    return fill


def _share(head: str, cap: Atom | None, *, once: bool) -> Fill:
    for cash, word in ((False, "level(closed/"), (True, "level(paid/")):
        inner = between([head], word, ")")
        if inner is not None:
            product = between([inner], "(", ")") or inner
            return Fill(FillKind.SHARE, cash, tuple(map(read_measure, product.split(" * "))), cap, once)
    raise Unknown(f"{head!r} is not known", _FILLS)


_BASES = {
    Base.BANKRUPTCY: "bankruptcy",
    Base.MARK: "mark",
    Base.PREVIOUS_MARK: "previous-mark",
    Base.ORACLE: "oracle",
    Base.STATED: "stated",
    Base.NONE: "none",
}
_CAPPED, _BAND, _TO_WINNER = "capped at bankruptcy", "mark beyond ", " to the winner"


def spell_price(price: Price) -> str:
    """Return a price as text."""
    parts = [_BASES[price.base], *([_CAPPED] if price.capped else [])]
    parts += [f"{_BAND}{spell_ratio(price.band, percent=True)}"] if price.band else []
    parts += [f"{spell_ratio(price.to_winner, percent=True)}{_TO_WINNER}"] if price.to_winner else []
    return ", ".join(parts)


def read_price(text: str) -> Price:
    """Return the price that ``text`` spells."""
    base, *parts = parts_of(text)
    capped = take(parts, _CAPPED)
    band, to_winner = between(parts, _BAND, ""), between(parts, "", _TO_WINNER)
    done(parts, f"{_CAPPED}, {_BAND}5%, 0.1%{_TO_WINNER}")
    return Price(find(_BASES, base), capped, _share_or_none(band), _share_or_none(to_winner))


def _share_or_none(text: str | None) -> Ratio | None:
    return None if text is None else read_share(text)


_WHOLE, _STATED, _DEFICIT = "whole position", "stated", "deficit"
_EACH, _ROUND = "each at most ", "round at most "


def spell_target(target: Target) -> str:
    """Return a target as text."""
    if target.deficit is None:
        head = _STATED if target.stated else _WHOLE
    else:
        head = _DEFICIT if target.deficit == Ratio(1, 1) else f"{_DEFICIT} * {spell_ratio(target.deficit)}"
    limits = ((target.each, _EACH), (target.round, _ROUND))
    return ", ".join([head, *(f"{text}{spell_ratio(limit, percent=True)}" for limit, text in limits if limit)])


def read_target(text: str) -> Target:
    """Return the target that ``text`` spells."""
    head, *parts = parts_of(text)
    each, whole = between(parts, _EACH, ""), between(parts, _ROUND, "")
    done(parts, f"{_EACH}20%, {_ROUND}10%")
    limits = (_share_or_none(each), _share_or_none(whole))
    if head in {_WHOLE, _STATED}:
        return Target(None, head == _STATED, *limits)
    if head == _DEFICIT:
        return Target(Ratio(1, 1), False, *limits)
    share = between([head], f"{_DEFICIT} * ", "")
    if share is None:
        raise Unknown(f"{head!r} is not known", f"{_WHOLE}, {_STATED}, {_DEFICIT}, {_DEFICIT} * 1/2")
    return Target(read_share(share), False, *limits)


_LAYERS = {
    LayerKind.BOOK: "book",
    LayerKind.VAULT: "vault",
    LayerKind.FUND: "fund",
    LayerKind.ADL: "adl",
    LayerKind.INDEX: "index",
    LayerKind.ASSIGNMENT: "assignment",
    LayerKind.WITHDRAWALS: "withdrawals",
    LayerKind.DEBT: "debt",
}
_ACCOUNT_MAX = 2**32 - 1


def spell_layers(layers: tuple[Layer, ...]) -> str:
    """Return layers as text."""
    return ", ".join(_LAYERS[layer.kind] + ("" if layer.account is None else f" {layer.account}") for layer in layers)


def read_layers(text: str) -> tuple[Layer, ...]:
    """Return the layers that ``text`` spells."""
    layers = []
    for part in parts_of(text):
        name, space, account = part.partition(" ")
        kind = find(_LAYERS, name)
        if space and (kind is not LayerKind.FUND or not is_number(account) or int(account) > _ACCOUNT_MAX):
            raise Unknown(f"{part!r} is not known", "a fund account by its number, as in 'fund 4'")
        layers.append(Layer(kind, int(account) if space else None))
    if len(set(layers)) != len(layers):
        raise Unknown("it names a layer twice")
    return tuple(layers)


_FALLS = {
    Direction.LOSER: "for the loser",
    Direction.WINNER: "for the winner",
    Direction.DOWN: "down",
    Direction.UP: "up",
    Direction.NEAREST: "nearest",
}
_REMAINDERS = {Remainder.LARGEST: "remainder largest", Remainder.FIRST: "remainder first"}
_LOT, _MONEY, _PRICE = "lot", "money unit", "price "


def spell_rounding(rounding: Rounding) -> str:
    """Return a rounding as text."""
    grid = _MONEY if rounding.price is None else f"{_LOT}, {_PRICE}{_FALLS[rounding.price]}"
    return f"{grid}, {_REMAINDERS[rounding.remainder]}"


def read_rounding(text: str) -> Rounding:
    """Return the rounding that ``text`` spells."""
    head, *parts = parts_of(text)
    price = None
    if head == _LOT:
        price = find(_FALLS, between(parts, _PRICE, "") or "")
    elif head != _MONEY:
        raise Unknown(f"{head!r} is not known", f"{_LOT}, {_MONEY}")
    remainder = find(_REMAINDERS, parts.pop(0) if parts else "")
    done(parts, "nothing more")
    return Rounding(price, remainder)
