"""Annotators: answers survive, files repeat them, the page serves and refuses, the reader reads."""

import dataclasses
import functools
import http.client
import io
import json
import re
import socket
import threading
import time

import numpy as np
import pytest
from PIL import Image

from deepcluster_tf.annotation import Answer, Question
from deepcluster_tf.annotation.browser import Browser
from deepcluster_tf.annotation.file import File
from deepcluster_tf.annotation.ledger import Ledger, read_answers
from deepcluster_tf.annotation.reader import Reader

NAMES = ("cat", "dog", "a, b")


def question(cluster, epoch=1, size=10, picture=None):
    picture = np.full((4, 4, 1), 0.5, np.float32) if picture is None else picture
    return Question(epoch, cluster, picture, np.zeros((2, 4, 4, 1), np.uint8), size, True)


class Script:
    """Says what it is told to, and counts."""

    def __init__(self, *said):
        self.said, self.given = said, None

    def annotate(self, questions, given):
        self.given = given
        by_name = {q.cluster: q for q in questions}
        for name, answer in self.said:
            yield by_name[name], answer


def test_answers_are_on_disk_at_once_and_are_not_asked_again(tmp_path):
    path = tmp_path / "work" / "annotations.csv"
    asked = [question("0"), question("1"), question("1_2")]

    class Dies(Script):
        def annotate(self, questions, given):
            yield questions[0], Answer(2, 0.25)
            yield questions[1], Answer(-1)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Ledger(Dies(), NAMES, path).ask(asked)
    assert [line.rpartition(",")[0] for line in path.read_text().splitlines()] == [
        "epoch,cluster,size,label,confidence", '1,0,10,"a, b",0.25', "1,1,10,,1.0",
    ]  # fmt: skip
    rest = Script(("1_2", Answer(0, 0.5)))
    ledger = Ledger(rest, NAMES, path)
    assert ledger.ask(asked) == [Answer(2, 0.25), Answer(-1), Answer(0, 0.5)]
    assert rest.given == {(1, "0"): Answer(2, 0.25), (1, "1"): Answer(-1)}
    assert ledger.shown(1) == 3 and ledger.shown(0) == 0
    nobody = Ledger(None, NAMES, path)
    assert nobody.ask(asked)[2] == Answer(0, 0.5)
    assert nobody.answers(1)["1_2"] == Answer(0, 0.5)


def test_answers_to_other_pictures_are_kept_apart_and_asked_again(tmp_path):
    """A cluster of the same number after another training is another cluster."""
    path = tmp_path / "annotations.csv"
    first = [question("0"), question("1"), question("0", epoch=2)]
    ledger = Ledger(Script(("0", Answer(0)), ("1", Answer(1))), NAMES, path)
    ledger.ask(first[:2])
    Ledger(Script(("0", Answer(2))), NAMES, path).ask(first[2:])
    other = [question("0", picture=np.zeros((4, 4, 1), np.float32)), question("1")]
    again = Script(("0", Answer(1)))
    with pytest.warns(UserWarning, match="not those that were named before .* 2 answers are kept in .*-before-1.csv"):
        assert Ledger(again, NAMES, path).ask(other) == [Answer(1), Answer(1)]
    assert again.given == {(1, "1"): Answer(1)}  # whose picture is the same
    assert len(read_answers(tmp_path / "annotations-before-1.csv")) == 2 and len(read_answers(path)) == 2
    assert Ledger(None, NAMES, path).ask(other) == [Answer(1), Answer(1)]
    with pytest.warns(UserWarning, match="2 answers are kept"), pytest.raises(ValueError, match="was not answered"):
        Ledger(Script(), NAMES, path).ask([question(name, size=3, picture=other[0].picture + 1) for name in "01"])
    assert read_answers(path) == {}  # before anybody answers anew


