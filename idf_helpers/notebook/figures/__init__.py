"""Pictures of what happens inside the methods, for the notebooks."""
