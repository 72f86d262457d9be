"""Money: currencies and their scales, the one rounding, texts, splitting a total over parts. Pure.

Scales are those of ISO 4217, list one, published on 2026-01-01 by its maintenance agency (SIX). Codes
without a minor unit (gold, special drawing rights, testing) aren't money that anybody is billed in, so they
are unknown.
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from metering.texts.numbers import EXACT

_CODES_BY_SCALE = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    2: "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF "
    "CHE CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD "
    "GTQ GYD HKD HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL "
    "MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR "
    "PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP "
    "TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XAD XCD XCG YER ZAR ZMW ZWG",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
SCALES = {code: scale for scale, codes in _CODES_BY_SCALE.items() for code in codes.split()}
# Of a value that no decimal number states exactly, such as a third; for reading, never for computing.
SHOWN_DECIMALS = 12

Key = TypeVar("Key", bound=str | int | tuple)


class UnknownCurrency(ValueError):
    """No currency of ISO 4217 has this code."""


def scale_of(currency: str) -> int:
    """How many decimals an amount in `currency` has: JPY 0, USD 2, KWD 3. Raises `UnknownCurrency`."""
    try:
        return SCALES[currency]
    except KeyError:
        raise UnknownCurrency(f"There is no currency '{currency[:10]}' in ISO 4217.") from None


def rounded(amount: Decimal | Fraction, currency: str) -> Decimal:
    """`amount` at the currency's scale, half away from zero. The only rounding of money there is.

    Law: rounded(-x) == -rounded(x), so that a reversal cancels exactly.
    """
    scale = scale_of(currency)
    exact = abs(Fraction(amount)) * 10**scale
    units = (2 * exact.numerator + exact.denominator) // (2 * exact.denominator)
    return _of_units(-units if amount < 0 else units, scale)


def amount_text(amount: Decimal, currency: str) -> str:
    """A rounded amount with all decimals of its currency: "41.50". Raises `Inexact` for any other."""
    return format(amount.quantize(Decimal(1).scaleb(-scale_of(currency)), context=EXACT), "f")


def exact_text(value: Fraction, *, decimals: int = 0) -> str:
    """`value` without exponent, with as many decimals as it needs and at least `decimals`.

    What no decimal number states is shown at 12 decimals, half away from zero.
    """
    denominator, needed = value.denominator, 0
    while denominator % 10 == 0:
        denominator, needed = denominator // 10, needed + 1
    for prime in (2, 5):
        while denominator % prime == 0:
            denominator, needed = denominator // prime, needed + 1
    scale = max(decimals, SHOWN_DECIMALS if denominator > 1 else needed)
    units = (2 * abs(value.numerator) * 10**scale + value.denominator) // (2 * value.denominator)
    return format(_of_units(-units if value < 0 else units, scale), "f")


def split(total: Decimal, weights: Mapping[Key, Decimal], currency: str) -> dict[Key, Decimal]:
    """`total` over the keys of `weights`, in proportion; the parts add up to it and mirror with its sign.

    Each part is cut to the currency's scale, then the units left over go to the largest remainders, ties to
    the smaller key. Raises `ValueError` for a total that isn't at the currency's scale, for a negative
    weight, and where there is nothing to split a total by.
    """
    scale = scale_of(currency)
    units = abs(Fraction(total)) * 10**scale
    if units.denominator != 1:
        raise ValueError(f"{total} isn't an amount in {currency}: it has too many decimals.")
    if any(weight < 0 for weight in weights.values()):
        raise ValueError("A weight is negative.")
    whole = sum(map(Fraction, weights.values()), Fraction(0))
    if not whole:
        if units:
            raise ValueError("All weights are zero: nothing tells how to split.")
        return {key: _of_units(0, scale) for key in weights}
    shares = {key: units * Fraction(weight) / whole for key, weight in weights.items()}
    parts = {key: share.numerator // share.denominator for key, share in shares.items()}
    left_over = units.numerator - sum(parts.values())
    for key in sorted(shares, key=lambda key: (parts[key] - shares[key], key))[:left_over]:
        parts[key] += 1
    sign = -1 if total < 0 else 1
    return {key: _of_units(sign * part, scale) for key, part in parts.items()}


def _of_units(units: int, scale: int) -> Decimal:
    return Decimal(units).scaleb(-scale, context=EXACT)
