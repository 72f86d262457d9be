"""Conditions on labels: the Python face. `test_meaning.py` holds it against the SQL face."""

from decimal import Decimal
from typing import Any

import pytest

from metering.measuring.label_filter import MAX_CONDITIONS, InvalidFilter, filter_from, is_absent, value_at

MISSING = "no such label"


def matches(spec: dict[str, Any], **labels: Any) -> bool:
    return filter_from(spec).matches(labels)


@pytest.mark.parametrize(
    ("spec", "fits", "misfits"),
    [
        ("eu", ["eu"], ["us", "EU", "", None, True, 1, ["eu"], {"eu": 1}, MISSING]),
        (5, [5, Decimal("5.0"), Decimal("5E0")], ["5", 6, True, None, MISSING]),
        (1, [1, Decimal(1)], [True, "1", MISSING]),
        (True, [True], [1, "true", False, MISSING]),
        (None, [None], [False, 0, "", "null", MISSING]),
        (0.1, [Decimal("0.1")], [Decimal("0.10000000000000000555"), "0.1"]),
        (["eu", 5], ["eu", 5], ["us", "5", ["eu", 5], MISSING]),
        ({"$eq": "eu"}, ["eu"], ["us", MISSING]),
        ({"$ne": "eu"}, ["us", None, 5, ["eu"], MISSING], ["eu"]),
        ({"$in": ["eu", None]}, ["eu", None], ["us", MISSING]),
        ({"$nin": ["eu", 5]}, ["us", "5", None, MISSING], ["eu", 5, Decimal("5.00")]),
        ({"$gt": 5}, [6, Decimal("5.000000000001")], [5, "6", True, None, MISSING]),
        ({"$gte": 5}, [5, Decimal("5.0"), 6], [4, "5", MISSING]),
        ({"$lt": 5}, [4, -1, Decimal("4.9")], [5, "4", None, False, MISSING]),
        ({"$lte": 5}, [5, 4], [6, "5", MISSING]),
        ({"$gt": "b"}, ["c", "ba", "é"], ["b", "a", "B", 5, MISSING]),
        ({"$gte": 1, "$lt": 3}, [1, 2, Decimal("2.999")], [0, 3, MISSING]),
        ({"$exists": True}, ["", None, 0, [], {}], [MISSING]),
        ({"$exists": False}, [MISSING], ["", None, 0]),
    ],
)
def test_a_condition_compares_typed(spec: Any, fits: list[Any], misfits: list[Any]) -> None:
    def found(value: Any) -> bool:
        return matches({"label": spec}) if value is MISSING else matches({"label": spec}, label=value)

    assert [value for value in fits if not found(value)] == []
    assert [value for value in misfits if found(value)] == []


def test_texts_compare_by_code_point() -> None:
    assert matches({"name": {"$gt": "Z"}}, name="a")
    assert matches({"name": {"$gt": "\uffff"}}, name="😀")


def test_an_empty_filter_matches_everything() -> None:
    assert filter_from({}).matches({})
    assert len(filter_from({})) == 0


def test_all_labels_of_a_filter_must_match() -> None:
    spec = {"region": "eu", "tier": "gold"}

    assert matches(spec, region="eu", tier="gold")
    assert not matches(spec, region="eu", tier="free")
    assert not matches(spec, region="eu")


def test_and_and_or_nest() -> None:
    spec = {"$or": [{"region": "eu"}, {"$and": [{"size": {"$gt": 10}}, {"tier": "gold"}]}]}

    assert matches(spec, region="eu")
    assert matches(spec, size=11, tier="gold")
    assert not matches(spec, size=11, tier="free")
    assert not matches(spec, size=10, tier="gold")
    assert len(filter_from(spec)) == 3


def test_a_dotted_path_reaches_into_objects() -> None:
    assert matches({"http.status": 200}, http={"status": 200})
    assert not matches({"http.status": 200}, http=200)
    assert not matches({"http.status": 200}, **{"http.status": 200})


def test_absence_differs_from_null() -> None:
    labels = {"region": None, "http": {"status": None}}

    assert value_at(labels, "region") is None
    assert value_at(labels, "http.status") is None
    assert is_absent(value_at(labels, "zone"))
    assert is_absent(value_at(labels, "region.name"))
    assert is_absent(value_at({"http": ["a"]}, "http.0"))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("eu", "A filter is an object"),
        (["eu"], "A filter is an object"),
        (None, "A filter is an object"),
        ({"": "eu"}, "A label needs a name"),
        ({"a\x00": "eu"}, "A label needs a name"),
        ({"$xor": []}, r"\$xor isn't a known operator"),
        ({"$or": []}, r"\$or takes a list of filters"),
        ({"$and": {}}, r"\$and takes a list of filters"),
        ({"$or": ["eu"]}, "A filter is an object"),
        ({"region": {}}, "region: names no operator"),
        ({"region": {"$regex": "e"}}, r"region: \$regex isn't a known operator"),
        ({"region": {"name": "eu"}}, "region: name isn't a known operator"),
        ({"region": []}, r"region: \$in takes a list of values"),
        ({"region": {"$in": "eu"}}, r"region: \$in takes a list of values"),
        ({"region": {"$nin": []}}, r"region: \$nin takes a list of values"),
        ({"region": [["eu"]]}, "region: values must be texts"),
        ({"region": {"$eq": {"a": 1}}}, "region: values must be texts"),
        ({"region": {"$ne": ["eu"]}}, "region: values must be texts"),
        ({"size": {"$gt": None}}, r"size: \$gt takes a number or a text"),
        ({"size": {"$lte": True}}, r"size: \$lte takes a number or a text"),
        ({"size": {"$lt": [1]}}, r"size: \$lt takes a number or a text"),
        ({"size": {"$exists": "yes"}}, r"size: \$exists takes true or false"),
        ({"size": {"$exists": 1}}, r"size: \$exists takes true or false"),
    ],
)
def test_a_filter_that_cannot_be_read_says_where(spec: Any, message: str) -> None:
    with pytest.raises(InvalidFilter, match=message):
        filter_from(spec)


def test_a_filter_is_nested_at_most_8_deep() -> None:
    spec: dict[str, Any] = {"region": "eu"}
    for _ in range(8):
        spec = {"$and": [spec]}

    assert filter_from(spec).matches({"region": "eu"})
    with pytest.raises(InvalidFilter, match="nested too deeply"):
        filter_from({"$and": [spec]})


def test_a_filter_has_at_most_100_conditions() -> None:
    most = {f"label-{index}": "x" for index in range(MAX_CONDITIONS)}

    assert MAX_CONDITIONS == 100
    assert len(filter_from(most)) == 100
    with pytest.raises(InvalidFilter, match="at most 100 conditions"):
        filter_from({**most, "one-more": "x"})
    with pytest.raises(InvalidFilter, match="at most 100 conditions"):
        filter_from({"$or": [{"a": "x"}, most]})


@pytest.mark.parametrize("operand", ["\x00", "\ud800"])
@pytest.mark.parametrize("form", ["plain", "list", "comparison"])
def test_a_text_that_postgresql_cannot_hold_is_refused(form: str, operand: str) -> None:
    spec = {"plain": operand, "list": ["eu", operand], "comparison": {"$gt": operand}}[form]

    with pytest.raises(InvalidFilter):
        filter_from({"region": spec})
