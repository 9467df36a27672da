/* pollsvc: a poll in a frame, as high as its content. MIT. Loaded by embed.js for mode="frame". */
window.pollsvc["frame-host"] = host => {
  "use strict";
  const {h, base} = window.pollsvc;
  const frame = h("iframe", {src: `${base}/embed/polls/${host.getAttribute("poll")}`, title: "Readers’ poll"});
  Object.assign(host.style, {display: "block", marginBlock: "2em"});
  // As high as the plain form that it replaces, until it tells its own height.
  Object.assign(frame.style, {display: "block", inlineSize: "100%", blockSize: host.offsetHeight + "px", border: "0"});
  addEventListener("message", ({source, origin, data}) => {
    if (source === frame.contentWindow && origin === new URL(base).origin && data?.pollsvc === "height" && data.height >= 0)
      frame.style.blockSize = Math.min(data.height, 1e4) + "px";
  });
  host.attachShadow({mode: "open"}).append(frame);
};
