from replay.core.policy import policy_for
from replay.core.spelling import adopt
from replay.core.state import State
from replay.presets import preset


def test_in_force_for_a_market_is_the_last_policy_that_is_for_it() -> None:
    queue = preset("queue").texts
    markets = (None, (1, 2), (2,), None, (1,))
    adopted = [adopt(queue, policy=n, at_ns=0, source=0, row=0, markets=m) for n, m in enumerate(markets)]
    in_force = [[policy_for(State(policies=adopted[:count]), market) for market in range(3)] for count in range(6)]
    assert in_force == [[None] * 3, [0, 0, 0], [0, 1, 1], [0, 1, 2], [3, 3, 3], [3, 4, 3]]
