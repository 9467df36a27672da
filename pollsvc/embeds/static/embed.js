/* pollsvc, MIT. Served as it stands: at most 6 kB gzip. */
(() => {
  "use strict";
  if (!("adoptedStyleSheets" in Document.prototype) || customElements.get("pollsvc-poll")) return;
  const base = document.currentScript.src.replace(/\/embed\.js.*/, "");

  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
:host { display: block; margin-block: 2em; text-align: start; color: var(--pollsvc-ink, inherit);
  --a: var(--pollsvc-accent, #10798a);
  --line: var(--pollsvc-line, color-mix(in srgb, currentColor 55%, transparent));
  --bad: var(--pollsvc-error, color-mix(in srgb, currentColor 35%, #d22)); --r: var(--pollsvc-radius, 6px); }
* { box-sizing: border-box; margin: 0; }
.box, .body, .list, ul { display: flex; flex-direction: column; }
.box { padding: 1em clamp(1em, 4%, 1.6em) .6em; background: var(--pollsvc-background, color-mix(in srgb, currentColor 4%, transparent)); border-block-start: 3px solid var(--a); overflow-wrap: anywhere; }
.body { flex: 1; gap: .35em; }
fieldset { border: 0; padding: 0; min-inline-size: 0; }
legend, h2 { padding: 0; font-size: 1.3em; font-weight: 700; line-height: 1.25; }
.kicker, .hint, .foot, .links { opacity: .8; font-size: .875em; }
.row, .tick, .links { display: flex; gap: .7em; }
.row { align-items: center; min-block-size: 44px; margin-block-start: .6em; padding: .4em .9em; }
.row, .field input, textarea { border: 1px solid var(--line); border-radius: var(--r); }
.row:hover, .row:has(:checked) { border-color: var(--a); box-shadow: inset 0 0 0 1px var(--a); }
[type=radio], [type=checkbox] { flex: none; inline-size: 1.15em; block-size: 1.15em; font: inherit; accent-color: var(--a); }
.tick input { margin-block-start: .2em; }
.consent { margin-block-start: 1.2em; font-size: .9375em; }
.links { padding-inline-start: 2.1em; }
a { color: inherit; padding-block: .35em; }
.field { margin-block-start: .7em; }
.field label { display: block; font-weight: 600; }
.field input, textarea { display: block; inline-size: 100%; min-block-size: 44px; margin-block-start: .25em; padding: .4em .7em; font: inherit; color: inherit; background: none; }
.box [aria-invalid] { border-color: var(--bad); }
.error { margin-block-start: .3em; color: var(--bad); font-weight: 600; }
.error:empty { display: none; }
button { min-block-size: 44px; margin-block-start: 1em; padding: .4em 1.8em; font: inherit; font-weight: 700;
  color: var(--pollsvc-on-accent, #fff); background: var(--a); border: 1px solid transparent; border-radius: var(--r); }
button:hover { filter: brightness(1.1); }
button[aria-disabled] { opacity: .6; }
.quiet { align-self: start; color: inherit; background: none; border-color: var(--line); }
:focus-visible { outline: 3px solid var(--a); outline-offset: 2px; }
ul { list-style: none; padding: 0; }
li { display: grid; grid-template: auto 1.1em / 1fr auto; gap: .3em 1em; padding-block: .5em; }
.line b { font-size: 1.2em; }
.own { align-self: end; font-size: .875em; font-weight: 700; }
.bar { grid-column: 1 / 3; background: color-mix(in srgb, currentColor 12%, transparent); }
.bar, i { border-radius: 3px; }
i { display: block; block-size: 100%; background: var(--a); }
.status { min-block-size: 1.8em; margin-block-start: .5em; font-weight: 600; }
@media (forced-colors: active) { i { forced-color-adjust: none; background: CanvasText; } }
`);

  const h = (tag, attributes, ...children) => {
    const element = document.createElement(tag);
    for (const name in attributes) if (attributes[name] != null) element.setAttribute(name, attributes[name]);
    element.append(...children.filter(Boolean));
    return element;
  };
  const plural = (n, word) => n.toLocaleString("en") + " " + word + (n === 1 ? "" : "s");
  const when = time => new Date(time).toLocaleString("en", {dateStyle: "long", timeStyle: "short"});
  const articleUrl = () => document.querySelector("link[rel=canonical]")?.href || location.href;

  // In memory where storage is denied.
  const memory = {};
  const recall = key => { try { return JSON.parse(localStorage[key]); } catch { return memory[key]; } };
  const keep = (key, value) => { memory[key] = value; try { localStorage[key] = JSON.stringify(value); } catch {} };

  // Throws the problem; status 0: no answer came.
  const call = async (path, body, headers, method) => {
    let answer, data;
    try {
      answer = await fetch(base + path, {
        method: method || (body ? "POST" : "GET"), headers: {...headers, ...body && {"Content-Type": "application/json"}},
        body: body && JSON.stringify(body), credentials: "omit", signal: AbortSignal.timeout(3e4),
      });
      data = await answer.json();
    } catch {}
    if (answer?.ok && data) return data;
    const status = answer ? answer.status : 0;
    throw {...data, status, wait: (status === 429 || status === 503) && (+answer.headers.get("Retry-After") || 5)};
  };

  // Renewed past half its life.
  let asking;
  const voter = fresh => asking ||= ask(fresh).finally(() => { asking = 0; });
  const ask = async fresh => {
    const key = "pollsvc:voter";
    const known = !fresh && recall(key);
    if (known && Date.now() < known.half) return known.token;
    try {
      const {voter_token: token, expires_at} = await call("/v1/voters", known ? {voter_token: known.token} : {});
      keep(key, {token, half: (Date.now() + Date.parse(expires_at)) / 2});
      return token;
    } catch (problem) {
      if (known) return known.token;
      throw problem;
    }
  };

  const field = (name, label, tag, attributes) => h("div", {class: "field"}, h("label", {for: name}, label),
    h(tag, {id: name, name, "aria-describedby": name + "-error", ...attributes}), h("p", {class: "error", id: name + "-error"}));
  const refuse = (field, detail) => { throw {errors: [{field, detail}]}; };
  const mark = (control, text) => {
    control.getRootNode().getElementById(control.id + "-error").textContent = text;
    text ? control.setAttribute("aria-invalid", true) : control.removeAttribute("aria-invalid");
  };
  // Each error beside its field, or a sentence.
  const report = (root, {errors, status, wait, detail}) => {
    let first;
    for (const error of errors || []) {
      const control = root.getElementById(error.field.split(/\W/)[0]);
      if (control) mark(control, error.detail), first ||= control;
    }
    if (first) (first.querySelector("input") || first).focus();
    return first ? "" : wait ? `We are very busy. Please try again in ${plural(wait, "second")}.`
      : status > 399 && status < 500 && detail || "We could not be reached. Please try again.";
  };

  const send = (root, say, label, act, ...children) => {
    const button = h("button", {}, label);
    const form = h("form", {novalidate: ""}, ...children, button);
    form.addEventListener("submit", async event => {
      event.preventDefault();
      if (button.hasAttribute("aria-disabled")) return;
      button.setAttribute("aria-disabled", true);
      root.querySelectorAll("[aria-invalid]").forEach(control => mark(control, ""));
      say("Sending…");
      try {
        await act(form);
      } catch (problem) {
        say(report(root, problem));
        if (problem.wait) {
          await new Promise(done => setTimeout(done, problem.wait * 1e3));
          say("You can try again now.");
        }
      }
      button.removeAttribute("aria-disabled");
    });
    return form;
  };
  const link = (href, text) => href && h("a", {href, target: "_blank"}, text);

  // The plain form stays until `show`; the box never shrinks.
  const open = (host, kicker) => {
    const root = host.attachShadow({mode: "open"});
    const body = h("div", {class: "body"});
    const status = h("p", {class: "status", role: "status"});
    const after = h("div");
    const box = h("div", {class: "box"}, kicker && h("p", {class: "kicker"}, kicker), body, status, after);
    root.adoptedStyleSheets = [sheet];
    root.append(h("slot"));
    const say = text => { status.textContent = text || ""; };
    const show = (...parts) => {
      box.style.minBlockSize = (box.offsetHeight || host.offsetHeight) + "px";
      body.replaceChildren(...parts.filter(Boolean));
      if (!box.isConnected) root.replaceChildren(box);
      host.replaceChildren();
    };
    return {root, after, say, show};
  };

  const startPoll = host => {
    const id = host.getAttribute("poll");
    const path = "/v1/polls/" + id;
    const key = "pollsvc:poll:" + id;
    const opened = open(host, "Readers’ poll");
    const {root, after, say, show} = opened;
    let mine = recall(key); // {poll, text, choices, results} after a vote
    let poll, results, list, timer, visible, line, pause = 5e3;

    const isMine = choice => mine?.choices.includes(choice.id);
    const focus = () => root.querySelector("h2, input").focus();
    const quiet = (label, act) => {
      const button = h("button", {class: "quiet", type: "button"}, label);
      button.addEventListener("click", () => { act(); focus(); });
      return button;
    };
    const heading = () => h("h2", {tabindex: -1, dir: "auto"}, poll.question);
    const tally = async () => call(path + "/results", null,
      poll.results_visibility === "after_vote" ? {"X-Voter-Token": await voter()} : {});

    // A cache may lag behind the own vote.
    const take = fresh => {
      if (!fresh || results && (Date.parse(fresh.as_of) - Date.parse(results.as_of) || fresh.total_voters - results.total_voters) <= 0) return;
      results = fresh;
      if (mine) keep(key, {...mine, poll, results});
      if (list) paint();
    };

    const paint = () => list.replaceChildren(h("ul", {role: "list"}, ...results.choices.map(choice => {
      const bar = h("i");
      bar.style.inlineSize = choice.percent + "%";
      return h("li", {},
        h("p", {class: "line"}, h("bdi", {}, choice.text), ": ", h("b", {}, choice.percent + "%"), ` (${plural(choice.votes, "Vote")})`),
        isMine(choice) && h("span", {class: "own"}, "Your answer"),
        h("div", {class: "bar"}, bar));
    })), h("p", {class: "foot"}, plural(results.total_voters, "voter") + (poll.kind === "multiple" ? ", figures are % of voters" : "")));

    const showResult = message => {
      const isOpen = poll.status === "open";
      list = results && h("div", {class: "list"});
      if (list) paint();
      show(heading(), list || h("p", {}, !isOpen || poll.results_visibility === "never" ? "The results of this poll are not published."
        : `The results will be shown when the poll closes${poll.closes_at ? " on " + when(poll.closes_at) : ""}.`),
        isOpen && (!mine || poll.allow_change) && quiet(mine ? "Change your answer" : "Back to the vote", showForm));
      say(message || (mine ? "Your vote was counted." : isOpen ? "" : "This poll is closed."));
      if (mine) line?.stand();
      live();
    };

    const live = () => {
      clearTimeout(timer);
      if (host.isConnected && list) timer = setTimeout(refresh, pause + Math.random() * 2e3);
    };
    const refresh = async () => {
      if (visible && !document.hidden) {
        try {
          take(await tally());
          pause = 5e3;
        } catch ({status}) {
          if (status === 410) withdraw();
          if (status === 403) list = 0;
          pause = Math.min(pause * 2, 6e4);
        }
      }
      live();
    };
    const withdraw = () => {
      list = 0;
      keep(key, mine = null);
      after.replaceChildren();
      show();
      say("The newsroom has withdrawn this poll.");
    };

    const showForm = message => {
      const many = poll.kind === "multiple";
      const most = many ? poll.max_choices || poll.choices.length : 1;
      list = 0;
      after.replaceChildren();

      const form = send(root, say, "Vote", async () => {
        const choices = new FormData(form).getAll("choices").map(Number);
        if (!choices.length) refuse("choices", "Choose an answer first.");
        if (choices.length > most) refuse("choices", `Choose at most ${plural(most, "answer")}.`);
        const vote = async fresh => call(path + "/votes", {choices, voter_token: await voter(fresh)});
        let message;
        try {
          const answer = await vote().catch(problem => { if (problem.status !== 401) throw problem; return vote(true); });
          if (answer.status === "changed") message = "Your vote was changed.";
          mine = {...mine, choices};
          results = answer.results;
        } catch (problem) {
          if (problem.status === 410 || /^poll_/.test(problem.code)) return load(problem.detail);
          if (problem.code !== "already_voted") throw problem;
          message = "You have already voted. Your first vote stands.";
          mine = recall(key) || {choices: []};
          results = /always|_vote/.test(poll.results_visibility) ? await tally().catch(() => mine.results) : null;
        }
        keep(key, mine = {text: poll.consent_text, ...mine, poll, results});
        showResult(message);
        focus();
        await line?.signUp();
      },
      h("fieldset", {id: "choices", role: many ? null : "radiogroup", "aria-describedby": "choices-hint choices-error"},
        h("legend", {dir: "auto"}, poll.question),
        many && h("p", {class: "hint", id: "choices-hint"}, most < poll.choices.length ? `Choose up to ${most}.` : "Choose all that apply."),
        ...poll.choices.map(choice => h("label", {class: "row", dir: "auto"},
          h("input", {type: many ? "checkbox" : "radio", name: "choices", value: choice.id, checked: isMine(choice) ? "" : null}),
          h("bdi", {}, choice.text))),
        h("p", {class: "error", id: "choices-error"})),
      line?.show());
      if (results) form.append(" ", quiet("See results", showResult));
      form.addEventListener("focusin", () => voter().catch(() => {}), {once: true});
      // What was begun in the plain form.
      for (const input of host.querySelectorAll("input")) {
        const twin = [...form.elements].find(it => it.name === input.name && (it.id || it.value === input.value));
        if (twin) twin.value = input.value, twin.checked = input.checked;
      }
      show(form);
      say(message);
    };

    const load = async message => {
      try {
        poll = await call(path);
      } catch ({status}) {
        return status === 410 && withdraw();
      }
      // A sign-up is taken back at the text that it was for.
      const text = recall("pollsvc:consent:" + mine?.text?.id) ? mine.text : poll.consent_text;
      // The vote does not depend on it: where it cannot be had, or not soon, the poll has no newsletter line.
      if (line?.id !== text?.id) line = text && (await Promise.race([part("consent"), new Promise(done => setTimeout(done, 5e3))]))?.(opened, text);
      take(poll.results);
      if (mine || poll.status === "closed") showResult(message);
      else if (poll.status === "open") showForm(message);
      else show(heading()), say(`Voting opens on ${when(poll.opens_at)}.`);
      if (message) focus();
      if (list && !poll.results) refresh();
    };

    new IntersectionObserver(entries => { visible = entries.at(-1).isIntersecting; }).observe(host);
    host.pollsvcResume = live;
    if (mine) ({poll, results} = mine), showResult();
    load();
  };

  // Loaded where it occurs; undefined where it cannot be had.
  const part = async name => {
    try { await import(`${base}/embed/${name}.js`); } catch {}
    return kit[name];
  };
  const kit = window.pollsvc = {h, call, voter, field, send, link, open, articleUrl, base, recall, keep, refuse, mark, report, plural, when, part};
  const define = (name, start) => customElements.define("pollsvc-" + name, class extends HTMLElement {
    connectedCallback() {
      this.shadowRoot ? this.pollsvcResume?.() : start(this);
    }
  });
  // Without its part the plain form stays.
  const startPart = name => async host => {
    const start = await part(name);
    if (!host.shadowRoot) start?.(host);
  };
  define("poll", host => host.getAttribute("poll") && (host.matches("[mode=frame]") ? startPart("frame-host") : startPoll)(host));
  for (const name of ["correction", "comments"]) define(name, startPart(name));
})();
