"""A scenario as a TOML file; docs/scenarios.md says what each key means.

Nothing is rounded and no float is read: what is not on its grid is refused, as is a key that is not known.
"""

import tomllib
from collections.abc import Sequence

from events.errors import BadInputError, MisuseError, NumberError
from events.model import MarginTier, Role
from events.times import parse_utc
from replay.core.spelling import PARAMETERS, Texts, parse_texts
from replay.presets import preset
from replay.scenarios.acts import read_actions
from replay.scenarios.script import (
    ALL_MARKETS,
    Fund,
    Makers,
    Market,
    Mood,
    Phase,
    Scenario,
    Users,
    Vault,
    Venue,
)
from replay.scenarios.tables import FloatText, Table

__all__ = ["read_scenario"]

_SECONDS_MAX = 7 * 86_400
_SEED_MAX = 2**63 - 1
_MONEY_DECIMALS = (6, 12)
_TIERS_MAX = 20
_VAULT_ROLES = {"vault": Role.VAULT, "liquidator": Role.LIQUIDATOR, "fund": Role.FUND}


def read_scenario(content: bytes, source: str, file: str) -> Scenario:
    """Return the scenario in the bytes of a TOML file. ``source`` is its name in the ledger, ``file`` in errors.

    Raises ``BadInputError`` for what is no TOML, a key that is not known or is missing, and a value that is none of its key.
    """
    try:
        values = tomllib.loads(content.decode(), parse_float=FloatText)
    except UnicodeDecodeError:
        raise BadInputError("this is no text in UTF-8.", cure="Write the scenario as a TOML file.", file=file) from None
    except tomllib.TOMLDecodeError as error:
        raise BadInputError(f"this is no TOML: {error}.", cure="docs/scenarios.md shows one.", file=file) from None
    except RecursionError:
        raise BadInputError("this is nested too deep.", cure="docs/scenarios.md shows a scenario.", file=file) from None
    top = Table(values, "", file)
    decimals = top.integer("money_decimals", *_MONEY_DECIMALS, 8)
    markets = tuple(_market(table, decimals) for table in top.tables("markets", 1, 100))
    symbols = [market.symbol for market in markets]
    if len(set(symbols)) < len(symbols):
        top.refuse("markets", "names a symbol twice", "Give each market a symbol of its own.")
    phases = tuple(_phase(table, symbols) for table in top.tables("phases", 1, 50))
    funds = tuple(_fund(table, decimals) for table in top.tables("funds", 0, 10))
    scenario = Scenario(
        source=source,
        content=content,
        title=top.text("title"),
        seed=top.integer("seed", 0, _SEED_MAX),
        begins_ns=_begins(top),
        currency=top.text("currency"),
        money_decimals=decimals,
        markets=markets,
        users=_users(top.table("users"), decimals),
        makers=_makers(top.table("makers"), decimals),
        funds=funds,
        vault=_vault(top.table("vault"), decimals),
        venue=_venue(top.table("venue", needed=False), decimals),
        policy=_policy(top, file),
        phases=phases,
        actions=read_actions(
            top.tables("actions", 0, 1_000),
            symbols,
            [fund.name for fund in funds],
            decimals,
            sum(phase.seconds for phase in phases),
        ),
    )
    top.done()
    return scenario


def _begins(top: Table) -> int:
    text = top.text("begins")
    try:
        return parse_utc(text)
    except NumberError as error:
        top.refuse("begins", f"is no time: {error.message.rstrip('.')}", "Write it in UTC.")


def _market(table: Table, money_decimals: int) -> Market:
    price_decimals = table.integer("price_decimals", 0, 12)
    size_decimals = table.integer("size_decimals", 0, 12)
    if price_decimals + size_decimals > money_decimals:
        table.refuse(
            "size_decimals",
            f"and price_decimals together are more than the {money_decimals} of money",
            "A trade's notional must be exact.",
        )
    market = Market(
        symbol=table.text("symbol"),
        price_decimals=price_decimals,
        size_decimals=size_decimals,
        mark=table.amount("mark", price_decimals),
        beta_ppm=table.share("beta", -1_000, 1_000, "100%"),
        tiers=_tiers(table.tables("tiers", 1, _TIERS_MAX), money_decimals),
        depth_cash=table.amount("depth", money_decimals, zero=True),
        weight=table.integer("weight", 0, 1_000, 1),
        position_limit=table.amount("position_limit", size_decimals) if table.has("position_limit") else None,
    )
    table.done()
    return market


def _tiers(tables: Sequence[Table], money_decimals: int) -> tuple[MarginTier, ...]:
    tiers: list[MarginTier] = []
    for table in tables:
        above = table.amount("above", money_decimals, 0, zero=True)
        initial, maintenance = (table.share(key, 0, 100, decimals=12) for key in ("initial", "maintenance"))
        if maintenance > initial or maintenance == 0:
            table.refuse("maintenance", "is 0, or above initial", "Maintenance margin is what is left of initial margin.")
        if (above <= tiers[-1].floor_cash) if tiers else above:
            table.refuse("above", "is not in order", "The first tier is above 0, and each begins where it is higher.")
        tiers.append(MarginTier(above, initial, maintenance))
        table.done()
    return tuple(tiers)


