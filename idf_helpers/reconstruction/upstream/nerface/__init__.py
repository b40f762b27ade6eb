"""NeRFace as published (4D-Facial-Avatars), run from a clone that the user brings."""
