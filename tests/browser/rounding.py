"""Numbers as the pages write them: JavaScript rounds a half away from zero, Python to the even."""

from decimal import ROUND_HALF_UP, Decimal


def shown(value: float) -> str:
    return str(Decimal(value).quantize(Decimal("0.001"), ROUND_HALF_UP))


def ends(interval: tuple[float, float] | list[float] | None) -> str:
    return "" if interval is None else f"{shown(interval[0])} to {shown(interval[1])}"


def p_value(value: float | None) -> str:
    return "" if value is None else "< 0.001" if value < 0.001 else shown(value)
