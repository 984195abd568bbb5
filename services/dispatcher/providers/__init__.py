"""One file per provider behind one small port (base.py)."""