def _users(table: Table, money_decimals: int) -> Users:
    low, high = table.pair("wealth", 1, 10**9)
    users = Users(
        count=table.integer("count", 1, 100_000),
        wealth_cash=(low * 10**money_decimals, high * 10**money_decimals),
        doublings=(table.integer("doublings_short", 0, 20, 0), table.integer("doublings_long", 0, 20, 0)),
        long_ppm=table.share("long", 0, 100),
        markets_max=table.integer("markets_max", 1, 100, 3),
        leverage=table.pair("leverage", 0, 1_000),
        isolated_ppm=table.share("isolated", 0, 100, "0%"),
        isolated_leverage=table.pair("isolated_leverage", 0, 1_000, (1, 1)),
    )
    table.done()
    return users


def _makers(table: Table, money_decimals: int) -> Makers:
    makers = Makers(table.integer("count", 2, 1_000), table.amount("cash", money_decimals))
    table.done()
    return makers


def _fund(table: Table, money_decimals: int) -> Fund:
    fund = Fund(table.text("name"), table.amount("cash", money_decimals, zero=True))
    table.done()
    return fund


def _vault(table: Table, money_decimals: int) -> Vault:
    role = table.text("role", "vault")
    if role not in _VAULT_ROLES:
        table.refuse("role", f"holds {role!r}", f"Known: {', '.join(_VAULT_ROLES)}.")
    vault = Vault(table.text("name", "vault"), _VAULT_ROLES[role], table.amount("cash", money_decimals, zero=True))
    table.done()
    return vault


def _venue(table: Table, money_decimals: int) -> Venue:
    venue = Venue(
        taker_fee_ppm=table.share("taker_fee", 0, 10, "0%"),
        maker_fee_ppm=table.share("maker_fee", 0, 10, "0%"),
        slippage_ppm=table.share("slippage", 0, 99, "0%"),
        partial_share_ppm=table.share("partial_share", 1, 100, "100%"),
        partial_above_cash=table.amount("partial_above", money_decimals, 0, zero=True),
        cooldown_seconds=table.integer("cooldown", 0, _SECONDS_MAX, 0),
        takeover_ppm=table.share("takeover", 0, 100, "0%"),
        funding_rate_ppt=table.share("funding_rate", -10, 10, "0%", decimals=12),
        funding_seconds=table.integer("funding_every", 0, _SECONDS_MAX, 0),
    )
    table.done()
    return venue


def _policy(top: Table, file: str) -> Texts:
    if not top.holds_table("policy"):
        name = top.text("policy")
        try:
            return preset(name).texts
        except MisuseError as error:
            top.refuse("policy", f"holds {name!r}, which is no policy", error.cure)
    table = top.table("policy")
    texts = Texts(name=table.text("name"), rule=table.text("rule", ""), **{key: table.text(key) for key in PARAMETERS})
    table.done()
    try:
        parse_texts(texts)
    except BadInputError as error:
        raise BadInputError(error.message, cure=error.cure, file=file) from None
    return texts


def _phase(table: Table, symbols: Sequence[str]) -> Phase:
    seconds = table.integer("seconds", 1, _SECONDS_MAX)
    step = table.integer("step", 1, seconds, 1)
    phase = Phase(
        name=table.text("name"),
        seconds=seconds,
        step_seconds=step,
        gap_seconds=table.integer("gap", 1, _SECONDS_MAX, 1),
        look_seconds=table.integer("look", step, _SECONDS_MAX, step),
        noise_ppm=table.share("noise", 0, 10, "0%"),
        mood=table.word("mood", Mood, Mood.CALM.value),
        trades=table.integer("trades", 0, 10_000),
        depth=table.integer("depth", 0, 1_000_000, 1),
        visitors=table.integer("visitors", 0, 1_000, 0),
        vault_sells_ppm=table.share("vault_sells", 0, 100, "0%"),
        paths=_paths(table.table("paths", needed=False), symbols, seconds),
    )
    table.done()
    return phase


def _paths(table: Table, symbols: Sequence[str], seconds: int) -> tuple[tuple[str, tuple[tuple[int, int], ...]], ...]:
    paths = []
    for name in table.names():
        if name not in symbols and name != ALL_MARKETS:
            table.refuse(name, "is no market", f"Known: {', '.join((ALL_MARKETS, *symbols))}.")
        points: list[tuple[int, int]] = []
        for second, level in table.pairs(name):
            if type(second) is not int or not 0 <= second <= seconds or (points and second <= points[-1][0]):
                table.refuse(name, f"has a point at {second!r}", f"Points are at whole seconds from 0 to {seconds}, in order.")
            points.append((second, table.share_of(level, name, -99, 100_000)))
        paths.append((name, tuple(points)))
    return tuple(paths)
