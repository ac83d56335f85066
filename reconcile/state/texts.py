"""Text that a database can hold: JSON that survives every character, and outside text made storable visibly."""

from __future__ import annotations

import json
import re

from reconcile.model.plan import canonical_json

_PLAIN = frozenset({str, int, bool, type(None)})
_SURROGATE = re.compile("[\ud800-\udfff]")


def json_text(value: object) -> str:
    """Canonical JSON (sorted keys, no floats) that any database can hold.

    Lone surrogates, which JSON from outside may smuggle in, stay JSON escapes and come back unchanged; NUL is an
    escape in JSON anyway.

    Raises:
        TypeError: the value holds a float or something JSON cannot say.
    """
    if type(value) is dict and {*map(type, value)} <= {str} and {*map(type, value.values())} <= _PLAIN:
        return loose_json_text(value)  # the same text: nothing in it could hold a float
    return _escaped(canonical_json(value))


def loose_json_text(value: object) -> str:
    """JSON for values that are no money (run parameters, shares, durations): as :func:`json_text`, floats allowed.

    Raises:
        TypeError, ValueError: the value holds something JSON cannot say (NaN and infinities included).
    """
    return _escaped(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def storable(text: str) -> str:
    r"""Outside text with NUL shown as ``␀`` and lone surrogates as ``\udc80``; everything else unchanged."""
    return _escaped(text).replace("\0", "\N{SYMBOL FOR NULL}")


def _escaped(text: str) -> str:
    return _SURROGATE.sub(lambda found: f"\\u{ord(found.group()):04x}", text)
