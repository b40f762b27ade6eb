"""CLIP and DINO out of local folders: the library's own loaders, with a few random weights."""

import json

import numpy as np
import pytest

from idf_helpers import IdfError
from idf_helpers.stylization.encoders import MEASURES, Encoder, encoded

transformers = pytest.importorskip("transformers")
LAYERS = dict(hidden_size=16, num_attention_heads=2, num_hidden_layers=1)
SIDE = dict(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clip")
    signs = [chr(c) for c in range(33, 127)]
    words = {s: i for i, s in enumerate([*signs, *(s + "</w>" for s in signs), "<|startoftext|>",
                                         "<|endoftext|>"])}
    (folder / "vocab.json").write_text(json.dumps(words))
    (folder / "merges.txt").write_text("#version: 0.2\n")
    tokenizer = transformers.CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"),
                                           model_max_length=16)
    config = transformers.CLIPConfig(
        text_config=dict(vocab_size=len(words), max_position_embeddings=16, intermediate_size=16,
                         eos_token_id=len(words) - 1, bos_token_id=len(words) - 2, **LAYERS),
        vision_config=dict(image_size=32, patch_size=16, intermediate_size=16, **LAYERS),
        projection_dim=8)
    transformers.CLIPModel(config).save_pretrained(folder)
    transformers.CLIPProcessor(transformers.CLIPImageProcessor(**SIDE),
                               tokenizer).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def dino(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dino")
    transformers.Dinov2Model(transformers.Dinov2Config(
        image_size=32, patch_size=16, mlp_ratio=1, **LAYERS)).save_pretrained(folder)
    (folder / "preprocessor_config.json").write_text(json.dumps(
        {"image_processor_type": "BitImageProcessor", "do_resize": True, **SIDE}))
    return folder


def test_clip_sees_the_direction_and_the_words(head, clip):
    before, after = {k: head.views[k].rgb for k in (0, 1)}, {k: head.styled[k] for k in (0, 1)}
    found = encoded([Encoder(clip)], before, after, [(0, 1)], "a bronze bust")
    back = encoded([Encoder(clip)], after, before, [(0, 1)], "a bronze bust")
    assert -1 <= found["clip_direction"] <= 1 and found["clip_direction"] != 0
    assert back["clip_direction"] == pytest.approx(-found["clip_direction"], abs=2e-4)
    assert found["clip_text"] != back["clip_text"]
    assert found["dino_views"].startswith("not measured: no DINO model")
    silent = encoded([Encoder(clip)], before, after, [], " ")
    assert silent["clip_text"] == "not measured: there is no prompt"


def test_dino_tells_the_same_from_another(head, dino):
    same = {k: head.styled[0] for k in (0, 1)}
    other = {0: head.styled[0], 1: np.zeros_like(head.styled[0])}
    one = encoded([Encoder(dino)], same, same, [(0, 1)], "")
    two = encoded([Encoder(dino)], same, other, [(0, 1)], "")
    assert one["dino_views"] == one["dino_source"] == pytest.approx(1, abs=1e-4)
    assert two["dino_views"] < 0.999 and two["dino_source"] < 0.999
    assert one["clip_text"].startswith("not measured: no CLIP model")
    assert encoded([Encoder(dino)], same, same, [(0, 5)], "")["dino_views"].startswith("not meas")
    assert set(one) == set(MEASURES)


def test_bad_folders(tmp_path, clip):
    with pytest.raises(IdfError, match="does not exist"):
        Encoder(tmp_path / "none")
    with pytest.raises(IdfError, match=r"config.json"):
        Encoder(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(IdfError, match="neither CLIP nor DINO"):
        Encoder(tmp_path)
    (tmp_path / "config.json").write_bytes((clip / "config.json").read_bytes())
    with pytest.raises(IdfError, match="does not hold a whole model"):
        Encoder(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"\x10" * 40)
    with pytest.raises(IdfError, match="does not hold a whole model"):
        Encoder(tmp_path)
