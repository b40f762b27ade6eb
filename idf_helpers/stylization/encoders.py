"""What a network that knows pictures says of restyled views: CLIP, and DINO.

CLIP puts pictures and words into one space (Radford et al. 2021), so it can tell whether the views
became what the prompt says. DINOv2 (Oquab et al. 2023) knows no words; it tells whether two
pictures show the same thing. Neither is downloaded: a local folder is named, in transformers'
layout (config.json, a preprocessor's settings, weights as .safetensors).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import IdfError
from ..runtime.files import read_record
from .stylist import as_float

CLIP, DINO = "clip", ("dinov2", "dinov2_with_registers", "dinov3_vit")
SOURCE_TEXT = "a photo of a person"
MEASURES = {"clip_direction": CLIP, "clip_text": CLIP, "dino_views": "dino", "dino_source": "dino"}


class Encoder:
    """A CLIP or DINO model of a local folder. kind: "clip" or "dino".

    IdfError: no such folder, another kind of model, files missing or damaged; transformers is not
    installed.
    """

    def __init__(self, folder: str | Path):
        folder = Path(folder)
        if not folder.is_dir():
            raise IdfError(f"The folder {folder} of an encoder does not exist", "no such folder",
                           "give a local folder with config.json and weights")
        settings = folder / "config.json"
        name = read_record(settings, ("model_type",), "model's settings")["model_type"]
        if name != CLIP and name not in DINO:
            raise IdfError(f"The model in {folder} is neither CLIP nor DINO", f"{name!r}",
                           f"give a model of the type {', '.join((CLIP, *DINO))}")
        try:
            import torch
            import transformers
        except ImportError as error:
            raise IdfError("CLIP and DINO need transformers", f"{error.name} is not installed",
                           "pip install transformers, or leave --encoder out") from None
        self.kind, self._quiet = CLIP if name == CLIP else "dino", torch.inference_mode
        processor = transformers.CLIPProcessor if name == CLIP else transformers.AutoImageProcessor
        model = transformers.CLIPModel if name == CLIP else transformers.AutoModel
        try:
            self._model: Any = model.from_pretrained(
                folder, local_files_only=True, use_safetensors=True).eval()
            self._processor: Any = processor.from_pretrained(folder, local_files_only=True)
        except Exception as error:  # whatever the library makes of damaged files
            raise IdfError(f"The folder {folder} does not hold a whole model",
                           f"{type(error).__name__}: {str(error)[:160]}",
                           "download it again") from None

    def pictures(self, pictures: Sequence[np.ndarray]) -> np.ndarray:
        """Return (n, d) float32 features of length 1 of (H, W, 3) pictures: CLIP's projection, or
        DINO's class token."""
        out = []
        for picture in pictures:
            image = np.ascontiguousarray((as_float(picture) * 255 + 0.5).astype(np.uint8))
            pixels = self._processor(images=[image], return_tensors="pt")["pixel_values"]
            with self._quiet():
                if self.kind == CLIP:
                    found = self._model.vision_model(pixel_values=pixels).pooler_output
                    found = self._model.visual_projection(found)
                else:
                    found = self._model(pixel_values=pixels).last_hidden_state[:, 0]
            out.append(found[0].numpy())
        return _unit(np.array(out, np.float32))

    def texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return (n, d) float32 features of length 1; CLIP only."""
        words = self._processor(text=list(texts), return_tensors="pt", padding=True,
                                truncation=True)
        with self._quiet():
            found = self._model.text_projection(self._model.text_model(
                input_ids=words["input_ids"],
                attention_mask=words["attention_mask"]).pooler_output)
        return _unit(found.numpy())


def encoded(encoders: Sequence[Encoder], before: Mapping[int, np.ndarray],
            after: Mapping[int, np.ndarray], pairs: Sequence[tuple[int, int]], prompt: str) -> dict:
    """Return cosines in [-1, 1], means over views; a sentence where there is no such encoder.

    clip_direction: between the change of the pictures and that of the words, from "a photo of a
        person" to `prompt` (StyleGAN-NADA, Gal et al. 2021; as Instruct-NeRF2NeRF reports it).
    clip_text: between restyled pictures and `prompt`.
    dino_views: between restyled pictures i and j of `pairs`.
    dino_source: between a restyled picture and the same view before.

    before, after: (H, W, 3) by view, of the same views.
    """
    by_kind = {e.kind: e for e in encoders}
    out: dict = {key: f"not measured: no {kind.upper()} model named (--encoder FOLDER)"
                 for key, kind in MEASURES.items()}
    names = sorted(after)
    if CLIP in by_kind and not prompt.strip():
        out |= dict.fromkeys(("clip_direction", "clip_text"), "not measured: there is no prompt")
    elif CLIP in by_kind:
        clip = by_kind[CLIP]
        a, b = (clip.pictures([x[k] for k in names]) for x in (before, after))
        source, target = clip.texts([SOURCE_TEXT, prompt])
        out["clip_direction"] = float((_unit(b - a) @ _unit(target - source)).mean())
        out["clip_text"] = float((b @ target).mean())
    if "dino" in by_kind:
        a, b = (by_kind["dino"].pictures([x[k] for k in names]) for x in (before, after))
        at = {k: n for n, k in enumerate(names)}
        near = [float(b[at[i]] @ b[at[j]]) for i, j in pairs if i in at and j in at]
        out["dino_source"] = float((a * b).sum(1).mean())
        out["dino_views"] = float(np.mean(near)) if near else "not measured: too few views"
    return {k: round(v, 4) if isinstance(v, float) else v for k, v in out.items()}


def _unit(x: np.ndarray) -> np.ndarray:
    return x / np.maximum(np.linalg.norm(x, axis=-1, keepdims=True), 1e-12)
