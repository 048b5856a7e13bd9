"""What is said of the vectors that no rule computes: keys that are not compared, and slips of the sources.

Nothing here decides whether a vector passes, but for one thing: a key that is named in ``NOT_COMPARED`` may be missing from
an answer. Every other key of ``expect`` must be computed.
"""

from collections.abc import Mapping

__all__ = ["NOT_COMPARED", "READINGS"]

# By venue and key of ``expect``: why the key is not compared.
NOT_COMPARED: Mapping[str, Mapping[str, str]] = {
    "bybit": {"stops_when": "restates the stop condition as prose"},
    "ethereal": {"B_partially_reduced": "the counterparty B and its position are not in given"},
    "mango v4": {"source_states_within": "the tolerance of the source's own test; compared exactly"},
    "metaflux": {
        "tier_stated": "what the page calls the tier; compared is tier_by_rule, as the page's examples break its bands"
    },
}

# By vector: which of a source's two numbers was taken, where no arithmetic of ours depends on the choice.
READINGS: Mapping[str, str] = {
    "dydx_v4/can_deleverage/zero_tnc": (
        "the source's comment says a price of 54,999 and collateral of zero; the integer it sets is 54,990, so it is +9"
    ),
    "metaflux/ladder_half_close_at_84": (
        "the page goes on with a health of 0.95 at mark 82; its own formula gives 1.46 there, and its numbers at 84 are taken"
    ),
    "research/bad_debt_slice": (
        "the bankruptcy price is taken as given, 0.8747; the paper has 0.8947 before, and it does not move with the mark"
    ),
    "research/p5_liquidation_prices": "for E the paper prints 1.0010; 109/99/1.1 is 1.00092, so 1.0009 is taken",
}
