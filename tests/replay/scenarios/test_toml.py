import re
from pathlib import Path

import pytest

from events.errors import BadInputError
from events.model import AdlRound, MarginTier, Role
from replay.presets import preset
from replay.scenarios import play, toml
from replay.scenarios.script import Mood, Scenario, Spike, TopUp, Whale, Withdrawals
from replay.scenarios.toml import read_scenario

TEXT = """
title = "two markets"
seed = 7
begins = "2030-01-01T20:00:00Z"
currency = "USD"
money_decimals = 8
policy = "queue"

[venue]
taker_fee = "0.05%"
slippage = "1.5%"
partial_share = "20%"
partial_above = 100000
cooldown = 30
takeover = "66.6667%"
funding_rate = "0.0125%"
funding_every = 3600

[[funds]]
name = "fund"
cash = "1000.5"

[vault]
cash = 5000
role = "liquidator"

[makers]
count = 2
cash = 1000000

[users]
count = 10
wealth = [100, 200]
doublings_long = 3
long = "55.5%"
leverage = [1, 5]

[[markets]]
symbol = "A"
price_decimals = 2
size_decimals = 3
mark = "100.25"
depth = 0
position_limit = "1.5"
tiers = [{ initial = "5%", maintenance = "2.5%" }, { above = 1000, initial = "10%", maintenance = "5%" }]

[[markets]]
symbol = "B"
price_decimals = 0
size_decimals = 0
mark = 7
beta = "-50%"
depth = 100
weight = 3
tiers = [{ initial = "33.3333333333%", maintenance = "1%" }]

[[phases]]
name = "one"
seconds = 60
step = 5
look = 20
gap = 10
noise = "0.01%"
mood = "panic"
trades = 4
depth = 2
visitors = 1
vault_sells = "10%"
paths.all = [[0, "0%"], [60, "-12.5%"]]
paths.B = [[30, "+150%"]]

[[actions]]
do = "top-up"
at = 50
fund = "fund"
cash = 10

[[actions]]
do = "withdrawals"
at = 10
seconds = 20
users = "60%"
share = "50%"

[[actions]]
do = "whale"
at = 20
name = "w"
market = "B"
side = "short"
notional = 1000
margin = 100

[[actions]]
do = "spike"
at = 0
seconds = 5
market = "A"
change = "-40%"
band = "2%"
"""


def read(text: str) -> Scenario:
    return read_scenario(text.encode(), "two.toml", "dir/two.toml")


def test_every_key_is_read_exactly() -> None:
    scenario = read(TEXT)
    assert (scenario.source, scenario.content, scenario.seed) == ("two.toml", TEXT.encode(), 7)
    assert (scenario.begins_ns, scenario.currency, scenario.money_decimals) == (1_893_528_000 * 10**9, "USD", 8)
    assert scenario.policy == preset("queue").texts
    venue = scenario.venue
    assert (venue.taker_fee_ppm, venue.maker_fee_ppm, venue.slippage_ppm) == (500, 0, 15_000)
    assert (venue.partial_share_ppm, venue.partial_above_cash, venue.cooldown_seconds) == (200_000, 10**13, 30)
    assert (venue.takeover_ppm, venue.funding_rate_ppt, venue.funding_seconds) == (666_667, 125_000_000, 3_600)
    assert [(fund.name, fund.cash) for fund in scenario.funds] == [("fund", 100_050_000_000)]
    assert (scenario.vault.name, scenario.vault.role, scenario.vault.cash) == ("vault", Role.LIQUIDATOR, 5_000 * 10**8)
    users = scenario.users
    assert (users.count, users.wealth_cash, users.doublings) == (10, (100 * 10**8, 200 * 10**8), (0, 3))
    assert (users.long_ppm, users.leverage, users.markets_max, users.isolated_ppm) == (555_000, (1, 5), 3, 0)
    one, two = scenario.markets
    assert (one.mark, one.beta_ppm, one.depth_cash, one.weight, one.position_limit) == (10_025, 1_000_000, 0, 1, 1_500)
    assert one.tiers == (
        MarginTier(0, 50_000_000_000, 25_000_000_000),
        MarginTier(1_000 * 10**8, 100_000_000_000, 50_000_000_000),
    )
    assert (two.mark, two.beta_ppm, two.weight, two.position_limit) == (7, -500_000, 3, None)
    assert two.tiers[0].initial_ppt == 333_333_333_333


def test_phases_and_actions_are_read_exactly() -> None:
    scenario = read(TEXT)
    (phase,) = scenario.phases
    assert (phase.seconds, phase.step_seconds, phase.look_seconds, phase.gap_seconds) == (60, 5, 20, 10)
    assert (phase.noise_ppm, phase.mood, phase.trades, phase.depth, phase.visitors) == (100, Mood.PANIC, 4, 2, 1)
    assert phase.vault_sells_ppm == 100_000
    assert phase.paths == (("all", ((0, 0), (60, -125_000))), ("B", ((30, 1_500_000),)))
    assert scenario.actions == (
        Spike(0, 5, 0, -400_000, 20_000),
        Withdrawals(10, 20, 600_000, 500_000),
        Whale(20, "w", 1, False, 1_000 * 10**8, 100 * 10**8),
        TopUp(50, 0, 10 * 10**8),
    )


