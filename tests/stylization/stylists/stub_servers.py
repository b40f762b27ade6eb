"""Servers on 127.0.0.1 that answer as A1111's web UI and ComfyUI do, and are stricter: a key that
the real ones do not know is refused here instead of ignored."""

from __future__ import annotations

import base64
import contextlib
import email
import email.policy
import json
import re
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlsplit

import numpy as np

from idf_helpers.data import media


class Refused(Exception):
    """What the stub answers: a code and an object."""

    def __init__(self, code, value):
        super().__init__(value)
        self.code, self.value = code, value


class Stub:
    """One server. `routes`: {"GET /path": function(stub, query, body) -> object or bytes}.

    seen: list of (method, path, parsed body). auth: "user:password" that is asked for.
    """

    routes: dict = {}
    prefix = ""

    def __init__(self, auth=""):
        self.auth, self.seen, self.interrupted = auth, [], threading.Event()
        stub = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *arguments):
                pass

            def do_GET(self):
                stub._serve(self, "GET")

            def do_POST(self):
                stub._serve(self, "POST")

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._http.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"
        threading.Thread(target=self._http.serve_forever, args=(0.02,), daemon=True).start()

    def close(self):
        self.interrupted.set()
        self._http.shutdown()
        self._http.server_close()

    def calls(self, path):
        return [body for _, p, body in self.seen if p == path]

    def _serve(self, handler, method):
        parts = urlsplit(handler.path)
        body = handler.rfile.read(int(handler.headers.get("Content-Length") or 0))
        try:
            if self.auth and handler.headers.get("Authorization") != \
                    "Basic " + base64.b64encode(self.auth.encode()).decode():
                raise Refused(401, {"detail": "Incorrect username or password"})
            if handler.headers.get("Content-Type", "").startswith("multipart/"):
                body = _form(handler.headers["Content-Type"], body)
            elif method == "POST":
                body = json.loads(body)
            self.seen.append((method, parts.path, body))
            for route, function in self.routes.items():
                if found := re.fullmatch(route, f"{method} {parts.path}"):
                    value = function(self, parse_qs(parts.query), body, *found.groups())
                    break
            else:
                raise Refused(404, {"detail": "Not Found"})
            code = 200
        except Refused as refused:
            code, value = refused.code, refused.value
        data = value if isinstance(value, bytes) else json.dumps(value).encode()
        with contextlib.suppress(OSError):  # who asked may be gone
            handler.send_response(code)
            if code in (301, 302, 307):
                handler.send_header("Location", value["to"])
            handler.send_header("Content-Length", str(len(data)))
            handler.end_headers()
            handler.wfile.write(data)


def _form(content_type, body):
    message = email.message_from_bytes(f"Content-Type: {content_type}\r\n\r\n".encode() + body,
                                       policy=email.policy.HTTP)
    fields = {}
    for part in message.iter_parts():
        name = part.get_param("name", header="content-disposition")
        content = part.get_payload(decode=True)
        fields[name] = (part.get_filename(), content) if part.get_filename() else content.decode()
    return fields


def png(text):
    return media.read_image(base64.b64decode(text, validate=True))


def _schema(value, fields, where):
    """Refuses unknown keys and wrong types, as a strict reading of the API's models would."""
    unknown = set(value) - set(fields)
    if unknown:
        raise Refused(422, {"detail": [{"loc": ["body", where, k], "msg": "unknown field"}
                                       for k in sorted(unknown)]})
    for key, kind in fields.items():
        if key in value and (not isinstance(value[key], kind)
                             or isinstance(value[key], bool) and bool not in _kinds(kind)):
            raise Refused(422, {"detail": [{"loc": ["body", where, key], "msg": "wrong type"}]})


def _kinds(kind):
    return kind if isinstance(kind, tuple) else (kind,)


NUMBER = (int, float)
IMG2IMG = {"init_images": list, "prompt": str, "negative_prompt": str, "seed": int, "steps": int,
           "cfg_scale": NUMBER, "denoising_strength": NUMBER, "width": int, "height": int,
           "sampler_name": str, "scheduler": str, "batch_size": int, "n_iter": int,
           "resize_mode": int, "include_init_images": bool, "send_images": bool,
           "save_images": bool, "override_settings": dict,
           "override_settings_restore_afterwards": bool, "alwayson_scripts": dict}
UNIT = {"enabled": bool, "module": str, "model": str, "weight": NUMBER, "image": str,
        "resize_mode": str, "control_mode": str, "guidance_start": NUMBER, "guidance_end": NUMBER,
        "processor_res": int, "threshold_a": NUMBER, "threshold_b": NUMBER, "pixel_perfect": bool,
        "low_vram": bool, "save_detected_map": bool}


