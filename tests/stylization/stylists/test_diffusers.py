"""Stable Diffusion and ControlNet by the real code, on models of random weights made here."""

import dataclasses
import json
import shutil
import socket

import numpy as np
import pytest

from idf_helpers.catalogue import STAGES
from idf_helpers.cli.download import download
from idf_helpers.errors import IdfError
from idf_helpers.runtime.machine import peak_rss_mb
from idf_helpers.stylization.stylist import Reference, View
from idf_helpers.stylization.stylists import diffusers_stylist, models
from idf_helpers.stylization.stylists.diffusers_stylist import (
    SAMPLERS,
    DiffusersConfig,
    DiffusersStylist,
)

from .stub_servers import gradient

pytest.importorskip("diffusers")
pytest.importorskip("transformers")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """The folders of all models, made once."""
    from . import tiny_models as tiny
    root = tmp_path_factory.mktemp("models")
    return {"sd": tiny.sd(root / "sd", "mild"), "strict": tiny.sd(root / "strict", "strict"),
            "xl": tiny.sdxl(root / "xl"), "edit": tiny.sd(root / "edit", channels=8),
            "canny": tiny.controlnet(root / "canny", 1),
            "depth": tiny.controlnet(root / "depth", 2),
            "xl depth": tiny.controlnet(root / "xl_depth", 3, xl=True)}


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    def refuse(*arguments, **options):
        raise AssertionError("the network was asked")
    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def view():
    y, x = np.mgrid[:64, :64]
    r2 = (x - 32) ** 2 + (y - 32) ** 2
    disc = r2 < 500
    depth = np.where(disc, 4 + 0.001 * r2, np.nan).astype(np.float32)
    return View(gradient(64, 64), disc.astype(np.float32), depth, name="train/r_3")


def stylist(made, model="sd", controls=("depth", "canny"), **options):
    names = [str(made[f"xl {c}" if model == "xl" else c]) for c in controls]
    return DiffusersStylist(DiffusersConfig(
        prompt="a bronze bust", model=str(made[model]),
        **{"controlnet": tuple(f"{c}={n}" for c, n in zip(controls, names, strict=True)),
           "steps": 4, **options}))


def refused(action, *words):
    with pytest.raises(IdfError) as caught:
        action()
    for word in words:
        assert word in str(caught.value)
    return str(caught.value)


def test_every_part_of_the_request_has_an_influence_and_nothing_else(made, view):
    before = peak_rss_mb()            # of all tests of this process
    s, told = stylist(made), []
    s.progress = lambda fraction, words: told.append((fraction, words))
    first = s.stylize(view, "a bronze bust", 7, 0.5)
    assert first.shape == (64, 64, 3) and first.dtype == np.float32
    assert 0 <= first.min() and first.max() <= 1 and first.std() > 0.01
    assert told == [(0.5, "step 1 of 2"), (1.0, "step 2 of 2")]
    assert (s.stylize(view, "a bronze bust", 7, 0.5) == first).all()
    assert (stylist(made).stylize(view, "a bronze bust", 7, 0.5) == first).all(), "loaded again"

    def change(**new):
        arguments = {"view": view, "prompt": "a bronze bust", "seed": 7, "strength": 0.5, **new}
        return np.abs(s.stylize(**arguments) - first).mean()

    other = View(view.rgb[::-1].copy(), view.mask, view.depth, name="other")
    assert change(prompt="red hair") > 1e-4
    assert change(seed=8) > 1e-2 and change(strength=0.9) > 1e-2
    assert change(view=other) > 1e-3
    assert change(view=dataclasses.replace(view, start=other.source())) > 1e-3
    nearer = dataclasses.replace(view, depth=np.where(view.mask > 0, 3 - view.depth / 2, np.nan)
                                 .astype(np.float32))
    assert change(view=nearer) > 1e-5, "the depth alone"
    assert peak_rss_mb() - before < 1500


def test_settings_tell_models_apart_and_load_nothing(made, view):
    s = stylist(made)
    told = s.settings()
    assert json.dumps(told) and s._pipeline is None
    assert told["controlnet"]["depth"] != told["controlnet"]["canny"], "same names, same sizes"
    assert stylist(made, controls=("depth",), guidance=3.0).settings() != told
    assert (s.family.name, s.size, s.multiple) == ("sd15", 512, 8)
    s.close()


