"""What a data set means, as its manifest declares it."""
