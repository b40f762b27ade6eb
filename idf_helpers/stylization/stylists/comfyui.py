"""The stylist `comfyui`: a workflow on a ComfyUI server that the user runs.

Routes as in ComfyUI's server.py: the pictures are uploaded, the workflow is queued, its history
tells when it is done. No websocket is needed for that.
"""

from __future__ import annotations

import os
import time
import uuid
from collections.abc import Callable
from urllib.parse import quote

import numpy as np

from ...data import media
from ...errors import IdfError, shorten
from ...runtime.files import sha256_bytes, stable_hash
from ..config import StylizeConfig
from ..stylist import Reference, View, as_float, checked_picture
from .controls import control_picture
from .server import AUTH, Server, TimedOut
from .workflow import PICTURES, Workflow, check, choices_of

ADDRESS = "http://127.0.0.1:8188"
PROGRAM = "ComfyUI"
START = "start it: python main.py in its folder, or its desktop program; --server for its address"
OTHER = "check that ComfyUI runs at that address, and not another program"
SAMPLER, SCHEDULER = "dpmpp_2m", "karras"
CONTROLNETS = {"canny": "control_v11p_sd15_canny", "depth": "control_v11f1p_sd15_depth",
               "normal": "control_v11p_sd15_normalbae"}
FOLDER = "idf"  # under ComfyUI's input folder


