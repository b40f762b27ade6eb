"""A talking head becomes an avatar whose expression can be changed (notebook 04)."""
