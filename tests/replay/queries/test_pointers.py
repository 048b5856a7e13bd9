from collections.abc import Callable
from typing import Any

from events.model import AdlClose, AdlRound, AnyEvent


def test_other_verbs_are_named_with_what_they_would_find(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    seq, first = next((seq, event) for seq, event in enumerate(evening, 1) if isinstance(event, AdlClose))
    rounds = str(sum(isinstance(event, AdlRound) for event in evening))
    closes = str(sum(isinstance(event, AdlClose) for event in evening))
    why, queue, policy = query("Q01", evening), query("Q03", evening), query("Q11", evening)
    assert why.values == {"closes": closes}
    assert why.answer.command is not None
    assert why.answer.command.startswith("adl explain --account ")
    assert why.answer.command.endswith(f" --seq {seq}")
    assert queue.values == {"rounds": rounds, "closes": closes, "listed": "0", "ranked": closes, "policies": "1"}
    assert (queue.answer.command, policy.answer.command) == ("adl audit", "adl whatif --policy NAME")
    assert policy.values == {"rounds": rounds}
    assert first.winner


def test_an_account_that_was_not_closed_has_nothing_to_explain(evening: list[AnyEvent], query: Callable[..., Any]) -> None:
    found = query("Q01", evening, account="insurance fund")
    assert (found.values, found.answer.command) == ({"closes": None}, None)


def test_without_a_policy_the_queue_can_only_be_fitted(tale: Callable[..., Any], query: Callable[..., Any]) -> None:
    told = tale([(10**12, {0: (-900, 1_000)}), (10**12, {0: (400, 900)})], [1_000])
    told.events = [event for event in told.events if type(event).__name__ != "PolicyAdopted"]
    told.round(6, 0)
    told.close(6, 7, 0, 1_000, 100)
    found = query("Q03", told.events)
    assert found.answer.command == "adl fit"
    assert (found.values["policies"], found.figures["policies"].missing) == (None, ("policy",))