class WebUi(Stub):
    """A1111's web UI 1.9 or newer with sd-webui-controlnet. Its picture is the negative of what it
    starts from, and the map of a ControlNet behind it.

    answer: replaces the picture's text. delay_s: before it answers. old: no list of schedulers.
    fails_at: number of the picture that fails, once.
    """

    models = ["control_v11p_sd15_canny [d14c016b]", "control_v11f1p_sd15_depth [cfd03158]"]
    checkpoints = [{"title": "v1-5-pruned-emaonly.safetensors [6ce0161689]",
                    "model_name": "v1-5-pruned-emaonly", "hash": "6ce0161689", "sha256": None,
                    "filename": "/models/v1-5-pruned-emaonly.safetensors", "config": None}]

    def __init__(self, auth="", delay_s=0.0, answer=None, old=False, controlnet=True,
                 fails_at=None):
        self.delay_s, self.answer, self.old, self.controlnet = delay_s, answer, old, controlnet
        self.fails_at = fails_at
        super().__init__(auth)

    def img2img(self, query, body):
        _schema(body, IMG2IMG, "img2img")
        if self.delay_s and self.interrupted.wait(self.delay_s):
            raise Refused(500, {"error": "Interrupted", "detail": "", "body": "", "errors": ""})
        if len(self.calls("/sdapi/v1/img2img")) == self.fails_at:
            raise Refused(500, {"error": "OutOfMemoryError", "detail": "", "errors": "CUDA"})
        samplers = ["DPM++ 2M Karras", "Euler a"] if self.old else ["DPM++ 2M", "Euler a"]
        if body["sampler_name"] not in samplers:
            raise Refused(404, {"error": "HTTPException", "detail": "Sampler not found"})
        picture = png(body["init_images"][0])
        assert (body["height"], body["width"]) == picture.shape[:2]
        maps = []
        for unit in body.get("alwayson_scripts", {}).get("controlnet", {}).get("args", []):
            _schema(unit, UNIT, "controlnet")
            if unit.get("enabled") is not True:
                raise Refused(422, {"detail": "a unit that is not enabled does nothing"})
            if unit["model"] not in self.models or unit["module"] != "none":
                raise Refused(422, {"detail": f"model not found: {unit['model']}"})
            assert png(unit["image"]).shape == picture.shape
            maps.append(unit["image"])
        text = base64.b64encode(media.encode_image(255 - picture)).decode()
        text = text if self.answer is None else self.answer
        return {"images": [text, *maps], "parameters": {},
                "info": json.dumps({"seed": body["seed"], "sampler_name": body["sampler_name"],
                                    "sd_model_name": "v1-5-pruned-emaonly", "all_seeds": [1]})}

    def schedulers(self, query, body):
        if self.old:
            raise Refused(404, {"detail": "Not Found"})
        return [{"name": "automatic", "label": "Automatic", "aliases": None},
                {"name": "karras", "label": "Karras", "aliases": None}]

    def control_models(self, query, body):
        if not self.controlnet:
            raise Refused(404, {"detail": "Not Found"})
        return {"model_list": self.models}

    def stop(self, query, body):
        self.interrupted.set()
        return {}

    routes = {
        "GET /sdapi/v1/samplers": lambda self, q, b: [
            {"name": n, "aliases": [n.lower().replace(" ", "_")], "options": {}}
            for n in (["DPM++ 2M Karras", "Euler a"] if self.old else ["DPM++ 2M", "Euler a"])],
        "GET /sdapi/v1/schedulers": schedulers,
        "GET /sdapi/v1/sd-models": lambda self, q, b: self.checkpoints,
        "GET /controlnet/model_list": control_models,
        "GET /sdapi/v1/progress": lambda self, q, b: {
            "progress": 0.4, "eta_relative": 1.0, "textinfo": None, "current_image": None,
            "state": {"sampling_step": 4, "sampling_steps": 10, "interrupted": False}},
        "POST /sdapi/v1/interrupt": stop,
        "POST /sdapi/v1/img2img": img2img,
    }


