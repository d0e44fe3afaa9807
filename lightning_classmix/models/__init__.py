"""Networks by name, and what makes every network behave alike."""
