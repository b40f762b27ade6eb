"""The page as a file: complete in itself, escaped, small, the same every time."""

import base64
import gzip
import hashlib
import html
import re
from importlib import resources

import numpy as np
import pytest

from idf_helpers import provenance
from idf_helpers.data.cameras import Camera, SceneFrame, scene_frame
from idf_helpers.errors import IdfError
from idf_helpers.exporting.html import MODULES, module_text, viewer_html, write_viewer
from idf_helpers.exporting.pack import pack
from idf_helpers.exporting.payload import ViewerPayload, fade_below
from idf_helpers.reconstruction.splats.framing import guess_frame
from tests.fixtures.gaussians import visible


def between(text, tag):
    """Contents of all elements `tag` in `text`, with their attributes."""
    return re.findall(rf"<{tag}([^>]*)>(.*?)</{tag}>", text, re.S)


def test_the_policy_allows_exactly_this_script_and_style():
    text = viewer_html(ViewerPayload.of(visible(50)), title="A head")
    policy = html.unescape(re.search(r'Content-Security-Policy" content="([^"]+)"', text)[1])
    [script] = [c for a, c in between(text, "script") if "module" in a]
    [(_, style)] = between(text, "style")
    for kind, content in (("script", script), ("style", style)):
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{kind}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'") and "connect-src 'none'" in policy
    assert "unsafe" not in policy and "http" not in policy
    assert not re.findall(r'(?:src|href)="(?!data:)', text.replace(script, ""))
    assert "url(" not in style
    assert "import " not in re.sub(r"//.*", "", script)


def test_the_data_are_the_pack():
    g = visible(50)
    text = viewer_html(ViewerPayload.of(g, soft_edge=False), title="A")
    [data] = [c for a, c in between(text, "script") if 'id="splats"' in a]
    assert gzip.decompress(base64.b64decode(data)) == pack(g)


def test_only_what_lies_below_the_pictures_fades():
    g = visible(2000)
    frame = SceneFrame(np.array([0, 0, 0.5]), np.array([0, 0, 1.0]), np.array([0, -1.0, 0]), 4, 1)
    out, left = fade_below(g, frame)
    depth = 0.5 - g.means[:, 2]
    inside = depth <= 1.0
    kept = {tuple(m): a for m, a in zip(out.means, out.opacity_logits, strict=True)}
    for mean, logit, d in zip(g.means, g.opacity_logits, depth, strict=True):
        if d <= 1.0:
            assert kept[tuple(mean)] == logit
        elif d >= 1.14:
            assert tuple(mean) not in kept
        elif tuple(mean) in kept:
            assert kept[tuple(mean)] < logit
    assert inside.sum() < len(out) < len(g) and len(out) == left.sum()


def test_what_people_type_is_escaped_and_placeholders_in_it_stay_text():
    evil = '</script><b>"{{data}}'
    text = viewer_html(ViewerPayload.of(visible(20)), title=evil, label=evil, note=evil)
    assert "<b>" not in text and text.count("</script>") == 3
    assert text.count(html.escape(evil)) == 5  # title, aria-label, h1, note, label


def test_marks_stand_in_the_page(tmp_path):
    payload = ViewerPayload.of(visible(20))
    path = write_viewer(payload, tmp_path / "v.html", title="A", label="Synthetic face")
    provenance.mark(path, provenance.Mark("ab12", "a head"))
    head, body = path.read_text().split("</head>")
    assert re.search(r'<meta name="idf:provenance" content="[^"]*ab12', head)
    assert '<p id="label">Synthetic face</p>' in body
    assert 'id="label"' not in viewer_html(payload, title="A", label="")
    assert ">SYNTHETIC<" in viewer_html(payload, title="A")


def test_a_head_of_40000_fits_in_three_megabytes(tmp_path):
    path = write_viewer(ViewerPayload.of(visible(40000)), tmp_path / "v.html", title="A")
    assert path.stat().st_size < 3e6
    again = write_viewer(ViewerPayload.of(visible(40000)), tmp_path / "w.html", title="A")
    assert path.read_bytes() == again.read_bytes()


def test_bad_input_leaves_nothing_behind(tmp_path):
    g = visible(10)
    g.sh[3] = np.inf
    with pytest.raises(IdfError, match="1 of 10"):
        write_viewer(ViewerPayload.of(g), tmp_path / "v.html", title="A")
    with pytest.raises(IdfError, match="background"):
        ViewerPayload.of(visible(10), background="red")
    assert list(tmp_path.iterdir()) == []


def test_the_guessed_frame_holds_the_head_and_is_near_that_of_cameras():
    g = visible(2000)
    g.means[:] = g.means / np.linalg.norm(g.means, axis=1, keepdims=True) + [1, 2, 3]
    g.means[0] = [100, 0, 0]  # a floater
    frame = guess_frame(g)
    np.testing.assert_allclose(frame.center, [1, 2, 3], atol=0.1)
    assert 1 < frame.radius < 1.3
    cameras = [Camera.look_at((1 + 4 * np.sin(a), 2 - 4 * np.cos(a), 3.2), (1, 2, 3), (0, 0, 1),
                              0.5, 64, 64) for a in np.linspace(-1, 1, 9)]
    known = scene_frame(cameras)
    np.testing.assert_allclose(frame.up, known.up, atol=1e-6)
    np.testing.assert_allclose(frame.front, known.front, atol=1e-6)


def test_modules_are_joined_each_in_a_scope_of_its_own():
    text = module_text("unpack.js", "blend.js", "splat.js", "orbit.js", "widget.js")
    assert "const {SplatView} = (() => {" in text and "const {OrbitControls} = (() => {" in text
    assert not re.search(r"^import", text, re.M)
    assert re.findall(r"^export .*", text, re.M) == ["export default {render};"]


def test_every_module_comes_after_those_that_it_needs():
    seen = set()
    for name in (*MODULES, "address.js", "viewer.js", "widget.js"):
        text = (resources.files("idf_helpers") / "static" / name).read_text(encoding="utf-8")
        for names, module in re.findall(r"^import \{([^}]*)\} from '\./(.*)';", text, re.M):
            exported = (resources.files("idf_helpers") / "static" / module).read_text("utf-8")
            assert module in seen, f"{name} needs {module}"
            for one in names.split(","):
                assert re.search(rf"^export .*\b{one.strip()}\b", exported, re.M), (name, one)
        seen.add(name)
    files = {f.name for f in (resources.files("idf_helpers") / "static").iterdir()}
    assert {f for f in files if f.endswith(".js")} == seen
