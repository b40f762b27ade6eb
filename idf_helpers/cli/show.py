"""What the commands print when they are done."""

from __future__ import annotations

from pathlib import Path

from ..errors import counted
from ..runtime.files import read_record


def swap(result, arguments: dict) -> None:
    """Print the method, the outcome for the frames, and where the result is."""
    out = arguments["out"]
    if (out / "swap_report.json").is_file():
        report = read_record(out / "swap_report.json", ("counts", "why"), "report")
        counts = ", ".join(f"{n} {s}" for s, n in sorted(report["counts"].items()))
        details = [counts, *([f"sound: {report['sound']}"] if "sound" in report else [])]
    else:
        report, details = read_record(out / "run.json", ("why",), "run manifest"), []
    print(f"method {report['why']}")
    if report.get("note"):
        print(f"note: {report['note']}")
    if details:
        print("; ".join(details))
    print(f"written: {result}" if isinstance(result, Path) else result.describe())


def written(path, arguments: dict) -> None:
    """Print where the result is."""
    print(f"written: {path}")


def text(result, arguments: dict) -> None:
    """Print the result itself."""
    print(result)


def inspection(result, arguments: dict) -> None:
    """Print what was understood, and where the pictures are."""
    print(result)
    if arguments["out"] is not None:
        print("look at:", ", ".join(str(Path(arguments["out"]) / name) for name in (
            *result.pictures, "inspection.json")))


def track(dataset, arguments: dict) -> None:
    """Print how well the face was fitted, and what was left out."""
    if arguments["format"] == "video":
        keys = ("frames", "used", "fov", "error_percent")
        report = read_record(arguments["out"] / "track_report.json", keys, "report")
        print(f"{report['used']} of {report['frames']} frames used; field of view "
              f"{report['fov']:.0f}° ({report['fov_from']}); median error "
              f"{report['error_percent']:.1f} % of the face's width")
        for name in ("without_face", "not_fitting"):
            if report[name]:
                print(f"  left out, {name.replace('_', ' ')}: {counted(len(report[name]))}")
    print(dataset.describe())


def capture(dataset, arguments: dict) -> None:
    """Print what found the cameras, how much of the turn they cover, and what was left out."""
    report = read_record(arguments["out"] / "capture_report.json",
                         ("method", "frames", "used", "left_out", "yaw", "reprojection_px"),
                         "report")
    print(f"{report['method']} cameras for {report['used']} of {report['frames']} frames, "
          f"{report['yaw'][0]:.0f} to {report['yaw'][1]:.0f} degrees about the face; points lie "
          f"{report['reprojection_px']:.2f} pixels off")
    for reason, numbers in report["left_out"].items():
        print(f"  left out, {reason}: {counted(len(numbers))}")
    print(dataset.describe())
    print(f"Look at:  {arguments['out'] / 'overlay.jpg'}")


def make(made, arguments: dict) -> None:
    """Print the measures, and what to look at."""
    if made.metrics:
        print(f"{made.metrics['psnr']:.2f} dB PSNR on {_held_out(made.metrics)}")
    if made.doubts:
        print("To doubt:", *(f"  {doubt}" for doubt in made.doubts), sep="\n")
    print("Look at:", *(f"  {path}" for path in made.files.values()), sep="\n")


def splats(scene, arguments: dict) -> None:
    """Print the measures of a training, and where to look."""
    out = arguments["out"]
    m = _metrics(out, "num_gaussians")
    print(f"{_quality(m)}; {m['num_gaussians']} Gaussians, {_amount(m)}\n"
          f"model: {out / 'point_cloud.ply'}")


def radiance_field(scene, arguments: dict) -> None:
    """Print the measures of a training."""
    m = _metrics(arguments["out"])
    print(f"{_quality(m)}; {_amount(m)}\nrun: {arguments['out']}")


def avatar(scene, arguments: dict) -> None:
    """Print the measures of an avatar and of its baselines, and where to look."""
    out = arguments["out"]
    m = _metrics(out, "num_gaussians")
    print(f"{_decibels(m)} on {m['views']} held-out frames; {m['num_gaussians']} Gaussians, "
          f"{_amount(m)}")
    for name, words in (("shuffled", "with other frames' expressions"),
                        ("static", "a model that cannot move")):
        if name in m:
            print(f"  {words}: {_decibels(m[name])}")
    print(f"look at: {out / 'held_out.jpg'}, {out / 'expressions.jpg'}")


def demo(result, arguments: dict) -> None:
    """Print the measures of the whole job, and what to look at."""
    m = result.metrics
    print(f"\nheld-out views: {m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM; "
          f"{m['num_gaussians']} Gaussians, {m['iterations']} iterations\n"
          f"{result.seconds:.0f} s, {result.peak_rss_mb:.0f} MB peak memory\n\nLook at:")
    for name, words in (("viewer.html", "turn the head in a browser"),
                        ("orbit.mp4", "one turn as a video"),
                        ("swap.png", "the views before and after the swap"),
                        ("avatar.ply", "the model, for any splat viewer")):
        print(f"  {result.files[name]}   {words}")


def _metrics(out: Path, *more: str) -> dict:
    return read_record(out / "metrics.json",
                       ("psnr", "ssim", "views", "iterations", "seconds", *more), "metrics file")


def _quality(m: dict) -> str:
    return f"{m['psnr']:.2f} dB PSNR, {m['ssim']:.3f} SSIM on {_held_out(m)}"


def _held_out(m: dict) -> str:
    return f"{m['views']} held-out view{'s' * (m['views'] != 1)}"


def _amount(m: dict) -> str:
    return f"{m['iterations']} iterations in {m['seconds']:.0f} s"


def _decibels(part: dict) -> str:
    def show(key):
        return "-" if part.get(key) is None else f"{part[key]:.2f}"
    return f"{show('psnr')} dB, head {show('psnr_head')}, what moves {show('psnr_moving')}"
