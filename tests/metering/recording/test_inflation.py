"""Compressed bodies: exact, bounded, and clear about what is wrong with them."""

import gzip
import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from metering.recording.inflation import Damaged, TooLarge, UnknownCoding, inflated, is_compressed

MEGABYTE = 1024 * 1024


def raw_deflate(data: bytes) -> bytes:
    deflater = zlib.compressobj(wbits=-15)
    return deflater.compress(data) + deflater.flush()


@pytest.mark.parametrize("coding", ["gzip", "GZIP", " gzip ", "x-gzip", "deflate", "Deflate"])
def test_codings_that_are_taken(coding: str) -> None:
    assert is_compressed(coding)


@pytest.mark.parametrize("coding", ["", "identity", " Identity"])
def test_what_is_sent_as_it_is(coding: str) -> None:
    assert not is_compressed(coding)


@pytest.mark.parametrize(
    "coding", ["br", "zstd", "compress", "gzip, gzip", "gzip,deflate", "identity, gzip", "gzip;q=1", "é", ","]
)
def test_codings_that_are_not_taken(coding: str) -> None:
    with pytest.raises(UnknownCoding):
        is_compressed(coding)


@hypothesis_settings(max_examples=100)
@given(st.binary(max_size=2_000))
def test_what_was_compressed_comes_back(data: bytes) -> None:
    assert inflated(gzip.compress(data, mtime=0), "gzip", limit=2_000) == data
    assert inflated(zlib.compress(data), "deflate", limit=2_000) == data


@hypothesis_settings(max_examples=200)
@given(
    st.binary(max_size=200), st.integers(0, 200), st.binary(max_size=3), st.sampled_from(["gzip", "deflate"])
)
def test_damage_is_noticed_or_harmless(data: bytes, cut: int, noise: bytes, coding: str) -> None:
    whole = gzip.compress(data, mtime=0) if coding == "gzip" else zlib.compress(data)
    cut = min(cut, len(whole))
    damaged = whole[:cut] + noise + whole[cut + len(noise) :]

    try:
        assert inflated(damaged, coding, limit=400) == data  # a byte of the header that means nothing
    except (Damaged, TooLarge):
        assert damaged != whole


@pytest.mark.parametrize(("compress", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_the_limit_is_of_what_is_inside(compress, coding: str) -> None:
    assert inflated(compress(b"x" * 1_000), coding, limit=1_000) == b"x" * 1_000
    for size in (1_001, 1_000_000):
        with pytest.raises(TooLarge):
            inflated(compress(b"x" * size), coding, limit=1_000)
    assert inflated(compress(b""), coding, limit=0) == b""


@pytest.mark.parametrize(("compress", "coding"), [(gzip.compress, "gzip"), (zlib.compress, "deflate")])
def test_a_bomb_takes_no_more_memory_than_the_limit(compress, coding: str) -> None:
    bomb = compress(bytes(200 * MEGABYTE))
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            inflated(bomb, coding, limit=MEGABYTE)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()

    assert len(bomb) < MEGABYTE
    assert peak < 4 * MEGABYTE


@pytest.mark.parametrize(
    ("body", "coding", "why"),
    [
        (b"", "gzip", "cut off"),
        (b"", "deflate", "cut off"),
        (b'{"id": "a"}', "gzip", "isn't of that format"),
        (b'{"id": "a"}', "deflate", "isn't of that format"),
        (gzip.compress(b"{}", mtime=0)[:-1], "gzip", "cut off"),
        (gzip.compress(b"{}", mtime=0)[:-8], "gzip", "cut off"),
        (gzip.compress(b"{}", mtime=0)[:5], "gzip", "cut off"),
        (zlib.compress(b"{}")[:-1], "deflate", "cut off"),
        (gzip.compress(b"{}", mtime=0)[:-8] + bytes(8), "gzip", "isn't of that format"),
        (gzip.compress(b"{}", mtime=0) + b"x", "gzip", "more after its end"),
        (gzip.compress(b"{}", mtime=0) + bytes(8), "gzip", "more after its end"),
        (gzip.compress(b"{}", mtime=0) + gzip.compress(b"{}", mtime=0), "gzip", "more after its end"),
        (zlib.compress(b"{}") + b"x", "deflate", "more after its end"),
        (zlib.compress(b"{}"), "gzip", "isn't of that format"),
        (gzip.compress(b"{}", mtime=0), "deflate", "isn't of that format"),
        (raw_deflate(b"{}"), "deflate", "isn't of that format"),
    ],
)
def test_damaged_data_is_said_to_be(body: bytes, coding: str, why: str) -> None:
    with pytest.raises(Damaged, match=why):
        inflated(body, coding, limit=100)
