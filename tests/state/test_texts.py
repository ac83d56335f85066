from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconcile.model.plan import canonical_json
from reconcile.state.texts import json_text, loose_json_text, storable

PLAIN = st.none() | st.booleans() | st.integers() | st.text(st.characters())
VALUES = st.recursive(PLAIN, lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters()), inner))


@given(VALUES)
def test_every_value_comes_back_from_text_that_any_database_can_hold(value: Any) -> None:
    text = json_text(value)
    assert json.loads(text) == value
    assert "\0" not in text
    text.encode()  # no lone surrogate is left


@given(st.dictionaries(st.text(), PLAIN | st.lists(PLAIN.filter(lambda value: not isinstance(value, str)))))
def test_equal_values_have_the_same_canonical_text(value: dict[str, Any]) -> None:
    shuffled = dict(reversed(value.items()))
    assert json_text(shuffled) == json_text(value)
    if "\\ud" not in json_text(value):
        assert json_text(value) == canonical_json(value)


@pytest.mark.parametrize(
    "value", [10.1, {"total": 10.1}, {"lines": [[1, 0.5]]}, {"a": {"b": 1.0}}, {"a": float("nan")}]
)
def test_a_float_is_no_money(value: Any) -> None:
    with pytest.raises(TypeError, match="float"):
        json_text(value)


def test_a_share_may_be_a_float_but_must_be_a_number() -> None:
    assert loose_json_text({"share": 0.3}) == '{"share":0.3}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        loose_json_text({"share": float("nan")})


@given(st.text(st.characters()))
def test_outside_text_becomes_storable_and_stays_readable(text: str) -> None:
    kept = storable(text)
    kept.encode()  # no lone surrogate is left
    assert "\0" not in kept
    if text.isprintable():
        assert kept == text
