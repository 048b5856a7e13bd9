"""What is changed in a what-if: the policy, the size of the fund, the source of the close price, or whether there is ADL."""

from enum import StrEnum

from msgspec import Struct

from events.errors import BadInputError, MisuseError
from events.model import PolicyAdopted
from replay.core.spelling import PARAMETERS, Texts, parse_texts

__all__ = ["UNCHANGED", "Change", "PriceSource", "changed_texts", "label_of", "texts_of"]

_ADL_LAYERS = ("adl", "index")
_ENDS = ("vault", "withdrawals", "debt")


class PriceSource(StrEnum):
    """A reference that a policy's close price can be taken from, as the policy spells it."""

    MARK = "mark"
    ORACLE = "oracle"
    PREVIOUS_MARK = "previous-mark"
    BANKRUPTCY = "bankruptcy"


class Change(Struct, frozen=True):
    """A change. None or false leaves the record's own. ``fund_cash`` is in money units; ``fund`` is the same as text.

    ``policy`` replaces the policy of every market; ``no_adl`` then takes ADL out of it.
    """

    policy: Texts | None = None
    fund_cash: int | None = None
    fund: str = ""
    price: PriceSource | None = None
    no_adl: bool = False


UNCHANGED = Change()


def label_of(change: Change) -> str:
    """Return a change in a few words."""
    words = [] if change.policy is None else [change.policy.name]
    words += ["no ADL"] if change.no_adl else []
    words += [] if change.fund_cash is None else [f"fund {change.fund}"]
    words += [] if change.price is None else [f"price {change.price}"]
    return ", ".join(words) or "no change"


def changed_texts(texts: Texts, change: Change) -> Texts:
    """Return the texts of a policy under a change of policy, price or ADL; the same texts where none of these changes.

    Raises ``BadInputError`` where the texts cannot be read, and ``MisuseError`` where the changed price does not go with the
    rest of the policy.
    """
    before = change.policy or texts
    parse_texts(before)
    after = before
    if change.no_adl:
        layers = [layer for layer in after.layers.split(", ") if layer not in _ADL_LAYERS]
        layers += [] if layers and layers[-1] in _ENDS else ["debt"]
        after = after._replace(trigger="never", layers=", ".join(layers), name=f"no ADL ({after.name})")
    if change.price is not None:
        after = after._replace(price=change.price, name=f"{after.name}, price {change.price}")
    try:
        parse_texts(after)
    except BadInputError as error:
        raise MisuseError(error.message, cure="Change something that this policy has.") from error
    return after


def texts_of(adopted: PolicyAdopted) -> Texts:
    """Return the texts of an adopted policy."""
    return Texts(adopted.name, *(getattr(adopted, name) for name in PARAMETERS))._replace(rule=adopted.rule)
