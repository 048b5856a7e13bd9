"""The runner: the real vectors, that nothing passes blindly, and that answers come from ``given`` alone."""

import inspect
import json
from collections import Counter
from collections.abc import Callable, Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from replay.conform import Result, Status, conform
from replay.conform.answers import Solved
from replay.conform.given import Given
from replay.conform.runner import KINDS, VENUES, judge
from replay.conform.vectors import Vector, read_folder

Json = dict[str, Any]
VALIDITY = {"params": {"old_net_collateral": "4", "old_maintenance": "2", "new_net_collateral": "2", "new_maintenance": "1"}}

# The vectors of the folder that cannot be decided from what they give, each with a part of its reason.
UNDECIDED = {
    "dydx_v4/liquidation_order/equal_key_by_order_hash": "the order hash, is not in given",
    "perennial_v2/integration_shortfall": "no price",
    "research/oct10_production": "not in given",
}
READ_ONE_WAY = {
    "dydx_v4/can_deleverage/zero_tnc": "54,990",
    "dydx_v4/process/rounding/long": "its price gives 22500495950",
    "ethereal/eth_long_unwound": "the preset's close at 3800",
    "kraken/single_collateral_long_1000": "less than zero",
    "metaflux/ladder_half_close_at_84": "1.46",
    "okx/reserve_threshold_example": "larger deduction",
    "paradex/partial_liquidation_table": "the table's is taken",
    "paradex/socialised_factor": "divides by the total balance alone",
    "research/bad_debt_slice": "0.8747",
    "research/p5_liquidation_prices": "1.0010",
    "research/shares_rap_cvar_0.9": "rap-over explains",
    "research/shares_rap_linear": "rap explains",
}


@pytest.fixture(scope="session")
def vectors(shared_data: Callable[[str], Path]) -> list[Vector]:
    return read_folder(shared_data("vectors"))


def test_every_real_vector_passes_but_those_that_cannot_be_decided(shared_data: Callable[[str], Path]) -> None:
    results = conform(shared_data("vectors"))
    assert [(result.name, result.differences) for result in results if result.status is Status.FAIL] == []
    undecided = {result.name: result.reason for result in results if result.status is Status.NOT_APPLICABLE}
    assert undecided.keys() == UNDECIDED.keys()
    assert all(UNDECIDED[name] in reason for name, reason in undecided.items())
    assert len(results) == 161
    assert {result.kind for result in results} == KINDS


def test_a_source_that_contradicts_itself_says_how_it_was_read(vectors: list[Vector]) -> None:
    said = {result.name: " ".join(result.readings) for result in map(judge, vectors) if result.readings}
    assert said.keys() == READ_ONE_WAY.keys()
    assert all(READ_ONE_WAY[name] in text for name, text in said.items())


def group(through: str) -> str:
    if not through.startswith("preset"):
        return through.partition(":")[0]
    return "engine" if "engine" in through else "plan" if "plan" in through else "another part of a preset"


def test_what_ran_for_every_vector(vectors: list[Vector]) -> None:
    results = list(map(judge, vectors))
    counts = Counter(group(result.through) for result in results)
    assert counts == {"plan": 49, "engine": 4, "another part of a preset": 29, "core": 20, "venue function": 58, "": 1}
    # Every match is planned, but where no preset has the mechanic, or what is asked for is refused before any plan.
    unplanned = {row.name for row in results if row.kind in {"adl_match", "allocation"} and group(row.through) != "plan"}
    assert {name for name in unplanned if not name.startswith("dydx_v1/")} == {
        "dydx_v4/process/error_too_large_liquidated", "dydx_v4/process/error_wrong_side_liquidated",
        "gmx_v2/adl_not_enabled", "kraken/assignment_split", "metaflux/ladder_half_close_at_84", "metaflux/netting_half",
        "research/queue_half", "research/shares_rap_cvar_0.9", "research/shares_rap_linear",
    }  # fmt: skip
    assert all("trigger" in row.through for row in results if row.name in unplanned and row.name.startswith("dydx_v1/"))


def test_what_is_not_compared_is_a_short_list(vectors: list[Vector]) -> None:
    left_out = Counter((result.file, key) for result in map(judge, vectors) for key in result.not_compared)
    assert left_out == {
        ("bybit.json", "stops_when"): 2,
        ("ethereal.json", "B_partially_reduced"): 1,
        ("mango_v4.json", "source_states_within"): 9,
        ("metaflux.json", "tier_stated"): 2,
    }


def test_every_value_made_wrong_fails(vectors: list[Vector], spoil: Callable[[Json], Iterator[tuple[str, Json]]]) -> None:
    tried = 0
    for vector in vectors:
        result = judge(vector)
        if result.status is not Status.PASS:
            continue
        for key, wrong in spoil(dict(vector.expect)):
            if key in result.compared:
                failed = judge(replace(vector, expect=wrong))
                assert failed.status is Status.FAIL, (vector.name, key, wrong)
                assert all(part.expected != part.computed for part in failed.differences)
                tried += 1
    assert tried > 600


