"""Face swaps: the landmarks of a face, and the ways to put one face on another."""
