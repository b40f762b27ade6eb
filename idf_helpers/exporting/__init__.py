"""Files of a trained scene: models, pictures, video, the offline page; each with its mark."""
