"use strict";
// For every page: the language menu needs no button.
(() => {
  const menu = document.getElementById("language");
  if (menu) menu.addEventListener("change", () => menu.form.submit());
})();
