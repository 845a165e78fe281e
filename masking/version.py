"""By which forms and versions reports say what made them."""

from typing import Final

SCHEMA: Final = 3
"""Number of this form of report; a reader refuses one that it does not know."""
VERSION: Final = "0.3.0"
"""Version of the masking code, raised with every change of what it answers."""
