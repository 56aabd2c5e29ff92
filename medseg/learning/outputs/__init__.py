"""What networks give: one output, or several of which one counts, and the loss of several."""
