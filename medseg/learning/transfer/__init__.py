"""Starting from weights that were learned elsewhere."""