def test_other_parts_of_a_cluster_leave_the_cluster_its_answer(tmp_path):
    """Only what was shown otherwise is asked again, with its own parts and what came after."""
    path = tmp_path / "annotations.csv"
    ledger = Ledger(Script(("0", Answer(-1)), ("1", Answer(1))), NAMES, path)
    ledger.ask([question("0"), question("1")])
    ledger.annotator = Script(("0_0", Answer(-1)), ("0_1", Answer(2)))
    ledger.ask([question("0_0"), question("0_1")])
    ledger.annotator = Script(("0_0_0", Answer(0)))
    ledger.ask([question("0_0_0")])
    resumed = Ledger(Script(("0_0", Answer(1))), NAMES, path)
    with pytest.warns(UserWarning, match="2 answers are kept"):
        resumed.ask([question("0_0", picture=np.zeros((4, 4, 1), np.float32)), question("0_1")])
    assert [cluster for _, cluster in read_answers(path)] == ["0", "1", "0_1", "0_0"]
    assert resumed.shown(1) == 4


def test_labels_that_are_numbers_and_files_of_spreadsheets(tmp_path):
    path = tmp_path / "answers.json"
    row = {"epoch": 1, "cluster": "0", "size": 3, "label": 0, "confidence": 1}
    path.write_text(json.dumps([row, {**row, "cluster": "1", "label": None}]))
    assert [said["label"] for said in read_answers(path).values()] == ["0", ""]
    path.write_text(json.dumps([row, row]))
    with pytest.raises(ValueError, match="answers a cluster twice"):
        read_answers(path)
    path.write_text(json.dumps([{**row, "confidence": 80}]))
    with pytest.raises(ValueError, match="answers.json is no file of answers .*a confidence in 0..1"):
        read_answers(path)
    sheet = tmp_path / "answers.csv"
    sheet.write_text("\ufeffepoch,cluster,size,label,confidence\n1,0_1,3,cat,1\n")
    assert list(read_answers(sheet)) == [(1, "0_1")]


def test_a_later_answer_counts_and_one_can_be_taken_back(tmp_path):
    path = tmp_path / "annotations.csv"
    said = Script(("0", Answer(0)), ("0", Answer(1)), ("1", Answer(0)), ("1", None), ("1", Answer(-1)))
    assert Ledger(said, NAMES, path).ask([question("0"), question("1")]) == [Answer(1), Answer(-1)]
    with pytest.raises(ValueError, match="cluster 1 of epoch 1 was not answered"):
        Ledger(Script(("0", Answer(0)), ("1", Answer(0)), ("1", None)), NAMES).ask([question("0"), question("1")])


@pytest.mark.parametrize(
    "bad",
    [
        {"label": 3.5}, {"label": -2}, {"label": True}, {"label": np.True_}, {"label": "1"}, {"label": None},
        {"label": 0, "confidence": 1.5}, {"label": 0, "confidence": True}, {"label": 0, "confidence": float("nan")},
        {"label": 0, "confidence": "1"}, {"label": 0, "confidence": None}, {"label": 0, "confidence": 10**400},
    ],
)  # fmt: skip
def test_an_impossible_answer_is_refused(bad):
    with pytest.raises(ValueError, match="a class or -1, and a confidence in 0..1"):
        Answer(**bad)


@pytest.mark.parametrize("kind", ["csv", "json"])
def test_a_file_repeats_a_run(tmp_path, kind):
    path = tmp_path / f"answers.{kind}"
    rows = [
        {"epoch": 1, "cluster": "0", "size": 10, "label": "dog", "confidence": 0.9},
        {"epoch": 1, "cluster": "0_1", "size": 10, "label": "", "confidence": 1},
    ]
    if kind == "json":
        path.write_text(json.dumps(rows))
    else:
        path.write_text("epoch,cluster,size,label,confidence\n1,0,10,dog,0.9\n1,0_1,10,,1\n")
    file = File(path, NAMES)
    assert Ledger(file, NAMES).ask([question("0"), question("0_1")]) == [Answer(1, 0.9), Answer(-1, 1)]
    assert file.notices({(1, "0"): {"size": 10, "picture": "x"}}) == []
    with pytest.warns(UserWarning, match="had 10 images when it was named, here it has 12, or shows another"):
        Ledger(file, NAMES).ask([question("0", size=12)])
    assert len(file.notices({(1, "0"): {"size": 12, "picture": "x"}, (1, "0_1"): {"size": 10, "picture": ""}})) == 1
    file.rows[1, "0"]["picture"] = "another"
    with pytest.warns(UserWarning, match="or shows another picture: this is no exact repetition"):
        Ledger(file, NAMES).ask([question("0")])
    with pytest.raises(ValueError, match="has no answer for cluster 0 after epoch 2"):
        Ledger(file, NAMES).ask([question("0", epoch=2)])
    with pytest.raises(ValueError, match="no class is named 'dog': expected one of 0, 1, or nothing"):
        File(path, ("0", "1"))


