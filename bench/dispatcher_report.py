"""The dispatcher's figures beside their goals."""

GOALS: dict[str, tuple[str, float]] = {
    "mail_bytes": ("at least", 20_000),
    "smtp_per_second": ("at least", 1500),
    "http_per_second": ("at least", 2000),
    "ratio_bare_smtp": ("at most", 1.3),
    "ratio_bare_http": ("at most", 1.3),
    "drain_memory_growth": ("at most", 1.1),
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
        told = f"   goal: {word} {goal:,g}" if word else ""
        missed = "" if reached(name, value) else "   NOT REACHED"
        shown = f"{value:,.0f}" if value == int(value) or value > 1000 else f"{value:,.2f}"  # noqa: PLR2004  enough digits
        lines.append(f"{name:<28}{shown:>12}{told}{missed}")
    if "ambiguous_at_most" in found:
        lines.append(
            f"A crash leaves at most {found['ambiguous_at_most']:.0f} messages unknown at this setting."
        )
    return "\n".join(lines)
