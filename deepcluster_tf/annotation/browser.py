"""A person names the pictures, on a page that this machine alone can open."""

from __future__ import annotations

import io
import logging
import operator
import queue
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import flask
import numpy as np
from PIL import Image
from tqdm.auto import tqdm
from werkzeug.serving import make_server

from deepcluster_tf.annotation import Answer, Question

HOST = "127.0.0.1"


def require_port(port: int) -> None:
    """Refuse a port of this machine that is in use; an OSError says what to do."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise OSError(
                f"port {port} of {HOST} cannot be had: stop what uses it, or give PORT=another from 1024 to 65535"
            ) from error


@dataclass
class _Event:
    """What the page sends: an answer to a question, the undoing of one, or the end of the round."""

    round: str
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
        self.round, self.questions, self.answers = "", [], {}
        self.events, self.lock = queue.Queue(), threading.Lock()
        logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line a request would bury the progress bar
        require_port(port)  # werkzeug would exit
        self.server = make_server(HOST, port, self._app(), threaded=True)
        self.url = f"http://{HOST}:{self.server.port}/"
        tqdm.write(f"the page on which to name pictures is {self.url}", file=sys.stderr)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def annotate(
        self, questions: list[Question], given: dict[tuple[int, str], Answer]
    ) -> Iterator[tuple[Question, Answer | None]]:
        """Show a round, and give every answer on as it comes, until the person finishes the round."""
        with self.lock:  # the round's name is new, so that no tab answers an old one
            self.round, self.questions, self.answers = secrets.token_hex(4), questions, dict(given)
        tqdm.write(f"{len(questions)} pictures wait to be named at {self.url}", file=sys.stderr)
        finished = False
        while not finished:
            event = self.events.get()
            if event.round != self.round:
                continue  # of a round that is over; who sent it is told that it was not kept
            if event.question is not None:
                yield event.question, event.answer  # when the caller comes back, it is on disk
                with self.lock:
                    self.answers.pop(event.question.key, None)
                    if event.answer is not None:
                        self.answers[event.question.key] = event.answer
            elif all(question.key in self.answers for question in self.questions):
                finished = True
                with self.lock:
                    self.round, self.questions, self.answers = "", [], {}
            event.kept.set()

    # ------------------------------------------------------------------ what the page asks for

    def state(self) -> dict:
        """The round as the page shows it."""
        with self.lock:
            return {
                "classes": self.class_names,
                "round": self.round,
                "epoch": self.questions[0].epoch if self.questions else None,
                "order": [cluster for _, cluster in self.answers],
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

    def _send(self, round_: str, question: Question | None, answer: Answer | None) -> bool:
        event = _Event(round_, question, answer)
        self.events.put(event)
        for _ in range(600):
            if event.kept.wait(timeout=0.1):
                return True
            if round_ != self.round:
                break
        return event.kept.is_set()

    def _app(self) -> flask.Flask:
        app = flask.Flask(__name__, static_folder="page", static_url_path="/page")

        @app.before_request
        def only_from_here():
            host = flask.request.host.partition(":")[0]
            if host not in (HOST, "localhost"):  # another name that leads here would let a foreign page in
                flask.abort(403)
            origin = flask.request.headers.get("Origin")
            if origin and urlsplit(origin).netloc != flask.request.host:  # a page of another site
                flask.abort(403)
            if flask.request.method == "POST" and not flask.request.is_json:  # a foreign page can send forms only
                flask.abort(415)

        @app.after_request
        def headers(response):
            response.headers["Content-Security-Policy"] = (
                "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
            )
            response.headers["Cache-Control"] = "no-store"
            return response

        @app.get("/")
        def page():
            return app.send_static_file("page.html")

        @app.get("/state")
        def state():
            return self.state()

        @app.get("/picture/<round_>/<int:i>.png")
        def picture(round_, i):
            return _png(self._question(round_, i).picture)

        @app.get("/nearest/<round_>/<int:i>/<int:j>.png")
        def nearest(round_, i, j):
            images = self._question(round_, i).nearest
            return _png(images[j]) if j < len(images) else flask.abort(404)

        @app.post("/answer")
        def answer():
            said = flask.request.get_json()
            try:
                round_, i = str(said["round"]), operator.index(said["i"])
                answer = (
                    None if said["label"] is None else Answer(operator.index(said["label"]), float(said["confidence"]))
                )
                if answer and answer.label >= len(self.class_names):
                    raise ValueError(f"expected a class below {len(self.class_names)}; received {answer.label}")
            except (KeyError, TypeError, ValueError, OverflowError) as error:
                return {"error": str(error)}, 400
            if round_ != self.round:
                return {"error": "this round is over"}, 409
            sent = self._send(round_, self._question(round_, i), answer)
            return self.state() if sent else ({"error": "it could not be written"}, 503)

        @app.post("/finish")
        def finish():
            said = flask.request.get_json()
            round_ = str(said.get("round")) if isinstance(said, dict) else ""
            if round_ != self.round or not round_:
                return {"error": "this round is over"}, 409
            with self.lock:
                left = sum(question.key not in self.answers for question in self.questions)
            if left:
                return {"error": f"{left} pictures have no answer yet"}, 400
            return self.state() if self._send(round_, None, None) else ({"error": "not finished"}, 503)

        return app

    def _question(self, round_: str, i: int) -> Question:
        with self.lock:
            found = self.questions[i : i + 1] if round_ == self.round and i >= 0 else []
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
