"""Choosing events: what an event names, and which events a reader asked for."""

from pathlib import Path

import pytest
from hypothesis import given

from events.errors import MisuseError
from events.model import (
    AccountOpened,
    Event,
    Fill,
    Funding,
    LedgerOpened,
    MarginMode,
    Payment,
    PriceTick,
    Role,
    Taker,
    Transfer,
)
from ledger.store import create, open_ledger
from replay.selection import accounts_of, kinds_named, markets_of, select
from replay.testing.streams import records

FILL = Fill(9, 0, 0, 2, 5, 4, 100, 1, 0, 0, 1, Taker.BUYER, None, None, None, None, None, None)


def test_an_event_names_accounts_and_markets_wherever_they_stand() -> None:
    assert (accounts_of(FILL), markets_of(FILL)) == ([4, 5], [2])
    funding = Funding(9, 0, 0, 3, None, 1, (Payment(7, 5, None), Payment(6, -5, 3), Payment(7, 1, None)))
    assert (accounts_of(funding), markets_of(funding)) == ([1, 6, 7], [3])
    assert (accounts_of(PriceTick(9, 0, 0, 2, 1, None)), markets_of(LedgerOpened(0, 0, 0, "v", "USD", 8, 1))) == ([], [])


def test_types_are_named_as_they_are() -> None:
    assert kinds_named(["Fill", "Transfer"]) == frozenset[type[Event]]({Fill, Transfer})
    assert kinds_named(None) is kinds_named([]) is None
    with pytest.raises(MisuseError, match=r"no event type 'fill'.*The types are LedgerOpened"):
        kinds_named(["fill"])


@given(records())
def test_filters_keep_what_they_name_and_drop_the_rest(tmp_path_factory: pytest.TempPathFactory, record: list[Event]) -> None:
    path = tmp_path_factory.mktemp("select") / "l.adl"
    assert isinstance(record[0], LedgerOpened)
    create(path, record[0])
    with open_ledger(path, write=True) as ledger:
        ledger.append(record[ledger.head :], expected_head=ledger.head)
        log = list(enumerate(record, 1))
        assert [(seq, event) for seq, event, _ in select(ledger)] == log
        assert [seq for seq, _, _ in select(ledger, first=3, last=4)] == [3, 4]
        for number, opened in [(e.account, e) for e in record if isinstance(e, AccountOpened)]:
            wanted = [seq for seq, event in log if number in accounts_of(event)]
            assert [seq for seq, _, _ in select(ledger, account=opened.name)] == wanted
        fills = [seq for seq, event in log if type(event) is Fill]
        assert [seq for seq, _, _ in select(ledger, kinds=frozenset({Fill}))] == fills


def test_a_name_that_does_not_occur_is_misuse(tmp_path: Path) -> None:
    create(tmp_path / "l.adl", LedgerOpened(0, 0, 0, "venue", "USD", 8, 1))
    with open_ledger(tmp_path / "l.adl", write=True) as ledger:
        late = AccountOpened(0, 0, 0, 4, "late", 4, Role.USER, MarginMode.CROSS, True, None)
        ledger.append([late], expected_head=ledger.head)
        assert [seq for seq, _, _ in select(ledger, account="late")] == [6]
        with pytest.raises(MisuseError, match="no account 'late' up to seq 5"):
            list(select(ledger, account="late", last=5))
        with pytest.raises(MisuseError, match="no market 'BTC'"):
            list(select(ledger, market="BTC"))