@pytest.mark.parametrize("text", ["", "long", "a,b\n1,2\n", "epoch,cluster,size,label,confidence\nx,0,1,cat,1\n"])
def test_a_file_that_is_none_is_refused(tmp_path, text):
    path = tmp_path / "answers.csv"
    path.write_text(text)
    if text == "long":  # a field that the csv module does not read
        path.write_text("epoch,cluster\n1," + "0" * 140_000)
    if not text:
        assert read_answers(path) == {}  # nothing is answered yet
        path = tmp_path / "missing.csv"
    with pytest.raises(ValueError, match=f"{path} is no file of answers .*: expected CSV or JSON with epoch, cluster"):
        read_answers(path)


GOOD = """epoch,cluster,size,label,confidence,picture
1,0,10,cat,0.25,00c0ffee
1,1,20,"a, b",1.0,0123abcd
1,1_2,15,,1e-05,
2,image 512,1,dog,0.5,9f9f9f9f
"""


def refusal(path):
    """What both readers of a file say of a damaged one, which stays as it is."""
    before, said = path.read_bytes(), []
    for reader in (lambda: File(path, NAMES), lambda: Ledger(None, NAMES, path)):
        with pytest.raises(ValueError) as caught:
            reader()
        said.append(str(caught.value))
    assert path.read_bytes() == before and said[0] == said[1] and "\n" not in said[0] and len(said[0]) < 500
    assert said[0].startswith(f"{path} is no file of answers (")
    return said[0]


@pytest.mark.parametrize(
    ("old", "new", "what"),
    [
        ("1,0,10,cat,0.25,00c0ffee\n", "1,0,10,cat\n", "line 2: expected a value for each of epoch, cluster,"),
        ("00c0ffee", "00c0ffee,x", "line 2: expected a value for each"),
        ('"a, b"', "a, b", "line 3: expected a value for each"),
        ('"a, b"', '"a, b', "line 5: unexpected end of data"),
        ('"a, b"', '"a, b"c', "line 3: ',' expected after '\"'"),
        ("9f9f9f9f\n", "9f9f", "line 5: there is no picture '9f9f'"),
        ("epoch,", "", "line 1: expected the columns epoch, cluster, size, label, confidence, picture; received "),
        ("picture", "photo", "line 1: expected the columns"),
        ("size", "epoch", "line 1: expected the columns"),
        ("\n", "", "line 1: expected the columns"),
        (GOOD, "hello\n", "line 1: expected the columns"),
        (",", ";", "line 1: expected the columns"),
        ("15", "1_5", "line 4: expected a whole number as size; received '1_5'"),
        ("15", "15.0", "line 4: expected a whole number as size"),
        ("2,im", "-2,im", "line 5: expected a whole number as epoch"),
        ("2,im", "9" * 9000 + ",im", "line 5: expected a whole number as epoch"),
        ("1_2", "1-2", "line 4: there is no cluster '1-2'"),
        ("1_2", "", "line 4: there is no cluster ''"),
        ("cat", "Cat", "line 2: no class is named 'Cat': expected one of cat, dog"),
        ("cat", "7", "line 2: no class is named '7'"),
        ("cat", "c" * 9000, "line 2: no class is named 'ccc"),
        ("0.25", "25", "line 2: an answer is a class or -1, and a confidence in 0..1; received -1 and 25.0"),
        ("0.25", "1e999", "line 2: an answer is a class"),
        ("0.25", "nan", "line 2: an answer is a class"),
        ("0.25", "0_1", "line 2: an answer is a class"),
        ("0.25", "0" * 140_000, "line 2: field larger than field limit"),
        ("2,image 512,", "1,0,", "line 5: it answers a cluster twice: expected one row for each epoch and cluster"),
        ("dog", "d\udcffg", "line 5 is no UTF-8"),
    ],
)
def test_a_damaged_file_is_refused_by_line_and_left_as_it_is(tmp_path, old, new, what):
    path = tmp_path / "annotations.csv"
    path.write_text(GOOD)
    assert [row["label"] for row in Ledger(None, NAMES, path).rows.values()] == ["cat", "a, b", "", "dog"]
    path.write_bytes(GOOD.replace(old, new).encode(errors="surrogateescape"))
    assert what in refusal(path)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("[" * 100_000, "recursion"), ('{"epoch": 1}', "holds no list"), ("7", "holds no list"), ("[7", "Expecting"),
        ("[7]", "answer 1: expected an object; received 7"), ("[{}]", "answer 1: expected the columns"),
        ("[" + "9" * 5000 + "]", "digits"),
    ],
)  # fmt: skip
def test_json_that_is_no_list_of_answers_is_refused(tmp_path, text, what):
    path = tmp_path / "answers.json"
    path.write_text(text)
    assert what in refusal(path)


