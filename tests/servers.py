"""Servers for tests: one that answers only what is signed, and stops answering when it is told to."""

import functools
import gc
import http.server
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def signed_server(folder: Path, query: str, refuses: Callable[[str], bool] = lambda _name: False) -> Iterator[str]:
    """Serves a folder on this machine.

    Args:
        folder: What is served.
        query: Behind the question mark of what is answered, and of nothing else.
        refuses: Says of the name of a file whether it is not answered all the same.

    Yields:
        The address of the folder, without the query.
    """

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            name, _, said = self.path.partition("?")
            if said == query and not refuses(name):
                super().do_GET()
            else:
                self.send_error(403)

        def do_HEAD(self) -> None:
            self.do_GET()

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder))) as running:
        threading.Thread(target=running.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{running.server_port}"
        running.shutdown()
    with warnings.catch_warnings():  # zarr and fsspec leave their sessions to the collector, which complains of it in any later test
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()
