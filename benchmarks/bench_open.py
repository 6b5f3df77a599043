"""How long napari takes to open a recording of 200 GB, how fast one scrubs through it, and what that costs in memory.

    python benchmarks/bench_open.py --folder FOLDER make        # 16,000 volumes a layout, hard links to 40: 1.3 GB
    xvfb-run python benchmarks/bench_open.py --folder FOLDER open LAYOUT
    xvfb-run python benchmarks/bench_open.py --folder FOLDER scrub LAYOUT --volumes 200
    xvfb-run python benchmarks/bench_open.py --folder FOLDER slow LAYOUT       # every volume takes 0.3 s to read: how long the window stops
    xvfb-run python benchmarks/bench_open.py --run RUN scrub run               # a run folder, with its nuclei and neurons

LAYOUT: tiff, deflate, zarr. --cold asks the system to forget the files before and while they are read, so that the disk is measured.
"""

import argparse
import os
import resource
import shutil
import time
from pathlib import Path

os.environ["NAPARI_CONFIG"] = ""  # nobody's settings
N, DISTINCT, SHAPE = 16_000, 40, (24, 256, 512)


def make(folder):
    import numpy as np
    import tifffile

    from barlowtrack.data import silent
    from barlowtrack.io import write_recording
    from barlowtrack.synthetic import preset, simulate

    made = simulate(preset("mid", n_volumes=DISTINCT, volume_shape=SHAPE, n_neurons=150), seed=0).recording
    said = {"axes": "CZYX", "PhysicalSizeZ": 1.5, "PhysicalSizeY": 0.35, "PhysicalSizeX": 0.35, "Channel": {"Name": ["red", "green"]}}
    write_recording(made, folder / "distinct.zarr", layout="ome-zarr-0.5", progress=silent)
    for layout in ("tiff", "deflate"):
        (folder / f"distinct-{layout}").mkdir(parents=True)
    for t in range(DISTINCT):
        volume = np.ascontiguousarray(made.read(t))
        tifffile.imwrite(folder / "distinct-tiff" / f"{t}.ome.tif", volume, ome=True, metadata=said)
        tifffile.imwrite(folder / "distinct-deflate" / f"{t}.ome.tif", volume, ome=True, metadata=said, compression="zlib", predictor=True)
    for layout in ("tiff", "deflate"):
        (folder / layout).mkdir()
        for t in range(N):
            os.link(folder / f"distinct-{layout}" / f"{t % DISTINCT}.ome.tif", folder / layout / f"volume_{t:05d}.ome.tif")
    shutil.copytree(folder / "distinct.zarr", folder / "zarr", copy_function=os.link)
    head = folder / "zarr" / "0" / "zarr.json"
    text = head.read_text()
    head.unlink()
    head.write_text(text.replace(f"{DISTINCT},", f"{N},", 1))
    for t in range(DISTINCT, N):
        shutil.copytree(
            folder / "distinct.zarr" / "0" / "c" / str(t % DISTINCT), folder / "zarr" / "0" / "c" / str(t), copy_function=os.link
        )


def forget(folder):
    """Asks the system to drop the distinct files from its cache."""
    for path in (path for place in folder.glob("distinct*") for path in place.rglob("*") if path.is_file()):
        file = os.open(path, os.O_RDONLY)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(file)


class Window:
    """A viewer, how often it has drawn, and the longest time for which it did not answer."""

    def __init__(self, in_background):
        os.environ["NAPARI_ASYNC"] = "1" if in_background else "0"
        import napari

        self.viewer = napari.Viewer(show=True)
        self.viewer.window.resize(1400, 900)
        self.application = napari.qt.get_qapp()
        self.drawn, self.whole, self.longest = 0, 0, 0.0
        self.viewer.window._qt_viewer.canvas._scene_canvas.events.draw.connect(self._count)
        for _ in range(20):
            self.application.processEvents()

    @property
    def loaded(self):
        return all(layer.loaded for layer in self.viewer.layers if layer.visible)

    def _count(self, event):
        self.drawn += 1
        if self.loaded:
            self.whole = self.drawn

    def turn(self):
        before = time.perf_counter()
        self.application.processEvents()
        self.longest = max(self.longest, time.perf_counter() - before)

    def wait_for_picture(self, since=None):
        """Turns the loop until all was drawn with the slices of all layers.

        Args:
            since: How often it had been drawn when somebody asked for the picture; where not given, all is drawn once more.
        """
        if since is None:
            while not self.loaded:
                self.turn()
            since = self.drawn
            self.viewer.window._qt_viewer.canvas._scene_canvas.update()
        end = time.perf_counter() + 60
        while self.whole <= since or not self.loaded:
            self.turn()
            if time.perf_counter() > end:
                raise TimeoutError("no picture after a minute")

    def close(self):
        """Closes the window, once what works beside it is done: else it would tell a window that is gone."""
        from qtpy.QtCore import QThreadPool

        QThreadPool.globalInstance().waitForDone()
        self.application.processEvents()
        self.viewer.close()