@pytest.mark.parametrize(
    "bad",
    [
        {"epoch": True}, {"epoch": 1.0}, {"size": True}, {"size": 3.7}, {"size": None}, {"confidence": True},
        {"confidence": None}, {"confidence": [1]}, {"cluster": None}, {"label": 3}, {"label": ["cat"]}, {"label": True},
        {"picture": 7}, {"note": "x"},
    ],
)  # fmt: skip
def test_json_of_other_types_is_refused(tmp_path, bad):
    path = tmp_path / "answers.json"
    row = {"epoch": 1, "cluster": "0", "size": 3, "label": "cat", "confidence": 1}
    path.write_text(json.dumps([row]))
    assert File(path, NAMES).answers == {(1, "0"): Answer(0, 1)}
    path.write_text(json.dumps([row, {**row, "cluster": "1", **bad}]))
    assert "(answer 2: " in refusal(path)


def mutated(content, kind, random):
    """Bytes flipped, put in, cut and doubled; a line doubled or taken out."""
    lines = content.splitlines(keepends=True)
    (at, end), line = np.sort(random.integers(0, len(content), 2)), random.integers(1, len(lines))
    return (
        content[:at] + random.bytes(1) + content[at + 1 :],
        content[:at] + random.bytes(3) + content[at:],
        content[:at] + random.choice(list('",;0_.- ')).encode() + content[at:],
        content[:at],
        content[:at] + content[end:],
        content[:end] + content[at:],
        b"".join([*lines, lines[line]]),
        b"".join([*lines[:line], *lines[line + 1 :]]),
    )[kind]


@pytest.mark.parametrize("kind", range(8))
def test_a_mutation_of_a_file_is_read_whole_or_refused(tmp_path, kind):
    """One line that names the file and the line, or as many answers as there are lines."""
    random, path, refused = np.random.default_rng(kind), tmp_path / "annotations.csv", 0
    for _ in range(60):
        content = mutated(GOOD.encode(), kind, random)
        path.write_bytes(content)
        try:
            rows = Ledger(None, NAMES, path).rows
        except ValueError:
            assert re.search(r"\(line \d+", refusal(path))
            refused += 1
        else:
            assert len(rows) == max(len(content.decode().splitlines()) - 1, 0)
            assert {row["label"] for row in rows.values()} <= {"", *NAMES}
    assert refused == {6: 60, 7: 0}.get(kind, refused) and (refused > 25 or kind == 7)


# ---------------------------------------------------------------------- the page