def test_a_policy_may_stand_in_the_file_itself() -> None:
    texts = preset("bybit").texts
    table = "\n".join(f"{key} = '{value}'" for key, value in texts._asdict().items() if key != "rule")
    head, rest = TEXT.replace('policy = "queue"\n', "").split("[venue]")
    assert read(f"{head}[policy]\n{table}\n\n[venue]{rest}").policy == texts._replace(rule="")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("seed = 7", "", "the key seed is missing"),
        ("seed = 7", "seed = 7.0", "the key seed holds the float 7.0"),
        ("seed = 7", "seed = true", "the key seed is no whole number"),
        ("seed = 7", "sed = 7\nseed = 7", "the key sed is not known"),
        ("seed = 7", "seed =", "this is no TOML"),
        ('mark = "100.25"', "mark = 100.25", "the key markets[1].mark holds the float 100.25"),
        ('mark = "100.25"', 'mark = "100.255"', "the key markets[1].mark is no amount"),
        ('mark = "100.25"', "mark = 0", "the key markets[1].mark holds 0, which is no amount above 0"),
        ('mark = "100.25"', 'mark = "1e3"', "the key markets[1].mark is no amount"),
        ("size_decimals = 3", "size_decimals = 7", "the key markets[1].size_decimals and price_decimals together"),
        ('symbol = "B"', 'symbol = "A"', "the key markets names a symbol twice"),
        ('begins = "2030-01-01T20:00:00Z"', 'begins = "soon"', "the key begins is no time"),
        ('policy = "queue"', 'policy = "best"', "the key policy holds 'best', which is no policy"),
        ('taker_fee = "0.05%"', "taker_fee = 0", "the key venue.taker_fee holds 0, which is no percentage"),
        ('taker_fee = "0.05%"', 'taker_fee = "0.00005%"', "the key venue.taker_fee is no percentage"),
        ('taker_fee = "0.05%"', 'taker_fee = "50%"', "the key venue.taker_fee holds '50%', which is out of range"),
        ('taker_fee = "0.05%"', 'fee = "0.05%"', "the key venue.fee is not known"),
        ('role = "liquidator"', 'role = "user"', "the key vault.role holds 'user'"),
        ("wealth = [100, 200]", "wealth = [200, 100]", "the key users.wealth is no pair"),
        ("wealth = [100, 200]", "wealth = 100", "the key users.wealth is no pair"),
        ("{ above = 1000,", "{ above = 0,", "the key markets[1].tiers[2].above is not in order"),
        ('{ initial = "5%", maintenance = "2.5%" }', '{ initial = "5%", maintenance = "6%" }', "maintenance is 0, or above"),
        ('mood = "panic"', 'mood = "merry"', "the key phases[1].mood holds 'merry'"),
        ("look = 20", "look = 2", "the key phases[1].look is no whole number from 5"),
        ("paths.B", "paths.C", "the key phases[1].paths.C is no market"),
        ('[60, "-12.5%"]', '[61, "-12.5%"]', "the key phases[1].paths.all has a point at 61"),
        ('[60, "-12.5%"]', '[0, "-12.5%"]', "the key phases[1].paths.all has a point at 0"),
        ('[60, "-12.5%"]', "60", "the key phases[1].paths.all is no list of points"),
        ('[60, "-12.5%"]', '[60, "-100%"]', "the key phases[1].paths.all holds '-100%', which is out of range"),
        ('fund = "fund"', 'fund = "other"', "the key actions[1].fund holds 'other'"),
        ('do = "top-up"', 'do = "rob"', "the key actions[1].do holds 'rob'"),
        ("at = 50", "at = 60", "the key actions[1].at is no whole number from 0 to 59"),
        ('side = "short"', 'side = "flat"', "the key actions[3].side holds 'flat'"),
        ("[makers]\ncount = 2\ncash = 1000000\n", "", "the key makers is missing"),
        ("[makers]\ncount = 2\ncash = 1000000\n", "makers = 2\n", "the key makers"),
        ('title = "two markets"', 'title = ""', "the key title is no text"),
    ],
)
def test_what_is_wrong_is_named_with_its_file_and_key(old: str, new: str, said: str) -> None:
    assert old in TEXT
    with pytest.raises(BadInputError) as caught:
        read(TEXT.replace(old, new, 1))
    assert said in str(caught.value)
    assert caught.value.file == "dir/two.toml"
    assert caught.value.cure


@pytest.mark.parametrize("content", [b"\xff", b"a = " + b"[" * 100_000])
def test_what_is_no_toml_at_all_is_refused(content: bytes) -> None:
    with pytest.raises(BadInputError):
        read_scenario(content, "x", "x.toml")


def test_a_parameter_that_is_not_known_is_named() -> None:
    texts = preset("queue").texts._replace(fill="fairly")
    table = "\n".join(f"{key} = '{value}'" for key, value in texts._asdict().items() if value)
    head, rest = TEXT.replace('policy = "queue"\n', "").split("[venue]")
    with pytest.raises(BadInputError, match=r"dir/two.toml.*parameter fill"):
        read(f"{head}[policy]\n{table}\n\n[venue]{rest}")


DOCS = Path(__file__).parents[3] / "docs" / "scenarios.md"


def test_every_key_is_documented() -> None:
    code = "".join((Path(toml.__file__).with_name(name)).read_text(encoding="utf-8") for name in ("toml.py", "acts.py"))
    keys = set(re.findall(r'(?:table|top)\.[a-z_]+\(\s*"([a-z_]+)"', code)) | set(re.findall(r'_place\(table, "(\w+)"', code))
    assert len(keys) > 50
    text = DOCS.read_text(encoding="utf-8")
    assert [key for key in sorted(keys) if f"`{key}`" not in text and f"[{key}]" not in text] == []


def test_the_example_of_the_documentation_runs_to_adl() -> None:
    (example,) = re.findall(r"^```toml\n(.*?)^```", DOCS.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)
    assert any(isinstance(event, AdlRound) for event in play(read(example)))
