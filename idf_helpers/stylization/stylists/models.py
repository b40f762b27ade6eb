"""Diffusion models in diffusers' layout: where they lie, whether they are whole, how to get them.

A model is a folder of the user's, or an id of the Hugging Face hub that lies in its cache on this
machine. Looking never asks the network; only `fetch`, which is what `idf download NAME` calls,
does. Ids move, so every one of this table can be replaced by a setting.
"""

from __future__ import annotations

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from ...errors import IdfError, shorten
from ...runtime.files import read_json, read_record, sha256_bytes, stable_hash

RAIL_M = "CreativeML OpenRAIL-M: free to use, but for the harmful uses that it lists"
RAIL_PP = "CreativeML OpenRAIL++-M: free to use, but for the harmful uses that it lists"
RAIL = "OpenRAIL: free to use, but for the harmful uses that it lists"
PIPELINE = ("model_index.json", "*/*.json", "*/*.txt", "*/*.model", "*/*fp16.safetensors",
            "*/*fp16-*.safetensors")
NETWORK = ("config.json", "*fp16.safetensors")
LORA = ("*.safetensors",)


@dataclass(frozen=True)
class HubModel:
    """A model by a short name. repo: its id on the hub. gigabytes: to fetch, about (10^9 bytes;
    half precision where the hub has it). files: patterns of what is fetched. kind: pipeline,
    controlnet or lora."""

    name: str
    repo: str
    kind: str
    gigabytes: float
    license: str
    purpose: str

    @property
    def files(self) -> tuple[str, ...]:
        return {"pipeline": PIPELINE, "controlnet": NETWORK, "lora": LORA}[self.kind]


HUB_MODELS = {m.name: m for m in (
    HubModel("sd15", "stable-diffusion-v1-5/stable-diffusion-v1-5", "pipeline", 2.8, RAIL_M,
             "Stable Diffusion 1.5, the default of the stylist `diffusers`"),
    HubModel("sd15-canny", "lllyasviel/control_v11p_sd15_canny", "controlnet", 0.8, RAIL,
             "ControlNet 1.1 for sd15: edges"),
    HubModel("sd15-depth", "lllyasviel/control_v11f1p_sd15_depth", "controlnet", 0.8, RAIL,
             "ControlNet 1.1 for sd15: depth"),
    HubModel("sd15-normal", "lllyasviel/control_v11p_sd15_normalbae", "controlnet", 0.8, RAIL,
             "ControlNet 1.1 for sd15: normals"),
    HubModel("sd15-lcm", "latent-consistency/lcm-lora-sdv1-5", "lora", 0.2, RAIL_PP,
             "LoRA that makes sd15 need 4 to 8 steps: --sampler lcm --steps 8 --guidance 1.5"),
    HubModel("sdxl", "stabilityai/stable-diffusion-xl-base-1.0", "pipeline", 7.0, RAIL_PP,
             "Stable Diffusion XL, for pictures of 1024²"),
    HubModel("sdxl-canny", "diffusers/controlnet-canny-sdxl-1.0", "controlnet", 2.6, RAIL_PP,
             "ControlNet for sdxl: edges"),
    HubModel("sdxl-depth", "diffusers/controlnet-depth-sdxl-1.0", "controlnet", 2.6, RAIL_PP,
             "ControlNet for sdxl: depth"),
    HubModel("sdxl-lcm", "latent-consistency/lcm-lora-sdxl", "lora", 0.4, RAIL_PP,
             "LoRA that makes sdxl need 4 to 8 steps"),
    HubModel("instruct-pix2pix", "timbrooks/instruct-pix2pix", "pipeline", 2.8, "MIT",
             "edits a picture by an instruction (“turn him into a bronze bust”)"),
)}
INSTALL = 'pip install "diffusers>=0.39,<0.43" transformers accelerate peft'
TOKENIZER_FILES = ("tokenizer.json", "vocab.json", "spiece.model", "tokenizer.model")


@dataclass(frozen=True)
class Folder:
    """A whole model on this machine. variant: "fp16" where the weights are those of that name, else
    None, as `from_pretrained` wants it. index: its model_index.json or config.json, parsed."""

    path: Path
    variant: str | None
    index: dict

    def fingerprint(self) -> str:
        """Return a hash that changes with the index and the weights, by the files' names, sizes
        and ends (gigabytes are not read)."""
        files = sorted((p.relative_to(self.path).as_posix(), *_end(p))
                       for p in self.path.rglob("*.safetensors") if p.is_file())
        return stable_hash([self.index, files])[:16]