@pytest.fixture
def browser():
    browser = Browser(NAMES, port=0)
    yield browser
    browser.close()


@pytest.fixture
def client(browser):
    client = browser._app().test_client()
    client.open = functools.partial(client.open, query_string={"token": browser.token})
    return client


def start(browser, questions, given=None):
    """Let the browser ask in a thread of its own; returns the list that its answers come in."""
    came = []
    thread = threading.Thread(target=lambda: came.extend(browser.annotate(questions, given or {})), daemon=True)
    thread.start()
    for _ in range(500):
        if browser.questions:
            return came, thread
        thread.join(0.01)
    raise AssertionError("no round began")


HERE = {"Host": "127.0.0.1:1"}


def post(client, path, **said):
    return client.post(path, json=said, headers=HERE)


def test_a_round_on_the_page(browser, client):
    state = client.get("/state", headers=HERE).json
    assert state == {"classes": list(NAMES), "round": "", "epoch": None, "training": None, "order": [], "questions": []}
    came, thread = start(browser, [question("0"), question("1")], {(1, "1"): Answer(0, 0.5)})
    state = client.get("/state", headers=HERE).json
    assert state["epoch"] == 1 and [q["answer"] for q in state["questions"]] == [None, {"label": 0, "confidence": 0.5}]
    name = {"round": state["round"]}
    refused = post(client, "/finish", **name)
    assert refused.status_code == 400 and refused.json["error"] == "1 pictures have no answer yet"
    state = post(client, "/answer", **name, i=0, label=2, confidence=0.75).json
    assert state["questions"][0]["answer"] == {"label": 2, "confidence": 0.75} and state["order"] == ["1", "0"]
    state = post(client, "/answer", **name, i=0, label=None, confidence=None).json
    assert state["questions"][0]["answer"] is None and state["order"] == ["1"]
    post(client, "/answer", **name, i=0, label=-1, confidence=1)
    assert post(client, "/finish", **name).json["questions"] == []
    thread.join(5)
    assert [(q.cluster, answer) for q, answer in came] == [("0", Answer(2, 0.75)), ("0", None), ("0", Answer(-1, 1.0))]


def test_an_answer_is_told_as_kept_when_whoever_takes_it_has_kept_it(browser):
    asked, told = question("0"), []
    taken = browser.annotate([asked], {})

    def page():
        while not browser.round:
            time.sleep(0.01)
        told.append(browser._send(browser.round, asked, Answer(1)))

    sends = threading.Thread(target=page, daemon=True)
    sends.start()
    assert next(taken) == (asked, Answer(1))  # and here it would be written
    sends.join(0.3)
    assert told == []
    threading.Thread(target=lambda: list(taken), daemon=True).start()
    sends.join(5)
    assert told == [True] and browser._send(browser.round, None, None)


def test_a_round_with_an_open_question_goes_on(browser):
    came, thread = start(browser, [question("0")])
    assert browser._send(browser.round, None, None)  # past the page, which would not send it
    assert thread.is_alive() and browser.questions
    browser._send(browser.round, question("0"), Answer(0))
    browser._send(browser.round, None, None)
    thread.join(5)
    assert not thread.is_alive()


def test_an_answer_to_a_round_that_is_over_reaches_nothing(browser, client):
    """Two tabs: one finishes, and what the other still shows is refused, also when it was on its way."""
    came, thread = start(browser, [question("0")])
    old = browser.round
    post(client, "/answer", round=old, i=0, label=1, confidence=1)
    post(client, "/finish", round=old)
    thread.join(5)
    late = post(client, "/answer", round=old, i=0, label=0, confidence=1)
    assert late.status_code == 409 and late.json["error"] == "this round is over"
    assert post(client, "/finish", round=old).status_code == post(client, "/finish", round="").status_code == 409
    assert not browser._send(old, question("0"), Answer(0))  # it lies in the queue when the next round begins
    came, thread = start(browser, [question("0", epoch=2)])
    post(client, "/answer", round=browser.round, i=0, label=2, confidence=1)
    post(client, "/finish", round=browser.round)
    thread.join(5)
    assert [(q.key, answer) for q, answer in came] == [((2, "0"), Answer(2, 1.0))]


