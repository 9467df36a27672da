/* pollsvc: "Submit a correction" at the foot of an article. MIT. Loaded by embed.js where it is needed. */
window.pollsvc.correction = host => {
  "use strict";
  const {h, call, field, send, link, open, articleUrl} = window.pollsvc;
  const {root, say, show} = open(host);

  // Asked for at the first touch: the service sees how long the form was being filled in.
  let token;
  const askToken = () => token ||= call("/v1/form-token").then(answer => answer.form_token, () => undefined);

  const title = text => h("h2", {tabindex: -1}, text);
  const website = h("input", {name: "website", tabindex: -1, autocomplete: "off"});
  const form = send(root, say, "Send correction", async ({elements}) => {
    const values = {};
    const errors = [];
    for (const name of ["name", "email", "message"]) {
      values[name] = elements[name].value.trim();
      if (!values[name]) errors.push({field: name, detail: {name: "Enter your name.", email: "Enter your email address.", message: "Tell us what is wrong."}[name]});
    }
    if (values.email && !/.@./.test(values.email)) errors.push({field: "email", detail: "An email address has an @ between two parts."});
    if (errors.length) throw {errors};
    const answer = await call("/v1/corrections", {
      ...values, article_url: host.getAttribute("article") || articleUrl(), website: website.value, form_token: await askToken(),
    });
    show(title("Correction received"), h("p", {class: "lead"}, answer.message),
      h("p", {class: "foot"}, "Your reference: ", h("b", {}, answer.reference)),
      answer.standards_url && h("p", {}, "Read ", link(answer.standards_url, "our editorial standards"), "."));
    root.querySelector(".box").style.minBlockSize = "";
    say("Your correction was sent.");
    root.querySelector("h2").focus();
  },
  field("name", "Name", "input", {required: "", autocomplete: "name"}),
  field("email", "Email", "input", {required: "", type: "email", autocomplete: "email"}),
  field("message", "Message", "textarea", {required: "", rows: 5}),
  h("div", {hidden: ""}, website));
  form.addEventListener("focusin", askToken, {once: true});

  for (const control of host.querySelectorAll("input, textarea")) {
    const twin = control.type !== "hidden" && form.elements[control.name];
    if (twin) twin.value = control.value;
  }
  show(title("Submit a correction"),
    h("p", {class: "hint"}, "Have we got something wrong? Tell our editors. All fields are required; your name and email are not published."), form);
};
