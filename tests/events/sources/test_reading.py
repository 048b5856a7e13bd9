import gzip
import hashlib
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from events.errors import BadInputError, DiskError, MisuseError
from events.sources import reading
from events.sources.reading import fingerprint, read_chunks, read_head, read_lines

Compress = Callable[[bytes], bytes]

COMPRESSED: dict[str, Compress] = {
    "gz": gzip.compress,
    "lz4": lz4.frame.compress,
    "zst": lambda data: zstandard.ZstdCompressor().compress(data),
}
CODINGS: dict[str, Compress] = {"plain": bytes, **COMPRESSED}
TEXT = b"first\nsecond\r\n\n\xff last"


@pytest.mark.parametrize("coding", CODINGS)
def test_lines_come_out_as_they_went_in(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(CODINGS[coding](TEXT))
    assert list(read_lines(path)) == [(1, b"first"), (2, b"second\r"), (3, b""), (4, b"\xff last")]
    assert list(read_lines(path, after=2)) == [(3, b""), (4, b"\xff last")]
    assert list(read_lines(path, after=9)) == []
    assert read_head(path, 3) == b"fir"


@pytest.mark.parametrize("coding", CODINGS)
def test_a_fingerprint_is_of_the_file_and_of_its_content(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "name.bin"
    raw = CODINGS[coding](TEXT)
    path.write_bytes(raw)
    found = fingerprint(path)
    assert found == (
        "name.bin",
        path,
        hashlib.sha256(raw).digest(),
        hashlib.sha256(TEXT).digest(),
        len(TEXT),
        4,
        (hashlib.sha256(TEXT).digest(),),
    )


@given(st.lists(st.binary(max_size=40).filter(lambda line: b"\n" not in line), max_size=20), st.booleans())
def test_every_spelling_gives_the_same_lines(lines: list[bytes], ended: bool) -> None:
    # A plain file that begins like a compressed one is not told from it.
    content = b"#" + b"\n".join(lines) + (b"\n" if ended and lines else b"")
    want = content.split(b"\n")
    if want[-1] == b"":
        want.pop()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "f"
        for compress in CODINGS.values():
            path.write_bytes(compress(content))
            assert [line for _, line in read_lines(path)] == want
            assert fingerprint(path).lines == len(want)


@pytest.mark.parametrize("coding", COMPRESSED)
def test_frames_that_follow_each_other_are_one_file(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(COMPRESSED[coding](b"a\nb") + COMPRESSED[coding](b"c\n"))
    assert list(read_lines(path)) == [(1, b"a"), (2, b"bc")]


@pytest.mark.parametrize("coding", COMPRESSED)
@pytest.mark.parametrize("cut", [1, 5, 100])
def test_a_truncated_file_is_an_error_and_not_an_end(tmp_path: Path, coding: str, cut: int) -> None:
    path = tmp_path / "f"
    path.write_bytes(COMPRESSED[coding](bytes(range(256)) * 400)[:-cut])
    with pytest.raises(BadInputError, match=r"ends too early|is not what its first bytes say"):
        list(read_chunks(path))
    with pytest.raises(BadInputError):
        fingerprint(path)


@pytest.mark.parametrize("coding", COMPRESSED)
def test_a_broken_file_is_an_error(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(COMPRESSED[coding](b"x" * 1000) + b"garbage after the frame")
    with pytest.raises(BadInputError, match="is not what its first bytes say"):
        list(read_lines(path))


def test_zeros_after_a_gzip_member_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(gzip.compress(b"a") + bytes(512) + gzip.compress(b"b") + bytes(70_000))
    assert list(read_lines(path)) == [(1, b"ab")]


def test_an_empty_file_has_no_lines(tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"")
    assert list(read_lines(path)) == []
    assert fingerprint(path).lines == 0


@pytest.mark.parametrize("coding", CODINGS)
def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    for content, lines in ((b"\xef\xbb\xbfa\nb", [b"a", b"b"]), (b"\xef\xbb\xbf", []), (b"\xef\xbb\xbf\n", [b""])):
        path.write_bytes(CODINGS[coding](content))
        file = fingerprint(path)
        for given_file in (path, file):
            assert [line for _, line in read_lines(given_file)] == lines
        assert file.lines == len(lines)
        assert file.content_sha256 == hashlib.sha256(content).digest()


BLOCK = 64


@pytest.fixture
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "_BLOCK_BYTES", BLOCK)


LONG = b"".join(b"line %d\n" % number for number in range(100))


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("coding", CODINGS)
def test_a_file_that_grew_gives_what_was_fingerprinted(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    for content in (LONG, LONG[:-1], LONG[:BLOCK], b""):
        path.write_bytes(CODINGS[coding](content))
        file = fingerprint(path)
        path.write_bytes(CODINGS[coding](content + b"more\nand more\n" * 50))
        assert b"".join(read_chunks(file)) == content
        assert [line for _, line in read_lines(file)] == content.splitlines()


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("coding", CODINGS)
@pytest.mark.parametrize(
    "changed",
    [
        LONG[: 3 * BLOCK],
        LONG[: 3 * BLOCK + 5],
        LONG[: 3 * BLOCK] + b"X" + LONG[3 * BLOCK + 1 :],
        LONG[: 3 * BLOCK] + b"\n" + LONG[3 * BLOCK :],
        LONG[: 4 * BLOCK - 1] + b"X",
    ],
)
def test_a_file_that_changed_gives_nothing_that_was_not_fingerprinted(tmp_path: Path, coding: str, changed: bytes) -> None:
    path = tmp_path / "f"
    path.write_bytes(CODINGS[coding](LONG))
    file = fingerprint(path)
    path.write_bytes(CODINGS[coding](changed))
    with pytest.raises(BadInputError, match=r"f: this file changed while it was read. Give the file back"):
        list(read_lines(file))
    # What was given out before the error is good.
    chunks = read_chunks(file)
    assert b"".join(next(chunks) for _ in range(3)) == LONG[: 3 * BLOCK]
    with pytest.raises(BadInputError):
        next(chunks)
    path.write_bytes(COMPRESSED["zst"](LONG))
    assert [line for _, line in read_lines(file)] == LONG.splitlines()


@pytest.mark.usefixtures("_small_blocks")
@pytest.mark.parametrize("coding", COMPRESSED)
def test_a_compressed_file_that_was_cut_has_changed(tmp_path: Path, coding: str) -> None:
    path = tmp_path / "f"
    path.write_bytes(COMPRESSED[coding](LONG))
    file = fingerprint(path)
    path.write_bytes(COMPRESSED[coding](LONG)[:-12])
    with pytest.raises(BadInputError, match="changed while it was read"):
        list(read_lines(file))


def test_a_line_over_the_limit_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"a\n" + b"b" * 200_000)
    monkeypatch.setattr(reading, "LINE_BYTES_MAX", 100_000)
    with pytest.raises(BadInputError, match="over 100,000 bytes") as found:
        list(read_lines(path))
    assert (found.value.row, found.value.file) == (2, str(path))


@pytest.mark.parametrize(("package", "coding"), [("lz4.frame", "lz4"), ("zstandard", "zst")])
def test_a_missing_package_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, coding: str
) -> None:
    path = tmp_path / "f"
    path.write_bytes(COMPRESSED[coding](b"x"))
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MisuseError, match=r"pip install adl-ledger\[archives\]"):
        list(read_lines(path))


def test_what_cannot_be_opened_is_misuse(tmp_path: Path) -> None:
    for path in (tmp_path / "absent", tmp_path, tmp_path / "absent" / "deeper"):
        with pytest.raises(MisuseError, match="cannot be opened"):
            read_head(path)


def test_what_the_machine_cannot_read_is_the_disk() -> None:
    path = Path("/proc/self/mem")
    if not path.exists():
        pytest.skip("no file is at hand that opens and cannot be read")
    with pytest.raises(DiskError, match="cannot be read"):
        read_head(path)


def test_a_name_that_is_not_text_is_kept_as_far_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "\udcff.lz4"
    path.write_bytes(b"x")
    assert fingerprint(path).name == "\ufffd.lz4"
