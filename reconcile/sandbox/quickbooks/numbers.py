"""Money and JSON without floats.

JSON numbers become `Decimal` (or `int` when they have no fraction) on the way in and leave as the same digits, so that
`86.40` is never `86.39999`. Amounts are rounded half up to cents, as QuickBooks does.
"""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Any, Final

import msgspec

JsonObject = dict[str, Any]

CENT: Final = Decimal("0.01")
ZERO: Final = Decimal(0)
HUNDRED: Final = Decimal(100)

_decoder = msgspec.json.Decoder(float_hook=Decimal)
_encoder = msgspec.json.Encoder(decimal_format="number")


class NotJsonError(ValueError):
    """The bytes are not one JSON document in UTF-8."""


def parse(raw: bytes) -> Any:
    """Read JSON with exact numbers.

    Args:
        raw: The document, UTF-8.

    Returns:
        Dicts, lists, strings, booleans, `int` and `Decimal`; never a float.

    Raises:
        NotJsonError: The bytes are not JSON, or not UTF-8, or nested without end.
    """
    try:
        return _decoder.decode(raw)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise NotJsonError(str(error)) from error


def render(value: Any) -> bytes:
    """Write JSON; a `Decimal` becomes a JSON number with its own digits."""
    return _encoder.encode(value)


def cents(amount: Decimal) -> Decimal:
    """Round half up to two decimals."""
    return amount.quantize(CENT, ROUND_HALF_UP)


def as_decimal(value: Any) -> Decimal:
    """A number of a stored record as `Decimal`; absent counts as zero."""
    if isinstance(value, Decimal):
        return value
    return ZERO if value is None else Decimal(value)


def amount(value: Decimal) -> Decimal | int:
    """An amount in the spelling of recorded answers: `0`, `100.0`, `86.4`, `362.07`."""
    rounded = cents(value)
    if not rounded:
        return 0
    text = f"{rounded:f}"
    return Decimal(text[:-1]) if text.endswith("0") else rounded


def plain(value: Decimal) -> Decimal | int:
    """A quantity, price or percent without exponent and without superfluous zeros, kept exact otherwise."""
    if value == value.to_integral_value():
        return int(value)
    return Decimal(f"{value.normalize():f}")


def parse_number(value: Any) -> Decimal | None:
    """A JSON number, or a number in a string as some clients send it; `None` when it is neither.

    Booleans are not numbers, and neither are `NaN` and the infinities.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal):
        return None
    try:
        number = Decimal(value.strip() if isinstance(value, str) else value)
    except InvalidOperation:
        return None
    return number if number.is_finite() else None
