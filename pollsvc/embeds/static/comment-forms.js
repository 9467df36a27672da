/* pollsvc: what readers write below an article: comments, changes to them, reports. MIT. Loaded by embed.js for comments.js. */
window.pollsvc["comment-forms"] = ({ask, article, account, asVoter, asWriter, place}) => {
  const {h, call, field, recall, keep, refuse} = window.pollsvc;
  let lastEmail; // as long as the page is open

  const missing = {name: "Enter your name.", email: "Enter your email address.", body: "Write something first."};
  const filled = (elements, names) => {
    const values = Object.fromEntries(names.map(name => [name, elements[name].value.trim()]));
    const errors = names.filter(name => !values[name]).map(name => ({field: name, detail: missing[name]}));
    if (values.email && !/.@./.test(values.email)) errors.push({field: "email", detail: "An email address has an @ between two parts."});
    if (errors.length) throw {errors};
    return values;
  };
  const words = (key, label, name, rows, attributes) => field(key + name, label, "textarea", {name, rows, dir: "auto", ...attributes});

  // A comment, or a reply to one.
  const write = (key, parent, done) => {
    const names = account() ? ["body"] : ["body", "name", "email"];
    const website = h("input", {name: "website", tabindex: -1, autocomplete: "off"});
    // Asked for at the first touch: the service sees how long the form was being filled in.
    let token;
    const askToken = () => token ||= call("/v1/form-token").then(answer => answer.form_token, () => undefined);
    const it = ask(key, parent ? "Send reply" : "Send comment", async elements => {
      const values = filled(elements, names);
      const form_token = await askToken();
      const sent = await asWriter((token, kind) => call("/v1/comments", {
        article_url: article, parent_id: parent, ...values, website: website.value, form_token, [kind + "_token"]: token,
      }));
      keep(place, {name: values.name});
      lastEmail = values.email;
      elements.body.value = "";
      token = 0;
      await done(sent);
    },
    words(key, parent ? "Reply" : "Comment", "body", 3, {required: ""}),
    ...account() ? [] : [
      h("div", {class: "who"},
        field(key + "name", "Name", "input", {name: "name", required: "", autocomplete: "name", value: recall(place)?.name}),
        field(key + "email", "Email", "input", {name: "email", required: "", type: "email", autocomplete: "email",
          value: lastEmail, "aria-describedby": `${key}hint ${key}email-error`})),
      h("p", {class: "hint", id: key + "hint"}, "Your email address is not published, and nothing is mailed to it.")],
    h("div", {hidden: ""}, website));
    it.addEventListener("focusin", askToken);
    return it;
  };

  const edit = (key, body, save) => {
    const it = ask(key, "Save", elements => save(filled(elements, ["body"]).body), words(key, "Your comment", "body", 5, {required: ""}));
    it.elements.body.value = body;
    return it;
  };

  const reasons = {spam: "Advertising or spam", abuse: "Insult or abuse", off_topic: "Not about the article", wrong_fact: "A fact is wrong", illegal: "Against the law"};
  const report = (key, id, done) => ask(key, "Send report", async elements => {
    const reason = elements.reason.value || refuse("reason", "Choose a reason.");
    const note = elements.note.value.trim() || undefined;
    const {message} = await asVoter(token => call(`/v1/comments/${id}/reports`, {reason, note, voter_token: token}));
    done(message);
  },
  h("fieldset", {id: key + "reason", role: "radiogroup", "aria-describedby": key + "reason-error"},
    h("legend", {}, "What is wrong with this comment?"),
    ...Object.entries(reasons).map(([value, label]) => h("label", {class: "tick"}, h("input", {type: "radio", name: "reason", value}), label)),
    h("p", {class: "error", id: key + "reason-error"})),
  words(key, "Anything to add? (optional)", "note", 2));

  return {write, edit, report};
};
