"""Commands that take a model: writing it for other programs, and looking at what it says of a case."""
