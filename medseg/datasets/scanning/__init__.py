"""Looking at a folder that nobody has described yet: what lies in it, and how it is laid out."""
