/* pollsvc: the newsletter line of a poll: signing up, and taking it back by the same box. MIT. Loaded by embed.js where it is needed. */
window.pollsvc.consent = ({root, after, say}, text) => {
  const {h, call, field, send, link, articleUrl, recall, keep, refuse, mark, report} = window.pollsvc;

  // The key that takes the sign-up back, and nothing else of it: null once it was taken back, undefined before any.
  const place = "pollsvc:consent:" + text.id;
  let key = recall(place);
  let tried, isAfter, isBusy;
  const newKey = () => btoa(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(32))))
    .replaceAll("+", "-").replaceAll("/", "_").replace("=", "");

  // Asked for at the first touch: the service sees how long the line was being filled in.
  let token;
  const askToken = () => token ||= call("/v1/form-token").then(answer => answer.form_token, () => undefined);

  const tick = h("input", {type: "checkbox", name: "accepted", value: "true", "aria-describedby": "signed-up"});
  const label = h("span", {dir: "auto"});
  const links = h("p", {class: "links"}, link(text.privacy_url, "Privacy policy"), link(text.terms_url, "Terms"));
  const note = h("p", {class: "links", id: "signed-up"});
  const email = field("email", "Email", "input", {type: "email", autocomplete: "email"});
  const address = email.querySelector("input");
  const website = h("input", {name: "website", tabindex: -1, autocomplete: "off"});
  const line = h("div", {class: "consent"},
    h("label", {class: "tick"}, tick, label), links, note, email, h("div", {hidden: ""}, website));

  const signedUp = "You signed up. Untick to take it back.";
  const askedNext = "If we do not know your address yet, a mail asks you to confirm it.";
  let form, button;
  // Under a name of its own the box is short, so that nothing below the result moves.
  const paint = (isTicked, noted = "", name = key && signedUp) => {
    tick.checked = isTicked;
    // The plain form's state is handed on by name: this box has its own.
    if (name) tick.removeAttribute("name"), links.remove();
    else tick.name = "accepted", label.parentNode.after(links);
    label.textContent = name || text.body;
    note.textContent = noted;
    email.hidden = !!name || isAfter && !isTicked;
    if (button) button.hidden = email.hidden;
  };
  // Below the result, in a form of its own.
  const stay = (action, ...state) => {
    isAfter = true;
    if (!form) {
      form = send(root, say, action, async () => {
        await give("after_vote");
        tick.focus();
      });
      button = form.querySelector("button");
    }
    button.textContent = action;
    form.prepend(line);
    after.replaceChildren(form);
    paint(...state);
  };

  const give = async placement => {
    if (!/.@.+\../.test(address.value)) refuse("email", "Enter your full email address.");
    // Sent again after a lost answer, it is the same sign-up to whoever takes it back.
    tried ||= newKey();
    await call("/v1/consents", {
      text_id: text.id, email: address.value, accepted: true, article_url: articleUrl(), withdrawal_key: tried,
      website: website.value, form_token: await askToken(), widget: "consent.js @VERSION@", placement,
      account_token: root.host.getAttribute("account-token") || undefined,
    });
    keep(place, key = tried);
    tried = 0;
    address.value = "";
    stay("Sign up", true, askedNext);
    say("Your vote was counted. Your email address has arrived: thank you.");
  };

  const takeBack = async () => {
    isBusy = true;
    say("Sending…");
    try {
      await call("/v1/consents/withdrawals", {withdrawal_key: key});
      keep(place, key = null);
      paint(false);
      say("Your sign-up is taken back. If you had signed up before as well, each mail has a link to leave.");
    } catch (problem) {
      paint(true);
      say(`You are still signed up. ${report(root, problem)}`);
    }
    isBusy = false;
  };

  tick.addEventListener("change", () => {
    if (isBusy) tick.checked = !tick.checked;
    else if (key) takeBack();
    else {
      paint(tick.checked);
      // Its answer was lost, but it may have arrived.
      if (isAfter && !tick.checked && tried) call("/v1/consents/withdrawals", {withdrawal_key: tried}).catch(() => {});
      if (isAfter) say();
    }
  });
  line.addEventListener("focusin", askToken, {once: true});
  tick.addEventListener("change", askToken, {once: true});

  return {
    id: text.id,
    // In the form of the vote.
    show: () => {
      isAfter = false;
      paint(!!key);
      return line;
    },
    // Beside the result, for a reader who once signed up.
    stand: () => {
      if (key !== undefined) stay("Sign up", !!key);
    },
    // With the vote, which stands whatever becomes of it.
    signUp: async () => {
      if (key || !tick.checked) return;
      isBusy = true;
      stay("Sign up", true, askedNext, "Signing up…");
      try {
        await give("beside_vote");
      } catch (problem) {
        stay("Try again", true);
        say("Your vote was counted. Your email address was not.");
        const sentence = report(root, problem);
        if (sentence) mark(address, sentence);
      }
      isBusy = false;
    },
  };
};