def test_negative_prompt_weight_and_few_steps(made, view):
    plain = stylist(made, controls=("depth",)).stylize(view, "bronze", 1, 0.5)
    for options in ({"negative_prompt": "red"}, {"guidance": 1.5}, {"sampler": "lcm"},
                    {"sampler": "lightning"}, {"controlnet": (f"depth={made['depth']}:0",)}):
        changed = stylist(made, controls=("depth",), **options).stylize(view, "bronze", 1, 0.5)
        assert np.abs(changed - plain).mean() > 1e-5, options
    # at a low strength at least one step is left
    few = stylist(made, controls=(), steps=1).stylize(view, "bronze", 1, 0.1)
    assert np.abs(few - plain).mean() > 1e-5


def test_every_sampler_fits_the_model(made):
    import diffusers
    for name, (kind, changes) in SAMPLERS.items():
        getattr(diffusers, kind).from_config(
            json.loads((made["sd"] / "scheduler" / "scheduler_config.json").read_text()), **changes)
        assert name == name.lower()


def test_stable_diffusion_xl(made, view):
    s = stylist(made, "xl", controls=("depth",))
    assert (s.family.name, s.size) == ("sdxl", 1024)
    first = s.stylize(view, "bronze", 1, 0.5)
    assert (s.stylize(view, "bronze", 1, 0.5) == first).all()
    assert np.abs(stylist(made, "xl", controls=()).stylize(view, "bronze", 1, 0.5)
                  - first).mean() > 1e-5


def test_an_editor_takes_the_view_and_an_instruction(made, view):
    s = stylist(made, "edit", controls=())
    assert s.family.edits
    weak, strong = (s.stylize(view, "make it bronze", 1, x) for x in (0.2, 1.0))
    assert np.abs(weak - strong).mean() > 1e-5
    default = DiffusersStylist(DiffusersConfig(prompt="x", model=str(made["edit"])))
    assert default.settings()["controlnet"] == {} and not default.controls
    refused(lambda: stylist(made, "edit", controls=("canny",)), "editor", "--controlnet out")


def test_editors_of_other_shapes_get_what_they_take(made, view):
    """Qwen-Image-Edit and its like: what their calls take, and a picture of another size."""
    class Editor:
        def __call__(self, image=None, prompt=None, negative_prompt=None, true_cfg_scale=4.0,
                     height=None, width=None, num_inference_steps=50, generator=None,
                     output_type="pil"):
            self.got = dict(image=image, prompt=prompt, negative=negative_prompt,
                            scale=true_cfg_scale, steps=num_inference_steps, size=(width, height))

            class Result:
                images = np.full((1, 128, 128, 3), 0.5, np.float32)
            return Result()

    s = stylist(made, "edit", controls=(), guidance=4.0)
    s.family = diffusers_stylist.EDITORS["QwenImageEditPlusPipeline"]
    s._pipeline = Editor()
    styled = np.zeros((32, 32, 3), np.float32)
    picture = s.stylize(view, "make it bronze", 1, 0.5, [Reference(view, styled)])
    assert picture.shape == (64, 64, 3)
    got = s._pipeline.got
    assert [i.size for i in got["image"]] == [(64, 64), (64, 64)] and got["steps"] == 4
    assert got["scale"] == 4.0 and got["negative"] == " " and got["size"] == (64, 64)
    s.stylize(view, "make it bronze", 1, 0.5)
    assert got != s._pipeline.got and not isinstance(s._pipeline.got["image"], list)


def test_editors_exist_under_their_names():
    import diffusers
    lacking = [n for n in diffusers_stylist.EDITORS if not hasattr(diffusers, n)]
    assert not lacking


def test_a_picture_that_the_checker_flags_is_tried_again_then_an_error(made, view):
    s, seeds = stylist(made, "strict", controls=()), []
    run = s._run
    s._run = lambda p, a, seed, v: seeds.append(seed) or run(p, a, seed, v)
    refused(lambda: s.stylize(view, "bronze", 5, 0.5), "black picture", "safety checker",
            "3 seeds", "train/r_3")
    assert len(set(seeds)) == 3 and seeds[0] == 5
    s._run = lambda p, a, seed, v: run(p, a, seed, v) if seed == 5 else (v.source() * 0.5, False)
    assert np.allclose(s.stylize(view, "bronze", 5, 0.5), view.source() * 0.5), "another seed"
    without = stylist(made, "strict", controls=(), safety_checker=False)
    assert without.stylize(view, "bronze", 5, 0.5).max() > 0.1
    s._run = lambda p, a, seed, v: (np.full((64, 64, 3), np.nan, np.float32), False)
    refused(lambda: s.stylize(view, "bronze", 5, 0.5), "black picture", "half precision")


