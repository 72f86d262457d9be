"""What is suggested for the columns of a file."""

from metering.importing.column_guesses import guesses, plain_name


def test_members_are_known_by_many_names_and_the_rest_are_labels() -> None:
    header = [
        "Request ID",
        "createdAt",
        "Customer",
        "Amount",
        "Region",
        "Latency (ms)",
        "Zip",
        "user_id",
        "Empty",
    ]
    rows = [
        ["r-1", "2024-05-15", "ada", "5", "eu", "12.5", "0012", "u1", ""],
        ["r-2", "2024-05-15", "bob", "6", "us", "-3", "90210", "u2", " "],
    ]

    assert guesses(header, rows) == [
        "id",
        "occurred_at",
        "subject_id",
        "quantity",
        "labels.region",
        "labels.latency_ms:number",
        "labels.zip",
        "labels.user_id",
        "",
    ]


def test_no_member_and_no_label_is_suggested_twice() -> None:
    assert guesses(["time", "timestamp", "Region", "region", "???"], []) == [
        "occurred_at",
        "labels.timestamp",
        "labels.region",
        "",
        "",
    ]


def test_names_of_labels_are_plain() -> None:
    assert [plain_name(name) for name in ("Request Time (UTC)", "requestTime", "Größe", " a.b ")] == [
        "request_time_utc",
        "request_time",
        "größe",
        "a_b",
    ]
