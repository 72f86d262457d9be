"""Reading files: records, their places, and what makes a file unreadable."""

import csv
import gzip
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metering.importing.event_files import Records, UnreadableFile, delimiter_of, format_of, inspect, opened
from metering.texts.csv_cells import neutral, original


def records(content: bytes, *, delimiter: str | None = None, max_bytes: int = 100) -> list:
    return list(Records(io.BytesIO(content), end=len(content), max_bytes=max_bytes, delimiter=delimiter))


def test_lines_know_their_number_and_their_end() -> None:
    found = records(b"\xef\xbb\xbfone\r\n\ntwo\nthree")

    assert [(r.line, r.raw, r.end, r.lines_done) for r in found] == [
        (1, b"one", 8, 1),
        (2, b"", 9, 2),
        (3, b"two", 13, 3),
        (4, b"three", 18, 4),
    ]


def test_line_that_is_too_long_is_passed_over() -> None:
    found = records(b"a" * 100 + b"\n" + b"b" * 101 + b"\r\n" + b"c" * 100_000 + b"\nlast\n")

    assert [(r.line, len(r.raw), r.problem) for r in found] == [
        (1, 100, None),
        (2, 101, "longer than 100 bytes"),
        (3, 102, "longer than 100 bytes"),
        (4, 4, None),
    ]


def test_quoted_cells_hold_line_breaks_and_delimiters() -> None:
    found = records(b'a,"x\ny",b\n"say ""no""\n",,"1,2"\n5" disk,"\xc3\xbc"\nlast', delimiter=",")

    assert [(r.line, r.raw, r.lines_done, r.problem) for r in found] == [
        (1, b'a,"x\ny",b', 2, None),
        (3, b'"say ""no""\n",,"1,2"', 4, None),
        (5, b'5" disk,"\xc3\xbc"', 5, None),
        (6, b"last", 6, None),
    ]


def test_quotes_that_stay_open_take_the_rest_of_the_file() -> None:
    short = records(b'a,"b\nc,d\n', delimiter=",")
    long = records(b'a,"b\n' + b"c,d\n" * 100 + b'",e\nf,g\n', delimiter=",")

    assert [(r.line, r.problem) for r in short] == [(1, "the file ends inside of a quoted cell")]
    assert [(r.line, r.problem, r.raw) for r in long][1] == (103, None, b"f,g")
    assert long[0].problem == "longer than 100 bytes, up to the end of its quotes in line 102"


@given(
    st.lists(st.lists(st.text(st.sampled_from('ab",;\n\r\t '), max_size=30), min_size=2), max_size=8),
    st.data(),
)
def test_rows_are_split_as_the_csv_module_writes_them(rows: list[list[str]], data: st.DataObject) -> None:
    out = io.StringIO(newline="")
    # Ending lines by LF alone, the writer leaves a CR unquoted that a reader takes for the end of a row.
    ending, quoting = data.draw(st.sampled_from([("\r\n", csv.QUOTE_MINIMAL), ("\n", csv.QUOTE_ALL)]))
    csv.writer(out, lineterminator=ending, quoting=quoting).writerows(rows)
    content = out.getvalue().encode()

    found = records(content, delimiter=",", max_bytes=10_000)

    assert [next(csv.reader(io.StringIO(r.raw.decode(), newline=""))) for r in found] == rows
    assert [r.lines_done for r in found][-1:] == [content.count(b"\n")][: len(rows)]


@given(st.binary(max_size=300), st.integers(1, 40))
def test_any_bytes_are_covered_by_records_once(content: bytes, max_bytes: int) -> None:
    for delimiter in (None, ","):
        found = records(content, delimiter=delimiter, max_bytes=max_bytes)

        ends = [record.end for record in found]
        assert ends == sorted(set(ends))
        assert (ends[-1] if ends else 0) == len(content)
        assert all(len(record.raw) <= max_bytes + 2 or record.problem for record in found)


