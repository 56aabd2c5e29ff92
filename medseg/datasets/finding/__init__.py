"""Finding the files of cases in folders and tables."""
