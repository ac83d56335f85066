"""The one door to money, prices, quantities and percents: exact, decimal, never a float.

Money is an integer of minor units (cents for USD) plus a currency code. Prices, quantities and percents are integers
of ten-millionths (``SCALE`` = 7 decimal places, the most QuickBooks keeps for a unit price, API file 4.0 "money").
"""

from __future__ import annotations

from decimal import MAX_PREC, ROUND_HALF_UP, Context, Decimal, InvalidOperation

SCALE = 7
ONE = 10**SCALE
INT64_MAX = 2**63 - 1
_MOST_DIGITS = len(str(INT64_MAX)) + 1
_UNROUNDED = Context(prec=MAX_PREC)
"""The usual 28 digits would round what has more, and call the rest exact."""

_DECIMALS = {
    **dict.fromkeys(("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "VND", "VUV"), 0),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(("BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"), 3),
}


class NotExactError(ValueError):
    """A value is no decimal number, is not finite, is a float, or has more decimals than its unit can hold."""


def decimals_of(currency: str) -> int:
    """Number of decimal places of a currency's minor unit (ISO 4217): USD 2, JPY 0, KWD 3."""
    return _DECIMALS.get(currency, 2)


def _exact(value: Decimal | int | str, places: int) -> int:
    if isinstance(value, float | bool):
        raise NotExactError(f"{value!r} is not an exact number")
    try:
        number = Decimal(value)
    except (InvalidOperation, ValueError, TypeError) as error:
        raise NotExactError(f"{value!r} is not a number") from error
    if not number.is_finite():
        raise NotExactError(f"{value!r} is not a finite number")
    if number and number.adjusted() >= _MOST_DIGITS:
        raise NotExactError(f"{value!r} is too large")
    try:
        scaled = number.scaleb(places, _UNROUNDED)
    except ArithmeticError as error:  # its exponent is beyond all that can be shifted
        raise NotExactError(f"{value!r} has more than {places} decimal places") from error
    whole = int(scaled)
    if scaled != whole:
        raise NotExactError(f"{value!r} has more than {places} decimal places")
    if abs(whole) > INT64_MAX:
        raise NotExactError(f"{value!r} is too large")
    return whole


def to_minor(value: Decimal | int | str, currency: str) -> int:
    """An amount as minor units of ``currency``: ``to_minor("10.10", "USD") == 1010``.

    Raises:
        NotExactError: the value is a float, no number, or finer than the minor unit.
    """
    return _exact(value, decimals_of(currency))


def from_minor(minor: int, currency: str) -> Decimal:
    """The decimal amount of ``minor`` units: ``from_minor(1010, "USD") == Decimal("10.10")``."""
    return Decimal(int(minor)).scaleb(-decimals_of(currency))


def to_scaled(value: Decimal | int | str) -> int:
    """A price, quantity or percent as an integer of ten-millionths: ``to_scaled("7.1") == 71000000``.

    Raises:
        NotExactError: as for :func:`to_minor`, with seven decimal places.
    """
    return _exact(value, SCALE)


def from_scaled(scaled: int) -> Decimal:
    """The decimal behind ten-millionths, without trailing zeros: ``from_scaled(71000000) == Decimal("7.1")``."""
    number = Decimal(int(scaled)).scaleb(-SCALE).normalize()
    return number.quantize(Decimal(1)) if number == number.to_integral_value() else number


def round_half_up(number: Decimal) -> int:
    """Round a decimal to the nearest integer, halves away from zero, as QuickBooks does (API file 4.7, 4.8)."""
    return int(number.quantize(Decimal(1), rounding=ROUND_HALF_UP))


def line_amount(quantity: int, unit_price: int, currency: str) -> int:
    """Quantity x unit price (both ten-millionths) in minor units, rounded half up (API file 4.7 "line amount")."""
    return round_half_up(Decimal(quantity) * Decimal(unit_price) / ONE / ONE * 10 ** decimals_of(currency))


def percent_of(minor: int, percent: int) -> int:
    """``percent`` (ten-millionths of a percent point) of an amount in minor units, rounded half up."""
    return round_half_up(Decimal(minor) * Decimal(percent) / ONE / 100)


def show(minor: int | None, currency: str = "USD") -> str:
    """An amount as a person reads it: ``show(123456) == "1,234.56"``; a missing one is ``"-"``."""
    return "-" if minor is None else f"{from_minor(minor, currency):,.{decimals_of(currency)}f}"
