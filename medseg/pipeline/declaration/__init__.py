"""What a pipeline definition says, where it lies, and how it is changed."""