def rss_mb():
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def open_in(window, path):
    from barlowtrack.plugin.attached import session_of
    from barlowtrack.plugin.opening import open_run

    before, cpu = time.perf_counter(), time.process_time()
    run = open_run(window.viewer, path)
    window.wait_for_picture()
    print(f"open_run to first picture: {time.perf_counter() - before:.2f} s, {time.process_time() - cpu:.2f} s of processor", flush=True)
    while run is not None and session_of(window.viewer).solution is None:
        window.turn()
    if run is not None:
        window.wait_for_picture()
        print(f"open_run to neurons: {time.perf_counter() - before:.2f} s")


def scrub(window, n, folder, cold):
    last = int(window.viewer.dims.nsteps[0])
    window.longest = 0.0
    before, cpu, first = time.perf_counter(), time.process_time(), window.drawn
    marks = [mark for mark in (50, 200, 2000) if mark <= n]
    for i in range(n):
        if cold and i % DISTINCT == 0:
            forget(folder)
        start, drawn = time.perf_counter(), window.drawn
        window.viewer.dims.set_current_step(0, (1 + i) % last)
        window.longest = max(window.longest, time.perf_counter() - start)
        window.wait_for_picture(drawn)
        if (done := i + 1) in marks:
            took = time.perf_counter() - before
            used = (time.process_time() - cpu) / done
            print(
                f"{done} volumes: {done / took:.1f}/s, {1000 * used:.0f} ms of processor each, resident {rss_mb():.0f} MB, "
                f"longest without an answer {1000 * window.longest:.0f} ms, {(window.drawn - first) / done:.2f} pictures a volume, "
                f"load {os.getloadavg()[0]:.1f}",
                flush=True,
            )


def slow(window, seconds):
    volumes = window.viewer.layers[0].data.volumes
    read = volumes._read
    volumes._read = lambda t: (time.sleep(seconds), read(t))[1]
    window.longest = 0.0
    for t in range(100, 1000, 100):  # jumps: nothing is fetched ahead
        start = time.perf_counter()
        window.viewer.dims.set_current_step(0, t)
        window.longest = max(window.longest, time.perf_counter() - start)
        window.wait_for_picture()
    print(f"volumes that take {seconds} s to read: longest without an answer {1000 * window.longest:.0f} ms")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("make", "open", "scrub", "slow"))
    parser.add_argument("layout", nargs="?", choices=("tiff", "deflate", "zarr", "run"))
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--run", type=Path)
    parser.add_argument("--volumes", type=int, default=200)
    parser.add_argument("--cold", action="store_true")
    parser.add_argument("--sync", action="store_true", help="Slice in the window, as napari does where nobody tells it otherwise.")
    parser.add_argument("--three", action="store_true", help="Scrub in 3-D.")
    given = parser.parse_args()
    if given.what == "make":
        make(given.folder)
        return
    path = given.run if given.layout == "run" else given.folder / given.layout
    window = Window(not given.sync)
    if given.cold:
        forget(given.folder)
    open_in(window, path)
    if given.three:
        window.viewer.dims.ndisplay = 3
        window.wait_for_picture()
    if given.what == "scrub":
        scrub(window, given.volumes, given.folder, given.cold)
    if given.what == "slow":
        slow(window, 0.3)
    window.close()


if __name__ == "__main__":
    main()
