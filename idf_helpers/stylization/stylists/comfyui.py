"""The stylist `comfyui`: a workflow on a ComfyUI server that the user runs.

Routes as in ComfyUI's server.py: the pictures are uploaded, the workflow is queued, and its
history shows when it is finished. No websocket is needed for that.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

import numpy as np

from ...data import media
from ...errors import IdfError, shorten
from ...runtime.files import sha256_bytes, sha256_file, stable_hash
from ..config import Control, ServerConfig
from ..stylist import Reference, View, as_float, checked_picture
from .controls import control_picture
from .server import TimedOut
from .server_stylist import CONTROLNETS, ServerStylist
from .workflow import PICTURES, Workflow, check, choices_of

PROGRAM = "ComfyUI"
OTHER = "check that ComfyUI runs at that address, and not another program"
FOLDER = "idf"  # under ComfyUI's input folder
FILLED = {"negative_prompt": "idf:negative", "steps": "idf:steps", "guidance": "idf:guidance",
          "model": "idf:model", "sampler": "idf:sampler"}  # settings that a workflow may take


@dataclass(frozen=True)
class ComfyConfig(ServerConfig):
    """Settings of the stylist `comfyui`.

    A workflow of the user's own takes negative_prompt, steps, guidance, model and sampler only
    where a node's title asks for them; where none does, they are refused.
    """

    workflow: Path | None = None
    """Workflow file in API form; None = a built-in one."""

    def identity(self) -> dict:
        """Return what changes the pictures; the workflow by its content."""
        return super().identity() | {"workflow": self.workflow and sha256_file(self.workflow)}

    def _check_together(self) -> None:
        super()._check_together()
        if self.workflow and self.controlnet:
            raise IdfError("A workflow of your own has its own ControlNets",
                           f"controlnet {', '.join(self.controlnet)}",
                           "leave --controlnet out; give nodes the titles idf:depth, idf:canny")


class ComfyStylist(ServerStylist):
    """A workflow in API form, the user's or ours.

    Prompt, negative prompt, seed, strength and the pictures go into the nodes titled for them, see
    `workflow`.
    """

    name, sampler = "comfyui", "dpmpp_2m"
    config_type = ComfyConfig
    address, program = "http://127.0.0.1:8188", PROGRAM
    start = "start it: python main.py in its folder, or its desktop program; --server: its address"

    def __init__(self, config: ComfyConfig):
        super().__init__(config)
        self._own = Workflow.read(config.workflow) if config.workflow else None
        for field, word in FILLED.items() if self._own else ():
            value = getattr(config, field)
            if value != getattr(ComfyConfig, field) and not self._own.has(word):
                raise IdfError(f"The workflow {config.workflow} does not read `{field}`",
                               f"{value!r}, and no node titled {word}",
                               f"leave it out, or give a node with that input the title {word}")
        self._workflow: Workflow | None = None
        self._fixed: dict[str, object] = {}

    @property
    def controls(self) -> Collection[str]:
        return self._controls if self._own is None else \
            [kind for kind in CONTROLNETS if self._own.has(f"idf:{kind}")]

    def settings(self) -> dict:
        own = super().settings()
        return own if self._own is None else own | {
            "controlnet": {}, "workflow": stable_hash(self._own.nodes)}

    def ready(self) -> None:
        """Ask the server once whether it is there and has all nodes, models and samplers."""
        if self._workflow is not None:
            return
        c = self.config
        fixed = {word: v for field, word in FILLED.items() if (v := getattr(c, field)) != ""}
        if self._own:
            workflow = self._own
        else:
            models = self._choices("ControlNetLoader", "control_net_name") if self._controls else []
            workflow = Workflow.built_in({
                kind: Control(_file_of(model or CONTROLNETS[kind], models), weight)
                for kind, (model, weight) in self._controls.items()})
            checkpoints = self._choices("CheckpointLoaderSimple", "ckpt_name")
            if not checkpoints:
                raise IdfError("The server has no checkpoint", "none in its folder "
                               "models/checkpoints", "put a Stable Diffusion model there")
            model = _file_of(c.model, checkpoints) if c.model else checkpoints[0]
            fixed.update({"idf:model": model, "idf:sampler": c.sampler or self.sampler})
        nodes = workflow.filled(fixed)
        known = {kind: self._info(kind) for kind in {n["class_type"] for n in nodes.values()}}
        check(nodes, known, workflow.filled_inputs())
        self._workflow, self._fixed = workflow, fixed

    def stylize(self, view: View, prompt: str, seed: int, strength: float,
                references: tuple[Reference, ...] = ()) -> np.ndarray:
        """Return the workflow's picture; the nearest reference goes to "idf:reference" where the
        workflow has that."""
        self.ready()
        values = dict(self._fixed) | {"idf:prompt": prompt, "idf:seed": int(seed),
                                      "idf:strength": float(strength)}
        for kind in PICTURES:
            if self._workflow.has(f"idf:{kind}"):
                values[f"idf:{kind}"] = self._upload(_picture(view, kind, references))
        answer = self._server.post_json(
            "/prompt", {"prompt": self._workflow.filled(values), "client_id": uuid.uuid4().hex})
        ticket = answer.get("prompt_id") if isinstance(answer, dict) else None
        if not isinstance(ticket, str) or not ticket:
            raise IdfError(f"{PROGRAM} accepted no job for {view.name}",
                           f"answered {answer!r:.100}", OTHER)
        try:
            outputs = self._wait(ticket, view)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, TimedOut)):
                self._server.quietly(lambda: self._give_up(ticket))
            raise
        data = self._server.get("/view", self._result(outputs, view))
        return checked_picture(as_float(media.read_image(data, f"answer for {view.name}")), view,
                               self.name)

    # ---- names

    def _info(self, kind: str) -> dict:
        """Return what the server says of a node's class; {} where it has none of that name."""
        answer = self._server.get_json(f"/object_info/{quote(kind, safe='')}", lacking=OTHER)
        found = answer.get(kind) if isinstance(answer, dict) else None
        return found if isinstance(found, dict) else {}

    def _choices(self, kind: str, name: str) -> list[str]:
        declared = (self._info(kind).get("input") or {}).get("required") or {}
        return [c for c in choices_of(declared.get(name)) or [] if isinstance(c, str)]

    # ---- one picture

    def _upload(self, picture: np.ndarray) -> str:
        """Upload a picture; return its name for a LoadImage node, derived from its content.
        """
        data = media.encode_image(picture)
        answer = self._server.upload(
            "/upload/image", f"{sha256_bytes(data)[:24]}.png", data,
            {"type": "input", "subfolder": FOLDER, "overwrite": "true"})
        if not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
            raise IdfError(f"{PROGRAM} did not take a picture", f"answered {answer!r:.100}", OTHER)
        folder = answer.get("subfolder") or ""
        return f"{folder}/{answer['name']}" if folder else answer["name"]

    def _wait(self, ticket: str, view: View) -> dict:
        """Return the outputs by node, when the history has them."""
        end, pause = time.monotonic() + self._server.timeout_s, 0.05
        while True:
            history = self._server.get_json(f"/history/{quote(ticket, safe='')}", lacking=OTHER)
            entry = history.get(ticket) if isinstance(history, dict) else None
            if isinstance(entry, dict):
                _check_status(entry.get("status"), view)
                outputs = entry.get("outputs")
                return outputs if isinstance(outputs, dict) else {}
            if time.monotonic() > end:
                raise TimedOut(f"{PROGRAM} did not finish {view.name} in time",
                               f"nothing within {self._server.timeout_s:g} s", "look at its own "
                               "window; a slow machine needs a longer --timeout-s")
            if self.progress is not None:
                self._server.quietly(lambda: self._watch(ticket))
            time.sleep(pause)
            pause = min(1.0, pause * 1.3)

    def _watch(self, ticket: str) -> None:
        queue = self._server.get_json("/queue")
        waiting = [q[1] for q in queue.get("queue_pending") or [] if len(q) > 1]
        self.progress(0.0, f"{waiting.index(ticket) + 1} in the queue" if ticket in waiting else
                      "at work")

    def _give_up(self, ticket: str) -> None:
        """Take a job off the queue; stop it if it is running, but no other user's job."""
        self._server.post_json("/queue", {"delete": [ticket]})
        queue = self._server.get_json("/queue")
        if ticket in [q[1] for q in queue.get("queue_running") or [] if len(q) > 1]:
            self._server.post_json("/interrupt", {"prompt_id": ticket})

    def _result(self, outputs: dict, view: View) -> dict:
        """Return the query of `/view` for the picture: of the node titled idf:output, else of the
        only node that gave one."""
        titled = self._workflow.titled("idf:output")
        giving = {i: o["images"] for i, o in outputs.items()
                  if isinstance(o, dict) and isinstance(o.get("images"), list) and o["images"]}
        nodes = [i for i in titled if i in giving] or ([] if titled else list(giving))
        if len(nodes) != 1 or not isinstance(giving[nodes[0]][0], dict):
            raise IdfError(f"The workflow gave {'several pictures' if nodes else 'no picture'} "
                           f"for {view.name}", f"nodes with pictures: {shorten(giving) or 'none'}",
                           "give the node that saves the result the title idf:output")
        image = giving[nodes[0]][0]
        return {k: str(image.get(k, "")) for k in ("filename", "subfolder", "type")}


