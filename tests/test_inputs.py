"""Parameters of notebooks: what is wrong is said at once, by name, with the choices."""

import pytest

from promo_helpers import inputs


def test_what_is_right_passes():
    inputs.check_parameters(
        data=("own", inputs.source("")),
        shop=("corner", inputs.source("my-shop")),
        item=("name", ("product_id", "name")),
        learners=(["a"], inputs.all_of(("a", "b"))),
        k=(10, inputs.whole_number(1)),
        share=(0.5, inputs.between(0.1, 0.9)),
        until=("", inputs.day()),
        start=("2025-10-31", inputs.day()),
        parts=([0.5, 0.2, 0.3], inputs.shares(3)),
    )


@pytest.mark.parametrize(
    ("value", "rule", "words"),
    [
        ("nosuch", inputs.source(""), "'nosuch': must be one of simulated, completejourney, own"),
        ("", inputs.source("my-shop"), "'': must be a name"),
        (7, (0, 5, 10), "7: must be one of 0, 5, 10"),
        ("7", ("5", "10", ""), "'7': must be one of 5, 10, or empty"),
        (["c"], inputs.all_of(("a", "b")), r"\['c'\]: must be a list of one or more of a, b"),
        ([], inputs.all_of(("a", "b")), r"\[\]: must be a list of one or more of a, b"),
        ("a", inputs.all_of(("a", "b")), "'a': must be a list"),
        (0, inputs.whole_number(1), "0: must be a whole number of at least 1"),
        (2.0, inputs.whole_number(1), "2.0: must be a whole number"),
        (True, inputs.whole_number(1), "True: must be a whole number"),
        (9, inputs.whole_number(1, 8), "9: must be a whole number from 1 to 8"),
        (1.2, inputs.between(0, 1), "1.2: must be a number from 0 to 1"),
        (float("nan"), inputs.between(0, 1), "nan: must be a number from 0 to 1"),
        ([0.5, 0.5], inputs.shares(3), r"\[0.5, 0.5\]: must be 3 shares above 0 that add up to 1"),
        ([0.5, 0.6], inputs.shares(2), r"\[0.5, 0.6\]: must be 2 shares above 0 that add up to 1"),
        ("31.10.2025", inputs.day(), "'31.10.2025': must be a date such as 2025-10-31, or empty"),
    ],
)
def test_what_is_wrong_is_said(value, rule, words):
    with pytest.raises(ValueError, match=f"^x = {words}"):
        inputs.check_parameters(x=(value, rule))


def test_all_is_said_at_once():
    with pytest.raises(ValueError, match=r"x = 0: must be .*; y = 'c': must be one of a, b"):
        inputs.check_parameters(x=(0, inputs.whole_number(1)), y=("c", ("a", "b")), z=(1, inputs.whole_number(1)))
