"""Diffusion models of some thousand random weights in diffusers' layout, for the real loader.

Their folders are those that the real ones have on the hub: the base model is saved as a
text-to-image pipeline, each ControlNet in a folder of its own.
"""

from __future__ import annotations

import json

import torch

TEXT = 32  # numbers a token of the text encoder becomes
BLOCKS = {"down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D")}
UNET = {"block_out_channels": (8, 16), "layers_per_block": 1, "sample_size": 8,
        "norm_num_groups": 4, "attention_head_dim": 4, **BLOCKS,
        "up_block_types": ("CrossAttnUpBlock2D", "UpBlock2D")}
XL = {"addition_embed_type": "text_time", "addition_time_embed_dim": 8,
      "projection_class_embeddings_input_dim": 6 * 8 + TEXT, "transformer_layers_per_block": 1,
      "use_linear_projection": True}


def tokenizer(folder):
    """CLIP's byte-level tokenizer with three merges."""
    from transformers import CLIPTokenizer
    symbols = list(_byte_symbols().values())
    merges = ["b r", "o n", "br on"]
    words = symbols + [s + "</w>" for s in symbols] + [m.replace(" ", "") for m in merges] + [
        "<|startoftext|>", "<|endoftext|>"]
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "vocab.json").write_text(json.dumps({w: i for i, w in enumerate(words)}))
    (folder / "merges.txt").write_text("#version: 0.2\n" + "\n".join(merges) + "\n")
    return CLIPTokenizer(str(folder / "vocab.json"), str(folder / "merges.txt"),
                         model_max_length=77), len(words)


def _byte_symbols():
    """Byte -> printable character, as in GPT-2's tokenizer: printable ones stand for themselves."""
    plain = [*range(33, 127), *range(161, 173), *range(174, 256)]
    others = [b for b in range(256) if b not in plain]
    return {**{b: chr(b) for b in plain}, **{b: chr(256 + i) for i, b in enumerate(others)}}


def text_encoder(words, kind="CLIPTextModel"):
    import transformers
    config = transformers.CLIPTextConfig(
        vocab_size=words, hidden_size=TEXT, intermediate_size=37, num_attention_heads=4,
        num_hidden_layers=2, projection_dim=TEXT, max_position_embeddings=77,
        bos_token_id=words - 2, eos_token_id=words - 1, pad_token_id=words - 1)
    return getattr(transformers, kind)(config).eval()


def vae():
    from diffusers import AutoencoderKL
    return AutoencoderKL(block_out_channels=(8, 8, 8, 8), norm_num_groups=4, latent_channels=4,
                         down_block_types=["DownEncoderBlock2D"] * 4,
                         up_block_types=["UpDecoderBlock2D"] * 4)


def scheduler():
    from diffusers import DDIMScheduler
    return DDIMScheduler(beta_schedule="scaled_linear", beta_start=0.00085, beta_end=0.012,
                         clip_sample=False, set_alpha_to_one=False, steps_offset=1)


def sd(folder, checker=None, channels=4):
    """Stable Diffusion 1.x. checker: "strict" flags every picture, "mild" none. channels: 8 of
    InstructPix2Pix, saved as that."""
    import diffusers
    torch.manual_seed(0)
    tok, words = tokenizer(folder / "raw")
    parts = {"vae": vae(), "text_encoder": text_encoder(words), "tokenizer": tok,
             "unet": diffusers.UNet2DConditionModel(in_channels=channels, cross_attention_dim=TEXT,
                                                    **UNET),
             "scheduler": scheduler(), "safety_checker": None, "feature_extractor": None}
    if checker:
        parts.update(safety_checker=_checker(checker), feature_extractor=_extractor())
    kind = diffusers.StableDiffusionPipeline if channels == 4 else \
        diffusers.StableDiffusionInstructPix2PixPipeline
    kind(**parts, requires_safety_checker=bool(checker)).save_pretrained(folder / "model")
    return folder / "model"


def sdxl(folder):
    import diffusers
    torch.manual_seed(0)
    tok, words = tokenizer(folder / "raw")
    diffusers.StableDiffusionXLPipeline(
        vae=vae(), text_encoder=text_encoder(words),
        text_encoder_2=text_encoder(words, "CLIPTextModelWithProjection"), tokenizer=tok,
        tokenizer_2=tok, unet=diffusers.UNet2DConditionModel(cross_attention_dim=2 * TEXT, **UNET,
                                                             **XL),
        scheduler=scheduler()).save_pretrained(folder / "model")
    return folder / "model"


def controlnet(folder, seed=0, xl=False):
    """A ControlNet whose zero convolutions are not zero, so that its picture has an influence."""
    from diffusers import ControlNetModel
    torch.manual_seed(seed)
    config = {k: v for k, v in UNET.items() if k not in ("sample_size", "up_block_types")}
    net = ControlNetModel(cross_attention_dim=TEXT * (2 if xl else 1),
                          conditioning_embedding_out_channels=(4, 8, 16, 32), **config,
                          **(XL if xl else {}))
    for convolution in [*net.controlnet_down_blocks, net.controlnet_mid_block,
                        net.controlnet_cond_embedding.conv_out]:
        torch.nn.init.normal_(convolution.weight, std=3.0)
    net.save_pretrained(folder)
    return folder


def _checker(mood):
    from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
    from transformers import CLIPConfig
    net = StableDiffusionSafetyChecker(CLIPConfig(
        projection_dim=8, text_config={"hidden_size": 8, "num_hidden_layers": 1},
        vision_config={"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2,
                       "intermediate_size": 16, "image_size": 32, "patch_size": 16}))
    # a picture is flagged where its likeness to a concept, at most 1, exceeds the threshold
    net.concept_embeds_weights.data.fill_(-2.0 if mood == "strict" else 2.0)
    net.special_care_embeds_weights.data.fill_(2.0)
    net.concept_embeds.data.normal_()
    net.special_care_embeds.data.normal_()
    return net.eval()


def _extractor():
    from transformers import CLIPImageProcessor
    return CLIPImageProcessor(size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32})
