"""Files that no pattern of a manifest fits: what becomes of them."""
