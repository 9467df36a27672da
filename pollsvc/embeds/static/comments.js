/* pollsvc: the comments below an article, to read; comment-forms.js writes. MIT. Loaded by embed.js where it is needed. */
window.pollsvc.comments = host => {
  "use strict";
  const {h, call, voter, send, open, articleUrl, recall, report, plural, when, part} = window.pollsvc;
  const {root, say, show} = open(host);
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(`
.box { padding-inline: 0; background: none; }
.status:empty { min-block-size: 0; margin: 0; }
.write { margin-block: .6em 1em; padding: .2em clamp(1em, 4%, 1.6em) 1.2em; background: var(--pollsvc-background, color-mix(in srgb, currentColor 4%, transparent)); }
.who { display: flex; flex-wrap: wrap; gap: 0 1em; }
.who .field { flex: 1 1 13em; }
.who + .hint { margin-block-start: .5em; }
.orders, .by, .acts { display: flex; flex-wrap: wrap; gap: 0 1.2em; align-items: baseline; }
.orders[hidden] { display: none; }
.orders { padding-block-end: .3em; border-block-end: 1px solid color-mix(in srgb, currentColor 22%, transparent); }
.act { min-block-size: 32px; min-inline-size: 24px; margin: 0; padding: .2em 0; font: inherit; font-size: .875em; font-weight: 400; color: inherit; background: none; border: 0; text-decoration: underline; text-underline-offset: .2em; }
.act[aria-pressed=true], .act[aria-current] { font-weight: 700; text-decoration: none; }
.thread, .replies { list-style: none; padding: 0; }
.comment { display: block; padding-block: 1.2em .2em; }
.thread > .comment { padding-block-end: 1em; }
.thread > .comment + .comment { border-block-start: 1px solid color-mix(in srgb, currentColor 22%, transparent); }
.replies:empty { display: none; }
.replies { margin-block-start: .4em; padding-inline-start: clamp(.8em, 3.5%, 1.4em); border-inline-start: 1px solid color-mix(in srgb, currentColor 40%, transparent); }
.replies > .comment:first-child { padding-block-start: .4em; }
.by { gap: 0 .8em; }
.by a { text-decoration-color: color-mix(in srgb, currentColor 35%, transparent); text-underline-offset: .2em; }
.by a, .by span, .by > time { font-size: .875em; }
.by > :not(b, .mark) { opacity: .8; }
.mark { font-weight: 700; color: color-mix(in srgb, currentColor 35%, var(--a)); }
.text { max-inline-size: 40em; margin-block: .3em .2em; line-height: 1.55; unicode-bidi: plaintext; }
.text > * + *, .text li > * + * { margin-block-start: .65em; }
.text ul, .text ol { display: block; padding-inline-start: 1.5em; }
.text ul { list-style: disc; }
.text li { display: list-item; padding: 0; }
.text blockquote { padding-inline-start: .9em; border-inline-start: 3px solid color-mix(in srgb, currentColor 30%, transparent); }
.text code { font-size: .9em; }
.text pre { white-space: pre-wrap; }
.state { margin-block: .4em; padding-inline-start: .8em; border-inline-start: 3px solid var(--a); font-size: .9375em; }
.gone, .empty { padding-block: .3em; opacity: .8; }
.linked > .says { padding-inline-start: .9em; border-inline-start: 3px solid var(--a); background: color-mix(in srgb, var(--a) 8%, transparent); }
.linked > .says:focus { outline: 0; }
.tick { padding-block: .3em; }
.panel form { max-inline-size: 40em; padding-block-end: .6em; }
.write legend, .panel legend { margin-block-start: .6em; font-size: 1em; }
.comment > form button, .foot form button { margin-block-start: .4em; }
`);
  root.adoptedStyleSheets = [...root.adoptedStyleSheets, sheet];

  const article = host.getAttribute("article") || articleUrl();
  const list = facts => "/v1/comments?" + new URLSearchParams({article_url: article, ...facts});
  let mode, depth, forms, form, total = 0, order = "newest";

  // Who acts: the account where the page has a token of it, or a voter, a new one where the old is no good any more.
  const asVoter = async act => {
    try {
      return await act(await voter(), "voter");
    } catch (problem) {
      if (problem.status !== 401) throw problem;
      return act(await voter(true), "voter");
    }
  };
  const account = () => host.getAttribute("account-token");
  const asWriter = act => account() ? act(account(), "account") : asVoter(act);
  const ownCall = (path, body, method) =>
    asWriter((token, kind) => call("/v1/comments/" + path, body, {[`X-${kind}-Token`]: token}, method));

  // The reader's own; asked for where somebody wrote before, who is then known by name.
  const place = "pollsvc:comments";
  const own = new Map();
  const readOwn = async () => {
    if (!account() && !recall(place)) return;
    const {items} = await ownCall("mine?" + new URLSearchParams({article_url: article, limit: 100}));
    own.clear();
    for (const each of items) own.set(each.id, each);
  };
  const isTakenBack = it => it.status === "removed" && (!it.reason || it.reason.code === "withdrawn");
  const isUnseen = mine => mine.status !== "published" && !isTakenBack(mine);

  // The service's HTML knows these tags only, and becomes elements one by one: Trusted Types let no parser near it.
  const letters = {amp: "&", lt: "<", gt: ">", quot: '"', nbsp: "\xa0"};
  const plain = text => text.replace(/&(amp|lt|gt|quot|nbsp);/g, (_, name) => letters[name]);
  const text = html => {
    const top = h("div", {class: "text", dir: "auto"});
    let at = top;
    for (const [token, closing, tag, attributes] of html.matchAll(
      /<(\/?)(p|br|em|strong|code|pre|blockquote|ul|ol|li|a)((?: \w+="[^"]*")*)>|[^<]+|</g)) {
      if (closing && at !== top && at.localName === tag) at = at.parentNode;
      else if (tag && !closing) {
        const href = tag === "a" && /^ href="(https?:\/\/[^"]*)"/i.exec(attributes);
        const element = h(tag, href && {href: plain(href[1]), rel: "nofollow ugc noopener noreferrer", target: "_blank"});
        at.append(element);
        if (tag !== "br") at = element;
      } else at.append(plain(token));
    }
    return top;
  };

  // A form with a line of its own for what goes wrong; its fields are found by its key, for several forms stand on the page.
  const ask = (key, label, act, ...children) => {
    const told = h("p", {class: "status", role: "status"});
    const tell = text => { told.textContent = (text || "").replace("Sending", label.startsWith("Show") ? "Loading" : "Sending"); };
    const scope = {
      getElementById: id => root.getElementById(key + id),
      querySelectorAll: selector => it.querySelectorAll(selector),
    };
    const it = send(scope, tell, label, async () => {
      await act(it.elements);
      tell();
    }, ...children);
    Object.assign(it, {tell, told});
    it.append(told);
    if (!children.length) it.querySelector("button").className = "quiet";
    return it;
  };
  const button = (className, label, act) => {
    const it = h("button", {class: className, type: "button"}, label);
    it.addEventListener("click", () => act(it));
    return it;
  };

  const heading = h("h2", {tabindex: -1});
  const rule = h("p", {class: "hint"});
  const thread = h("ol", {class: "thread", role: "list"});
  const foot = h("div", {class: "foot"});
  const orders = h("div", {class: "orders", role: "group", "aria-label": "Order"},
    ...Object.entries({newest: "Newest", oldest: "Oldest", most_replied: "Most replied"}).map(([name, label]) => {
      const it = button("act", label, () => {
        order = name;
        go();
      });
      it.name = name;
      return it;
    }));
  const count = by => {
    total += by;
    heading.textContent = total ? plural(total, "comment") : "Comments";
  };

  const shown = new Map();
  const draw = (item, linked) => {
    const {id} = item;
    const says = h("div", {class: "says", tabindex: -1});
    const below = h("ol", {class: "replies", role: "list"});
    const li = h("li", {class: "comment" + (id === linked ? " linked" : "")}, says, below);
    shown.get(id)?.li.remove();
    shown.set(id, {li, says, below});
    let isReported;

    const paint = extra => {
      const mine = own.get(id);
      const it = {...item, ...mine};
      const gone = isTakenBack(it) ? mine ? "You took this comment back." : "This comment was removed."
        : !mine && it.status === "held" && "This comment is being looked at again.";
      if (gone) return says.replaceChildren(h("p", {class: "gone"}, gone));
      const isShown = it.status === "published";
      const isOpen = forms && takes();
      const time = h("time", {datetime: it.created_at}, when(it.created_at));
      const panel = h("div", {class: "panel"}, extra);
      const act = (label, make) => button("act", label, opener => {
        const it = make(`${label[0]}${id}-`);
        it.told.before(" ", button("quiet", "Cancel", () => {
          panel.replaceChildren();
          opener.focus();
        }));
        panel.replaceChildren(it);
        it.querySelector("textarea, input, button").focus();
      });
      says.replaceChildren(...[
        h("p", {class: "by"}, h("b", {}, h("bdi", {}, it.name)),
          isShown ? h("a", {href: `${articleUrl().split("#")[0]}#pollsvc-comment-${id}`}, time) : time,
          it.edited_at && h("span", {}, "edited"), it.is_featured && h("span", {class: "mark"}, "Featured")),
        !isShown && h("p", {class: "state"}, h("b", {}, it.status === "held" ? "Waiting" : "Not shown"), `: ${it.reason.text} Only you can see it here.`),
        text(it.html || ""),
        h("div", {class: "acts"},
          isOpen && isShown && item.depth < depth && act("Reply", key => forms.write(key, id, sent => written(sent, id, item.depth + 1))),
          isOpen && mine && Date.parse(mine.can_edit_until) > Date.now() && act("Edit", edit),
          forms && mine && act("Take back", takeBack),
          forms && isShown && !mine && !isReported && act("Report", key => forms.report(key, id, thanks => {
            isReported = true;
            const line = h("p", {class: "state", tabindex: -1}, thanks);
            paint(line);
            line.focus();
          }))),
        panel].filter(Boolean));
    };
    // How the own comment stands now is read again, or else taken from the answer.
    const changed = async (answer, values, sentence) => {
      if (own.get(id).status === "published" && answer.status !== "published") count(-1);
      own.set(id, {...own.get(id), reason: {text: ""}, ...values, ...answer});
      await readOwn().catch(() => {});
      paint();
      says.focus();
      say(sentence);
    };
    const edit = key => forms.edit(key, own.get(id).body, async body => {
      try {
        const answer = await ownCall(id, {body, version: own.get(id).version}, "PATCH");
        await changed(answer, {body, html: ""}, answer.status === "published" ? "Your comment was changed."
          : "Your comment was changed. The newsroom reads it before it is shown again.");
      } catch (problem) {
        // What was decided meanwhile is known now; pressed again, it is changed from there.
        if (problem.code === "stale_version") await readOwn().catch(() => {});
        throw problem;
      }
    });
    const takeBack = key => ask(key, "Take it back",
      async () => changed(await ownCall(id, null, "DELETE"), {reason: null}, "Your comment is taken back."),
      h("p", {}, "Take this comment back? That cannot be undone."));

    paint();
    for (const mine of own.values()) if (mine.parent_id === id && isUnseen(mine)) put(mine, below);
    if (item.replies && (!linked || linked === id)) li.append(more(below, {parent_id: id}, item.replies === 1 ? "Show 1 reply" : `Show ${item.replies} replies`));
    shown.get(id).paint = paint;
    return li;
  };
  // The reader's own comment, where it belongs.
  const put = (mine, where, level) => {
    const li = draw({...mine, depth: level, replies: 0});
    li.classList.add("mine");
    where === thread ? where.prepend(li) : where.append(li);
  };
  const written = async (sent, parent, level) => {
    const isShown = sent.status === "published";
    await readOwn().catch(() => {});
    if (isShown && !shown.has(sent.id)) count(1);
    shown.get(parent)?.paint();
    thread.querySelector(".empty")?.remove();
    if (own.has(sent.id)) {
      put(own.get(sent.id), shown.get(parent)?.below || thread, level);
      shown.get(sent.id).says.focus();
    }
    say(isShown ? "Your comment is published."
      : sent.status === "held" ? "Your comment has arrived. The newsroom reads it before it is shown."
      : "You sent this comment before, and the newsroom decided not to show it.");
  };

  const add = (where, items) => {
    // Behind what others wrote, below which the own ones stand that nobody else sees.
    const last = where !== thread && where.querySelector(":scope > .mine") || null;
    for (const item of items) where.insertBefore(draw(item), last);
  };
  // A button for the next page of a list.
  const more = (where, facts, label, cursor) => {
    const it = ask("", label, async () => {
      const page = await call(list(cursor ? {...facts, cursor} : facts));
      add(where, page.items);
      shown.get(page.items[0]?.id)?.says.focus();
      cursor = page.next_cursor;
      it.querySelector("button").textContent = "Show more";
      if (!cursor) it.remove();
    });
    return it;
  };

  const takes = () => mode === "open" || mode === "premoderated";
  const load = async id => {
    const [page, chain, write] = await Promise.all([
      call(list({order})), id && call("/v1/comments/" + id).catch(() => {}), part("comment-forms"), readOwn().catch(() => {})]);
    forms ||= write?.({ask, article, account, asVoter, asWriter, place});
    ({comments: mode, reply_depth: depth, total} = page);
    if (mode === "off") {
      show();
      host.style.display = "none";
      return;
    }
    // A comment of another article has no place here, whatever the link says.
    const items = chain?.article_url === page.article_url ? chain.items : [];
    count(0);
    rule.textContent = {closed: "Comments on this article are closed.", premoderated: "Comments on this article are read before they are shown."}[mode] || "";
    rule.hidden = !rule.textContent;
    orders.hidden = !!items.length || !page.items.length;
    for (const it of orders.children) it.setAttribute("aria-pressed", it.name === order);
    if (forms && takes() && !form) begin();
    if (form) form.hidden = !!items.length || !takes();
    reveal();
    shown.clear();
    thread.replaceChildren();
    if (items.length) {
      items.reduce((where, item) => {
        where.append(draw(item, id));
        return shown.get(item.id).below;
      }, thread);
      foot.replaceChildren(ask("", "Show the whole discussion", async () => {
        await load();
        heading.focus();
      }));
      shown.get(id).says.focus();
      return;
    }
    add(thread, page.items);
    foot.replaceChildren(...page.next_cursor ? [more(thread, {order}, "Show more", page.next_cursor)] : []);
    // Own ones that nobody else sees stand on top, save below what they answer.
    for (const mine of [...own.values()].reverse()) if (isUnseen(mine) && !shown.has(mine.id)) put(mine, thread);
    if (!thread.firstChild) thread.append(h("li", {class: "empty"}, takes() ? "Nobody has commented yet." : "Nobody commented."));
    say(id && "The comment that the link leads to is not here (any more). This is the whole discussion.");
  };
  const begin = () => {
    form = forms.write("new-", null, sent => written(sent, null, 0));
    form.classList.add("write");
    // What was begun in the plain form.
    for (const {name, type, value} of host.querySelectorAll("input, textarea")) {
      if (value && type !== "hidden" && form.elements[name]) form.elements[name].value = value;
    }
  };
  const reveal = () => {
    if (!heading.isConnected) show(heading, rule, orders, thread, foot);
    if (form && !form.isConnected) rule.after(form);
    // Where it is seen: a thread may be long.
    orders.before(root.querySelector(".box > .status, .body > .status"));
  };
  const go = async id => {
    try {
      await load(id);
    } catch (problem) {
      const again = ask("", "Try again", () => load(id));
      foot.replaceChildren(again);
      count(0);
      reveal();
      again.tell(report(root, problem));
    }
  };

  const linkedId = () => /pollsvc[-_]comment[-=]([\da-f-]{36})/.exec(location.hash + location.search)?.[1];
  const start = () => {
    seen.disconnect();
    addEventListener("hashchange", () => host.isConnected && linkedId() && go(linkedId()));
    go(linkedId());
  };
  // Read by whoever comes near.
  const seen = new IntersectionObserver(entries => entries.at(-1).isIntersecting && start(), {rootMargin: "900px"});
  linkedId() ? start() : seen.observe(host);
};
