from replay.core.state import Market, Position, Round, State


def test_two_states_share_nothing() -> None:
    one, two = State(), State()
    one.cash.append(1)
    one.positions.append({0: Position(size=1)})
    assert (two.cash, two.positions, two.seq) == ([], [], 0)


def test_many_small_objects_stay_out_of_the_garbage_collector() -> None:
    # A replay makes millions of positions; the collector would walk them all.
    assert [kind.__struct_config__.gc for kind in (Position, Market, Round)] == [False, False, False]