@pytest.mark.parametrize(
    "said",
    [
        {"label": 3}, {"label": "x"}, {"label": 0, "confidence": 7}, {"i": 0}, {"i": 1e400, "label": 0}, {"label": 1.5},
        {"label": True}, {"label": 0, "confidence": True}, {"label": 0, "confidence": float("nan")}, {"label": [0]},
        {"label": 0, "confidence": "1"}, {"label": 0, "confidence": None}, {"label": 0, "confidence": float("inf")},
        {"label": 0, "i": True}, {"label": 0, "i": "0"}, {"label": 0, "i": None}, {"label": 0, "i": 0.0},
        {"label": 10**4000}, {"label": "\n" * 400_000},
    ],
)  # fmt: skip
def test_the_page_refuses_what_is_no_answer(browser, client, said):
    start(browser, [question("0")])
    response = post(client, "/answer", **{"round": browser.round, "i": 0, "confidence": 1, **said})
    assert response.status_code == 400 and "\n" not in response.json["error"] and len(response.json["error"]) < 200
    assert client.get("/state", headers=HERE).json["questions"][0]["answer"] is None


def test_the_page_is_for_this_machine_alone(browser, client):
    assert browser.server.host == "127.0.0.1"
    assert client.get("/state", headers={"Host": "evil.example:80"}).status_code == 403
    assert client.get("/state", headers={"Host": "127.0.0.1"}).status_code == 200
    assert client.post("/finish", data={"a": 1}, headers=HERE).status_code == 415
    mine, foreign = ({**HERE, "Origin": origin} for origin in ("http://127.0.0.1:1", "http://evil.example"))
    assert client.post("/finish", json={"round": ""}, headers=foreign).status_code == 403
    assert client.post("/finish", json={"round": ""}, headers=mine).status_code == 409
    assert client.get("/", headers=HERE).headers["Content-Security-Policy"].startswith("default-src 'self'")
    assert client.get("/page/page.js", headers=HERE).status_code == 200
    with pytest.raises(OSError, match="cannot be had: stop what uses it, or give PORT=another"):
        Browser(NAMES, port=browser.server.port)


@pytest.mark.parametrize("path", ["/answer", "/finish"])
@pytest.mark.parametrize(
    "body",
    [
        b"", b"null", b"[1]", b'"x"', b"7", b"{}", b"{", b"[" * 100_000, b'{"round":' * 100_000, b"\xff\xfe\xfd",
        b'{"round": ' + b"9" * 5000 + b"}", b'{"label": 0}',
    ],
)  # fmt: skip
def test_a_body_that_is_no_answer_is_refused(browser, client, caplog, path, body):
    start(browser, [question("0")])
    response = client.post(path, data=body, headers=HERE, content_type="application/json")
    assert response.status_code == 400 and response.json["error"].startswith("expected a JSON object with round")
    assert caplog.records == []


def test_a_body_of_more_than_a_megabyte_is_refused(browser, client):
    start(browser, [question("0")])
    said = json.dumps({"round": browser.round, "i": 0, "label": 0, "confidence": 1})
    how = {"headers": HERE, "content_type": "application/json"}
    refused = client.post("/answer", data=said.ljust(1_000_001), **how)
    assert refused.status_code == 413 and "error" in refused.json
    assert client.get("/state", headers=HERE).json["order"] == []
    assert client.post("/answer", data=said.ljust(1_000_000), **how).status_code == 200


