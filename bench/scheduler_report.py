"""The figures beside their goals."""

GOALS: dict[str, tuple[str, float]] = {
    "decided_per_second": ("at least", 6000),
    "ratio_procrastinate": ("at least", 5),
    "events_per_second": ("at least", 10_000),
    "late_p99_ms": ("under", 1000),
    "event_whale_times": ("at most", 10),
    "step_whale_times": ("at most", 10),
    "plan_seconds_per_million": ("under", 120),
    "backtest_year_seconds": ("under", 180),
}


def reached(name: str, value: float) -> bool:
    """Whether a figure is as good as its goal; one without a goal always is."""
    word, goal = GOALS.get(name, ("at least", value))
    return value >= goal if word == "at least" else value <= goal


def table(found: dict[str, float]) -> str:
    """Lay the figures out, with the goals and which of them are not reached."""
    lines = []
    for name, value in found.items():
        word, goal = GOALS.get(name, ("", 0.0))
        told = f"   goal: {word} {goal:,.0f}" if word else ""
        missed = "" if reached(name, value) else "   NOT REACHED"
        shown = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
        lines.append(f"{name:<34}{shown:>16}{told}{missed}")
    return "\n".join(lines)
