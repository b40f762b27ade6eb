"""The stylist `a1111`: image-to-image by a Stable Diffusion web UI that the user runs with --api.

The routes are those of AUTOMATIC1111's web UI 1.x (modules/api/api.py) and of the extension
sd-webui-controlnet 1.1 (internal_controlnet/args.py); Forge and reForge offer the same. The server
ignores keys that it does not know, so every name is compared with the server's own lists first.
"""

from __future__ import annotations

import base64
import binascii

import numpy as np

from ...data import media
from ...errors import IdfError, shorten
from ...runtime.safe_json import parse
from ..config import ServerConfig
from ..stylist import View, as_float, checked_picture
from .controls import control_picture
from .server_stylist import CONTROLNETS, ServerStylist

PROGRAM = "The Stable Diffusion web UI"
NO_API = "it runs without its API: start it with --api"
NO_CONTROLNET = ("the extension sd-webui-controlnet is not installed there: install it in the tab "
                 "Extensions, or use --controlnet with no name")
UNREADABLE = "look at the picture in the web UI's own window; a restart of it may help"


class A1111Stylist(ServerStylist):
    """Image-to-image on `/sdapi/v1/img2img`.

    used: what the server says that it used (seed, sampler, checkpoint).
    """

    name, sampler = "a1111", "DPM++ 2M Karras"
    address, program = "http://127.0.0.1:7860", PROGRAM
    start = "start it with its API: webui.sh --api (webui-user.bat: set COMMANDLINE_ARGS=--api)"

    def __init__(self, config: ServerConfig):
        super().__init__(config)
        self._names: dict | None = None

    def ready(self) -> None:
        """Ask the server once whether it is there and has everything by name; IdfError if not."""
        if self._names is not None:
            return
        names = {**self._sampler(), "model": self._checkpoint()}
        names["controls"] = self._control_models()
        self._names = names

    def stylize(self, view: View, prompt: str, seed: int, strength: float,
                references=()) -> np.ndarray:
        """Return the server's picture; references are not looked at."""
        self.ready()
        answer = self._server.post_watched(
            "/sdapi/v1/img2img", self.payload(view, prompt, seed, strength), self._watch,
            self._interrupt)
        return checked_picture(self._picture(answer, view), view, self.name)

    # ---- the request

    def payload(self, view: View, prompt: str, seed: int, strength: float) -> dict:
        """Return the JSON of one request; `ready` must have run."""
        c, names = self.config, self._names
        width, height = view.size
        payload = {
            "init_images": [_base64(view.picture())], "prompt": prompt,
            "negative_prompt": c.negative_prompt, "seed": int(seed), "steps": c.steps,
            "cfg_scale": c.guidance, "denoising_strength": float(strength), "width": width,
            "height": height, "sampler_name": names["sampler"], "batch_size": 1, "n_iter": 1,
            "resize_mode": 0, "include_init_images": False, "send_images": True,
            "save_images": False}
        if names["scheduler"]:
            payload["scheduler"] = names["scheduler"]
        if names["model"]:
            payload["override_settings"] = {"sd_model_checkpoint": names["model"]}
            payload["override_settings_restore_afterwards"] = True
        if names["controls"]:
            payload["alwayson_scripts"] = {"controlnet": {"args": [
                self._unit(view, kind, model) for kind, model in names["controls"].items()]}}
        return payload

    def _unit(self, view: View, kind: str, model: str) -> dict:
        """Return one ControlNet unit. The picture is our own, so no module works on it; `enabled`
        must be there, and without `save_detected_map` the control picture would come back too."""
        return {"enabled": True, "module": "none", "model": model,
                "weight": self._controls[kind].weight,
                "image": _base64(control_picture(view, kind)),
                "resize_mode": "Just Resize", "control_mode": "Balanced", "guidance_start": 0.0,
                "guidance_end": 1.0, "processor_res": -1, "threshold_a": -1, "threshold_b": -1,
                "pixel_perfect": False, "low_vram": False, "save_detected_map": False}

    # ---- names, against the server's lists

    def _sampler(self) -> dict:
        """Return sampler and scheduler as the server calls them. Since 1.9 they are two: "DPM++ 2M
        Karras" is "DPM++ 2M" with "Karras"; before, it is one name, and there is no such list."""
        wanted = self.config.sampler or self.sampler
        listed = _listed(self._server.get_json("/sdapi/v1/samplers", lacking=NO_API), "name",
                         "aliases")
        if wanted.lower() in listed:
            return {"sampler": listed[wanted.lower()], "scheduler": ""}
        try:
            schedulers = _listed(self._server.get_json("/sdapi/v1/schedulers"), "label", "name")
        except IdfError:
            schedulers = {}
        for scheduler, label in schedulers.items():
            sampler = wanted.lower().removesuffix(scheduler).strip()
            if wanted.lower().endswith(scheduler) and sampler in listed:
                return {"sampler": listed[sampler], "scheduler": label}
        raise IdfError(f"The server has no sampler {wanted!r}",
                       _all(listed) + (f"; schedulers: {_all(schedulers)}" if schedulers else ""),
                       "give one of these with --sampler, a scheduler behind it: "
                       '"Euler a", "DPM++ 2M Karras"')

    def _checkpoint(self) -> str:
        wanted = self.config.model
        if not wanted:
            return ""
        found = self._server.get_json("/sdapi/v1/sd-models", lacking=NO_API)
        titles = [m["title"] for m in _dicts(found) if isinstance(m.get("title"), str)]
        for m in _dicts(found):
            names = {str(m.get(k)) for k in ("title", "model_name", "hash", "sha256")}
            if wanted in names or wanted == str(m.get("title")).split(" [")[0]:
                return m["title"]
        raise IdfError(f"The server has no checkpoint {wanted!r}", shorten(titles, 20) or "none",
                       "give one of these with --model, or leave it out for the one that is loaded")

    def _control_models(self) -> dict[str, str]:
        """Return kind -> the model's name with its hash, as the server lists it."""
        if not self._controls:
            return {}
        answer = self._server.get_json("/controlnet/model_list", lacking=NO_CONTROLNET)
        models = answer.get("model_list") if isinstance(answer, dict) else None
        models = [m for m in models or [] if isinstance(m, str)]
        chosen = {}
        for kind, (model, _) in self._controls.items():
            wanted = model or CONTROLNETS[kind]
            fitting = [m for m in models if wanted in (m, m.split(" [")[0])]
            if not fitting:
                raise IdfError(f"The server has no ControlNet model {wanted!r}",
                               shorten(models, 20) or "no ControlNet model at all",
                               f"give one of these with --controlnet {kind}=MODEL, put the file "
                               "into its folder models/ControlNet, or use another --controlnet")
            chosen[kind] = fitting[0]
        return chosen

    # ---- meanwhile and afterwards

    def _watch(self) -> None:
        if self.progress is None:
            return
        state = self._server.get_json("/sdapi/v1/progress", {"skip_current_image": "true"})
        if isinstance(state, dict) and isinstance(state.get("progress"), (int, float)):
            step = state["state"] if isinstance(state.get("state"), dict) else {}
            self.progress(min(max(float(state["progress"]), 0.0), 1.0),
                          f"step {step.get('sampling_step', '?')} of "
                          f"{step.get('sampling_steps', '?')}")

    def _interrupt(self) -> None:
        self._server.post_json("/sdapi/v1/interrupt", {})

    def _picture(self, answer, view: View) -> np.ndarray:
        """Return the first picture of the answer: others are maps of extensions."""
        pictures = answer.get("images") if isinstance(answer, dict) else None
        if not isinstance(pictures, list) or not pictures or not isinstance(pictures[0], str):
            raise IdfError(f"{PROGRAM} sent no picture for {view.name}",
                           f"an answer with {shorten(answer) if isinstance(answer, dict) else '?'}",
                           UNREADABLE)
        self.used = _used(answer.get("info"))
        try:
            data = base64.b64decode(pictures[0].rpartition(",")[2], validate=True)
        except (binascii.Error, ValueError):
            raise IdfError(f"{PROGRAM} sent something that is not a picture for {view.name}",
                           repr(pictures[0][:40]), UNREADABLE) from None
        return as_float(media.read_image(data, f"answer for {view.name}"))


def _used(info) -> dict:
    """Return how an answer was made, by its info string; {} where that is unreadable."""
    try:
        fields = parse(str(info), "its info")
    except IdfError:
        return {}
    keys = ("seed", "sampler_name", "sd_model_name", "sd_model_hash", "version")
    return {k: fields[k] for k in keys if k in fields} if isinstance(fields, dict) else {}


def _base64(picture: np.ndarray) -> str:
    return base64.b64encode(media.encode_image(picture)).decode()


def _dicts(value) -> list[dict]:
    return [v for v in value if isinstance(v, dict)] if isinstance(value, list) else []


def _listed(value, key: str, others: str) -> dict[str, str]:
    """Return lower-case names and aliases -> the server's name, in its order."""
    names = {}
    for item in _dicts(value):
        if isinstance(item.get(key), str):
            more = item.get(others) or []
            for name in [item[key], *(more if isinstance(more, list) else [more])]:
                names.setdefault(str(name).lower(), item[key])
    return names


def _all(listed: dict[str, str]) -> str:
    return shorten(dict.fromkeys(listed.values()), 30)
