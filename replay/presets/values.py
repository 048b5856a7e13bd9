"""What a preset is: a policy with where it comes from, and the lights by which its venue shows a trader's place."""

from enum import StrEnum

from msgspec import Struct

from replay.core.policy import Policy
from replay.core.spelling import Texts

__all__ = ["NO_LIGHTS", "Lights", "LightsBy", "Preset"]


class LightsBy(StrEnum):
    """What fills the buckets that lights stand for: contracts added up in the order of the queue, or accounts."""

    NONE = "none"
    CONTRACTS = "contracts"
    ACCOUNTS = "accounts"


class Lights(Struct, frozen=True):
    """A venue's indicator: ``count`` equal buckets of one side's queue, numbered from ``low`` on.

    ``highest_next``: the bucket with the highest number is closed first. Without lights ``count`` is 0.
    """

    by: LightsBy
    count: int = 0
    low: int = 0
    highest_next: bool = True

    @property
    def high(self) -> int:
        """Return the highest number."""
        return self.low + self.count - 1


NO_LIGHTS = Lights(LightsBy.NONE)


class Preset(Struct, frozen=True):
    """A named policy and what is known of its rule.

    ``texts`` are what a PolicyAdopted event records, ``policy`` is what they mean. ``source`` is what the rule was read from
    and ``source_date`` when that was written or seen; ``in_force_from`` and ``in_force_until`` are empty where the source does
    not say. Dates are ``YYYY``, ``YYYY-MM`` or ``YYYY-MM-DD``. ``leaves_open`` is what the source does not say, ``chosen`` what
    was put there so that the policy can be carried out; both are sentences.
    """

    title: str
    venue: str
    texts: Texts
    policy: Policy
    source: str = ""
    source_date: str = ""
    in_force_from: str = ""
    in_force_until: str = ""
    lights: Lights = NO_LIGHTS
    leaves_open: tuple[str, ...] = ()
    chosen: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the name that is recorded with the policy."""
        return self.texts.name
