"""A person names the pictures, on a page that this machine alone can open."""

from __future__ import annotations

import io
import logging
import queue
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

import flask
import numpy as np
from PIL import Image
from werkzeug.serving import make_server

from deepcluster_tf.annotation import Answer, Question

HOST = "127.0.0.1"


@dataclass
class _Event:
    """What the page sends: an answer to a question, the undoing of one, or the end of the round."""

    question: Question | None
    answer: Answer | None
    kept: threading.Event = field(default_factory=threading.Event)


class Browser:
    """Serves a page on 127.0.0.1, one round of questions after each epoch; it stays open while training goes on.

    Args:
        class_names: what a picture can be named.
        port: of the page; 0 for any that is free.

    Raises:
        OSError: the port is in use.
    """

    def __init__(self, class_names: tuple[str, ...], port: int = 8765):
        self.class_names = tuple(class_names)
        self.questions, self.answers = [], {}
        self.events, self.lock = queue.Queue(), threading.Lock()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request would bury the progress bar
        try:
            self.server = make_server(HOST, port, self._app(), threaded=True)
        except (OSError, SystemExit) as error:  # werkzeug exits where the port is taken
            raise OSError(f"port {port} of {HOST} is in use: stop what uses it, or give PORT=another") from error
        self.url = f"http://{HOST}:{self.server.port}/"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def annotate(
        self, questions: list[Question], given: dict[tuple[int, str], Answer]
    ) -> Iterator[tuple[Question, Answer | None]]:
        """Show a round, and give every answer on as it comes, until the person finishes the round."""
        with self.lock:
            self.questions, self.answers = questions, dict(given)
        print(f"{len(questions)} pictures wait to be named at {self.url}", file=sys.stderr, flush=True)
        while True:
            event = self.events.get()
            if event.question is not None:
                yield event.question, event.answer  # when the caller comes back, it is on disk
                with self.lock:
                    self.answers.pop(event.question.key, None)
                    if event.answer is not None:
                        self.answers[event.question.key] = event.answer
            finished = event.question is None and len(self.answers) == len(self.questions)
            if finished:
                with self.lock:
                    self.questions, self.answers = [], {}
            event.kept.set()
            if finished:
                return

    # ------------------------------------------------------------------ what the page asks for

    def state(self) -> dict:
        """The round as the page shows it."""
        with self.lock:
            return {
                "classes": self.class_names,
                "epoch": self.questions[0].epoch if self.questions else None,
                "questions": [
                    {
                        "cluster": question.cluster,
                        "size": question.size,
                        "nearest": len(question.nearest),
                        "splits": question.splits,
                        "answer": _plain(self.answers.get(question.key)),
                    }
                    for question in self.questions
                ],
            }

    def _send(self, question: Question | None, answer: Answer | None) -> bool:
        event = _Event(question, answer)
        self.events.put(event)
        return event.kept.wait(timeout=60)

    def _app(self) -> flask.Flask:
        app = flask.Flask(__name__, static_folder="page", static_url_path="/page")

        @app.before_request
        def only_from_here():
            host = flask.request.host.rpartition(":")[0]
            if host not in (HOST, "localhost"):  # another name that leads here would let a foreign page in
                flask.abort(403)
            if flask.request.method == "POST" and not flask.request.is_json:  # a foreign page can send forms only
                flask.abort(415)

        @app.after_request
        def headers(response):
            response.headers["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:"
            response.headers["Cache-Control"] = "no-store"
            return response

        @app.get("/")
        def page():
            return app.send_static_file("page.html")

        @app.get("/state")
        def state():
            return self.state()

        @app.get("/picture/<int:epoch>/<cluster>.png")
        def picture(epoch, cluster):
            return _png(self._question(epoch, cluster).picture)

        @app.get("/nearest/<int:epoch>/<cluster>/<int:i>.png")
        def nearest(epoch, cluster, i):
            images = self._question(epoch, cluster).nearest
            return _png(images[i]) if i < len(images) else flask.abort(404)

        @app.post("/answer")
        def answer():
            said = flask.request.get_json()
            try:
                question = self._question(int(said["epoch"]), str(said["cluster"]))
                answer = None if said["label"] is None else Answer(int(said["label"]), float(said["confidence"]))
                if answer and answer.label >= len(self.class_names):
                    raise ValueError(f"expected a class below {len(self.class_names)}; received {answer.label}")
            except (KeyError, TypeError, ValueError) as error:
                return {"error": str(error)}, 400
            return self.state() if self._send(question, answer) else ({"error": "not saved"}, 503)

        @app.post("/finish")
        def finish():
            with self.lock:
                left = len(self.questions) - len(self.answers)
            if left or not self.questions:
                return {"error": f"{left} pictures have no answer yet"}, 400
            return self.state() if self._send(None, None) else ({"error": "not finished"}, 503)

        return app

    def _question(self, epoch: int, cluster: str) -> Question:
        with self.lock:
            found = [question for question in self.questions if question.key == (epoch, cluster)]
        return found[0] if found else flask.abort(404)


def _plain(answer: Answer | None) -> dict | None:
    return None if answer is None else {"label": answer.label, "confidence": answer.confidence}


def _png(image: np.ndarray) -> flask.Response:
    """A picture as PNG; floats are in 0..1."""
    if image.dtype != np.uint8:
        image = np.uint8(np.round(255 * np.clip(image, 0, 1)))
    file = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "PNG")
    return flask.Response(file.getvalue(), mimetype="image/png")
