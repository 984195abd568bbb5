"""Figures of a benchmark beside their goals."""

from collections.abc import Mapping

Goals = Mapping[str, tuple[str, float]]
"""By a figure's name: `at least`, `at most` or `under`, and how much."""


def reached(goals: Goals, name: str, value: float) -> bool:
    """Whether a figure is as good as its goal; one without a goal always is."""
    word, goal = goals.get(name, ("at least", value))
    if word == "at least":
        return value >= goal
    return value < goal if word == "under" else value <= goal


def table(goals: Goals, found: Mapping[str, float]) -> str:
    """Lay the figures out, with the goals and which of them are not reached."""
    lines = []
    for name, value in found.items():
        word, goal = goals.get(name, ("", 0.0))
        told = f"   goal: {word} {goal:,g}" if word else ""
        missed = "" if reached(goals, name, value) else "   NOT REACHED"
        shown = f"{value:,.0f}" if value == int(value) else f"{value:,.2f}"
        lines.append(f"{name:<34}{shown:>16}{told}{missed}")
    return "\n".join(lines)
