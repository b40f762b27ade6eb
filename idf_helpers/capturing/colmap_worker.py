"""Structure from motion by pycolmap, in a process of its own: `python -I colmap_worker.py JOB`.

Nothing of this library is imported here, nor anything else but the standard library: pycolmap
brings its own copies of image and math libraries, which crashed or hung beside Pillow's. JOB is a
JSON file (see `colmap_cameras.solve`). Every line on standard output is JSON: {"step", "share"}, at
the end {"done"}, or {"error"} for what pycolmap complained of. The process ends when its standard
input closes, so that none is left behind by a caller that was killed.

Features and matches are kept in `database.db` of the working folder, some pictures or pairs at a
time, and are not computed again.
"""

import json
import os
import sqlite3
import sys
import threading

FEATURES_AT_ONCE = 6  # pictures
PAIRS_AT_ONCE = 120


def say(**message):
    """Write one line for the caller."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def count(database, table):
    """Return the rows of a table that COLMAP keeps."""
    connection = sqlite3.connect(database, timeout=30)
    try:
        return connection.execute(f"SELECT COUNT(*) FROM {table}").fetchone()[0]
    finally:
        connection.close()


def features(pycolmap, job, database):
    """Find the features of all pictures; they share one camera."""
    names = job["names"]
    options = pycolmap.FeatureExtractionOptions(num_threads=job["threads"], use_gpu=False,
                                                max_image_size=job["size"])
    options.sift.max_num_features = job["features"]
    options.sift.first_octave = job["first_octave"]
    options.sift.peak_threshold = job["peak"]
    options.sift.estimate_affine_shape = options.sift.domain_size_pooling = job["close"]
    reader = pycolmap.ImageReaderOptions(camera_model=job["camera_model"])
    reader.default_focal_length_factor = job["focal"]
    if job["masks"]:
        reader.mask_path = job["masks"]
    for i in range(0, len(names), FEATURES_AT_ONCE):
        if os.path.exists(database) and count(database, "cameras"):
            reader.existing_camera_id = 1
        pycolmap.extract_features(database, job["pictures"],
                                  image_names=names[i:i + FEATURES_AT_ONCE],
                                  camera_mode=pycolmap.CameraMode.SINGLE, reader_options=reader,
                                  extraction_options=options)
        say(step="finding features", share=min(1.0, (i + FEATURES_AT_ONCE) / len(names)))


def matches(pycolmap, job, database, folder):
    """Match the pairs of the job that are not matched yet."""
    matching = pycolmap.FeatureMatchingOptions(num_threads=job["threads"], use_gpu=False)
    if job["close"]:  # pairs that show a surface from sides that differ much
        matching.guided_matching, matching.sift.max_ratio = True, 0.9
    verification = pycolmap.TwoViewGeometryOptions()
    verification.filter_stationary_matches = job["drop_still"]
    verification.ransac.random_seed = 0
    names, pairs = job["names"], job["pairs"]
    listing = os.path.join(folder, "pairs.txt")
    for i in range(0, len(pairs), PAIRS_AT_ONCE):
        with open(listing, "w", encoding="utf-8") as file:
            file.writelines(f"{names[a]} {names[b]}\n" for a, b in pairs[i:i + PAIRS_AT_ONCE])
        pycolmap.match_image_pairs(
            database, matching_options=matching, verification_options=verification,
            pairing_options=pycolmap.ImportedPairingOptions(match_list_path=listing))
        say(step="matching frames", share=min(1.0, (i + PAIRS_AT_ONCE) / len(pairs)))


def cameras(pycolmap, job, database, folder):
    """Return the models, the one with most pictures first."""
    options = pycolmap.IncrementalPipelineOptions(num_threads=job["threads"], random_seed=0,
                                                  extract_colors=True)
    options.max_runtime_seconds = job["mapping_seconds"]
    for name, value in job["mapping"].items():
        inner, _, last = name.rpartition(".")
        setattr(getattr(options, inner) if inner else options, last, value)
    seen = [2]

    def one_more():
        seen[0] += 1
        say(step="finding cameras", share=min(0.99, seen[0] / len(job["names"])))

    out = os.path.join(folder, "models")
    os.makedirs(out, exist_ok=True)
    found = pycolmap.incremental_mapping(database, job["pictures"], out, options=options,
                                         next_image_callback=one_more)
    order = sorted(found.values(), key=lambda m: -m.num_reg_images())
    return [describe(model, k == 0) for k, model in enumerate(order)]


def describe(model, whole):
    """Return a model as plain numbers; the points of the largest only."""
    camera = next(iter(model.cameras.values()))
    poses = {}
    for image in model.images.values():
        if image.has_pose:
            poses[image.name] = image.cam_from_world().matrix().tolist()
    out = {"params": [float(v) for v in camera.params], "model": camera.model.name, "poses": poses}
    if whole:
        out["points"] = [[*map(float, p.xyz), *map(int, p.color), float(p.error),
                          p.track.length()] for p in model.points3D.values()]
    return out


def main():
    """Do the job."""
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)

    def watch():
        sys.stdin.buffer.read()
        os._exit(3)

    threading.Thread(target=watch, daemon=True).start()
    sys.path.append(job["site"])
    import pycolmap

    pycolmap.logging.minloglevel = 2
    pycolmap.logging.logtostderr = True
    pycolmap.set_random_seed(0)
    folder = os.path.dirname(os.path.abspath(sys.argv[1]))
    database = os.path.join(folder, "database.db")
    try:
        features(pycolmap, job, database)
        matches(pycolmap, job, database, folder)
        models = cameras(pycolmap, job, database, folder)
    except Exception as error:
        say(error=f"{type(error).__name__}: {error}"[:300])
        sys.exit(1)
    result = os.path.join(folder, "models.json")
    with open(result + ".part", "w", encoding="utf-8") as file:
        json.dump(models, file)
    os.replace(result + ".part", result)
    say(done=True)
    sys.stdout.flush()
    os._exit(0)  # its threads need not be waited for


if __name__ == "__main__":
    main()
