"""The Azure input file, and the event that each of its rows becomes. Pure; README.md has the attribution."""

import csv
import gzip
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).with_name("azure_llm_conv.csv.gz")
ROW_COUNT = 19_366
PROMPT_TOKENS = 22_361_870
GENERATED_TOKENS = 4_088_665

SOURCE = "azure-llm-conv"
EVENT_NAME = "llm.request"
PROJECTS = ("alder-chat", "alder-search", "alder-support", "birch-assistant", "birch-notes")
# The file names neither models nor regions nor users. The counts share no divisor with each other or with
# the number of projects, so every combination occurs.
MODELS = ("chat-large", "chat-small")
REGIONS = ("eu", "us", "ap")
USER_COUNT = 11


@dataclass(frozen=True, slots=True)
class Row:
    """One request. `index` counts data rows from 0; `timestamp` is UTC, as written in the file."""

    index: int
    timestamp: str
    prompt_tokens: int
    generated_tokens: int


def rows() -> Iterator[Row]:
    """The 19,366 rows in the order of the file, which is that of their timestamps."""
    with gzip.open(FILE, "rt", encoding="ascii", newline="") as file:
        for index, line in enumerate(csv.DictReader(file)):
            yield Row(index, line["TIMESTAMP"], int(line["ContextTokens"]), int(line["GeneratedTokens"]))


def event_of(row: Row) -> Mapping[str, object]:
    """The event as the API takes it. Depends on the row alone, so that loading again is recognised."""
    index = row.index
    return {
        "id": f"azure-llm-{index}",
        "source": SOURCE,
        "project": PROJECTS[index % len(PROJECTS)],
        "event_name": EVENT_NAME,
        "subject_type": "user",
        "subject_id": f"user-{index % USER_COUNT + 1:02}",
        "occurred_at": row.timestamp.replace(" ", "T") + "Z",
        "labels": {
            "model": MODELS[index % len(MODELS)],
            "region": REGIONS[index % len(REGIONS)],
            "prompt_tokens": row.prompt_tokens,
            "generated_tokens": row.generated_tokens,
        },
    }