def _end(path: Path) -> tuple[int, str]:
    """Return a file's size, and the hash of its last 64 KiB: of a .safetensors, weights."""
    size = path.stat().st_size
    with open(path, "rb") as stream:
        stream.seek(max(0, size - 65536))
        return size, sha256_bytes(stream.read())


def missing() -> str | None:
    """Return which of diffusers' packages is not installed, and the command to get it, or None."""
    for package in ("torch", "diffusers", "transformers", "safetensors"):
        if importlib.util.find_spec(package) is None:
            return f"{package} is not installed: {INSTALL}"
    return None


def repo_of(model: str) -> str:
    """Return the hub's id for a short name; anything else stands for itself."""
    return HUB_MODELS[model].repo if model in HUB_MODELS else model


def find(model: str, kind: str) -> Folder:
    """Return a model by its folder, short name or id; kind "pipeline" or "controlnet".

    IdfError: not on this machine (with the command to fetch it), or not whole.
    """
    folder = locate(model)
    if folder.is_file():
        raise IdfError(f"The model {model} is one file", folder.name,
                       "give a folder in diffusers' layout (with model_index.json); for single "
                       "checkpoints use the stylist a1111 or comfyui")
    return _checked_pipeline(model, folder) if kind == "pipeline" else \
        _checked_network(model, folder)


def locate(model: str) -> Path:
    """Return the file or folder of a model on this machine, not looked into; or IdfError."""
    path = Path(model).expanduser()
    if path.exists():
        return path
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError, LocalEntryNotFoundError

    try:
        return Path(snapshot_download(repo_of(model), local_files_only=True))
    except LocalEntryNotFoundError:
        raise IdfError(f"The model {model} is not on this machine", "neither a folder nor in the "
                       "cache of the Hugging Face hub", how_to_get(model)) from None
    except HFValidationError:
        raise IdfError(f"There is no folder {model}, and it is not a hub id either", model,
                       "give a folder, an id such as "
                       f"{HUB_MODELS['sd15'].repo}, or a name of `idf download`") from None


def how_to_get(model: str) -> str:
    """Return the command that fetches a model: ours for the table's, else the hub's own."""
    named = next((m for m in HUB_MODELS.values() if model in (m.name, m.repo)), None)
    if named:
        return f"idf download {named.name}   (about {named.gigabytes:g} GB; {named.license})"
    return f"hf download {model}   (look at its license first), or give the folder of yours"


def _checked_pipeline(model: str, folder: Path) -> Folder:
    if not (folder / "model_index.json").is_file():
        raise IdfError(f"{model} is not a model in diffusers' layout", f"no model_index.json in "
                       f"{folder}: {shorten(sorted(p.name for p in folder.iterdir()), 6)}",
                       "give the folder that has it, with unet, vae, text_encoder … in it")
    index = read_record(folder / "model_index.json", ("_class_name",), "index of the model")
    faults, variants = [], set()
    for part, entry in index.items():
        if part.startswith("_") or not isinstance(entry, list) or entry[:1] in ([None], []):
            continue
        variant, fault = _part(folder / part, str(entry[-1]))
        faults += [f"{part}: {fault}"] * bool(fault)
        variants.add(variant)
    return _whole(model, folder, index, faults, variants)


def _checked_network(model: str, folder: Path) -> Folder:
    variant, fault = _weights(folder)
    if not (folder / "config.json").is_file():
        fault = f"no config.json in {folder}"
    index = {} if fault else read_record(folder / "config.json", (), "settings of the model")
    return _whole(model, folder, index, [fault] * bool(fault), {variant})


def _whole(model, folder, index, faults, variants) -> Folder:
    if faults:
        raise IdfError(f"The model {model} is incomplete", f"{shorten(faults, 4)} (in {folder})",
                       "fetch it again: " + how_to_get(model))
    return Folder(folder, "fp16" if "fp16" in variants else None, index)


def _part(folder: Path, kind: str) -> tuple[str | None, str]:
    """Return (variant of its weights, what is missing or "") of one part of a pipeline."""
    if not folder.is_dir():
        return None, "the folder is missing"
    if "Tokenizer" in kind:
        found = any((folder / name).is_file() for name in TOKENIZER_FILES)
        return None, "" if found else f"none of {', '.join(TOKENIZER_FILES)}"
    if "Scheduler" in kind:
        found = (folder / "scheduler_config.json").is_file()
        return None, "" if found else "no scheduler_config.json"
    if "Processor" in kind or "Extractor" in kind:
        found = list(folder.glob("*config.json"))
        return None, "" if found else "no preprocessor_config.json"
    if not (folder / "config.json").is_file():
        return None, "no config.json"
    return _weights(folder)