def test_without_the_token_nothing_is_answered(browser, client):
    """Other users of the machine reach the port, too, and a tab of the command's last start has another token."""
    start(browser, [question("0")])
    other = Browser(NAMES, port=0)
    other.close()
    assert browser.url == f"http://127.0.0.1:{browser.server.port}/?token={browser.token}" and len(browser.token) > 40
    name = browser.round
    pages = ["/", "/state", "/page/page.js", "/page/page.css", f"/picture/{name}/0.png", f"/nearest/{name}/0/0.png"]
    said = {"round": name, "i": 0, "label": 0, "confidence": 1}
    for token in ("", other.token, browser.token[:-1], f"{browser.token}0", "\u00e9", "%ff"):
        query = {"headers": HERE, "query_string": {"token": token} if token else ""}
        for path in (*pages, "/nothing"):
            assert client.get(path, **query).status_code == 403
        for path in ("/answer", "/finish"):
            refused = client.post(path, json=said, **query)
            assert refused.status_code == 403 and refused.mimetype == "text/plain"
            assert re.fullmatch("Open the whole address that the command printed last.*", refused.text)
        assert client.options("/state", **query).status_code == client.head("/", **query).status_code == 403
    assert client.get("/state", headers=HERE).json["questions"][0]["answer"] is None
    assert [client.get(path, headers=HERE).status_code for path in pages] == [200] * len(pages)
    links = re.findall(r'(?:href|src)="(/[^"]*)"', client.get("/", headers=HERE).text)
    assert len(links) == 2 and all(link.endswith(f"?token={browser.token}") for link in links)


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("LOCALHOST:1", 200), ("localhost", 200), ("127.0.0.1", 200), ("localhost.evil.example", 403), ("[::1]:1", 403),
        ("[::1", 403), ("127.0.0.1@evil.example", 403), ("localhost.", 403), ("127.0.0.1.evil.example:1", 403),
    ],
)  # fmt: skip
def test_the_page_has_no_other_name(client, host, code):
    assert client.get("/state", headers={"Host": host}).status_code == code


@pytest.mark.parametrize("origin", ["null", "http://[evil", "http://127.0.0.1:2", "https://127.0.0.1:1", "x"])
def test_pages_of_other_sites_are_refused(client, origin):
    assert client.post("/finish", json={"round": "x"}, headers={**HERE, "Origin": origin}).status_code == 403


def test_other_methods_and_other_paths(browser, client):
    start(browser, [question("0")])
    assert set(client.options("/answer", headers=HERE).allow) == {"OPTIONS", "POST"}
    assert client.head("/state", headers=HERE).data == b""
    for path, method in (("/answer", "GET"), ("/state", "POST"), ("/state", "DELETE"), ("/", "PUT"), ("/", "TRACE")):
        refused = client.open(path, method=method, headers=HERE, content_type="application/json")
        assert refused.status_code == 405 and "error" in refused.json and refused.headers["Allow"]
    for path in ("../browser.py", "%2e%2e/browser.py", "..%2f__init__.py", "%00", "a" * 5000, "", "%ff"):
        assert client.get(f"/page/{path}", headers=HERE).status_code == 404
    for i in ("-1", "1", "9" * 5000, "x", "0.5"):
        assert client.get(f"/picture/{browser.round}/{i}.png", headers=HERE).status_code == 404
    for i in (-1, 1, 10**30):
        assert post(client, "/answer", round=browser.round, i=i, label=0, confidence=1).status_code == 404


def test_what_is_no_http_leaves_the_server_and_the_terminal_alone(browser, capfd):
    start(browser, [question("0")])
    port, query = browser.server.port, f"?token={browser.token}"
    post_ = f"POST /answer{query} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n".encode()
    answers = []
    for sent in (
        b"\x16\x03\x01\r\n\r\n", b"", b"GET http://[evil HTTP/1.1\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n",
        b"GET /" + b"a" * 70_000, b"GET / HTTP/1.1\r\n" + b"a: b\r\n" * 200 + b"\r\n",
        post_ + b"Content-Length: 500\r\n\r\n{}", post_ + b"Content-Length: 1\r\n\r\n{}",
        post_ + b"Content-Length: -1\r\n\r\n{}", post_ + b"Content-Length: x\r\n\r\n{}",
        post_ + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n{}", post_ + b"Transfer-Encoding: chunked\r\n\r\n50\r\n{}",
        post_ + b"Transfer-Encoding: chunked\r\n\r\n200000\r\n" + b" " * 0x200000 + b"\r\n0\r\n\r\n",
    ):  # fmt: skip
        with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            answers.append(connection.makefile("rb").read())
    assert [answer.split(b" ")[1] for answer in answers[6:]] == [b"400"] * 7
    here = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    here.request("GET", f"/state{query}")
    assert here.getresponse().status == 200
    assert re.fullmatch("1 pictures wait to be named at .*\n", capfd.readouterr().err)


