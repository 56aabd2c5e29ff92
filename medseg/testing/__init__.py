"""Contract tests that others can subclass, and makers of tiny cases."""
