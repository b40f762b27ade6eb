"""ComfyUI workflows in API form: read, checked, and their placeholders filled in.

A node is a placeholder by its title (`_meta.title`, in ComfyUI: right click, Title): one or
several of the words of `PLACEHOLDERS`, e.g. "idf:prompt", or "idf:seed idf:strength" for a
KSampler. The built-in workflow (data/comfyui_img2img.json) is image-to-image with one ControlNet
behind another.
"""

from __future__ import annotations

import copy
from pathlib import Path

from ...errors import IdfError, shorten
from ...runtime.files import read_json
from ..config import Control

BUILT_IN = Path(__file__).resolve().parent / "data" / "comfyui_img2img.json"

# Placeholder -> the inputs that can take its value; the first that the node has is filled.
PLACEHOLDERS = {
    "idf:image": ("image",), "idf:canny": ("image",), "idf:depth": ("image",),
    "idf:normal": ("image",), "idf:mask": ("image",), "idf:reference": ("image",),
    "idf:prompt": ("text", "prompt", "value", "string"),
    "idf:negative": ("text", "negative_prompt", "prompt", "value", "string"),
    "idf:seed": ("seed", "noise_seed", "value"),
    "idf:strength": ("denoise", "strength", "value"), "idf:steps": ("steps", "value"),
    "idf:guidance": ("cfg", "guidance", "value"), "idf:sampler": ("sampler_name",),
    "idf:model": ("ckpt_name", "unet_name", "model_name"), "idf:output": (),
}
PICTURES = ("image", "canny", "depth", "normal", "mask", "reference")
NEEDED = ("idf:image", "idf:prompt", "idf:seed")


class Workflow:
    """A workflow in API form: {node id: {"class_type", "inputs", "_meta": {"title"}}}."""

    def __init__(self, nodes: dict, name: str):
        self.nodes, self.name = nodes, name

    @classmethod
    def read(cls, path: str | Path) -> Workflow:
        """Read a file. IdfError: none, no JSON, not in API form, a placeholder missing or misspelt.
        """
        nodes = read_json(path, "workflow")
        if isinstance(nodes, dict) and isinstance(nodes.get("nodes"), list):
            raise IdfError(f"The workflow {path} is not in API form", "it has a list of nodes: the "
                           "form for ComfyUI's own editor", "in ComfyUI: Workflow, Export (API)")
        if not isinstance(nodes, dict) or not nodes or not all(
                isinstance(n, dict) and isinstance(n.get("class_type"), str)
                and isinstance(n.get("inputs"), dict) for n in nodes.values()):
            raise IdfError(f"The workflow {path} is not in API form",
                           "not every entry has class_type and inputs",
                           "in ComfyUI: Workflow, Export (API)")
        workflow = cls(nodes, str(path))
        titles = [_title(node) for node in nodes.values()]
        words = [word for title in titles for word in title.split()]
        wrong = [w for w in words if w.startswith("idf:") and w not in PLACEHOLDERS]
        if wrong:
            raise IdfError(f"The workflow {path} has a placeholder that does not exist",
                           shorten(wrong), f"there are: {', '.join(PLACEHOLDERS)}")
        lacking = [w for w in NEEDED if w not in words]
        if lacking:
            raise IdfError(f"The workflow {path} lacks the placeholder {', '.join(lacking)}",
                           f"titles of its nodes: {shorten(filter(None, titles), 12) or 'none'}",
                           "give the nodes for these the titles "
                           + ", ".join(NEEDED) + " (right click, Title) and export it again")
        return workflow

    @classmethod
    def built_in(cls, controls: dict[str, Control]) -> Workflow:
        """Return ours, with a ControlNet for each kind of `controls`."""
        nodes = read_json(BUILT_IN, "built-in workflow")
        positive, negative = ["positive", 0], ["negative", 0]
        for kind, (model, weight) in controls.items():
            nodes[f"{kind} model"] = {"class_type": "ControlNetLoader",
                                      "inputs": {"control_net_name": model}}
            nodes[kind] = {"class_type": "LoadImage", "inputs": {"image": ""},
                           "_meta": {"title": f"idf:{kind}"}}
            nodes[f"{kind} applied"] = {
                "class_type": "ControlNetApplyAdvanced",
                "inputs": {"positive": positive, "negative": negative,
                           "control_net": [f"{kind} model", 0], "image": [kind, 0],
                           "strength": weight, "start_percent": 0.0, "end_percent": 1.0}}
            positive, negative = [f"{kind} applied", 0], [f"{kind} applied", 1]
        nodes["sampler"]["inputs"].update(positive=positive, negative=negative)
        return cls(nodes, "built-in")

    def has(self, word: str) -> bool:
        return bool(self.titled(word))

    def titled(self, word: str) -> list[str]:
        """Return the ids of the nodes whose title has the word."""
        return [i for i, node in self.nodes.items() if word in _title(node).split()]

    def filled(self, values: dict[str, object]) -> dict:
        """Return the nodes with each placeholder's value ("idf:seed": 7) put in; those without a
        value keep what the file has. IdfError where a node has no input for it."""
        nodes = copy.deepcopy(self.nodes)
        for word, value in values.items():
            for i in self.titled(word):
                inputs = nodes[i]["inputs"]
                name = next((n for n in PLACEHOLDERS[word] if n in inputs), None)
                if name is None:
                    raise IdfError(f"The node {i} of the workflow {self.name} cannot take {word}",
                                   f"{nodes[i]['class_type']} has the inputs {shorten(inputs, 9)}",
                                   f"put that title on a node with an input "
                                   f"{' or '.join(PLACEHOLDERS[word])}")
                inputs[name] = value
        return nodes

    def filled_inputs(self) -> set[tuple[str, str]]:
        """Return (node id, input) of those that pictures go into; their values are in no list."""
        words = [f"idf:{kind}" for kind in PICTURES]
        return {(i, "image") for word in words for i in self.titled(word)}


