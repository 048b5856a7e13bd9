import pytest
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInputError, MisuseError
from replay.core.policy import Base, LayerKind
from replay.core.spelling import adopt, parse_texts
from replay.presets import preset, presets
from replay.whatif.change import UNCHANGED, Change, PriceSource, changed_texts, label_of, texts_of

QUEUE = preset("queue").texts


@pytest.mark.parametrize("name", sorted(presets()))
def test_without_adl_nobody_is_closed_and_the_rest_stays(name: str) -> None:
    texts = preset(name).texts
    after = parse_texts(changed_texts(texts, Change(no_adl=True)))
    before = parse_texts(texts)
    kinds = [layer.kind for layer in after.layers]
    assert not after.trigger.start
    assert LayerKind.ADL not in kinds
    assert LayerKind.INDEX not in kinds
    kept = [layer for layer in before.layers if layer.kind in kinds]
    assert kept == [layer for layer in after.layers if layer in before.layers]
    assert (after.scope, after.key, after.fill, after.price, after.target) == (
        before.scope,
        before.key,
        before.fill,
        before.price,
        before.target,
    )


@given(st.sampled_from(PriceSource))
def test_price_alone_is_replaced(source: PriceSource) -> None:
    after = changed_texts(QUEUE, Change(price=source))
    assert after._replace(price=QUEUE.price, name=QUEUE.name) == QUEUE
    assert parse_texts(after).price.base is Base[source.name]
    assert source in after.name


def test_price_of_a_rule_that_has_none_is_misuse() -> None:
    with pytest.raises(MisuseError, match="contracts need a price"):
        changed_texts(preset("pro-rata").texts, Change(price=PriceSource.MARK))


def test_texts_on_record_that_cannot_be_read_are_bad_input_whatever_is_changed() -> None:
    for change in (UNCHANGED, Change(price=PriceSource.MARK), Change(no_adl=True)):
        with pytest.raises(BadInputError, match="parameter key"):
            changed_texts(QUEUE._replace(key="by alphabet"), change)


def test_another_policy_replaces_the_one_on_record() -> None:
    adopted = adopt(QUEUE, policy=3, at_ns=0, source=0, row=0)
    assert texts_of(adopted) == QUEUE == changed_texts(texts_of(adopted), UNCHANGED)
    bybit = preset("bybit").texts
    assert changed_texts(QUEUE._replace(key="by alphabet"), Change(policy=bybit)) == bybit


def test_labels_say_everything_that_is_changed() -> None:
    assert label_of(UNCHANGED) == "no change"
    every = Change(QUEUE, 5, "0.05", PriceSource.MARK, no_adl=True)
    assert label_of(every) == f"{QUEUE.name}, no ADL, fund 0.05, price mark"