class ComfyStylist:
    """`stylist.Stylist` on a workflow in API form, the user's (`workflow`) or ours.

    Prompt, negative_prompt, seed, strength and the pictures go into the nodes titled for them (see
    `workflow`). The built-in workflow takes steps, guidance, model (a checkpoint's file name; "" =
    the first), sampler, controlnet, controlnet_models and control_weight of the config as well; a
    workflow of the user's own keeps what it says, but where a title asks for one of them. Nothing
    is sent before `ready` or the first `stylize`.

    progress: called with (fraction, words) while a picture is made; may be set by the caller.
    """

    name = "comfyui"
    source_type = "compositeWithTrainedAlgorithmicMedia"
    reads_prompt = True
    size: int | None = 512
    multiple = 8

    def __init__(self, config: StylizeConfig):
        self.config = config.checked()
        self.progress: Callable[[float, str], None] | None = None
        self._server = Server(config.server or ADDRESS, PROGRAM, START, config.allow_remote,
                              os.environ.get(AUTH, ""), config.timeout_s)
        self._own = Workflow.read(config.workflow) if config.workflow else None
        self._workflow: Workflow | None = None
        self._fixed: dict[str, object] = {}

    def settings(self) -> dict:
        c = self.config
        own = {"workflow": stable_hash(self._own.nodes)} if self._own else {
            "controlnet": dict(zip(c.controlnet, self._wanted_models(), strict=True)),
            "control_weight": c.control_weight}
        return {"stylist": self.name, "model": c.model, "negative_prompt": c.negative_prompt,
                "steps": c.steps, "guidance": c.guidance, "sampler": c.sampler or SAMPLER, **own}

    def ready(self) -> None:
        """Asks the server once whether it is there and has all nodes, models and samplers."""
        if self._workflow is not None:
            return
        c = self.config
        fixed = {"idf:negative": c.negative_prompt, "idf:steps": c.steps, "idf:guidance":
                 c.guidance}
        if self._own:
            workflow = self._own
            fixed.update({k: v for k, v in {"idf:model": c.model, "idf:sampler": c.sampler}.items()
                          if v})
        else:
            models = self._choices("ControlNetLoader", "control_net_name") if c.controlnet else []
            workflow = Workflow.built_in(
                {kind: _file_of(wanted, models) for kind, wanted in
                 zip(c.controlnet, self._wanted_models(), strict=True)}, c.control_weight)
            checkpoints = self._choices("CheckpointLoaderSimple", "ckpt_name")
            if not checkpoints:
                raise IdfError("The server has no checkpoint", "none in its folder "
                               "models/checkpoints", "put a Stable Diffusion model there")
            model = _file_of(c.model, checkpoints) if c.model else checkpoints[0]
            fixed.update({"idf:model": model, "idf:sampler": c.sampler or SAMPLER})
        nodes = workflow.filled(fixed)
        known = {kind: self._info(kind) for kind in {n["class_type"] for n in nodes.values()}}
        check(nodes, known, workflow.filled_inputs())
        self._workflow, self._fixed = workflow, fixed

    def prepare(self, views) -> None:
        """`ready`, before the first picture."""
        self.ready()

    def stylize(self, view: View, prompt: str, seed: int, strength: float,
                references: tuple[Reference, ...] = ()) -> np.ndarray:
        """See `Stylist.stylize`; the nearest reference goes to "idf:reference" where there is
        one."""
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
            raise IdfError(f"{PROGRAM} took no order for {view.name}", f"answered {answer!r:.100}",
                           OTHER)
        try:
            outputs = self._wait(ticket, view)
        except BaseException as error:
            if isinstance(error, (KeyboardInterrupt, TimedOut)):
                self._server.quietly(lambda: self._give_up(ticket))
            raise
        data = self._server.get("/view", self._result(outputs, view))
        return checked_picture(as_float(media.read_image(data, f"answer for {view.name}")), view,
                               self.name)

    def close(self) -> None:
        """Nothing is held."""

    # ---- names

    def _wanted_models(self) -> list[str]:
        c = self.config
        return list(c.controlnet_models) or [CONTROLNETS[kind] for kind in c.controlnet]

    def _info(self, kind: str) -> dict:
        """What the server says of a node's class; {} where it has none of that name."""
        answer = self._server.get_json(f"/object_info/{quote(kind, safe='')}", lacking=OTHER)
        found = answer.get(kind) if isinstance(answer, dict) else None
        return found if isinstance(found, dict) else {}

    def _choices(self, kind: str, name: str) -> list[str]:
        declared = (self._info(kind).get("input") or {}).get("required") or {}
        return [c for c in choices_of(declared.get(name)) or [] if isinstance(c, str)]

    # ---- one picture

    def _upload(self, picture: np.ndarray) -> str:
        """The name under which a LoadImage node finds the picture, made of its content."""
        data = media.encode_image(picture)
        answer = self._server.upload(
            "/upload/image", f"{sha256_bytes(data)[:24]}.png", data,
            {"type": "input", "subfolder": FOLDER, "overwrite": "true"})
        if not isinstance(answer, dict) or not isinstance(answer.get("name"), str):
            raise IdfError(f"{PROGRAM} did not take a picture", f"answered {answer!r:.100}", OTHER)
        folder = answer.get("subfolder") or ""
        return f"{folder}/{answer['name']}" if folder else answer["name"]

    def _wait(self, ticket: str, view: View) -> dict:
        """The outputs by node, when the history has them."""
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
                self._server.quietly(lambda: self._tell(ticket))
            time.sleep(pause)
            pause = min(1.0, pause * 1.3)

    def _tell(self, ticket: str) -> None:
        queue = self._server.get_json("/queue")
        waiting = [q[1] for q in queue.get("queue_pending") or [] if len(q) > 1]
        self.progress(0.0, f"{waiting.index(ticket) + 1} in the queue" if ticket in waiting else
                      "at work")

    def _give_up(self, ticket: str) -> None:
        """Off the queue; and stopped where it is being worked at, but not the work of others."""
        self._server.post_json("/queue", {"delete": [ticket]})
        queue = self._server.get_json("/queue")
        if ticket in [q[1] for q in queue.get("queue_running") or [] if len(q) > 1]:
            self._server.post_json("/interrupt", {"prompt_id": ticket})

    def _result(self, outputs: dict, view: View) -> dict:
        """The query of `/view` for the picture: of the node titled idf:output, else of the only
        node that gave one."""
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
    """The server's file of that name: with or without its folder and ending, in any precision.
    The name itself where there is none, which the check of the workflow then tells."""
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
    """IdfError where the history says that the work failed or was interrupted."""
    if not isinstance(status, dict) or status.get("status_str") != "error":
        return
    said = "see its own window"
    for message in status.get("messages") or []:
        if not isinstance(message, (list, tuple)) or len(message) != 2:
            continue
        kind, about = message
        if kind == "execution_interrupted":
            raise IdfError(f"{PROGRAM} was interrupted at {view.name}", "somebody stopped it",
                           "run the same command again; what is done is kept")
        if kind == "execution_error" and isinstance(about, dict):
            said = (f"{about.get('node_type', '?')}: {about.get('exception_type', '')} "
                    f"{str(about.get('exception_message', '')).strip()[:200]}")
    raise IdfError(f"{PROGRAM} failed at {view.name}", said,
                   "see its own window; when memory ran out: a smaller --size")
