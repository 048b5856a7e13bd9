from collections.abc import Callable
from typing import Any

from events.model import Completeness, PriceTick, Quarantined, SourceClosed, SourceOpened, Tally


def source(number: int, completeness: Completeness) -> SourceOpened:
    return SourceOpened(0, number, 0, f"file-{number}", b"\0" * 32, b"\0" * 32, 1, "test", 1, 1_000, None, "", completeness)


def test_what_the_record_says_of_its_gaps(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {})], [1_000])
    told.add(source(1, Completeness.COMPLETE))
    told.add(source(2, Completeness.SAMPLED))
    for at_ns, of in ((100, 1), (150, 2), (130, 1), (0, 1), (900, 1), (140, 2), (905, 1)):
        told.add(PriceTick(at_ns, of, 1, 0, 1_000, None))
    last = told.seq
    for part in (1, 2):
        told.add(Quarantined(905, 1, 7, "shape", "bad", part, 2, b"x"))
    told.add(Quarantined(905, 1, 8, "number", "bad", 1, 1, b"x"))
    told.add(SourceClosed(0, 1, 0, 9, 7, (Tally("quarantined.shape", 1), Tally("quarantined.number", 1))))
    found = query("Q19", told.events)
    assert found.values == {
        "seq": "0", "sources": "2", "sources.partial": "1", "sources.open": "1", "quarantined": "2", "back": "1",
        "silent": "770", "markets.partial": "0", "accounts.partial": "0",
    }  # fmt: skip
    silent = found.figures["silent"]
    assert (silent.first_seq, silent.last_seq) == (last - 4, last - 2)
    one, two = found.rows("sources")
    assert (one["stated"], one["rows_in"], one["rows_used"], one["finished"], one["silent_seq"]) == (
        "complete", 9, 7, "yes", last - 2,
    )  # fmt: skip
    assert (two["stated"], two["finished"], two["back"], two["granularity_ns"]) == ("sampled", "no", 1, 1_000)
    assert [(row["reason"], row["inputs"], row["seq"]) for row in found.rows("quarantined")] == [
        ("number", 1, last + 3), ("shape", 1, last + 1),
    ]  # fmt: skip
    assert found.rows("tallies") == [
        {"source": 1, "tally": "quarantined.shape", "count": 1}, {"source": 1, "tally": "quarantined.number", "count": 1},
    ]  # fmt: skip


def test_a_window_knows_the_clock_before_it(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {})], [1_000])
    told.add(source(1, Completeness.COMPLETE))
    told.add(PriceTick(100, 1, 1, 0, 1_000, None))
    first = told.add(PriceTick(600, 1, 1, 0, 1_000, None))
    found = query("Q19", told.events, first=first)
    assert found.values["silent"] == "500"
    assert (found.figures["silent"].first_seq, found.figures["silent"].last_seq) == (first, first)
