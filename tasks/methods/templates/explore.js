// Keys: each control that has a `data-key` is pressed by that key, unless a person is typing.
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target.matches("input, textarea, select")) return;
  const control = [...document.querySelectorAll("[data-key]")].find((found) => found.dataset.key === event.key);
  if (!control) return;
  event.preventDefault();
  if (control.tagName === "SELECT") control.focus();
  else control.click();
});
// One verdict per form: a second press must not judge the next sample unseen.
document.addEventListener("submit", (event) => {
  if (document.body.dataset.sent) event.preventDefault();
  document.body.dataset.sent = "yes";
});
// A page that comes back out of the browser's memory may be judged again.
addEventListener("pageshow", () => { delete document.body.dataset.sent; });