def _picture(view: View, kind: str, references) -> np.ndarray:
    if kind == "image":
        return view.picture()
    if kind == "mask":
        return np.repeat(media.to_uint8(view.mask)[..., None], 3, axis=2)
    if kind == "reference":  # without one yet, the view itself
        return media.to_uint8(references[0].picture) if references else view.picture()
    return control_picture(view, kind)


def _file_of(wanted: str, files: list[str]) -> str:
    """Return the server's file of that name, with or without its folder and ending, in any
    precision; the name itself where there is none, which the check of the workflow then reports.
    """
    for fits in (lambda f: f == wanted, lambda f: _stem(f) == _stem(wanted),
                 lambda f: _stem(f).removesuffix("_fp16") == _stem(wanted)):
        found = [f for f in files if fits(f)]
        if found:
            return found[0]
    return wanted


def _stem(file: str) -> str:
    name = file.replace("\\", "/").rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending in ("safetensors", "pth", "ckpt", "pt", "bin", "sft") else name


def _check_status(status, view: View) -> None:
    """Raise IdfError where the history shows that the work failed or was interrupted."""
    if not isinstance(status, dict) or status.get("status_str") != "error":
        return
    found = "see its own window"
    for message in status.get("messages") or []:
        if not isinstance(message, (list, tuple)) or len(message) != 2:
            continue
        kind, about = message
        if kind == "execution_interrupted":
            raise IdfError(f"{PROGRAM} was interrupted at {view.name}", "stopped from elsewhere",
                           "run the same command again; what is done is kept")
        if kind == "execution_error" and isinstance(about, dict):
            found = (f"{about.get('node_type', '?')}: {about.get('exception_type', '')} "
                     f"{str(about.get('exception_message', '')).strip()[:200]}")
    raise IdfError(f"{PROGRAM} failed at {view.name}", found,
                   "see the server's own window; if it ran out of memory, use a smaller --size")
