"""Picture servers: what is sent, what is made of the answers, and everything that can go wrong."""

import _thread
import base64
import contextlib
import dataclasses
import json
import os
import socket
import threading

import numpy as np
import pytest

from idf_helpers.data.media import encode_image
from idf_helpers.errors import IdfError
from idf_helpers.stylization.config import ServerConfig
from idf_helpers.stylization.methods import STYLISTS, open_stylist
from idf_helpers.stylization.stylist import Reference, View
from idf_helpers.stylization.stylists.a1111 import A1111Stylist
from idf_helpers.stylization.stylists.comfyui import ComfyConfig, ComfyStylist
from idf_helpers.stylization.stylists.server import Server, check_url
from idf_helpers.stylization.stylists.workflow import BUILT_IN, Workflow

from .stub_servers import Broken, Comfy, WebUi, gradient, wait_for


@pytest.fixture
def serve():
    """serve(Stub, ...) starts one; all are stopped afterwards."""
    running = []

    def start(kind, *arguments, **options):
        running.append(kind(*arguments, **options))
        return running[-1]

    yield start
    for stub in running:
        stub.close()


@pytest.fixture
def view():
    y, x = np.mgrid[:24, :32]
    disc = (x - 16) ** 2 + (y - 12) ** 2 < 81
    depth = np.where(disc, 4 + 0.01 * ((x - 16) ** 2 + (y - 12) ** 2), np.nan).astype(np.float32)
    normal = np.where(disc[..., None], np.float32([0, 0, 1]), np.float32(0))
    return View(gradient(32, 24), disc.astype(np.float32), depth, normal, name="train/r_3")


def made(kind, server, **options):
    return kind(kind.config_type(prompt="a bronze bust", server=server.url, **options))


def refused(action, *words):
    with pytest.raises(IdfError) as caught:
        action()
    for word in words:
        assert word in str(caught.value)
    return caught.value


# --- addresses ------------------------------------------------------------------------------------

@pytest.mark.parametrize("url, word", [
    ("file:///etc/passwd", "http or https"), ("ftp://127.0.0.1/x", "http or https"),
    ("127.0.0.1:7860", "http or https"), ("http://", "http or https"),
    ("http://127.0.0.1:99999", "address"), ("http://[::1", "address"),
    ("http://u:secret@127.0.0.1:7860", "password"), ("http://127.0.0.1:7860/?x=1", "path"),
    ("http://example.org:7860", "allow-remote"), ("http://192.168.1.9:7860", "allow-remote"),
    ("http://0x7f000001:7860", "allow-remote"), ("http://localhost.example.org", "allow-remote"),
    ("http://127.0.0.1%2eevil.example:7860", "no place"),
    ("http://127.0.0.1%00.evil.com", "no place"),
    ("http://[::1%25.evil.example]", "address"), ("http://[::1%2fevil]", "address"),
    ("http://[::1%25lo]:80", "address"), ("http://localhost\\@evil.example", "password"),
    ("http://127.0.0.1:80\\.evil.example", "address"),
    ("http://127.0.0.1 .evil.example", "no place"),
    ("http://127。0。0。1", "no place"), ("http://127.0.0.1\t.evil.example", "allow-remote")])
def test_addresses_that_are_refused(url, word):
    error = refused(lambda: check_url(url, "It", False), word)
    assert "secret" not in str(error)


def test_addresses_that_are_taken():
    for url in ("http://127.0.0.1:7860/", "https://localhost:7860", "http://[::1]:7860",
                "http://127.8.8.8", "http://[::ffff:127.0.0.1]:1"):
        assert check_url(url, "It", False) == (url.rstrip("/"), True)
    assert check_url("https://pictures.example.org/ui", "It", True)[1] is False
    for url in ("http://169.254.169.254/latest", "http://[::ffff:169.254.169.254]/"):
        refused(lambda url=url: check_url(url, "It", True), "link-local")


# --- what every server can do wrong --------------------------------------------------------------

def unused_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def test_nothing_runs_there(view):
    for kind, start in ((A1111Stylist, "--api"), (ComfyStylist, "main.py")):
        config = kind.config_type(prompt="x", server=f"http://127.0.0.1:{unused_port()}")
        refused(lambda kind=kind, config=config: kind(config).ready(), "does not answer", start)