class Comfy(Stub):
    """ComfyUI's queue: an order is finished after `polls` looks at its history. Its picture is the
    negative of what the node titled idf:image loads.

    fails: "execution_error" or "execution_interrupted". answer: bytes in place of the picture.
    """

    lists = {"ckpt_name": ["v1-5-pruned-emaonly.safetensors"],
             "control_net_name": ["sd15/control_v11p_sd15_canny_fp16.safetensors",
                                  "control_v11f1p_sd15_depth.pth"],
             "sampler_name": ["euler", "dpmpp_2m"], "scheduler": ["normal", "karras"]}
    classes = {"CheckpointLoaderSimple": {"ckpt_name": "list"}, "LoadImage": {"image": "pictures"},
               "CLIPTextEncode": {"text": "", "clip": ""}, "VAEEncode": {"pixels": "", "vae": ""},
               "VAEDecode": {"samples": "", "vae": ""}, "ControlNetLoader":
               {"control_net_name": "list"}, "SaveImage": {"images": "", "filename_prefix": ""},
               "KSampler": {"seed": "", "steps": "", "cfg": "", "sampler_name": "list",
                            "scheduler": "combo", "denoise": "", "model": "", "positive": "",
                            "negative": "", "latent_image": ""},
               "ControlNetApplyAdvanced": {"positive": "", "negative": "", "control_net": "",
                                           "image": "", "strength": "", "start_percent": "",
                                           "end_percent": ""}}

    def __init__(self, auth="", polls=2, fails="", answer=None):
        self.polls, self.fails, self.answer = polls, fails, answer
        self.pictures, self.orders, self.deleted = {}, {}, []
        super().__init__(auth)

    def info(self, query, body, kind):
        if kind not in self.classes:
            return {}
        def declared(name, how):
            options = self.lists.get(name)
            return {"list": [options], "combo": ["COMBO", {"options": options}],
                    "pictures": [["example.png"], {"image_upload": True}]}.get(how, ["ANY"])
        inputs = {n: declared(n, how) for n, how in self.classes[kind].items()}
        return {kind: {"input": {"required": inputs}, "output": []}}

    def take(self, query, body):
        assert set(body) == {"image", "type", "subfolder", "overwrite"} and body["type"] == "input"
        name, data = body["image"]
        self.pictures[f"{body['subfolder']}/{name}"] = media.read_image(data)
        return {"name": name, "subfolder": body["subfolder"], "type": "input"}

    def order(self, query, body):
        assert set(body) == {"prompt", "client_id"}
        nodes = body["prompt"]
        for i, node in nodes.items():
            wanted = self.classes.get(node["class_type"])
            if wanted is None or set(node["inputs"]) != set(wanted):
                raise Refused(400, {"error": {"type": "invalid_prompt", "message": "bad inputs",
                                              "details": f"node {i}: {sorted(node['inputs'])}"},
                                    "node_errors": {}})
            for value in node["inputs"].values():
                assert not isinstance(value, list) or value[0] in nodes
            if node["class_type"] == "LoadImage":
                assert node["inputs"]["image"] in self.pictures, "not uploaded"
        ticket = f"ticket-{len(self.orders)}"
        self.orders[ticket] = {"nodes": nodes, "looks": 0}
        return {"prompt_id": ticket, "number": 1, "node_errors": {}}

    def history(self, query, body, ticket):
        order = self.orders.get(ticket)
        if order is None:
            return {}
        order["looks"] += 1
        if order["looks"] <= self.polls:
            return {}
        if self.fails:
            about = {"node_type": "KSampler", "exception_type": "torch.OutOfMemoryError",
                     "exception_message": "CUDA out of memory"}
            return {ticket: {"outputs": {}, "status": {
                "status_str": "error", "completed": False, "messages": [[self.fails, about]]}}}
        save = next(i for i, n in order["nodes"].items() if n["class_type"] == "SaveImage")
        return {ticket: {"prompt": [], "status": {"status_str": "success", "completed": True},
                         "outputs": {save: {"images": [{"filename": f"{ticket}.png",
                                                        "subfolder": "", "type": "output"}]}}}}

    def view(self, query, body):
        if self.answer is not None:
            return self.answer
        nodes = self.orders[query["filename"][0].removesuffix(".png")]["nodes"]
        load = next(n for n in nodes.values() if n.get("_meta", {}).get("title") == "idf:image")
        return media.encode_image(255 - self.pictures[load["inputs"]["image"]])

    def queue(self, query, body):
        return {"queue_running": [[0, t, {}, {}, []] for t in self.orders], "queue_pending": []}

    def delete(self, query, body):
        self.deleted += body["delete"]
        return b""

    def stop(self, query, body):
        self.interrupted.set()
        return b""

    routes = {"GET /object_info/(.*)": info, "POST /upload/image": take, "POST /prompt": order,
              "GET /history/(.*)": history, "GET /view": view, "GET /queue": queue,
              "POST /queue": delete, "POST /interrupt": stop}


class Broken(Stub):
    """Answers every request in one wrong way: a code with an object, or what `act` gives."""

    def __init__(self, code=200, value=None, wait_s=0.0, location=""):
        self.code, self.value, self.wait_s = code, value, wait_s
        if location:
            self.code, self.value = 302, {"to": location}
        super().__init__()

    def act(self, query, body):
        if self.wait_s:
            self.interrupted.wait(self.wait_s)
        if self.code != 200:
            raise Refused(self.code, self.value)
        return self.value

    routes = {".*": act}


def wait_for(condition, seconds=5.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.01)
    return condition()


def gradient(width, height):
    """uint8 picture in which every pixel differs a little."""
    x, y = np.meshgrid(np.linspace(0, 1, width), np.linspace(0, 1, height))
    return np.rint(np.stack([x, y, 0.5 + 0.5 * x * y], -1) * 255).astype(np.uint8)