@given(st.binary(max_size=300), st.data())
def test_reading_goes_on_behind_any_record(content: bytes, data: st.DataObject) -> None:
    whole = records(content, delimiter=",", max_bytes=50)
    skipped = data.draw(st.integers(0, len(whole)))
    reader = Records(io.BytesIO(content), end=len(content), max_bytes=50, delimiter=",")
    if skipped:
        reader.go_to(whole[skipped - 1].end, lines_done=whole[skipped - 1].lines_done)

    assert list(reader) == whole[skipped:]


def test_reading_from_gzip_goes_on_in_the_middle() -> None:
    content = b"".join(b"line %d\n" % n for n in range(50_000))
    packed = opened(io.BytesIO(gzip.compress(content[:1000]) + gzip.compress(content[1000:])))
    facts = inspect(packed)
    reader = Records(packed, end=facts.size, max_bytes=100)
    reader.go_to(content.index(b"line 40000\n"), lines_done=40_000)

    first = next(iter(reader))

    assert facts == inspect(io.BytesIO(content))
    assert (first.line, first.raw) == (40_001, b"line 40000")


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b"", "It is empty."),
        (b"\xef\xbb\xbf", "It is empty."),
        ("a\n".encode("utf-16"), "It is UTF-16. Save it as UTF-8."),
        ("a\n".encode("utf-16-le"), "It isn't text: it holds NUL bytes."),
        (b"a\nb\nM\xfcller\n", "Line 3 isn't UTF-8. Save the file as UTF-8."),
        (b"a\n\xc3", "Its last line isn't UTF-8; was it cut off?"),
        (b"PK\x03\x04rest", "It is a ZIP archive or a spreadsheet. Unpack it, or save the sheet as CSV."),
        (b"a\x00b\n", "It isn't text: it holds NUL bytes."),
        (b"a,b\r1,2\r", "Its lines end in CR alone. Save it with LF or CRLF line endings."),
        (gzip.compress(b"a\n" * 1000, mtime=0)[:-9], "It can't be decompressed: "),
    ],
)
def test_unreadable_content_says_why(content: bytes, complaint: str) -> None:
    with pytest.raises(UnreadableFile) as caught:
        inspect(opened(io.BytesIO(content)))

    assert str(caught.value).startswith(complaint)


def test_bomb_is_not_unfolded_beyond_the_limit() -> None:
    bomb = gzip.compress(b"0" * 50_000_000)

    with pytest.raises(UnreadableFile, match="more than 5 MB"):
        inspect(opened(io.BytesIO(bomb)), max_bytes=5_000_000)


@pytest.mark.parametrize(
    ("head", "name", "form"),
    [
        (b'{"a": 1}', "x.csv", "ndjson"),
        (b'\xef\xbb\xbf  {"a": 1}', "-", "ndjson"),
        (b"a,b\n", "x.ndjson.gz", "ndjson"),
        (b"a,b\n", "-", "csv"),
        (b"[a],b\n", "x.csv.gz", "csv"),
    ],
)
def test_format_shows(head: bytes, name: str, form: str) -> None:
    assert format_of(head, file_name=name) == form


def test_array_is_refused_with_the_way_out() -> None:
    with pytest.raises(UnreadableFile, match="It is a JSON array"):
        format_of(json.dumps([{"a": 1}]).encode(), file_name="x.json")


@pytest.mark.parametrize(
    ("header", "delimiter"),
    [("a", ","), ("a;b,c;d", ";"), ('"a;b;c",d', ","), ("a\tb", "\t"), ("a|b|c", "|")],
)
def test_delimiter_shows_in_the_header(header: str, delimiter: str) -> None:
    assert delimiter_of(header) == delimiter


@given(st.text(st.sampled_from("=+-@\t\r'ab1")))
def test_neutral_cells_read_back(text: str) -> None:
    assert original(neutral(text)) == text


@pytest.mark.parametrize("cell", ["'tis", "'", "plain", "=1"])
def test_cells_that_were_never_neutralised_stay(cell: str) -> None:
    assert original(cell) == cell