def test_a_lora_is_put_in(made, view, tmp_path):
    pytest.importorskip("peft")
    import diffusers
    import torch
    from peft import LoraConfig, get_peft_model_state_dict
    torch.manual_seed(0)
    unet = diffusers.UNet2DConditionModel.from_pretrained(made["sd"] / "unet")
    unet.add_adapter(LoraConfig(r=2, target_modules=["to_q", "to_v"], init_lora_weights=False))
    diffusers.StableDiffusionPipeline.save_lora_weights(
        tmp_path, unet_lora_layers=get_peft_model_state_dict(unet))
    plain = stylist(made, controls=()).stylize(view, "bronze", 1, 0.5)
    s = stylist(made, controls=(), lora=str(tmp_path))
    assert np.abs(s.stylize(view, "bronze", 1, 0.5) - plain).mean() > 1e-4
    assert s.settings()["lora"][1] > 100
    (tmp_path / "second.safetensors").write_bytes(b"x")
    refused(lambda: stylist(made, controls=(), lora=str(tmp_path)), "which file", "second")
    (tmp_path / "second.bin").write_bytes(b"x")
    refused(lambda: stylist(made, controls=(), lora=str(tmp_path / "second.bin")), "safetensors")
    broken = stylist(made, controls=(), lora=str(tmp_path / "second.safetensors"))
    refused(lambda: broken.stylize(view, "bronze", 1, 0.5), "cannot be loaded")


@pytest.mark.parametrize("path, words", [
    ("unet/diffusion_pytorch_model.safetensors", ("incomplete", "unet: no weights")),
    ("vae/config.json", ("incomplete", "vae: no config.json")),
    ("tokenizer/tokenizer.json", ("incomplete", "tokenizer: none of")),
    ("scheduler/scheduler_config.json", ("incomplete", "scheduler")),
    ("text_encoder", ("incomplete", "text_encoder: the folder")),
    ("model_index.json", ("no model_index.json", "unet, vae"))])
def test_folders_that_are_not_whole(made, tmp_path, path, words):
    folder = shutil.copytree(made["sd"], tmp_path / "copy")
    gone = folder / path
    shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
    for other in ("vocab.json", "merges.txt"):
        (folder / "tokenizer" / other).unlink(missing_ok=True)
    refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x", model=str(folder))), *words)


def test_weights_pickled_cut_off_or_in_pieces(made, tmp_path, view):
    folder = shutil.copytree(made["sd"], tmp_path / "copy")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    pickled = weights.with_suffix(".bin")
    weights.rename(pickled)
    model = DiffusersConfig(prompt="x", model=str(folder), controlnet=())
    refused(lambda: DiffusersStylist(model), "pickled", "diffusion_pytorch_model.bin")
    pickled.rename(weights)
    table = folder / "unet" / "diffusion_pytorch_model.safetensors.index.json"
    table.write_text(json.dumps({"weight_map": {"a": weights.name, "b": "second.safetensors"}}))
    refused(lambda: DiffusersStylist(model), "unet: no second.safetensors")
    table.unlink()
    weights.write_bytes(weights.read_bytes()[:3000])
    cut = DiffusersStylist(model)
    refused(lambda: cut.stylize(view, "x", 0, 0.5), "cannot be loaded")
    half = shutil.copytree(made["canny"], tmp_path / "half")
    file = half / "diffusion_pytorch_model.safetensors"
    file.rename(half / "diffusion_pytorch_model.fp16.safetensors")
    assert models.find(str(half), "controlnet").variant == "fp16"
    assert models.find(str(made["canny"]), "controlnet").variant is None


