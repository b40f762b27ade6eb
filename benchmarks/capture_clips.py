"""Phone-like clips of a rendered head, with known cameras, for `capture.py`.

    python benchmarks/capture_clips.py --head RUN --out FOLDER [--only walk turn …] [--size 800]

RUN: splats of the bundled head at full size, above 40 dB:
`idf splat head_multiview --resolution 320 --iterations 5000 --out RUN`.

    walk        a phone carried round a still head in a furnished room, 340 degrees in 24 s
    turn        the head turning by 80 degrees to both sides on a swivel chair, nodding a little,
                before a phone on a stand in the same room; the light stays with the room
    turn_plain  the same before a gray wall
    narrow      a walk of 40 degrees only
    cut         two walks in different light and from different sides, joined by a hard cut
    zoom        a walk in which the phone zooms in by 1.5

The phone: rolling shutter (20 ms from the first row to the last), exposure of 1/60 s (blur where
something moves), lens with radial distortion, hand tremor, drifting exposure and white balance,
noise, H.264. Each clip has NAME.mp4 and NAME.npz: c2w (N, 4, 4) OpenGL camera in the head's world
at the middle of each frame, fx (N,) pixels, k1, fps, person (N, 200, 200) bool, where she is.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from capture_room import BOXES, ROOM, TORSO, cast, textures

from idf_helpers.data.cameras import Camera, look_at_matrix
from idf_helpers.data.media import video_writer
from idf_helpers.reconstruction.splats.gaussians import Gaussians
from idf_helpers.reconstruction.splats.scene import GaussianScene
from idf_helpers.reconstruction.stage import load

FPS = 10.0
READOUT, EXPOSURE = 0.020, 1 / 60  # seconds
K1 = 0.03
FOV = 50.0  # degrees
SAMPLES = 4  # of the room in a pixel, spread over the exposure
MASK = 200  # pixels of a side
NECK = -0.92  # height below which the shirt is the torso's


def tremor(t, seed: int, amount: float) -> np.ndarray:
    """Returns (3,) smooth noise at time t: what a hand does, 0.3 to 5 Hz."""
    rng = np.random.default_rng(seed)
    out = np.zeros(3)
    for f, a in ((0.3, 1.0), (0.7, 0.6), (1.6, 0.3), (3.1, 0.10), (5.2, 0.04)):
        out += a * np.sin(2 * np.pi * (f * rng.uniform(0.8, 1.2, 3) * t + rng.uniform(0, 1, 3)))
    return amount * out


def walk(t, length: float, start: float, end: float, seed: int = 1) -> np.ndarray:
    """Returns the camera (4, 4) of a walk from one side (degrees, 0 = front) to another."""
    s = t / length
    yaw = np.radians(start + (end - start) * (s + 0.02 * np.sin(9 * s)))
    pitch = np.radians(6 + 7 * np.sin(2 * np.pi * 1.5 * s + 1))
    distance = 3.9 + 0.3 * np.sin(2 * np.pi * s)
    out = distance * np.array([np.sin(yaw) * np.cos(pitch), -np.cos(yaw) * np.cos(pitch),
                               np.sin(pitch)])
    out = out + tremor(t, seed, 0.05)
    aim = np.array([0, 0, -0.15]) + tremor(t, seed + 1, 0.06)
    up = np.array([0, 0, 1]) + tremor(t, seed + 2, 0.02)
    return look_at_matrix(out, aim, up)


def swivel(t, length: float, seed: int = 5) -> np.ndarray:
    """Returns the head's turn (3, 3) to the room: to -80, to 80 degrees and back, with nods."""
    yaw = 80 * np.sin(2 * np.pi * t / length)
    a = np.radians(yaw + tremor(t, seed, 0.6)[0])
    b = np.radians(6 * np.sin(2 * np.pi * 2.3 * t / length + 0.5))
    turn = np.array([[np.cos(a), -np.sin(a), 0], [np.sin(a), np.cos(a), 0], [0, 0, 1]])
    nod = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return turn @ nod


