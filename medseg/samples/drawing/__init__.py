"""Made-up textures, outlines and marks."""