def check(nodes: dict, known: dict[str, dict], skip: set[tuple[str, str]]) -> None:
    """Raise IdfError where a server lacks a node's class, or a file or name that a node asks for.

    known: class -> its `/object_info`; {} for a class that the server does not have. Inputs with a
    list of choices are compared with it, but those of `skip`.
    """
    for i, node in nodes.items():
        kind = node["class_type"]
        if not known.get(kind):
            raise IdfError(f"The server has no node {kind!r}", f"node {i} of the workflow needs it",
                           "install it there (ComfyUI Manager: Install missing custom nodes), or "
                           "use another --workflow")
        declared = known[kind].get("input")
        declared = declared if isinstance(declared, dict) else {}
        inputs = {k: v for part in ("required", "optional")
                  for k, v in (declared.get(part) or {}).items()}
        for name, value in node["inputs"].items():
            choices = choices_of(inputs.get(name))
            if choices is None or (i, name) in skip or isinstance(value, list):
                continue  # a list is a link to another node
            if value not in choices:
                raise IdfError(f"The server has no {name} {value!r} for the node {kind}",
                               shorten(choices, 20) or "none at all", "give one of these "
                               + FLAGS.get(name, "in the workflow"))


FLAGS = {"ckpt_name": "with --model", "control_net_name": "with --controlnet KIND=MODEL",
         "sampler_name": "with --sampler"}


def choices_of(spec) -> list | None:
    """Return the choices that an input declares, [[a, b], {…}] or ["COMBO", {"options": [a, b]}];
    None = free."""
    if not isinstance(spec, (list, tuple)) or not spec:
        return None
    if isinstance(spec[0], list):
        return spec[0]
    if spec[0] == "COMBO" and len(spec) > 1 and isinstance(spec[1], dict):
        options = spec[1].get("options")
        return options if isinstance(options, list) else None
    return None


def _title(node: dict) -> str:
    meta = node.get("_meta")
    title = meta.get("title") if isinstance(meta, dict) else ""
    return title if isinstance(title, str) else ""
