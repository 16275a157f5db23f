"use strict";

const $ = (id) => document.getElementById(id);
const study = JSON.parse($("data").textContent);
const asked = new URLSearchParams(location.search);
const FIXATION = 500; // milliseconds of the cross before a pair
const SIDES = ["left", "right"];

/* ---- chance ---- */

function below(n) { // every number from 0 to n - 1 alike
  const word = new Uint32Array(1);
  do crypto.getRandomValues(word); while (word[0] >= 2 ** 32 - (2 ** 32 % n));
  return word[0] % n;
}

function shuffled(list) {
  const found = [...list];
  for (let i = found.length - 1; i > 0; i--) {
    const j = below(i + 1);
    [found[i], found[j]] = [found[j], found[i]];
  }
  return found;
}

const word = (letters, length) => Array.from({ length }, () => letters[below(letters.length)]).join("");

/* ---- a session: which pairs, in which order, on which side ---- */

function unveiled(text) {
  const bytes = Uint8Array.from(atob(text), (c, i) => c.charCodeAt(0) ^ study.study.charCodeAt(i % study.study.length));
  return JSON.parse(new TextDecoder().decode(bytes));
}

function planned(method) {
  const { practice, scored } = unveiled(study.methods[method]);
  const turned = ([a, b, second]) => { // second: 1 where b is the real one, 0 where a is; of practice pairs alone, no others are known
    const swap = below(2);
    const practice = second !== undefined;
    return { left: swap ? b : a, right: swap ? a : b, practice, real: practice ? SIDES[second ^ swap] : null };
  };
  return [...shuffled(practice), ...shuffled(scored).slice(0, study.trials)].map(turned);
}

async function decoded(id) {
  const bytes = Uint8Array.from(atob(study.pictures[id]), (c) => c.charCodeAt(0));
  return createImageBitmap(new Blob([bytes], { type: study.mime }));
}

/* ---- the screen ---- */

function screenOf(name) {
  for (const main of document.querySelectorAll("main")) main.hidden = main.id !== name;
  scrollTo(0, 0);
  $(name).querySelector("h1, h2").focus();
}

function say(text, kind = "") {
  $("prompt").textContent = text;
  $("prompt").className = kind;
}

function stage(state) { // "fixing", "showing", "asking" or ""
  $("trial").className = state;
  for (const side of SIDES) $(`choose-${side}`).setAttribute("aria-disabled", String(state !== "asking"));
}

function paint(pair) {
  for (const side of SIDES) {
    const context = $(side).getContext("2d");
    if (pair) context.drawImage(pair[side], 0, 0, $(side).width, $(side).height);
    else context.clearRect(0, 0, $(side).width, $(side).height);
  }
}

/* Whole frames: painted in one, wiped in the first from which the wished time is no more than half a frame away. A tab that goes out of
   sight draws no frames, so it is wiped at once. -> milliseconds between the two. */
function shown(pair) {
  return new Promise((resolve) => {
    let start = null;
    let last = null;
    let over = false;
    const end = (now) => {
      over = true;
      paint(null);
      document.removeEventListener("visibilitychange", left);
      resolve(now - start);
    };
    const left = () => { if (document.hidden && start !== null && !over) end(performance.now()); };
    const frame = (now) => {
      if (over) return;
      if (start === null) {
        paint(pair);
        stage("showing");
        start = now;
      } else if (now - start + (now - last) / 2 >= 1000 * study.seconds) {
        end(now);
        return;
      }
      last = now;
      requestAnimationFrame(frame);
    };
    document.addEventListener("visibilitychange", left);
    requestAnimationFrame(frame);
  });
}

/* ---- answers ---- */

let pending = null; // what waits for a side
let onward = null; // the button that Space stands for

function choose(side, by) {
  if (!pending) return;
  const { resolve, since } = pending;
  pending = null;
  resolve({ answer: side, milliseconds: tenths(performance.now() - since), by });
}

const tenths = (x) => Math.round(10 * x) / 10;
const answered = () => new Promise((resolve) => { pending = { resolve, since: performance.now() }; });
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

function pressed(id) {
  return new Promise((resolve) => {
    onward = $(id);
    onward.hidden = false;
    onward.focus();
    onward.addEventListener("click", () => { onward = null; resolve(); }, { once: true });
  });
}

for (const side of SIDES) {
  $(`choose-${side}`).addEventListener("click", (event) => choose(side, event.detail ? "pointer" : "key"));
  $(`frame-${side}`).addEventListener("click", () => choose(side, "pointer"));
}
document.addEventListener("keydown", (event) => {
  if (event.repeat || event.ctrlKey || event.metaKey || event.altKey || $("trial").hidden && !onward) return;
  const side = { ArrowLeft: "left", ArrowRight: "right" }[event.key];
  if (side) {
    event.preventDefault();
    choose(side, "key");
  } else if (event.key === " " && onward && !event.target.closest("button, a, summary, input, select, textarea")) {
    event.preventDefault();
    onward.click();
  }
});

/* ---- the course of a session ---- */

let hidden = document.hidden;
document.addEventListener("visibilitychange", () => { hidden ||= document.hidden; });
let unsaved = false;
addEventListener("beforeunload", (event) => { if (unsaved) event.preventDefault(); });