@pytest.mark.parametrize("code, value, words", [
    (401, {"detail": "Not authenticated"}, ("user and a password", "IDF_SERVER_AUTH")),
    (404, {"detail": "Not Found"}, ("404",)),
    (422, {"detail": [{"loc": ["body", "steps"], "msg": "not an integer"}]},
     ("body.steps: not an integer",)),
    (500, {"error": "OutOfMemoryError", "detail": "", "errors": "CUDA out of memory"},
     ("500", "CUDA out of memory", "--size")),
    (502, b"<html><h1>Bad &amp; gone</h1></html>", ("502", "Bad & gone"))])
def test_codes(serve, code, value, words):
    stub = serve(Broken, code, value)
    for kind in (A1111Stylist, ComfyStylist):
        refused(made(kind, stub).ready, *words)


def test_wrong_password_is_told_from_none(serve, monkeypatch):
    stub = serve(WebUi, auth="me:right")
    monkeypatch.setenv("IDF_SERVER_AUTH", "me:wrong")
    error = refused(made(A1111Stylist, stub).ready, "another user or password")
    assert "wrong" not in str(error)
    monkeypatch.setenv("IDF_SERVER_AUTH", "without colon")
    refused(lambda: made(A1111Stylist, stub), "user:password")
    monkeypatch.setenv("IDF_SERVER_AUTH", "me:right")
    stylist = made(A1111Stylist, stub)
    stylist.ready()
    assert "right" not in json.dumps(stylist.settings()) and stub.url not in str(
        stylist.settings())


def test_redirects_and_answers_that_are_no_json(serve):
    there = serve(WebUi)
    refused(made(A1111Stylist, serve(Broken, location=there.url)).ready, "redirects")
    assert there.seen == []
    refused(made(ComfyStylist, serve(Broken, 200, b"<html>hello")).ready, "not JSON")
    refused(made(A1111Stylist, serve(Broken, 200, [])).ready, "no sampler")


def test_hanging_server(serve, monkeypatch):
    monkeypatch.setattr("idf_helpers.stylization.stylists.server.QUICK_S", 0.2)
    stub = serve(Broken, 200, {}, wait_s=5)
    refused(made(A1111Stylist, stub).ready, "in time")


@pytest.mark.parametrize("head", [b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n",
                                  b"HTTP/1.1 200 OK\r\nX-Slow: "])
def test_answer_that_drips_or_is_too_large(monkeypatch, head):
    """A byte at a time would never run into the time limit of one read; of headers, too."""
    def drip(connection):
        connection.recv(4096)
        connection.sendall(head)
        try:
            for _ in range(40):
                connection.sendall(b"[")
                if stopped.wait(0.05):
                    break
        except OSError:
            pass
        connection.close()

    stopped, listener = threading.Event(), socket.create_server(("127.0.0.1", 0))

    def loop():
        with contextlib.suppress(OSError):  # closed by the end of the test
            for _ in range(2):
                drip(listener.accept()[0])

    threading.Thread(target=loop, daemon=True).start()
    server = Server(f"http://127.0.0.1:{listener.getsockname()[1]}", "It", "start it")
    try:
        monkeypatch.setattr("idf_helpers.stylization.stylists.server.QUICK_S", 0.3)
        refused(lambda: server.get_json("/x"), "in time")
        if b"Slow" in head:
            return
        monkeypatch.setattr("idf_helpers.stylization.stylists.server.QUICK_S", 5)
        monkeypatch.setattr("idf_helpers.stylization.stylists.server.MAX_BYTES", 3)
        refused(lambda: server.get_json("/x"), "too large")
    finally:
        stopped.set()
        listener.close()


def test_what_is_checked_is_what_is_connected_to(monkeypatch):
    """A name is asked for once, and no address of it is connected to that is not allowed."""
    asked, tried = [], []

    def resolve(host, port, **_):
        asked.append(host)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (found, port)) for found in answers]

    def connect(self, where):
        tried.append(where)
        raise ConnectionRefusedError

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    for name, remote, answers, allowed in [
            ("localhost", False, ["203.0.113.7"], False), ("localhost", False, ["127.0.0.1"], True),
            ("localhost", False, ["127.0.0.1", "203.0.113.7"], False),
            ("2852039166", True, ["169.254.169.254"], False),  # as libc reads a number
            ("gpu.example.org", True, ["64:ff9b::a9fe:a9fe"], False),
            ("gpu.example.org", True, ["0.0.0.0"], False),
            ("gpu.example.org", True, ["203.0.113.7"], True)]:
        asked.clear()
        tried.clear()
        server = Server(f"http://{name}:7860", "It", "start it", ServerConfig(allow_remote=remote))
        refused(lambda server=server: server.get("/x"), "does not answer" if allowed else "Nothing")
        assert asked == [name] and tried == [(a, 7860) for a in answers] * allowed


