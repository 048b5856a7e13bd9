import gzip
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest

from events.errors import BadInputError, MisuseError
from events.sources.hyperliquid import FORMAT, FORMAT_VERSION, HEAD, feeds, open_feeds
from events.sources.hyperliquid.feeds import KINDS, recognise
from events.sources.reading import fingerprint

EMPTY_BLOCK = b'{"local_time":"","block_time":"2025-10-27T17:00:00.1","block_number":1,"events":[]}\n'
ADDRESS = b"0x" + b"1" * 40

FILES: dict[str, tuple[str, bytes]] = {
    "node_fills_by_block": ("a", EMPTY_BLOCK * 3 + EMPTY_BLOCK.replace(b"[]", b'[["' + ADDRESS + b'",{}]]')),
    "misc_events_by_block": ("b", EMPTY_BLOCK + EMPTY_BLOCK.replace(b"[]", b'[ {"time":""}]')),
    "node_fills": ("c", b'rubbish\n[ "' + ADDRESS + b'",{"coin":"BTC"}]\n'),
    "asset_ctxs": ("d", b"time,coin,oracle_px,mark_px\r\n"),
    "account_value_snapshot": ("account_value_snapshot_1_2.json", b'[{"user":"x","account_value":1}]'),
    "perp_positions_by_market": ("perp_positions_by_market_1_2.json", b'[{"market_name":"x","positions":[]}]'),
    "blocks_without_events": ("f", EMPTY_BLOCK * 3),
    "meta": ("e", b'{"universe":[{"szDecimals":1}]}'),
}


@pytest.mark.parametrize("compress", [bytes, gzip.compress, lz4.frame.compress])
@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_is_told_by_its_content(tmp_path: Path, kind: str, compress: Callable[[bytes], bytes]) -> None:
    name, content = FILES[kind]
    path = tmp_path / name
    path.write_bytes(compress(content))
    assert recognise(path) == kind
    file = fingerprint(path)
    [feed] = open_feeds([file])
    assert (feed.file, feed.stream, feed.head) == (file, KINDS[kind].stream, HEAD)
    assert (feed.granularity_ns, feed.clock, feed.completeness) == KINDS[kind][1:]


def test_blocks_without_events_are_a_stream_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(EMPTY_BLOCK)
    [feed] = open_feeds([fingerprint(path)])
    assert feed.stream == "blocks"
    assert len(list(feed.items(0))) == 1


def test_a_first_event_may_come_late(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(feeds, "_PROBE_LINES", 2)
    (tmp_path / "f").write_bytes(EMPTY_BLOCK * 5 + FILES["misc_events_by_block"][1])
    assert recognise(tmp_path / "f") == "misc_events_by_block"
    (tmp_path / "g").write_bytes(b"text\n" * 5 + EMPTY_BLOCK)
    with pytest.raises(BadInputError, match="no Hyperliquid file"):
        recognise(tmp_path / "g")


@pytest.mark.parametrize("content", [b"", b"\n\n", b"some text", b'{"a":1}', b"[1,2]", b"\xff\x00"])
def test_other_files_are_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(content)
    with pytest.raises(BadInputError, match="no Hyperliquid file") as found:
        open_feeds([fingerprint(path)])
    assert found.value.file == str(path)
    assert "node_fills_by_block" in found.value.cure


@pytest.mark.parametrize("kind", ["account_value_snapshot", "perp_positions_by_market"])
def test_a_snapshot_whose_name_does_not_say_its_time_is_refused(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "renamed.json"
    path.write_bytes(FILES[kind][1])
    with pytest.raises(MisuseError, match="does not say its block and time") as found:
        recognise(path)
    assert kind in found.value.cure


def test_the_format_has_a_name_and_a_version() -> None:
    assert (FORMAT, FORMAT_VERSION) == ("hyperliquid", 1)
    assert HEAD == ("hyperliquid", "USDC", 12)
