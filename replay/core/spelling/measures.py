"""How a measure of a candidate is written: ``profit/notional``, ``gain/max(balance, 1)``, ``exposure/equity over 0.9``."""

from replay.core.policy import Atom, Measure, Ratio
from replay.core.spelling.reading import Unknown, find, read_ratio, spell_ratio

__all__ = ["ATOMS", "read_measure", "spell_measure"]

ATOMS = {
    Atom.ONE: "1",
    Atom.SIZE: "size",
    Atom.NOTIONAL: "notional",
    Atom.ENTRY_NOTIONAL: "entry-notional",
    Atom.PROFIT: "profit",
    Atom.GAIN: "gain",
    Atom.POSITION_MAINTENANCE: "position-maintenance",
    Atom.INITIAL: "initial",
    Atom.SOLD: "sold",
    Atom.BOUGHT: "bought",
    Atom.EQUITY: "equity",
    Atom.BALANCE: "balance",
    Atom.MAINTENANCE: "maintenance",
    Atom.EXPOSURE: "exposure",
}
_ZERO = Ratio(0, 1)


def spell_measure(measure: Measure) -> str:
    """Return a measure as text."""
    text = ATOMS[measure.top]
    if measure.floored:
        text += f"/max({ATOMS[measure.bottom]}, 1)"
    elif measure.bottom is not Atom.ONE:
        text += f"/{ATOMS[measure.bottom]}"
    return text if measure.over == _ZERO else f"{text} over {spell_ratio(measure.over)}"


def read_measure(text: str) -> Measure:
    """Return the measure that ``text`` spells."""
    body, _, over = text.partition(" over ")
    top, slash, bottom = body.partition("/")
    floored = bottom.startswith("max(") and bottom.endswith(", 1)")
    bottom = bottom[len("max(") : -len(", 1)")] if floored else bottom
    measure = Measure(
        find(ATOMS, top), find(ATOMS, bottom) if slash else Atom.ONE, floored, read_ratio(over) if over else _ZERO
    )
    if floored and measure.bottom in {Atom.ONE, Atom.SIZE}:
        raise Unknown(f"{text!r} holds max({bottom}, 1), but only money can be held against a unit of currency")
    if measure.top is measure.bottom and slash:
        raise Unknown(f"{text!r} divides a number by itself")
    if measure.over.numerator < 0:
        raise Unknown(f"{text!r} counts what exceeds a number below 0")
    return measure
