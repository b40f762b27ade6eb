"""The published programs in a notebook, step by step, each step with its picture."""
