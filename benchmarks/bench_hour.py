"""An hour of a worm with its results in napari: how long it takes to open, what it keeps in memory, how fast one scrubs, plots and lists.

    python benchmarks/bench_hour.py --folder FOLDER make --run RUN --volumes 18000     # hard links and tables of a finished run, repeated
    xvfb-run -a -s "-screen 0 1600x1000x24" python benchmarks/bench_hour.py --folder FOLDER open

RUN must have its recording beside it, a file a volume. Every neuron does in FOLDER what it does in RUN, over and over; windows do not mind.
"""

import argparse
import json
import os
import shutil
import time
from pathlib import Path

import numpy as np
from bench_open import Window, open_in, rss_mb, scrub

ROWS = ("detections", "tracks", "candidates", "absences", "light", "places", "bleaching", "volumes")
RATE_HZ = 5.0


def make(folder, run, n_volumes):
    import pandas as pd

    from barlowtrack.api import prepare
    from barlowtrack.storage.atomic import tree_digest, tree_size

    source = prepare(run).location
    files, n = sorted(source.iterdir()), int(json.loads((run / "run.json").read_text())["card"]["shape"][0])
    times = -(-n_volumes // n)
    (folder / "recording").mkdir(parents=True)
    for t in range(n_volumes):
        os.link(files[t % n], folder / "recording" / f"volume_{t:05d}.ome.tif")
    there = folder / "recording.barlowtrack"
    shutil.copytree(run, there, ignore=shutil.ignore_patterns("labels.zarr", "crops.zarr", "partial", "report.html"))
    for name in ROWS:
        table = pd.read_parquet(run / f"{name}.parquet")
        table = pd.concat([table.assign(t=table["t"] + n * k) for k in range(times)], ignore_index=True)
        _write(table[table["t"] < n_volumes].astype({"t": "int32"}), run / f"{name}.parquet", there, n_volumes)
    _write(_traces(pd.read_parquet(run / "traces.parquet"), n, n_volumes), run / "traces.parquet", there, n_volumes)
    _arrays(run, there, n, n_volumes)
    _labels(run, there, n, n_volumes)
    about = json.loads((there / "run.json").read_text())
    about["card"]["shape"][0], about["card"]["rate_hz"], about["recording"] = n_volumes, RATE_HZ, "../recording"
    (there / "run.json").write_text(json.dumps(about))
    for key in (there / "keys").iterdir():
        record = json.loads(key.read_text())
        record["artefacts"] = {name: tree_size(there / name) for name in record["artefacts"] if (there / name).exists()}
        record["digests"] = {name: tree_digest(there / name) for name in record["artefacts"] if not name.endswith(".zarr")}
        key.write_text(json.dumps(record))


def _write(table, like, there, n_volumes):
    """With what the file that it was made of says beside its columns."""
    import pyarrow
    import pyarrow.parquet

    schema = pyarrow.parquet.read_schema(like)
    said = {key: value for key, value in (schema.metadata or {}).items() if key != b"pandas"}
    if b"n_volumes" in said:
        said[b"n_volumes"] = str(n_volumes).encode()
    made = pyarrow.Table.from_pandas(table, schema=schema.remove_metadata(), preserve_index=False)
    pyarrow.parquet.write_table(made.replace_schema_metadata(said), there / like.name)


def _traces(table, n, n_volumes):
    """Rows of a trace table are sorted by neuron, then volume."""
    wide = [part.sort_values("t") for _, part in table.groupby("neuron", sort=True)]
    import pandas as pd

    made = pd.concat([part.iloc[np.arange(n_volumes) % n].assign(t=np.arange(n_volumes)) for part in wide], ignore_index=True)
    made["time_s"] = made["t"] / RATE_HZ
    return made.astype({"t": table["t"].dtype, "time_s": table["time_s"].dtype})


def _arrays(run, there, n, n_volumes):
    import pandas as pd
    from safetensors.numpy import load_file, save_file

    t = pd.read_parquet(run / "detections.parquet")["t"].to_numpy()
    rows = np.concatenate([np.flatnonzero(t == k % n) for k in range(n_volumes)])
    np.save(there / "embeddings.npy", np.load(run / "embeddings.npy")[rows])
    arrays = load_file(run / "identities.safetensors")
    kept = {
        name: array[rows] if len(array) == len(t) else array[np.arange(n_volumes) % n] if len(array) == n else array
        for name, array in arrays.items()
    }
    save_file({name: np.ascontiguousarray(array) for name, array in kept.items()}, there / "identities.safetensors")


def _labels(run, there, n, n_volumes):
    shutil.copytree(run / "labels.zarr", there / "labels.zarr", ignore=lambda path, _: ["c"] if Path(path).name == "0" else [])
    head = there / "labels.zarr" / "0" / "zarr.json"
    head.write_text(head.read_text().replace(f"{n},", f"{n_volumes},", 1))
    for t in range(n_volumes):
        shutil.copytree(run / "labels.zarr" / "0" / "c" / str(t % n), there / "labels.zarr" / "0" / "c" / str(t), copy_function=os.link)


def timed(window, what, work, done=None):
    window.longest = 0.0
    before, cpu = time.perf_counter(), time.process_time()
    work()
    window.longest = time.perf_counter() - before
    while done is not None and not done():
        window.turn()
    window.wait_for_picture()
    print(
        f"{what}: {time.perf_counter() - before:.2f} s, {time.process_time() - cpu:.2f} s of processor, "
        f"longest without an answer {1000 * window.longest:.0f} ms, resident {rss_mb():.0f} MB",
        flush=True,
    )


def look(folder, n):
    from barlowtrack.plugin.attached import session_of

    window = Window(in_background=True)
    print(f"an empty window: resident {rss_mb():.0f} MB")
    open_in(window, folder / "recording.barlowtrack")
    from barlowtrack.plugin.neurons.panel import Neurons

    (panel,) = window.viewer.window._qt_window.findChildren(Neurons)
    session, before = session_of(window.viewer), time.perf_counter()
    while len(panel.table.figures.figures) != session.solution.n_neurons:
        window.turn()
    many = f"{session.solution.n_neurons} neurons, {len(session.solution.detections)} nuclei"
    print(f"table of {many}: {time.perf_counter() - before:.2f} s later")
    print(f"opened: longest without an answer {1000 * window.longest:.0f} ms, resident {rss_mb():.0f} MB")
    window.wait_for_picture()
    scrub(window, n, folder, cold=False)
    timed(window, "choose one neuron", lambda: session.choose([7]))
    timed(window, "plot eight neurons", lambda: (session.choose(range(8)), panel.plot.draw()))
    timed(window, "the plot again", panel.plot.draw)
    timed(window, "the cursor, and a volume far away", lambda: session.show(session.solution.n_volumes // 2))
    timed(window, "show tracks", lambda: setattr(window.viewer.layers["tracks"], "visible", True))
    scrub(window, n, folder, cold=False)
    window.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "open"))
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--volumes", type=int, help="To make (18000), or to scrub (50).")
    given = parser.parse_args()
    if given.what == "make":
        make(given.folder, given.run, given.volumes or 18_000)
    else:
        look(given.folder, given.volumes or 50)


if __name__ == "__main__":
    main()
