from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import NumberError
from events.times import NS_PER_DAY, format_utc, parse_utc

YEAR_1 = -62_135_596_800 * 10**9
YEAR_9999_END = 253_402_300_799 * 10**9 + 999_999_999


@given(st.integers(YEAR_1, YEAR_9999_END))
def test_every_time_reads_back(at_ns: int) -> None:
    assert parse_utc(format_utc(at_ns)) == at_ns


@given(st.datetimes(min_value=datetime(1, 1, 1), max_value=datetime(9999, 12, 31), timezones=st.just(UTC)))  # noqa: DTZ001  # bounds are naive by the strategy's rule
def test_the_calendar_is_that_of_the_standard_library(moment: datetime) -> None:
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    assert (
        parse_utc(moment.strftime("%Y").zfill(4) + moment.strftime("-%m-%dT%H:%M:%S.%fZ"))
        == since // timedelta(microseconds=1) * 1000
    )


@pytest.mark.parametrize(
    ("text", "at_ns"),
    [
        ("1970-01-01", 0),
        ("2025-10-27T16:59:59.797563798", 1_761_584_399_797_563_798),
        ("2025-10-27T17:00:02.387", 1_761_584_402_387_000_000),
        ("2025-10-24 20:00:00.000", 1_761_336_000_000_000_000),
        ("2025-11-13T00:01:00Z", 1_762_992_060_000_000_000),
        ("2024-02-29", 19_782 * NS_PER_DAY),
    ],
)
def test_the_spellings_of_the_venues(text: str, at_ns: int) -> None:
    assert parse_utc(text) == at_ns


@pytest.mark.parametrize(
    "text",
    ["", "now", "2025-13-01", "2025-02-29", "2025-00-10", "2025-01-00", "2025-10-10T24:00:00Z", "2025-10-10T00:60:00Z",
     "2025-10-10T00:00:60Z", "2025-10-10T00:00:00+01:00", "2025-10-10T00:00:00.1234567890Z", "٢٠٢٥-10-10",
     "2025-10-10T00:00:00Zx"],
)  # fmt: skip
def test_what_is_no_utc_time_is_refused(text: str) -> None:
    with pytest.raises(NumberError):
        parse_utc(text)


def test_digits_are_cut_not_rounded() -> None:
    assert format_utc(1_999_999_999, 3) == "1970-01-01T00:00:01.999Z"
    assert format_utc(1_999_999_999, 0) == "1970-01-01T00:00:01Z"
