"""What the law asks of senders, as versioned data with sources, and its one reader."""

from shared.law.contact_hours import ContactHours, Place, Stretch

__all__ = ["ContactHours", "Place", "Stretch"]
