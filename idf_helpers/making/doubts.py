"""What the stages say of themselves, put together: what to doubt, and where to look."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..data.sequence import frame_number
from ..errors import counted
from ..runtime.files import read_json
from .moments import spans
from .probe import Look

NOT_SWAPPED = 0.02  # share of a talking head's frames from which it is said
GUESSED = 0.35  # share of the face that the photo does not show
FITS_BADLY = 3.0  # % of the face's width
NARROW, WIDE = 60, 300  # degrees of a turn: of less the capture says so itself
BLURRED = {"splats": 26.0, "avatar": 24.0}  # dB on held-out frames below which it shows


@dataclass(frozen=True)
class Doubt:
    """stage: whose. text: a plain sentence or two. look_at: file in the run tree, "" = none."""

    stage: str
    text: str
    look_at: str = ""

    def __str__(self) -> str:
        where = f" Look at {self.look_at}." if self.look_at else ""
        text = self.text[:1].upper() + self.text[1:]
        return f"{self.stage}: {text}{'' if text.endswith('.') else '.'}{where}"


@dataclass(frozen=True)
class Clip:
    """How frame numbers become moments. fps: of the footage, 0 for pictures."""

    fps: float = 0.0

    def when(self, numbers) -> str:
        return spans((int(n) for n in numbers), self.fps)


def doubts(out: Path, look: Look | None, clip: Clip) -> list[Doubt]:
    """Return the doubts of all stages that are there, in their order."""
    found = [Doubt("target", text, "look.jpg") for text in (look.doubts if look else ())]
    for stage, of in (("capture", _of_capture), ("track", _of_track), ("swap", _of_swap),
                      ("splats", _of_training), ("avatar", _of_training)):
        if (out / stage / "run.json").is_file():
            found += of(out, stage, clip)
    return found


def notes(out: Path) -> list[str]:
    """Return what the stages say they did, a line each."""
    lines = []
    for stage in ("capture", "track", "swap", "splats", "avatar"):
        folder = out / stage
        if not (folder / "run.json").is_file():
            continue
        manifest = read_json(folder / "run.json", "run manifest")
        done = {"capture": _capture_line, "track": _track_line, "swap": _swap_line}.get(
            stage, _training_line)(folder, manifest)
        lines.append(f"{stage} ({manifest.get('seconds_wall', 0):.0f} s): {done}")
    return lines


def _report(out: Path, stage: str) -> dict:
    path = out / stage / f"{stage}_report.json"
    return read_json(path, f"report of {stage}") if path.is_file() else {}


# --- doubts -------------------------------------------------------------------------------------

def _of_capture(out: Path, stage: str, clip: Clip) -> Iterator[Doubt]:
    yaw = _report(out, stage).get("yaw")
    if yaw and NARROW <= yaw[1] - yaw[0] < WIDE:
        yield Doubt(stage, f"The frames that got a camera show {yaw[1] - yaw[0]:.0f}° of the head: "
                    "what the page shows beyond that is made up.")
    for text in _report(out, stage).get("doubts", ()):
        yield Doubt(stage, text, "capture/overlay.jpg")


def _of_track(out: Path, stage: str, clip: Clip) -> Iterator[Doubt]:
    report = _report(out, stage)
    overlay = next((f"track/{n}" for n in ("overlay.mp4", "overlay.jpg")
                    if (out / "track" / n).is_file()), "")
    for text in report.get("doubts", ()):
        yield Doubt(stage, text, overlay)
    said = " ".join(report.get("doubts", ()))
    if (lost := report.get("without_face")) and "no face" not in said.lower():
        yield Doubt(stage, f"No face was found in {len(lost)} of {report['frames']} frames "
                    f"({clip.when(lost)}): left out.", overlay)
    if unfit := report.get("not_fitting"):
        yield Doubt(stage, f"The face model does not fit {counted(len(unfit))} "
                    f"({clip.when(unfit)}): left out.", overlay)
    if report.get("error_percent", 0) > FITS_BADLY:
        yield Doubt(stage, f"The mesh lies {report['error_percent']:.1f} % of the face's width off "
                    "(usual: 1 to 2): the head may sway in the result.", overlay)


def _of_swap(out: Path, stage: str, clip: Clip) -> Iterator[Doubt]:
    rows = _report(out, stage).get("frames", [])
    sheet = next((n for n in ("view/swap.png", "before_after.png") if (out / n).is_file()), "")
    left = [r for r in rows if r["status"] != "swapped"]
    if (out / "avatar").is_dir() and len(left) > NOT_SWAPPED * len(rows):
        numbers = [n for r in left if (n := frame_number(r["name"])) is not None]
        yield Doubt(stage, f"{len(left)} of {len(rows)} frames keep the face that was filmed "
                    f"({clip.when(numbers)}): {left[0]['reason']}.", sheet)
    guesses = [r["guessed"] for r in rows if "guessed" in r]
    if guesses and (share := sum(guesses) / len(guesses)) > GUESSED:
        yield Doubt(stage, f"{100 * share:.0f} % of the face is guessed, since the photo does not "
                    "show it; a photo from the front, or a second one, helps.", sheet)


def _of_training(out: Path, stage: str, clip: Clip) -> Iterator[Doubt]:
    manifest = read_json(out / stage / "run.json", "run manifest")
    metrics = manifest.get("metrics") or {}
    for text in manifest.get("doubts", ()):
        yield Doubt(stage, text, f"{stage}/held_out.jpg")
    if (psnr := metrics.get("psnr")) is not None and psnr < BLURRED[stage]:
        yield Doubt(stage, f"The result differs from frames that it was not trained on "
                    f"({psnr:.1f} dB; 30 and more is good): longer training (--budget-s), steadier "
                    "footage or more light help.", f"{stage}/held_out.jpg")


# --- what was done ------------------------------------------------------------------------------

def _capture_line(folder: Path, manifest: dict) -> str:
    r = _report(folder.parent, "capture")
    yaw = f", seen over {r['yaw'][1] - r['yaw'][0]:.0f}°" if r.get("yaw") else ""
    return (f"cameras for {r.get('registered', '?')} of {r.get('used', '?')} frames chosen from "
            f"{r.get('frames', '?')}, by {r.get('method', '?')}{yaw}")


def _track_line(folder: Path, manifest: dict) -> str:
    r = _report(folder.parent, "track")
    return (f"{r['used']} of {r['frames']} frames; the mesh lies {r['error_percent']:.1f} % of the "
            "face's width off")


def _swap_line(folder: Path, manifest: dict) -> str:
    r = _report(folder.parent, "swap") or manifest
    counts = ", ".join(f"{n} {s}" for s, n in sorted(r.get("counts", {}).items()))
    return "; ".join(filter(None, [_why(manifest), counts, r.get("note", "")]))


def _training_line(folder: Path, manifest: dict) -> str:
    m = manifest.get("metrics") or {}
    quality = f"{m['psnr']:.1f} dB PSNR on held-out frames; " if m.get("psnr") is not None else ""
    return quality + _why(manifest)


def _why(manifest: dict) -> str:
    """Which method ran, and its notes; why others did not is for `idf doctor`."""
    method = manifest.get("why", "").partition(" (passed over: ")[0]
    return "; ".join(dict.fromkeys(filter(None, [method, *manifest.get("notes", ())])))
