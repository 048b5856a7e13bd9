"""The waterfall: who bears the deficit of an account below zero, layer by layer in the order that the policy records.

The layers that can act, each on the account as it stands then:

- ``book``: before this, while there was equity; see ``liquidation``.
- ``fund``: each pool pays the deficit, or all it has.
- ``adl`` and ``index``: a round of the largest position that the trigger holds for and that somebody can bear. One round for
  each position and moment, so that the limits of a policy hold.
- ``vault``: takes over the largest position at its bankruptcy price, so that it bears the deficit; of an account without
  positions it pays the deficit, as far as its own equity reaches. Where fund, adl or index follow it in the record, its turn
  was while the account had equity (``Rules.takeover_ppm``, Hyperliquid), or, where the trigger is about what is left over, it
  takes what leaves it with its initial margin (Lighter). Then it bears what they leave, unless debt or withdrawals come last.
- ``assignment`` needs volunteers, of whom nobody tells the engine. ``withdrawals`` is what those pay who leave; see ``gates``.
- ``debt``, and whatever no layer can bear: the account is closed at mark and stays below zero.

A policy whose trigger looks at a drawdown of the fund means to spare the fund: while that trigger holds, ADL comes before the
fund pools, and a fund pays no more than down to where it begins to hold (Bybit: "ADL covers only the part beyond -30%").
"""

from collections.abc import Sequence

from events.errors import MisuseError
from events.model import AnyEvent, InsuranceDraw, MarketStatus, Method, Role
from replay.core import margin
from replay.core.engine.inputs import Moment, Rules
from replay.core.engine.liquidation import Holding, at_mark, liquidation, market_of_debt, residual
from replay.core.engine.rounds import adl_round, draft_round, holds, looks_at, policy_in_force
from replay.core.policy import Base, Layer, LayerKind, Policy, Quantity, Relation, policy_for
from replay.core.state import State
from replay.core.triggers import fund_drawdown, fund_pools

__all__ = ["relieve", "unwind"]

_ROUNDS = (LayerKind.ADL, LayerKind.INDEX)
_SHARING = (LayerKind.FUND, *_ROUNDS)
_LEFT = (LayerKind.DEBT, LayerKind.WITHDRAWALS)
_PAYING_ROLES = (Role.FUND, Role.VAULT, Role.LIQUIDATOR)