@dataclass
class Phone:
    """A camera with its faults. size: pixels of a side."""

    scene: GaussianScene
    images: np.ndarray
    size: int
    light: float = 0.0  # how strongly the room's light, from the left, shades the head
    gain: float = 1.0
    seed: int = 0

    def __post_init__(self):
        self._rays: dict[float, tuple] = {}
        self._rng = np.random.default_rng(self.seed)

    def rays(self, f: float):
        """Returns (H, W, 2) ray slopes of the distorted pixels, and where an undistorted picture
        holds them (cv2.remap's maps)."""
        if f not in self._rays:
            n = self.size
            x = (np.arange(n) + 0.5 - n / 2) / f
            d = np.stack(np.meshgrid(x, x), -1)
            u = d.copy()
            for _ in range(8):
                u = d / (1 + K1 * (u**2).sum(-1, keepdims=True))
            maps = (u * f + n / 2 - 0.5).astype(np.float32)
            self._rays = {f: ((u * (1, -1)).copy(), maps[..., 0], maps[..., 1])}
        return self._rays[f]

    def shoot(self, time_s: float, camera, actor, f: float) -> tuple[np.ndarray, np.ndarray]:
        """Returns a frame (H, W, 3) uint8 whose middle row's exposure is centered on `time_s`, and
        (H, W) float32 how much of a pixel is the person.

        camera, actor: functions of time giving (4, 4) and (3, 3). f: focal length, pixels.
        """
        n = self.size
        rays, map_x, map_y = self.rays(f)
        rows = time_s + ((np.arange(n) + 0.5) / n - 0.5) * READOUT
        # poses on a grid of times, straight lines between them
        span = READOUT + EXPOSURE
        grid = time_s + np.linspace(-0.5, 0.5, 9) * span
        cams, turns = [camera(t) for t in grid], [actor(t) for t in grid]
        when = rows + ((np.arange(SAMPLES) + 0.5) / SAMPLES - 0.5)[:, None] * EXPOSURE
        at = np.clip((when - grid[0]) / span * 8, 0, 7.999)
        k, w = at.astype(int), (at - at.astype(int))[..., None, None]
        C, A = np.array(cams), np.array(turns)
        C, A = C[k] * (1 - w) + C[k + 1] * w, A[k] * (1 - w) + A[k + 1] * w
        jitter = ((np.arange(SAMPLES) * 0.618) % 1 - 0.5) / f, ((np.arange(SAMPLES) + 0.5)
                                                                / SAMPLES - 0.5) / f
        room, torso = np.empty((n, n, 3), np.float32), np.empty((n, n), np.float32)
        cast(np.ascontiguousarray(C[..., :3, 3]), np.ascontiguousarray(C[..., :3, :3]), A, rays,
             np.stack(jitter, -1), ROOM, BOXES, TORSO, self.images, room, torso)
        head = [self._head(cams[j], turns[j], f, map_x, map_y) for j in (0, 4, 8)]
        out = np.zeros((n, n, 4), np.float32)
        for e in (-0.25, 0.25):  # the two halves of a row's exposure
            x = (rows + e * EXPOSURE - grid[0]) / span * 2
            for j in range(3):
                out += 0.5 * np.maximum(0, 1 - np.abs(x - j))[:, None, None] * head[j]
        person = np.maximum(torso, out[..., 3])
        picture = 255 * out[..., :3] + (1 - out[..., 3:]) * room
        return self._sensor(picture, time_s), person

    def _head(self, c2w, turn, f, map_x, map_y) -> np.ndarray:
        """Returns (H, W, 4) float32: premultiplied color and alpha of the head alone."""
        n = self.size
        pose = c2w.copy()
        pose[:3] = turn.T @ c2w[:3]
        shot = self.scene.render_full(Camera(pose, f, f, n / 2, n / 2, n, n), background=(0, 0, 0))
        rgba = np.concatenate([shot.rgb, shot.alpha[..., None]], -1)
        if self.light:
            rgba[..., :3] *= self._shading(shot.depth, f)[..., None]
        return cv2.remap(rgba, map_x, map_y, cv2.INTER_LINEAR)

    def _shading(self, depth, f) -> np.ndarray:
        """Returns (H, W) float32 how a light from the left falls onto a surface: brighter where
        it recedes to the left."""
        small = depth[1::4, 1::4]
        seen = np.isfinite(small).astype(np.float32)
        blur = self.size / 240
        soft = cv2.GaussianBlur(np.nan_to_num(small), (0, 0), blur) / np.maximum(
            cv2.GaussianBlur(seen, (0, 0), blur), 1e-3)
        slope = cv2.GaussianBlur(cv2.Sobel(soft, cv2.CV_32F, 1, 0, scale=f / 4 / 4 / 8), (0, 0),
                                 1.5 * blur)
        shade = (1 - self.light * np.tanh(slope)).astype(np.float32)
        return cv2.resize(shade, (self.size, self.size), interpolation=cv2.INTER_LINEAR)

    def _sensor(self, picture, t: float) -> np.ndarray:
        """Returns the picture as a phone's sensor has it: drifting gains and noise."""
        n = self.size
        gain = self.gain * (1 + 0.05 * np.sin(0.7 * t)) * (
            1 + 0.015 * np.sin(np.array([0.31, 0.0, 0.43]) * t + 1))
        noise = self._rng.standard_normal((n, n, 3)).astype(np.float32)
        noise = 0.6 * noise + 1.2 * cv2.GaussianBlur(noise, (0, 0), 1.0)
        picture = picture * gain.astype(np.float32)
        return np.clip(picture + noise * (1.2 + 0.012 * picture) + 0.5, 0, 255).astype(np.uint8)


