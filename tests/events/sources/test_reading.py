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