def _weights(folder: Path) -> tuple[str | None, str]:
    """Return the same of a folder with weights: whole files, or an index and all that it names.
    Pickled weights (.bin, .ckpt) count as missing, for they may hold code."""
    for ending, variant in ((".safetensors", None), (".fp16.safetensors", "fp16")):
        files = [p for p in folder.glob(f"*{ending}")
                 if variant or ".fp16" not in p.name and ".non_ema" not in p.name]
        if not files and variant:  # fp16 in several files: model.fp16-00001-of-00002.safetensors
            files = list(folder.glob("*.fp16-*.safetensors"))
        if not files:
            continue
        table = next(folder.glob(f"*.safetensors.index{'.fp16' if variant else ''}.json"), None)
        if table is None:
            return variant, ""
        named = read_json(table, "table of the weights")
        named = named.get("weight_map") if isinstance(named, dict) else None
        lacking = sorted(set(named.values()) - {p.name for p in folder.iterdir()}) \
            if isinstance(named, dict) else [table.name]
        return variant, f"no {shorten(lacking)}" if lacking else ""
    pickled = [p.name for p in folder.iterdir() if p.suffix in (".bin", ".ckpt", ".pth")]
    return None, f"only pickled weights ({shorten(pickled)}), none in .safetensors" if pickled \
        else "no weights (.safetensors)"


# ---- the network, on request -----------------------------------------------------------------

def listing() -> str:
    """Return name, purpose, size, license and source of each, and whether it is here, as text."""
    lines = ["models for `idf stylize --stylist diffusers`, from the Hugging Face hub into its own "
             "cache (HF_HOME);", "checked by the hub's hashes, not pinned by this project:"]
    for m in HUB_MODELS.values():
        lines += [f"{m.name}  [{'here' if is_present(m.name) else 'not here'}]  {m.purpose}",
                  f"    about {m.gigabytes:g} GB; {m.license}; from {m.repo}"]
    return "\n".join(lines)


def is_present(name: str) -> bool:
    """Return whether a model of the table is on this machine, and whole."""
    try:
        if HUB_MODELS[name].kind == "lora":
            lora_file(name)
        else:
            find(name, HUB_MODELS[name].kind)
    except (IdfError, ImportError):
        return False
    return True


def lora_file(model: str) -> Path:
    """Return the one .safetensors file of a LoRA given as file, folder, short name or id."""
    path = locate(model)
    if path.is_dir():
        files = sorted(path.glob("*.safetensors"))
        if len(files) != 1:
            raise IdfError(f"It is not clear which file of {model} is the LoRA",
                           shorten((p.name for p in files), 6) or f"no .safetensors in {path}",
                           "give the path of one .safetensors file")
        path = files[0]
    if path.suffix != ".safetensors":
        raise IdfError("A LoRA is read from .safetensors only", path.name,
                       "other files may hold code")
    return path


def fetch(name: str) -> Path:
    """Download a model of the table into the hub's cache, on request only; the folder.

    IdfError: the packages are missing, the hub is out of reach or has moved the id, or what came
    is not whole.
    """
    model = HUB_MODELS[name]
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError
    except ImportError:
        raise IdfError("Fetching from the hub needs its package", "no huggingface_hub",
                       INSTALL) from None
    try:
        folder = snapshot_download(model.repo, allow_patterns=list(model.files))
    except (RepositoryNotFoundError, GatedRepoError) as error:
        raise IdfError(f"The hub does not give {model.repo}", str(error).strip().split("\n")[0],
                       "the id may have moved, or want an account: look at "
                       f"https://huggingface.co/{model.repo}, fetch it with `hf download ID`, and "
                       "name that id in the settings (--model, --controlnet KIND=ID)") from None
    except Exception as error:  # of httpx or requests, by the hub's version
        if not isinstance(error, OSError) and type(error).__module__.split(".")[0] not in (
                "httpx", "httpx2", "httpcore", "httpcore2", "requests", "huggingface_hub"):
            raise
        raise IdfError(f"{model.repo} could not be fetched", str(error).strip().split("\n")[0][:300]
                       or type(error).__name__, "check the network and the free disk space; the "
                       "same command continues where it stopped") from None
    if model.kind != "lora":
        find(name, model.kind)
    return Path(folder)