def test_many_answers_at_once_are_all_kept(browser):
    asked = [question(str(i)) for i in range(40)]
    came, thread = start(browser, asked)
    codes = []

    def tab(i):
        here = http.client.HTTPConnection("127.0.0.1", browser.server.port, timeout=30)
        said = json.dumps({"round": browser.round, "i": i, "label": i % 3, "confidence": 1})
        here.request("POST", f"/answer?token={browser.token}", said, {"Content-Type": "application/json"})
        codes.append(here.getresponse().status)

    tabs = [threading.Thread(target=tab, args=(i,)) for i in range(40)]
    for one in tabs:
        one.start()
    for one in tabs:
        one.join(30)
    assert codes == [200] * 40
    assert browser._send(browser.round, None, None)
    thread.join(5)
    assert {q.cluster: answer.label for q, answer in came} == {str(i): i % 3 for i in range(40)} and len(came) == 40


def test_pictures_are_served(browser, client):
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4, 1)
    near = np.stack([np.zeros((4, 4, 1), np.uint8), np.full((4, 4, 1), 200, np.uint8)])
    start(browser, [dataclasses.replace(question("0", picture=ramp), nearest=near)])
    name = browser.round
    served = np.array(Image.open(io.BytesIO(client.get(f"/picture/{name}/0.png", headers=HERE).data)))
    np.testing.assert_array_equal(served, np.round(255 * ramp[..., 0]))
    for j in (0, 1):
        served = np.array(Image.open(io.BytesIO(client.get(f"/nearest/{name}/0/{j}.png", headers=HERE).data)))
        np.testing.assert_array_equal(served, near[j, ..., 0])
    for missing in (f"/nearest/{name}/0/2.png", f"/picture/{name}/7.png", "/picture/other/0.png", "/picture//0.png"):
        assert client.get(missing, headers=HERE).status_code == 404


def test_pictures_in_colour_are_served(browser, client):
    start(browser, [question("0", picture=np.full((4, 4, 3), 0.5, np.float32))])
    served = Image.open(io.BytesIO(client.get(f"/picture/{browser.round}/0.png", headers=HERE).data))
    assert served.mode == "RGB"


# ---------------------------------------------------------------------- the reader


def test_reader_reads_and_knows_when_it_cannot(digits):
    reader = Reader(10, steps=600).fit(digits.images[:1200], digits.labels[:1200], progress=False)
    classes, confidences = reader.read(digits.images[1500:])
    assert np.mean(classes == digits.labels[1500:]) > 0.9
    one, other = digits.images[1500:][:100] / np.float32(255), digits.images[1500:][100:200] / np.float32(255)
    different = digits.labels[1500:1600] != digits.labels[1600:1700]
    blends = reader.read(np.float32(one + other)[different] / 2)[1]
    assert blends.mean() < confidences.mean() - 0.2  # a blend of two classes is read with less confidence
    asked = [question("0", picture=one[0]), question("1", picture=one[1])]
    reader.threshold = 0.0
    said = dict(reader.annotate(asked, {(1, "0"): Answer(3)}))
    assert list(said) == [asked[1]] and said[asked[1]].label == reader.read(one[1:2])[0][0]
    reader.threshold = 1.0
    assert [answer.label for _, answer in reader.annotate(asked, {})] == [-1, -1]
    reader.threshold, reader._read = 0.75, lambda images: np.array([[0.25, 0.75], [0.5, 0.5]])
    assert [answer.label for _, answer in reader.annotate(asked, {})] == [1, -1]
