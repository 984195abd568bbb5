"""What tests of every kind share."""

from tests.support.waiting import eventually

__all__ = ["eventually"]