def test_proxies_are_not_used_for_this_machine(serve, monkeypatch):
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{unused_port()}")
    monkeypatch.delenv("no_proxy", raising=False)
    made(A1111Stylist, serve(WebUi)).ready()


# --- A1111 ----------------------------------------------------------------------------------------

def test_img2img_with_two_control_units(serve, view):
    stub = serve(WebUi)
    stylist = made(A1111Stylist, stub, negative_prompt="hair", steps=12, guidance=5.5,
                   model="v1-5-pruned-emaonly", controlnet=("depth:0.8", "canny"))
    picture = stylist.stylize(view, "a bronze bust", 7, 0.45)
    assert picture.dtype == np.float32 and np.allclose(picture, 1 - view.source(), atol=1e-6)
    (body,) = stub.calls("/sdapi/v1/img2img")
    assert body["prompt"] == "a bronze bust" and body["negative_prompt"] == "hair"
    assert (body["seed"], body["steps"], body["cfg_scale"], body["denoising_strength"]) == \
        (7, 12, 5.5, 0.45)
    assert (body["sampler_name"], body["scheduler"]) == ("DPM++ 2M", "Karras")
    assert body["override_settings"] == {"sd_model_checkpoint":
                                         "v1-5-pruned-emaonly.safetensors [6ce0161689]"}
    units = body["alwayson_scripts"]["controlnet"]["args"]
    assert [u["model"] for u in units] == ["control_v11f1p_sd15_depth [cfd03158]",
                                           "control_v11p_sd15_canny [d14c016b]"]
    assert [u["weight"] for u in units] == [0.8, 1.0]
    assert stylist.used == {"seed": 7, "sampler_name": "DPM++ 2M",
                            "sd_model_name": "v1-5-pruned-emaonly"}


def test_starts_from_what_the_view_says_and_guides_by_the_view(serve, view):
    stub = serve(WebUi)
    start = np.full((24, 32, 3), 0.25, np.float32)
    stylist = made(A1111Stylist, stub, controlnet=("canny",))
    picture = stylist.stylize(dataclasses.replace(view, start=start), "x", 0, 0.5)
    assert np.allclose(picture, 1 - 64 / 255, atol=1e-6)


def test_an_older_web_ui_and_one_without_the_extension(serve, view):
    old = serve(WebUi, old=True, controlnet=False)
    refused(made(A1111Stylist, old).ready, "/controlnet/model_list", "sd-webui-controlnet")
    made(A1111Stylist, old, controlnet=()).stylize(view, "x", 0, 0.5)
    (body,) = old.calls("/sdapi/v1/img2img")
    assert body["sampler_name"] == "DPM++ 2M Karras" and "scheduler" not in body
    assert "alwayson_scripts" not in body and "override_settings" not in body


def test_names_that_the_web_ui_does_not_have(serve):
    stub = serve(WebUi)
    refused(made(A1111Stylist, stub, sampler="Heun++").ready, "Heun++", "Euler a", "Karras")
    refused(made(A1111Stylist, stub, model="sdxl").ready, "sdxl", "v1-5-pruned-emaonly")
    refused(made(A1111Stylist, stub, controlnet=("normal",)).ready, "normalbae",
            "control_v11p_sd15_canny")
    made(A1111Stylist, stub, sampler="euler_a").ready()
    refused(made(A1111Stylist, serve(Broken, 404, {"detail": "Not Found"})).ready, "--api")
    assert stub.calls("/sdapi/v1/img2img") == []


def test_a_view_without_depth_cannot_be_guided_by_it(serve, view):
    stylist = made(A1111Stylist, serve(WebUi))
    flat = dataclasses.replace(view, depth=None)
    refused(lambda: stylist.stylize(flat, "x", 0, 0.5), "no depth", "--controlnet canny")


@pytest.mark.parametrize("answer, word", [
    ("%%%", "not a picture"), ("bm8gcGljdHVyZQ==", "not an image"), ("", "is empty"),
    (None, "another size"), ("black", "black picture")])
def test_answers_that_are_no_picture_of_the_view(serve, view, answer, word):
    if answer is None:
        answer = base64.b64encode(encode_image(gradient(16, 24))).decode()
    if answer == "black":
        answer = "data:image/png;base64," + base64.b64encode(
            encode_image(np.zeros((24, 32, 3), np.uint8))).decode()
    stylist = made(A1111Stylist, serve(WebUi, answer=answer))
    refused(lambda: stylist.stylize(view, "x", 0, 0.5), word)