def test_an_expectation_of_something_else_does_not_pass(vectors: list[Vector]) -> None:
    for vector in vectors:
        refused = judge(replace(vector, expect={**vector.expect, "nobody_knows": "1"}))
        assert refused.status is Status.NOT_APPLICABLE, vector.name
        assert judge(replace(vector, expect={})).status is Status.NOT_APPLICABLE
        turned = {"error": "no"} if "error" not in vector.expect else {"quote_delta": "1"}
        assert judge(replace(vector, expect=turned)).status is not Status.PASS


def computed(vector: Vector, expect: Json) -> list[tuple[str, str]]:
    return [(part.key, part.computed) for part in judge(replace(vector, expect=expect)).differences]


def test_what_is_computed_does_not_depend_on_what_is_expected_nor_on_names(vectors: list[Vector]) -> None:
    for vector in vectors:
        wrong: list[Json] = [dict.fromkeys(vector.expect, text) for text in ("wrong", "other")]
        one, two = (computed(vector, expect) for expect in wrong)
        assert one == two
        assert one == computed(replace(vector, name="x", file="y.json"), wrong[0])
        renamed = judge(replace(vector, name="x"))
        assert renamed.status is judge(vector).status


def test_a_solver_takes_given_and_nothing_else() -> None:
    for venue, solvers in VENUES.items():
        for kind, solver in solvers.items():
            parameters = list(inspect.signature(solver).parameters.values())
            assert [parameter.annotation for parameter in parameters] == [Given], (venue, kind)
            assert inspect.signature(solver).return_annotation is Solved, (venue, kind)


def test_reading_a_vector_does_not_change_it(vectors: list[Vector]) -> None:
    before = deepcopy(vectors)
    for vector in vectors:
        judge(vector)
    assert vectors == before


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths(inner, (*path, key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from paths(inner, (*path, index))
    yield path


def put(given: Json, path: tuple[Any, ...], junk: Any) -> Json:
    changed = deepcopy(given)
    place: Any = changed
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = junk
    return changed


@pytest.mark.parametrize("junk", [None, "0", "-7", [], {}, True, "9" * 65], ids=repr)
def test_no_given_breaks_the_runner(vectors: list[Vector], junk: Any) -> None:
    statuses = Counter(
        judge(replace(vector, given=put(dict(vector.given), path, junk))).status
        for vector in vectors
        for path in paths(dict(vector.given))
        if path
    )
    assert sum(statuses.values()) > 3_000
    assert statuses[Status.NOT_APPLICABLE] > 0


def test_a_field_that_no_rule_knows_makes_a_vector_not_applicable(vectors: list[Vector]) -> None:
    for vector in vectors:
        params = {**dict(vector.given).get("params", {}), "surprise": "1"}  # type: ignore[dict-item]  # an object of JSON
        result = judge(replace(vector, given={**vector.given, "params": params}))
        assert result.status is Status.NOT_APPLICABLE, vector.name
        result = judge(replace(vector, given={**vector.given, "surprise": {"more": ["1"]}}))
        assert result.status is Status.NOT_APPLICABLE, vector.name


def test_the_unknown_field_is_named() -> None:
    vector = Vector("f.json", "dYdX v4", "n", "validity", {**VALIDITY, "more": [{"x": "1"}]}, {"valid": True})
    assert judge(vector).reason == "fields that the rule does not know: given.more[0].x"


def verdict(**changes: Any) -> Result:
    vector = Vector("f.json", "dYdX v4 (chain)", "n", "validity", VALIDITY, {"valid": True})
    return judge(replace(vector, **changes))


def test_what_is_unknown_is_not_applicable_and_says_so() -> None:
    assert verdict().status is Status.PASS
    assert verdict(kind="horoscope").reason == "unknown kind 'horoscope'"
    assert verdict(venue="Venue of mine").reason == "no rules of a venue 'Venue of mine'"
    assert verdict(venue="OKX").reason == "no rule of okx for kind 'validity'"
    assert verdict(given={"params": {}}).reason == "given.params has no old_net_collateral"
    assert verdict(expect={}).reason == "expect has nothing that is compared"
    changes: list[Json] = [
        {"kind": "horoscope"},
        {"venue": "Venue of mine"},
        {"venue": "OKX"},
        {"given": {"params": {}}},
        {"expect": {}},
    ]
    for change in changes:
        assert verdict(**change).status is Status.NOT_APPLICABLE


@pytest.mark.parametrize("venue", ["dYdX v4", "DYDX_V4", "dydx-v4 (some fork)"])
def test_a_venue_is_known_by_the_words_it_begins_with(venue: str) -> None:
    assert verdict(venue=venue).status is Status.PASS


@pytest.mark.parametrize("venue", ["", "dydx", "dydx v45", "v4 dydx"])
def test_another_venue_is_not_taken_for_it(venue: str) -> None:
    assert verdict(venue=venue).status is Status.NOT_APPLICABLE


def test_a_result_goes_to_json(vectors: list[Vector], tmp_path: Path) -> None:
    rows = [{"name": "n", "kind": "validity", "given": VALIDITY, "expect": {"valid": False}}]
    (tmp_path / "v.json").write_text(json.dumps({"venue": "dydx v4", "vectors": rows}), encoding="utf-8")
    (result,) = conform(tmp_path)
    assert (result.status, result.file, result.name) == (Status.FAIL, "v.json", "n")
    assert [(part.key, part.expected, part.computed) for part in result.differences] == [("valid", "false", "true")]
    assert vectors
