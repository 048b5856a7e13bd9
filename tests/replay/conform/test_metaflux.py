"""MetaFlux on vectors of our own, computed by hand."""

from collections.abc import Callable
from typing import Any

import pytest

from replay.conform import Result

Json = dict[str, Any]
Run = Callable[[str, str, Json, Json], Result]

BANDS = "safe>=1.1, T0>=1.0, T1>=0.8, T2>=0.667, else T3"


def ladder(bucket: str, mark: str, **params: str) -> Json:
    return {
        "accounts": [{"id": "a", "bucket": bucket}],
        "positions": [{"account": "a", "side": "short", "size": "2", "entry": "50"}],
        "prices": {"mark": mark},
        "params": {"maintenance": "0.1", **params},
    }


@pytest.mark.parametrize(
    ("bucket", "health", "tier"),
    [
        ("11", "1.1", "safe"),
        ("10.9", "1.09", "T0"),
        ("10", "1", "T0"),
        ("9", "0.9", "T1"),
        ("7", "0.7", "T2"),
        ("6.66", "0.666", "T3"),
    ],
)
def test_metaflux_tiers(check: Run, bucket: str, health: str, tier: str) -> None:
    expect = {"health": health, "tier_by_rule": tier, "tier_stated": "whatever the page says"}
    assert check("MetaFlux", "trigger", ladder(bucket, "50", bands=BANDS), expect).not_compared.keys() == {"tier_stated"}


def test_metaflux_partial_close(check: Run) -> None:
    # Short 2 from 50, half closed at 53: -3, and 1 left with -3 open and a margin of 5.3.
    expect = {
        "realised": "-3",
        "bucket_after": "9",
        "account_value_after": "6",
        "maintenance_after": "5.3",
        "health_after": "60/53",
    }
    check("MetaFlux", "adl_match", ladder("12", "53", close_fraction="0.5"), expect)


@pytest.mark.parametrize(("shortfall", "size", "realised"), [("4", "-1.5", "4"), ("99", "0", "16")])
def test_metaflux_netting(check: Run, shortfall: str, size: str, realised: str) -> None:
    given = {
        "accounts": [{"id": "x", "equity": "1", "shortfall": shortfall}],
        "positions": [{"account": "x", "size": "2", "entry": "100"}, {"account": "w", "size": "-2", "entry": "98"}],
        "prices": {"mark": "90"},
        "params": {},
    }
    check("MetaFlux", "adl_match", given, {"w_size_after": size, "w_realised": realised})
