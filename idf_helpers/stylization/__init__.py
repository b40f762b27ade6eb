"""Restyle a head: stylists for key views, propagation to all views, the loop through splats."""
