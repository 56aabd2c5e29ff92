"""Runs that have ended: listed, compared, sent to the tracking server, deleted."""
