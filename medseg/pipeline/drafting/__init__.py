"""Drafting a manifest and a definition from what was seen in a folder."""
