/* pollsvc: tells the page around a frame how high the frame's content is. MIT. */
(() => {
  "use strict";
  if (parent === window) return;
  const root = document.documentElement;
  // To whoever may frame us, which frame-ancestors decides; a height is no secret.
  new ResizeObserver(() => {
    parent.postMessage({pollsvc: "height", height: Math.ceil(root.getBoundingClientRect().height)}, "*");
  }).observe(root);
})();
