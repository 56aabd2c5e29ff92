"""One file in, an array and its grid out."""
