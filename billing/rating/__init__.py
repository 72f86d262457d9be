"""Rating: quantity x price -> exact parts -> rounded amounts. Pure: it imports no Django and reads no clock.

One module per price model, each with its formula: `flat`, `per_unit`, `graduated`, `volume`, `package`,
`percentage`, `graduated_percentage`, `dynamic`. `price` reads and writes their JSON, `ratings` holds the
order of what happens to a line, the slices of a period and its minimum. Numbers inside are exact rationals;
decimals go in, and what `bill` gives is rounded once.
"""

from .parts import Kind, Part
from .price import MODELS, Price, price_from, price_json
from .ratings import (
    NOTHING_YET,
    Bill,
    Rating,
    WrongUsage,
    bill,
    prices_events,
    rated,
    rated_charges,
    rated_events,
)

__all__ = [
    "MODELS",
    "NOTHING_YET",
    "Bill",
    "Kind",
    "Part",
    "Price",
    "Rating",
    "WrongUsage",
    "bill",
    "price_from",
    "price_json",
    "prices_events",
    "rated",
    "rated_charges",
    "rated_events",
]
