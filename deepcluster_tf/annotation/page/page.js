"use strict";
// One round of pictures. Nothing is kept here: every answer goes to the server at once, and a reload asks it for all.
// A name of one letter or digit has that as its key, if all names do; else the keys go by the order of the names.
const KEYS = "0123456789abcdefghijklmopqrstuvwxyz"; // without n, which says none
const TOKEN = location.search; // not a cookie, which the browser would send to every port of this machine
const $ = (id) => document.getElementById(id);
let round = { questions: [] };
let current = 0;
let shown; // the name of the round that is on the page; empty where nothing waits
let busy = false;
let posts = 0; // a state that was asked for before an answer is older than it
let clicked = null; // the button that the mouse pressed last, which keeps the focus: there Enter finishes all the same

const keyOf = (label) => {
  const letters = new Set(round.classes.map((name) => name.toLowerCase()));
  const single = round.classes.every((name) => name.length === 1 && name.toLowerCase() !== "n");
  const own = single && letters.size === round.classes.length;
  return own ? round.classes[label].toLowerCase() : KEYS[label];
};

function show(state) {
  const isNew = state.round !== shown;
  round = state;
  $("error").textContent = "";
  if (isNew) {
    shown = state.round;
    current = Math.max(0, state.questions.findIndex((q) => !q.answer));
    thumbnails();
    names();
  }
  const waiting = !state.questions.length;
  $("round").hidden = waiting;
  $("waiting").hidden = !waiting;
  if (waiting) {
    $("where").textContent = "";
    $("progress").value = 0;
    $("message").textContent = waitingFor(state.training);
    return;
  }
  draw(isNew);
}

// While training goes on: what is under way, and for how long.
function waitingFor(training) {
  if (!training) return "Nothing waits to be named. If there is something, it appears here by itself.";
  const next = training.epoch < training.first
    ? `The first pictures appear here by themselves after epoch ${training.first}.`
    : "If there is another round, it appears here by itself.";
  const minutes = Math.round(training.seconds / 60);
  const left = training.seconds === null ? "" : minutes < 1 ? ", less than a minute is left of it"
    : `, about ${minutes} minute${minutes > 1 ? "s are" : " is"} left of it`;
  return `Training goes on: epoch ${training.epoch} of ${training.epochs}${left}. ${next}`;
}

// After the last epoch nobody is asked, so that there is a round less than epochs; where nothing learns, there is one.
function roundOf({ epoch, training, questions }) {
  if (!questions[0].learns) return "";
  if (!training) return `After epoch ${epoch}: `;
  return `Round ${epoch - training.first + 1} of ${training.epochs - training.first}, after epoch ${epoch}: `;
}

// A cluster is called by its number, an image that is shown for itself by its own name.
const nameOf = (question) => (question.cluster.startsWith("image") ? question.cluster : `cluster ${question.cluster}`);

// What becomes of a picture that shows none of the classes.
function withoutName(question) {
  if (question.splits) return "Split: the cluster is divided, and its parts are shown to you next.";
  if (question.learns) return "Left out: its images learn no name in this round.";
  return round.epoch ? "Left out: its images take the name of the likeliest cluster that has one."
    : "Left out: the cluster keeps its number.";
}

function draw(fresh) {
  const question = round.questions[current];
  const answered = round.questions.filter((q) => q.answer).length;
  const total = round.questions.length;
  $("where").textContent = `${roundOf(round)}${answered} of ${total} answered`;
  $("progress").max = total;
  $("progress").value = answered;
  const path = `${round.round}/${current}`;
  if (fresh || $("picture").dataset.path !== path) {
    $("picture").dataset.path = path;
    $("picture").src = `/picture/${path}.png${TOKEN}`;
    $("nearest").replaceChildren(...Array.from({ length: question.nearest }, (_, i) => {
      const image = new Image();
      image.src = `/nearest/${path}/${i}.png${TOKEN}`;
      image.alt = `the real image of ${nameOf(question)} that is ${i ? `number ${i + 1} by nearness` : "nearest"}`;
      return image;
    }));
    setConfidence(question.answer ? Math.round(100 * question.answer.confidence) : 100);
  }
  const single = question.cluster.startsWith("image");
  $("picture").alt = question.decoded ? `centre of ${nameOf(question)}, decoded`
    : single ? nameOf(question) : `most typical image of ${nameOf(question)}`;
  $("about").textContent = nameOf(question) + (single ? "" : `, ${question.size.toLocaleString("en")} images`);
  $("none-text").textContent = question.splits ? "none of these: split it" : "none of these: leave it out";
  $("none-hint").textContent = withoutName(question);
  $("sure-hint").textContent = question.learns
    ? "The surer you are, the more the name weighs when its images are learned from." : "It is kept beside the name.";
  for (const button of [...$("classes").children, $("none")]) {
    const label = button === $("none") ? -1 : +button.dataset.label;
    const isChosen = question.answer !== null && question.answer.label === label;
    button.classList.toggle("chosen", isChosen);
    button.setAttribute("aria-pressed", isChosen);
  }
  $("undo").setAttribute("aria-disabled", !round.order.length); // "disabled" would take the focus from it
  $("finish").disabled = answered < total;
  $("finish").textContent = answered < total ? `Finish this round (${total - answered} left)` : "Finish this round";
  [...$("all").children].forEach((button, i) => {
    const said = round.questions[i].answer;
    button.setAttribute("aria-current", i === current);
    button.classList.toggle("answered", said !== null);
    const name = said === null ? "?" : said.label < 0 ? "none" : round.classes[said.label];
    button.lastChild.textContent = name;
    button.firstChild.alt = `${nameOf(round.questions[i])},`;
    button.setAttribute("aria-label", `${nameOf(round.questions[i])}, ${said === null ? "not answered" : name}`);
  });
}

