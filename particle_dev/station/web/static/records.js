"use strict";
// Pages about records: "/" goes to the search; of a scanned label only what names the unit goes into the address.
(() => {
  const field = document.querySelector("input[type=search]") || document.getElementById("a");
  if (!field) return;
  document.addEventListener("keydown", (event) => {
    const isTyping = /^(input|select|textarea)$/i.test(event.target.tagName) && event.target.type !== "radio";
    if (event.key !== "/" || isTyping || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    field.focus();
    field.select();
  });
  field.form.addEventListener("submit", () => {
    for (const input of field.form.querySelectorAll("input[name=q], input[name=a], input[name=b]")) {
      input.value = input.value.trim().split(/\s/)[0];
    }
  });
})();