def clips(size: int) -> dict[str, list[tuple]]:
    """Returns name -> takes; a take is seconds, camera(t), actor(t), focal(t), room, light, gain.
    """
    f = 0.5 * size / np.tan(np.radians(FOV) / 2)
    stand = look_at_matrix([0.35, -3.9, 0.35], [0, 0, -0.15], [0, 0, 1])

    def still(t):
        return np.eye(3)

    def lens(t):
        return f

    def going(length, start, end, seed=1):
        return lambda t: walk(t, length, start, end, seed)

    turning = (20.0, lambda t: stand, lambda t: swivel(t, 20.0), lens)
    return {
        "walk": [(24.0, going(24.0, -170, 170), still, lens, 0, 0.0, 1.0)],
        "turn": [(*turning, 0, 0.2, 1.0)],
        "turn_plain": [(*turning, -1, 0.2, 1.0)],
        "narrow": [(8.0, going(8.0, -20, 20, 21), still, lens, 0, 0.0, 1.0)],
        "cut": [(6.0, going(6.0, -80, 10, 31), still, lens, 0, 0.0, 1.0),
                (4.0, going(4.0, 120, 170, 41), still, lens, 1, 0.0, 0.8)],
        "zoom": [(9.0, going(9.0, -70, 70, 51), still,
                  lambda t: f * (1 + 0.5 * np.clip((t - 4) / 1.0, 0, 1)), 0, 0.0, 1.0)],
    }


def film(name: str, scene: GaussianScene, out: Path, size: int, rooms: dict) -> None:
    """Writes NAME.mp4 and NAME.npz."""
    started, truth, focal, persons = time.perf_counter(), [], [], []
    number = 0
    with video_writer(out / f"{name}.mp4", FPS, "Synthetic: rendered", crf=19) as video:
        for length, camera, actor, lens, room, light, gain in clips(size)[name]:
            if room not in rooms:
                rooms[room] = textures(abs(room), plain=room < 0)
            phone = Phone(scene, rooms[room], size, light, gain, number)
            for t in np.arange(round(length * FPS)) / FPS:
                picture, person = phone.shoot(t, camera, actor, lens(t))
                video.append(picture)
                persons.append(cv2.resize(person, (MASK, MASK), interpolation=cv2.INTER_AREA))
                pose = camera(t).copy()
                pose[:3] = actor(t).T @ pose[:3]
                truth.append(pose)
                focal.append(lens(t))
                number += 1
    np.savez_compressed(out / f"{name}.npz", c2w=np.array(truth), fx=np.array(focal), k1=K1,
                        fps=FPS, person=np.array(persons) > 0.5)
    print(f"{name}: {number} frames of {size}x{size}, {time.perf_counter() - started:.0f} s",
          flush=True)


def head_scene(run: str) -> GaussianScene:
    """Returns the trained head without its shirt, which the torso replaces."""
    scene = load(run)
    g = scene.gaussians
    keep = g.means[:, 2] > NECK
    return GaussianScene(Gaussians(**{k: np.ascontiguousarray(getattr(g, k)[keep])
                                      for k in g.__dataclass_fields__}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--head", required=True, help="run folder of the head's splats")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--only", nargs="*", choices=list(clips(8)), default=list(clips(8)))
    parser.add_argument("--size", type=int, default=800)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    scene, rooms = head_scene(args.head), {}
    for name in args.only:
        film(name, scene, args.out, args.size, rooms)


if __name__ == "__main__":
    main()