def test_an_answer_without_pictures(serve, view):
    stylist = made(A1111Stylist, serve(WebUi))
    stylist.ready()
    refused(lambda: stylist._picture({"images": []}, view), "no picture")
    refused(lambda: stylist._picture(["?"], view), "no picture")


def test_a_slow_picture_tells_its_progress(serve, view):
    stub, told = serve(WebUi, delay_s=0.8), []
    stylist = made(A1111Stylist, stub)
    stylist.progress = lambda fraction, words: told.append((fraction, words))
    stylist.stylize(view, "x", 0, 0.5)
    assert told and told[0] == (0.4, "step 4 of 10")
    assert not stub.calls("/sdapi/v1/interrupt")


def test_a_picture_that_takes_too_long_is_interrupted(serve, view):
    stub = serve(WebUi, delay_s=20)
    stylist = made(A1111Stylist, stub, timeout_s=0.6)
    refused(lambda: stylist.stylize(view, "x", 0, 0.5), "in time", "--timeout-s")
    assert stub.interrupted.is_set()


def test_ctrl_c_interrupts_the_server(serve, view):
    stub = serve(WebUi, delay_s=20)
    stylist = made(A1111Stylist, stub)

    def press():
        wait_for(lambda: stub.calls("/sdapi/v1/img2img"))
        _thread.interrupt_main()

    threading.Thread(target=press, daemon=True).start()
    with pytest.raises(KeyboardInterrupt):
        stylist.stylize(view, "x", 0, 0.5)
    assert stub.interrupted.is_set()


# --- ComfyUI --------------------------------------------------------------------------------------

def test_the_built_in_workflow(serve, view):
    stub = serve(Comfy)
    stylist = made(ComfyStylist, stub, negative_prompt="hair", steps=12, guidance=5.5)
    told = []
    stylist.progress = lambda fraction, words: told.append(words)
    picture = stylist.stylize(view, "a bronze bust", 7, 0.45)
    assert np.allclose(picture, 1 - view.source(), atol=1e-6) and told[0] == "at work"
    nodes = stub.orders["ticket-0"]["nodes"]
    sampler = nodes["sampler"]["inputs"]
    assert (sampler["seed"], sampler["denoise"], sampler["steps"], sampler["cfg"]) == \
        (7, 0.45, 12, 5.5)
    assert nodes["positive"]["inputs"]["text"] == "a bronze bust"
    assert nodes["negative"]["inputs"]["text"] == "hair"
    assert nodes["canny model"]["inputs"]["control_net_name"].endswith("canny_fp16.safetensors")
    # one ControlNet behind another, and the sampler behind the last
    assert nodes["canny applied"]["inputs"]["positive"] == ["depth applied", 0]
    assert sampler["positive"] == ["canny applied", 0]
    assert sampler["negative"] == ["canny applied", 1]
    assert {p.shape for p in stub.pictures.values()} == {(24, 32, 3)} and len(stub.pictures) == 3
    stylist.stylize(view, "a bronze bust", 8, 0.45)
    assert len(stub.pictures) == 3, "the same pictures have the same names"


def own_workflow(tmp_path, change=lambda nodes: None):
    nodes = json.loads(BUILT_IN.read_text())
    nodes["checkpoint"]["inputs"]["ckpt_name"] = "v1-5-pruned-emaonly.safetensors"
    nodes["sampler"]["inputs"]["steps"] = 3
    nodes["sampler"]["_meta"]["title"] = "KSampler idf:seed idf:strength"
    change(nodes)
    file = tmp_path / "workflow.json"
    file.write_text(json.dumps(nodes))
    return str(file)


def test_a_workflow_of_ones_own(serve, view, tmp_path):
    def change(nodes):
        nodes["neighbor"] = {"class_type": "LoadImage", "inputs": {"image": ""},
                              "_meta": {"title": "idf:reference"}}
    stub = serve(Comfy)
    refused(lambda: made(ComfyStylist, stub, workflow=own_workflow(tmp_path, change), steps=40),
            "does not read `steps`", "idf:steps")
    stylist = made(ComfyStylist, stub, workflow=own_workflow(tmp_path, change))
    other = np.full((24, 32, 3), 0.25, np.float32)
    stylist.stylize(view, "x", 9, 0.3, (Reference(view, other),))
    nodes = stub.orders["ticket-0"]["nodes"]
    inputs = nodes["sampler"]["inputs"]
    assert (inputs["seed"], inputs["denoise"], inputs["steps"]) == (9, 0.3, 3)
    assert (stub.pictures[nodes["neighbor"]["inputs"]["image"]] == 64).all()
    changed = made(ComfyStylist, stub, workflow=own_workflow(
        tmp_path, lambda n: n["sampler"]["inputs"].update(steps=4)))
    assert stylist.settings()["workflow"] != changed.settings()["workflow"]


