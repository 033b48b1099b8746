"""A person names the pictures, on a page that opens on this machine alone, at an address that holds a secret."""

from __future__ import annotations

import io
import logging
import queue
import reprlib
import secrets
import socket
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from numbers import Integral

import flask
import numpy as np
from PIL import Image
from tqdm.auto import tqdm
from werkzeug.exceptions import HTTPException
from werkzeug.serving import make_server

from deepcluster_tf.annotation import Answer, Question, is_number

HOST = "127.0.0.1"
LONGEST = 1_000_000  # bytes that the page may send; an answer has a hundred
CLOSED = "Open the whole address that the command printed last: it ends in a token, which is new at each start."


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

    Other users of the machine reach 127.0.0.1 too: nothing is answered to who does not send the token in `url`.

    Args:
        class_names: what a picture can be named.
        port: of the page; 0 for any that is free.

    Raises:
        OSError: the port is in use.
    """

    def __init__(self, class_names: tuple[str, ...], port: int = 8765):
        self.class_names = tuple(class_names)
        self.round, self.questions, self.answers = "", [], {}
        self.under_way = None
        self.events, self.lock = queue.Queue(), threading.Lock()
        self.token = secrets.token_urlsafe()
        logging.getLogger("werkzeug").setLevel(logging.CRITICAL)  # a line a request would bury the progress bar
        require_port(port)  # werkzeug would exit
        self.server = make_server(HOST, port, self._app(), threaded=True)
        self.server.handle_error = lambda *_: None  # a request that is no HTTP would bury it in a traceback
        self.url = f"http://{HOST}:{self.server.port}/?token={self.token}"
        tqdm.write(f"the page on which to name pictures is {self.url}", file=sys.stderr)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def close(self) -> None:
        """Stop serving."""
        self.server.shutdown()
        self.server.server_close()

    def training(self, epoch: int, epochs: int, seconds: float | None, first: int = 1) -> None:
        """What the page says while it waits and of its rounds; arguments as `Ledger.training` takes them."""
        self.under_way = {"epoch": epoch, "epochs": epochs, "seconds": seconds, "first": first}

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
                "training": self.under_way,
                "order": [cluster for _, cluster in self.answers],
                "questions": [
                    {
                        "cluster": question.cluster,
                        "size": question.size,
                        "nearest": len(question.nearest),
                        "splits": question.splits,
                        "decoded": question.decoded,
                        "learns": question.learns,
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
        app = flask.Flask(__name__, static_folder="page", static_url_path="/page", template_folder="page")
        _guard(app, self.token)

        @app.get("/")
        def page():
            return flask.render_template("page.html", token=self.token)

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
            round_, i, label, confidence = _said("round", "i", "label", "confidence")
            try:
                answer = None if label is None else Answer(label, confidence)
            except ValueError as error:
                flask.abort(400, str(error))
            if answer and answer.label >= len(self.class_names):
                flask.abort(400, f"expected a class below {len(self.class_names)}; received {reprlib.repr(label)}")
            if not is_number(i, Integral):
                flask.abort(400, f"expected the number of a picture; received {reprlib.repr(i)}")
            self._require_round(round_)
            if not self._send(round_, self._question(round_, i), answer):
                flask.abort(503, "it could not be written")
            return self.state()

        @app.post("/finish")
        def finish():
            (round_,) = _said("round")
            self._require_round(round_)
            with self.lock:
                left = sum(question.key not in self.answers for question in self.questions)
            if left:
                flask.abort(400, f"{left} pictures have no answer yet")
            if not self._send(round_, None, None):
                flask.abort(503, "not finished")
            return self.state()

        return app

    def _require_round(self, round_: str) -> None:
        if not round_ or round_ != self.round:
            flask.abort(409, "this round is over")

    def _question(self, round_: str, i: int) -> Question:
        with self.lock:
            found = self.questions[i : i + 1] if round_ == self.round and i >= 0 else []
        return found[0] if found else flask.abort(404)


def _guard(app: flask.Flask, token: str) -> None:
    """Let in who sends the token, from a page of ours, and tell everybody else in one line why not."""
    app.config["MAX_CONTENT_LENGTH"] = LONGEST

    @app.before_request
    def only_from_the_page():
        request = flask.request
        sent = request.args.get("token", "")
        known = secrets.compare_digest(sent.encode(), token.encode())
        ours = request.host.partition(":")[0].lower() in (HOST, "localhost")  # no other name that leads here
        foreign = request.headers.get("Origin", "") not in ("", f"http://{request.host}")  # a page of another site
        if foreign or not (known and ours):
            return flask.Response(CLOSED, 403, mimetype="text/plain")
        if request.method == "POST" and not request.is_json:  # a foreign page can send forms only
            flask.abort(415)
        return None

    @app.errorhandler(HTTPException)
    def in_one_line(error):
        response = error.get_response()
        response.data, response.mimetype = flask.json.dumps({"error": error.description}), "application/json"
        return response

    @app.after_request
    def headers(response):
        response.headers["Content-Security-Policy"] = "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'"
        response.headers["Cache-Control"] = "no-store"
        return response


def _said(*names: str) -> list:
    """What the page sent under these names."""
    try:
        said = flask.request.get_json(silent=True)
    except (RecursionError, OSError):  # nested too deeply, or broken off on its way
        said = None
    if not isinstance(said, dict) or not set(names) <= set(said):
        flask.abort(400, f"expected a JSON object with {', '.join(names)}")
    return [said[name] for name in names]


def _plain(answer: Answer | None) -> dict | None:
    return None if answer is None else {"label": answer.label, "confidence": answer.confidence}


def _png(image: np.ndarray) -> flask.Response:
    """A picture as PNG; floats are in 0..1."""
    if image.dtype != np.uint8:
        image = np.uint8(np.round(255 * np.clip(image, 0, 1)))
    file = io.BytesIO()
    Image.fromarray(image.squeeze(-1) if image.shape[-1] == 1 else image).save(file, "PNG")
    return flask.Response(file.getvalue(), mimetype="image/png")