async function played(trial, bitmaps, number, of) {
  const name = trial.practice ? "Practice" : "Pair";
  $("count").textContent = `${name} ${number} of ${of}`;
  $("bar").max = of;
  $("bar").value = number - 1;
  hidden = document.hidden;
  say("Look at the cross");
  stage("fixing");
  await pause(FIXATION);
  say("");
  const exposure = await shown({ left: bitmaps.get(trial.left), right: bitmaps.get(trial.right) });
  stage("asking");
  say("Which one was real?");
  const given = await answered();
  stage("");
  $("bar").value = number;
  const { practice, left, right } = trial;
  return { practice, left, right, ...given, exposure: tenths(exposure), hidden };
}

async function told(right, real) {
  say(`${right ? "✓ Right" : "✗ No"}: the ${real} one was real.`, right ? "good" : "bad");
  $("choices").hidden = true;
  await pressed("next");
  $("next").hidden = true;
  $("choices").hidden = false;
  $("trial").querySelector("h2").focus();
}

async function session(who, method, trials, bitmaps) {
  const started = new Date().toISOString();
  const practice = trials.filter((trial) => trial.practice);
  const scored = trials.filter((trial) => !trial.practice);
  const kept = [];
  unsaved = true;
  screenOf("trial");
  const shownAcross = $("left").getBoundingClientRect().width;
  let right = 0;
  for (const [i, trial] of practice.entries()) {
    kept.push(await played(trial, bitmaps, i + 1, practice.length));
    const hit = kept.at(-1).answer === trial.real;
    right += hit;
    await told(hit, trial.real);
  }
  if (practice.length) {
    $("practised").textContent = `You were right in ${right} of ${practice.length}.`;
    screenOf("between");
    await pressed("onward");
    screenOf("trial");
  }
  for (const [i, trial] of scored.entries()) kept.push(await played(trial, bitmaps, i + 1, scored.length));
  return {
    format: "cycada-study-answers", version: 1, study: study.study, participant: who, session: word("0123456789abcdef", 16), method,
    started, finished: new Date().toISOString(),
    screen: { width: innerWidth, height: innerHeight, ratio: devicePixelRatio, shown: tenths(shownAcross) },
    trials: kept,
  };
}

/* ---- the end: to the server where there is one, and as a file ---- */

async function delivered(text) {
  if (!location.protocol.startsWith("http")) return false;
  try {
    return (await fetch("answers", { method: "POST", headers: { "Content-Type": "application/json" }, body: text })).ok;
  } catch {
    return false;
  }
}

async function finish(found) {
  const text = `${JSON.stringify(found, null, 1)}\n`;
  $("text").value = text;
  $("who").textContent = found.participant;
  $("which").textContent = found.method;
  $("save").href = URL.createObjectURL(new Blob([text], { type: "application/json" }));
  $("save").download = `answers_${found.participant}_${found.session}.json`;
  $("again").href = location.href.split("#")[0];
  screenOf("end");
  $("arrived").textContent = "One moment …";
  if (await delivered(text)) {
    unsaved = false;
    $("arrived").textContent = "Your answers have arrived. You can close this page.";
    $("save").classList.remove("strong");
  } else {
    $("arrived").textContent = "Your answers are on this page only. Please save the file now and send it to whoever invited you.";
    $("save").focus();
  }
}

$("save").addEventListener("click", () => { unsaved = false; });
$("copy").addEventListener("click", async () => {
  let done = true;
  try {
    await navigator.clipboard.writeText($("text").value);
  } catch {
    $("text").closest("details").open = true;
    $("text").select();
    done = document.execCommand("copy");
  }
  unsaved &&= !done;
  $("copied").textContent = done ? "Copied." : "Not copied: select the text below and copy it.";
});

/* ---- the beginning ---- */

function trouble(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = false;
}

$("participant").value = asked.get("participant") ?? word("bcdfghjkmnpqrstvwxz23456789", 6);
const codes = Object.keys(study.methods);
const wished = asked.get("method") ?? "";
if (wished && !codes.includes(wished)) {
  trouble(`The link asks for the group “${wished}”, which this page does not have. Please ask whoever sent it.`);
  $("start").disabled = true;
} else if ($("group")) {
  $("group").value = wished;
  if (wished) $("group").disabled = true;
}
const [height, width] = study.size;
document.documentElement.style.setProperty("--across", `${width}px`);
document.documentElement.style.setProperty("--aspect", width / height);
for (const side of SIDES) Object.assign($(side), { width, height });

$("form").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("start").disabled = true;
  const method = $("group")?.value || wished || codes[below(codes.length)];
  const trials = planned(method);
  const bitmaps = new Map();
  try {
    const ids = trials.flatMap((trial) => [trial.left, trial.right]);
    for (const id of ids) {
      bitmaps.set(id, await decoded(id));
      $("loading").textContent = `Preparing pictures: ${bitmaps.size} of ${ids.length}`;
    }
  } catch (error) {
    trouble(`This page cannot show its pictures: it is damaged, or the browser too old (${error}).`);
    return;
  }
  await finish(await session($("participant").value, method, trials, bitmaps));
});
