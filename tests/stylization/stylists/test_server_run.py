"""`idf stylize` with picture servers, from the command line to the dataset."""

import json

import numpy as np
import pytest

from idf_helpers import Dataset
from idf_helpers.cli.main import main

from .stub_servers import Comfy, WebUi


def run(folder, out, server, stylist, *flags):
    """The exit code of idf stylize with four key views and nothing that needs depth."""
    try:
        main(["stylize", str(folder), "--out", str(out), "--stylist", stylist, "--server",
              server.url, "--prompt", "a bronze bust", "--controlnet", "canny", "--size", "64",
              "--keys", "4", "--propagator", "flow", *flags])
    except SystemExit as ended:
        return ended.code
    return 0


@pytest.mark.parametrize("stylist, kind", [("a1111", WebUi), ("comfyui", Comfy)])
def test_a_dataset_by_a_server(head_folder, tmp_path, stylist, kind):
    server = kind()
    try:
        assert run(head_folder, tmp_path / "o", server, stylist) == 0
    finally:
        server.close()
    before, after = Dataset.open(head_folder), Dataset.open(tmp_path / "o")
    assert [f.name for f in after.frames] == [f.name for f in before.frames]
    # the stub gives the negative of each key view, which is carried to all, here by flow alone
    for a, b in zip(before.frames, after.frames, strict=True):
        solid = a.image()[..., 3] == 255
        wanted = 255 - a.image()[..., :3].astype(int)
        is_key = a.name in [f"train_main/r_{k}" for k in (0, 3, 6, 9)]
        assert np.abs(b.image()[..., :3] - wanted)[solid].mean() < (3 if is_key else 50), b.name
    report = json.loads((tmp_path / "o" / "stylize_report.json").read_text())
    assert report["reads_prompt"] is True
    assert server.url not in json.dumps(report["settings"] if "settings" in report else {})


def test_no_second_request_for_a_finished_key(head_folder, tmp_path, capsys):
    server, out = WebUi(fails_at=3), tmp_path / "o"
    try:
        assert run(head_folder, out, server, "a1111") == 2
        said = capsys.readouterr().err
        assert "OutOfMemoryError" in said and "Traceback" not in said
        assert len(server.calls("/sdapi/v1/img2img")) == 3
        assert run(head_folder, out, server, "a1111") == 0
    finally:
        server.close()
    sent = [body["init_images"][0] for body in server.calls("/sdapi/v1/img2img")]
    assert len(sent) == 5 and sent[2] == sent[3], "the failed one again"
    assert len(set(sent)) == 4, "and no other"
    # all is there: the server need not even run
    assert run(head_folder, out, server, "a1111") == 0