@pytest.mark.parametrize("change, words", [
    (lambda n: n["start"]["_meta"].update(title="x"), ("idf:image", "idf:prompt")),
    (lambda n: n["start"]["_meta"].update(title="idf:imgae"), ("idf:imgae", "idf:image")),
    (lambda n: n["latent"].update(_meta={"title": "idf:seed"}), ("idf:seed", "pixels")),
    (lambda n: n["latent"].update(class_type="Fancy"), ("Fancy", "custom nodes")),
    (lambda n: n["checkpoint"]["inputs"].update(ckpt_name="sdxl.safetensors"),
     ("sdxl.safetensors", "v1-5-pruned")),
    (lambda n: n["sampler"]["inputs"].update(scheduler="beta"), ("beta", "karras")),
    (lambda n: n.update(x={"class_type": 3}), ("not in API form",)),
    (lambda n: n.update(nodes=[]), ("Export (API)",))])
def test_workflows_that_cannot_run(serve, view, tmp_path, change, words):
    stub = serve(Comfy)

    def run():
        made(ComfyStylist, stub, workflow=own_workflow(tmp_path, change)).stylize(view, "x", 0, 0.5)

    refused(run, *words)
    assert not stub.orders


def test_names_that_comfyui_does_not_have(serve, monkeypatch):
    stub = serve(Comfy)
    refused(made(ComfyStylist, stub, model="sdxl").ready, "sdxl", "v1-5-pruned", "--model")
    refused(made(ComfyStylist, stub, sampler="heun").ready, "heun", "euler", "--sampler")
    refused(made(ComfyStylist, stub, controlnet=("normal",)).ready, "normalbae",
            "--controlnet KIND=MODEL")
    monkeypatch.setitem(stub.lists, "ckpt_name", [])
    refused(made(ComfyStylist, stub).ready, "no checkpoint")


def test_comfyui_fails(serve, view):
    for fails, word in (("execution_error", "CUDA out of memory"),
                        ("execution_interrupted", "interrupted")):
        stylist = made(ComfyStylist, serve(Comfy, fails=fails))
        refused(lambda stylist=stylist: stylist.stylize(view, "x", 0, 0.5), word, "train/r_3")
    for answer, word in ((b"text", "not an image"), (b"", "empty"),
                         (encode_image(gradient(16, 16)), "another size")):
        stylist = made(ComfyStylist, serve(Comfy, answer=answer))
        refused(lambda stylist=stylist: stylist.stylize(view, "x", 0, 0.5), word)


def test_comfyui_takes_too_long_and_its_order_is_taken_back(serve, view):
    stub = serve(Comfy, polls=10**6)
    stylist = made(ComfyStylist, stub, timeout_s=0.3)
    refused(lambda: stylist.stylize(view, "x", 0, 0.5), "train/r_3", "--timeout-s")
    assert stub.deleted == ["ticket-0"] and stub.calls("/interrupt") == [{"prompt_id": "ticket-0"}]


def test_several_pictures_and_no_titled_output(view):
    stylist = ComfyStylist(ComfyConfig(prompt="x"))
    nodes = json.loads(BUILT_IN.read_text())
    nodes["save"]["_meta"]["title"] = "save"
    stylist._workflow = Workflow(nodes, "own")
    image = {"filename": "a.png", "subfolder": "", "type": "output"}
    assert stylist._result({"save": {"images": [image]}}, view) == image
    refused(lambda: stylist._result({"save": {"images": [image]}, "b": {"images": [image]}}, view),
            "several", "idf:output")
    refused(lambda: stylist._result({"save": {}}, view), "no picture")


# --- both -----------------------------------------------------------------------------------------

def test_both_are_found_by_name_and_contact_nobody_until_a_picture_is_wanted(monkeypatch):
    monkeypatch.setattr(socket, "create_connection",
                        lambda *a, **k: pytest.fail("a server was contacted"))
    for name in ("a1111", "comfyui"):
        kind = STYLISTS.find(name).config_type()
        stylist = open_stylist(name, kind(prompt="a bronze bust"))
        assert stylist.name == name and json.dumps(stylist.settings())
        refused(lambda name=name, kind=kind: open_stylist(name, kind(prompt=" ")),
                "needs a prompt")
    assert "IDF_SERVER_AUTH" not in os.environ
