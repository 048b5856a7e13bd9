from collections.abc import Callable
from typing import Any


def test_the_order_is_that_of_seq_and_ties_in_time_are_counted(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)}), (10**12, {0: (500, 900)})], [1_000])
    told.at_ns = 50
    seqs = [told.liquidate(6, 5, 0, 1_000, -100)]
    told.round(6, 0, -800)
    seqs.append(told.close(6, 7, 0, 1_000, 100))
    told.at_ns = 40
    seqs.append(told.close(6, 8, 0, 1_000, 100))
    told.at_ns = 60
    seqs.append(told.close(6, 7, 0, 1_000, 100))
    found = query("Q02", told.events)
    assert found.values == {
        "liquidations": "1", "closes": "3", "times": "3", "tied": "2", "tied.most": "2", "tied.mixed": "1", "time.back": "1",
    }  # fmt: skip
    rows = found.rows("order")
    assert [row["seq"] for row in rows] == seqs
    assert [(row["event"], row["account"]) for row in rows[:2]] == [("liquidation (market)", "t6"), ("ADL close", "t7")]
    assert [row["seq"] for row in query("Q02", told.events, account="t7").rows("order")] == [seqs[1], seqs[3]]
    assert [row["seq"] for row in query("Q02", told.events, first=seqs[1], last=seqs[2]).rows("order")] == seqs[1:3]
