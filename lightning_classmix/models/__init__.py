"""Networks by name, their weights, and one interface for networks of any origin."""
