"""Files of others, and secret ones."""
