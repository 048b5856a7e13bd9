"""Times: UTC in integer nanoseconds, and ISO 8601 text, both ways, without a clock and without floats.

The proleptic Gregorian calendar by the day-count arithmetic of Richards (1998); a day has 86,400 seconds, as in POSIX.
"""

import re

from events.errors import NumberError

__all__ = ["NS_PER_DAY", "NS_PER_SECOND", "format_utc", "parse_utc"]

NS_PER_SECOND = 1_000_000_000
NS_PER_DAY = 86_400 * NS_PER_SECOND

_ISO = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?:[T ](\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?(Z|\+00:00)?)?", re.ASCII)
_EPOCH_DAY = 719_468  # days from 0000-03-01 to 1970-01-01
_DAYS_PER_ERA = 146_097  # 400 years


def _days(year: int, month: int, day: int) -> int:
    """Return days since 1970-01-01. Years begin in March here, so that the leap day is the last."""
    year -= month <= 2
    era, year_of_era = divmod(year, 400)
    day_of_year = (153 * ((month + 9) % 12) + 2) // 5 + day - 1
    return era * _DAYS_PER_ERA + year_of_era * 365 + year_of_era // 4 - year_of_era // 100 + day_of_year - _EPOCH_DAY


def _date(days: int) -> tuple[int, int, int]:
    era, day_of_era = divmod(days + _EPOCH_DAY, _DAYS_PER_ERA)
    year_of_era = (day_of_era - day_of_era // 1460 + day_of_era // 36_524 - day_of_era // 146_096) // 365
    day_of_year = day_of_era - (365 * year_of_era + year_of_era // 4 - year_of_era // 100)
    shifted = (5 * day_of_year + 2) // 153
    day = day_of_year - (153 * shifted + 2) // 5 + 1
    month = shifted + 3 if shifted < 10 else shifted - 9
    return year_of_era + era * 400 + (month <= 2), month, day


def parse_utc(text: str) -> int:
    """Return the nanoseconds since 1970 of an ISO 8601 time in UTC.

    Accepts a date alone, ``T`` or a space between date and time, no to nine digits of a second, and ``Z``, ``+00:00`` or no
    zone: the sources that leave it out mean UTC. Raises ``NumberError`` for anything else.
    """
    match = _ISO.fullmatch(text)
    if match is None:
        raise NumberError(f"{text[:64]!r} is not a UTC time like 2025-10-10T21:16:04.831Z.")
    year, month, day, hour, minute, second = (int(part or 0) for part in match.groups()[:6])
    days = _days(year, month, day)
    if not 1 <= month <= 12 or _date(days) != (year, month, day) or hour > 23 or minute > 59 or second > 59:
        raise NumberError(f"{text!r} is not a time that exists in UTC.")
    fraction = (match[7] or "").ljust(9, "0")
    return days * NS_PER_DAY + (hour * 3600 + minute * 60 + second) * NS_PER_SECOND + int(fraction)


def format_utc(at_ns: int, digits: int = 9) -> str:
    """Return ``at_ns`` as ``YYYY-MM-DDThh:mm:ss.fffffffffZ`` with ``digits`` of the second, cut, not rounded."""
    days, rest = divmod(at_ns, NS_PER_DAY)
    year, month, day = _date(days)
    seconds, fraction = divmod(rest, NS_PER_SECOND)
    minutes, second = divmod(seconds, 60)
    hour, minute = divmod(minutes, 60)
    tail = f".{fraction:09d}"[: digits + 1] if digits else ""
    return f"{year:04d}-{month:02d}-{day:02d}T{hour:02d}:{minute:02d}:{second:02d}{tail}Z"
