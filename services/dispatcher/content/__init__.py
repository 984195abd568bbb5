"""Templates as files: building them once (MJML to HTML, CSS inlined), checking them, showing them.

What a message looks like is decided in `domain/rendering.py`, from what is built here. docs/templates.md tells
authors how to write one.
"""