def test_models_that_do_not_fit(made, tmp_path):
    refused(lambda: DiffusersStylist(DiffusersConfig(
        prompt="x", model=str(made["xl"]), controlnet=(f"depth={made['depth']}",))),
        "does not fit", "32", "64")
    refused(lambda: DiffusersStylist(DiffusersConfig(
        prompt="x", model=str(made["sd"]), controlnet=(f"depth={made['sd'] / 'unet'}",))),
        "not a ControlNet", "UNet2DConditionModel")
    refused(lambda: DiffusersStylist(DiffusersConfig(
        prompt="x", model=str(made["xl"]), controlnet=("normal",))), "no default", "normal")
    folder = shutil.copytree(made["sd"], tmp_path / "copy")
    for kind in ("AudioLDMPipeline", ["my_code", "MyPipeline"]):
        index = json.loads((folder / "model_index.json").read_text()) | {"_class_name": kind}
        (folder / "model_index.json").write_text(json.dumps(index))
        refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x", model=str(folder))),
                "not used here", "QwenImageEdit")
    file = tmp_path / "sd.safetensors"
    file.write_bytes(b"x")
    refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x", model=str(file))), "one file",
            "a1111")
    refused(lambda: stylist(made, sampler="heun++"), "heun++", "unipc")
    refused(lambda: stylist(made, device="quantum")._load(), "device", "quantum")


def test_what_is_not_here_is_not_fetched_but_said_how_to_get(monkeypatch):
    refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x")), "sd15", "not on this machine",
            "idf download sd15", "OpenRAIL-M")
    refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x", model="someone/else")),
            "hf download someone/else", "license")
    refused(lambda: DiffusersStylist(DiffusersConfig(prompt="x", model="/no/such/folder")),
            "no folder", "idf download")
    monkeypatch.setattr(models.importlib.util, "find_spec", lambda name: None)
    assert "pip install" in models.missing()


def test_the_hubs_cache_is_found(made, monkeypatch, tmp_path):
    """A snapshot in the layout of the hub's cache counts as the model of that id."""
    base = tmp_path / "hub" / "models--stable-diffusion-v1-5--stable-diffusion-v1-5"
    (base / "refs").mkdir(parents=True)
    (base / "refs" / "main").write_text("abc123")
    shutil.copytree(made["sd"], base / "snapshots" / "abc123")
    import huggingface_hub

    def in_folder(repo, **options):
        return real(repo, cache_dir=tmp_path / "hub", **options)

    real = huggingface_hub.snapshot_download
    monkeypatch.setattr(huggingface_hub, "snapshot_download", in_folder)
    s = DiffusersStylist(DiffusersConfig(prompt="x", controlnet=()))
    assert s._folder.path.name == "abc123" and models.is_present("sd15")
    assert not models.is_present("sd15-canny") and not models.is_present("sd15-lcm")


def test_download_lists_and_fetches_on_request_only(made, monkeypatch, capsys, tmp_path):
    import huggingface_hub
    from huggingface_hub.errors import LocalEntryNotFoundError, RepositoryNotFoundError

    def broken(error):
        def fetch(repo, **options):
            raise error
        monkeypatch.setattr(huggingface_hub, "snapshot_download", fetch)

    broken(LocalEntryNotFoundError("not there"))
    download()
    listed = capsys.readouterr().out
    for row in models.HUB_MODELS.values():
        assert f"{row.name}  [not here]" in listed and row.license in listed and row.repo in listed
    asked = []

    def fetched(repo, allow_patterns=None, local_files_only=False):
        asked.append((repo, local_files_only, allow_patterns))
        return str(made["canny"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fetched)
    download("sd15-canny")
    said = capsys.readouterr().out
    assert "0.8 GB" in said and "OpenRAIL" in said and str(made["canny"]) in said
    assert asked[0][:2] == ("lllyasviel/control_v11p_sd15_canny", False) and asked[0][2]
    refused(lambda: download("sd15", tmp_path), "--model")

    response = type("Response", (), {"headers": {}, "request": None, "status_code": 404})()
    broken(RepositoryNotFoundError("404 Client Error: gone", response=response))
    refused(lambda: download("sd15-canny"), "may have moved", "--controlnet KIND=ID")
    broken(OSError(28, "No space left on device"))
    refused(lambda: download("sd15-canny"), "could not be fetched", "No space", "disk")


def test_it_stands_in_the_registry():
    assert STAGES["stylize"].find("diffusers").load() is DiffusersStylist