def relieve(state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the next step for an account whose equity is below 0, which holds ``held``; none where nothing is left to do."""
    market = held[0][0] if held else market_of_debt(state, account)
    if market is None:
        return ()
    policy = policy_in_force(state, market)
    layers = _sequence(state, account, held or [(market, 0)], policy, moment)
    for place, layer in enumerate(layers):
        events: tuple[AnyEvent, ...] = ()
        if layer.kind is LayerKind.FUND:
            events = _draw(state, account, layer, policy, moment)
        elif layer.kind in _ROUNDS:
            events = _first_round(state, account, held or [(market, 0)], rules, moment)
        elif layer.kind is LayerKind.VAULT and account != rules.vault:
            events = _bear(state, account, held, rules, moment, within_means=_shares(layers[place:]))
        if events:
            return events
    return at_mark(state, account, held, rules, moment) if account != rules.vault else ()


def _sequence(state: State, account: int, held: Sequence[Holding], policy: Policy, moment: Moment) -> list[Layer]:
    """Return the layers in the order in which they act now."""
    layers = list(policy.layers)
    early = [layer for place, layer in enumerate(layers) if layer.kind is LayerKind.VAULT and _shares(layers[place:])]
    if not looks_at(policy, Quantity.LEFTOVER):
        layers = [layer for layer in layers if layer not in early]
    if layers[-1].kind not in _LEFT:
        layers += early
    if looks_at(policy, Quantity.DRAWDOWN) and holds(state, draft_round(state, account, held[0], policy, moment), policy):
        layers.sort(key=lambda layer: layer.kind not in _ROUNDS)
    return layers


def _shares(layers: Sequence[Layer]) -> bool:
    return any(layer.kind in _SHARING for layer in layers)


def _draw(state: State, account: int, layer: Layer, policy: Policy, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the draw on the first pool of a layer that has money."""
    for fund in fund_pools(state) if layer.account is None else [layer.account]:
        balance = margin.equity(state, fund) if fund < len(state.accounts) else None
        if balance is None:
            raise MisuseError(f"fund {fund} cannot pay: its balance is not on record.")
        if balance > 0 and fund != account:
            spared = _down_to_trigger(state, policy, moment)
            return _paid(state, account, fund, min(balance, spared) if spared > 0 else balance, moment)
    return ()


def _down_to_trigger(state: State, policy: Policy, moment: Moment) -> int:
    """Return how much the fund can pay until a drawdown starts ADL; 0 where it has started, or where none does.

    With a drawdown d and a level of cash, the peak is level / (1 - d). ADL starts at the first level that is further below it
    than the bound.
    """
    level = sum(margin.balance(state, fund) or 0 for fund in fund_pools(state, policy) if fund < len(state.accounts))
    spared: list[int] = []
    for condition in (condition for clause in policy.trigger.start for condition in clause):
        if condition.quantity is Quantity.DRAWDOWN:
            fallen = fund_drawdown(state, policy, moment.at_ns, condition.window_ns)
            if fallen is None or fallen.numerator >= fallen.denominator:
                continue
            top = level * fallen.denominator * (condition.bound.denominator - condition.bound.numerator)
            starts, beyond = divmod(top, (fallen.denominator - fallen.numerator) * condition.bound.denominator)
            if condition.relation is Relation.ABOVE and beyond == 0:
                starts -= 1
            spared.append(level - starts)
    # Of several the one that begins first; one that has begun is no limit.
    return min((cash for cash in spared if cash > 0), default=0)


def _paid(state: State, account: int, payer: int, most: int, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the draw of an account's deficit, of ``most`` at most."""
    if state.accounts[payer].role not in _PAYING_ROLES:
        raise MisuseError(f"account {payer} cannot pay a deficit: it is no fund, vault or liquidator.")
    deficit = -(margin.equity(state, account) or 0)
    at = (moment.at_ns, moment.source, moment.row)
    cash = min(most, deficit)
    return (InsuranceDraw(*at, payer, account, cash, deficit=deficit, market=None, round=None, reference=None),)


def _first_round(state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the first round that can be: of the largest position whose trigger holds and that somebody can bear.

    A policy that relieves the vault of the winners' profit closes the vault's positions, and nobody else's.
    """
    for market, size in held:
        policy = policy_in_force(state, market)
        relieves_vault = looks_at(policy, Quantity.POOL_FACTOR)
        if any(layer.kind in _ROUNDS for layer in policy.layers) and (account == rules.vault or not relieves_vault):
            events = _round(state, account, (market, size), policy, moment)
            if events:
                return events
    return ()


def _round(state: State, account: int, holding: Holding, policy: Policy, moment: Moment) -> tuple[AnyEvent, ...]:
    if _had_round(state, account, holding[0], moment):
        return ()
    opened = draft_round(state, account, holding, policy, moment)
    return adl_round(state, opened, holding, policy, moment) if holds(state, opened, policy) else ()


def _had_round(state: State, account: int, market: int, moment: Moment) -> bool:
    """Return whether the account's position had its round of this moment."""
    for one in reversed(state.rounds):
        if one.event.at_ns != moment.at_ns:
            return False
        if one.event.loser == account and one.event.market == market:
            return True
    return False


def _bear(
    state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment, *, within_means: bool
) -> tuple[AnyEvent, ...]:
    """Return the take-over of the largest position by the vault, or its payment for an account without positions.

    ``within_means``: only of a position with which the vault would still have its initial margin.
    """
    if not held:
        balance = margin.equity(state, rules.vault)
        return _paid(state, account, rules.vault, balance, moment) if balance is not None and balance > 0 else ()
    for holding in held:
        price = margin.bankruptcy_price(state, account, holding[0])
        if within_means and (price is None or not _has_means(state, rules.vault, holding, price)):
            continue
        if price is None:
            # There is no price at which the vault could bear the deficit; without positions it pays it.
            return at_mark(state, account, held, rules, moment)
        close = liquidation(state, account, rules.vault, holding, price, Method.TAKEOVER, moment, 0)
        return (close, *residual(state, account, [close], moment))
    return ()


def _has_means(state: State, vault: int, holding: Holding, price: int) -> bool:
    """Return whether the vault would have its initial margin after taking a position over at a price."""
    number, size = holding
    market, mark = state.markets[number], state.marks[number]
    position = state.positions[number].get(vault)
    before = position.size if position is not None else 0
    equity, initial = margin.equity(state, vault), margin.initial(state, vault)
    frees, needs = (
        margin.required(market, abs(margin.market_value(market, lots, mark)), first=True) for lots in (before, before + size)
    )
    if equity is None or initial is None or frees is None or needs is None:
        return False
    won = margin.market_value(market, size, mark) - margin.market_value(market, size, price)
    return equity + won >= initial - frees + needs


def unwind(state: State, account: int, held: Sequence[Holding], rules: Rules, moment: Moment) -> tuple[AnyEvent, ...]:
    """Return the next round about a sound account, where a policy closes its positions too.

    In a market that is being settled (dYdX v4), and of the vault where the winners' profit is too large for it (GMX v2). Not at
    the bankruptcy price, which would take what the account owns.
    """
    for market, size in held:
        settling = state.markets[market].listed.status is MarketStatus.SETTLEMENT
        if (settling or account == rules.vault) and policy_for(state, market) is not None:
            policy = policy_in_force(state, market)
            wanted = Quantity.SETTLEMENT if settling else Quantity.POOL_FACTOR
            if policy.price.base is not Base.BANKRUPTCY and looks_at(policy, wanted):
                events = _round(state, account, (market, size), policy, moment)
                if events:
                    return events
    return ()
