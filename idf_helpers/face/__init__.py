"""Faces in video: a measured linear face model, head pose, tracking of expressions."""
