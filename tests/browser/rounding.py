"""Numbers as the pages write them: JavaScript rounds a half away from zero, Python to the even."""

from decimal import ROUND_HALF_UP, Context, Decimal

TWO_DIGITS = Context(prec=2, rounding=ROUND_HALF_UP)


def shown(value: float) -> str:
    """Below 1000: to three places, and small ones to two digits."""
    small = 0 < abs(value) < 0.01
    return str(TWO_DIGITS.create_decimal(Decimal(value))).lower() if small else places(value)


def places(value: float) -> str:
    return str(Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP))


def ends(interval: tuple[float, float] | list[float] | None) -> str:
    return "" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}"


def p_value(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else places(value)