// The buttons are made once a round: one that has the focus keeps it from picture to picture.
function names() {
  $("classes").replaceChildren(...round.classes.map((name, label) => {
    const button = document.createElement("button");
    button.dataset.label = label;
    const letter = keyOf(label);
    if (letter) {
      const hint = document.createElement("kbd");
      hint.textContent = letter;
      button.append(hint, " ");
    }
    if (name !== letter) {
      const text = document.createElement("span");
      text.textContent = name;
      button.append(text);
    }
    button.onclick = () => answer(label);
    return button;
  }));
}

function thumbnails() {
  $("all").replaceChildren(...round.questions.map((question, i) => {
    const button = document.createElement("button");
    const image = new Image();
    image.src = `/picture/${round.round}/${i}.png${TOKEN}`;
    button.append(image, document.createElement("span"));
    button.onclick = () => go(i);
    return button;
  }));
}

function go(i) {
  current = Math.min(Math.max(i, 0), round.questions.length - 1);
  draw(false);
}

function setConfidence(percent) {
  $("confidence").value = percent;
  $("sure").textContent = `${$("confidence").value} %`;
}

class Closed extends Error {} // the server does not know the token: it is another one than the page's

async function ask(path, how) {
  const response = await fetch(path + TOKEN, how);
  if (response.status === 403) throw new Closed(await response.text());
  const state = await response.json();
  if (!response.ok) throw new Error(state.error);
  return state;
}

async function post(path, body) {
  if (busy) return null; // a key held down must not answer the next picture too
  busy = true;
  posts += 1;
  $("error").textContent = "";
  try {
    const headers = { "Content-Type": "application/json" };
    return await ask(path, { method: "POST", headers, body: JSON.stringify(body) });
  } catch (error) {
    $("error").textContent = `Not saved: ${error.message}. Is the command still running?`;
    return null;
  } finally {
    busy = false;
  }
}

async function answer(label) {
  const confidence = label < 0 ? 1 : $("confidence").value / 100;
  const state = await post("/answer", { round: round.round, i: current, label, confidence });
  if (!state) return;
  round = state;
  const open = round.questions.findIndex((q, i) => i > current && !q.answer);
  const any = round.questions.findIndex((q) => !q.answer);
  if (open >= 0 || any >= 0) current = open >= 0 ? open : any;
  draw(false);
}

async function undo() {
  const i = round.questions.findIndex((q) => q.cluster === round.order[round.order.length - 1]);
  if (i < 0) return;
  const state = await post("/answer", { round: round.round, i, label: null, confidence: null });
  if (!state) return;
  round = state;
  current = i;
  draw(true);
}

async function finish() {
  if ($("finish").disabled) return;
  const state = await post("/finish", { round: round.round });
  if (state) show(state);
}

document.addEventListener("keydown", (event) => {
  const button = event.target.closest("button");
  if (event.key === "Enter" && button && button !== clicked) return; // which it presses
  if (!$("shortcuts").checked || $("round").hidden) return;
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  const label = round.classes.findIndex((_, i) => keyOf(i) === event.key.toLowerCase());
  if (label >= 0) answer(label);
  else if (event.key.toLowerCase() === "n") answer(-1);
  else if (event.key === "Backspace") undo();
  else if (event.key === "Enter") finish();
  else if (event.key === "ArrowLeft") go(current - 1);
  else if (event.key === "ArrowRight") go(current + 1);
  else if (event.key === "ArrowUp") setConfidence(+$("confidence").value + 5);
  else if (event.key === "ArrowDown") setConfidence(+$("confidence").value - 5);
  else return;
  event.preventDefault();
});
document.addEventListener("focusin", () => { clicked = null; });
document.addEventListener("click", (event) => { // a press of Space or Enter has no detail
  clicked = event.detail ? event.target.closest("button") : null;
});
try {
  $("shortcuts").checked = localStorage.getItem("shortcuts") !== "off";
} catch { /* a browser that keeps nothing has the keys on at every start */ }
const showKeys = () => document.body.classList.toggle("without-keys", !$("shortcuts").checked);
$("shortcuts").onchange = () => {
  showKeys();
  try {
    localStorage.setItem("shortcuts", $("shortcuts").checked ? "on" : "off");
  } catch { /* likewise */ }
};
showKeys();
$("confidence").oninput = () => setConfidence($("confidence").value);
$("none").onclick = () => answer(-1);
$("undo").onclick = undo;
$("finish").onclick = finish;

let lost = false; // the server did not answer the last time
async function poll() {
  try {
    const before = posts;
    const state = await ask("/state");
    const news = shown === undefined || JSON.stringify(state) !== JSON.stringify(round);
    if (before === posts && !busy && (news || lost)) show(state);
    if (lost) $("error").textContent = "";
    lost = false;
  } catch (error) {
    lost = true;
    if (error instanceof Closed) {
      $("round").hidden = true;
      $("waiting").hidden = false;
      $("where").textContent = "";
      $("message").textContent = `The command was started again. ${error.message}`;
    } else if ($("round").hidden) $("message").textContent =
      "The command has ended or stopped. Your answers are saved; if it stopped, the same command goes on from here.";
    else $("error").textContent = "The command has stopped. Your answers are saved; the same command goes on from here.";
  }
  setTimeout(poll, 1500);
}
poll();
