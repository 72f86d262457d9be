// What the theme and its scripts leave out for people who hear a page or go through it by keyboard.
"use strict";

(() => {
  // The words of the icon font are pictures; read aloud they would be part of every link's name.
  const hideIcons = (root) => {
    for (const icon of root.querySelectorAll(".material-symbols-outlined:not(button):not([aria-hidden])")) {
      icon.setAttribute("aria-hidden", "true");
      const pressed = icon.closest("a, button");
      if (!pressed || pressed.hasAttribute("aria-label") || pressed.innerText.replace(icon.innerText, "").trim()) continue;
      const field = pressed.parentElement.querySelector("input");
      const name = pressed.title || field?.placeholder || document.getElementById("main")?.dataset.more;
      if (name) pressed.setAttribute("aria-label", name);
    }
  };

  // A chosen value stands where the select was; its label doesn't lead to it.
  const nameSelects = (root) => {
    for (const select of root.querySelectorAll("select.select2-hidden-accessible")) {
      const label = document.querySelector(`label[for="${CSS.escape(select.id)}"]`);
      const container = select.nextElementSibling;
      if (!label || !container) continue;
      label.id ||= `${select.id}_label`;
      for (const part of container.querySelectorAll(".select2-selection, .select2-selection__rendered")) {
        const shown = part.matches(".select2-selection--single") ? ` ${part.firstElementChild.id}` : "";
        part.setAttribute("aria-labelledby", label.id + shown);
      }
      const search = container.querySelector(".select2-search__field");
      if (search) search.setAttribute("aria-labelledby", label.id);
      const hint = select.getAttribute("aria-describedby");
      if (hint) container.querySelector(".select2-selection").setAttribute("aria-describedby", hint);
    }
  };

  // What scrolls must be reached by keyboard, and say what it is.
  const nameScrollers = (root) => {
    for (const box of root.querySelectorAll(".mb-scroll, .mb-json, .mb-payer-card")) {
      if (box.scrollHeight <= box.clientHeight && box.scrollWidth <= box.clientWidth) continue;
      if (box.hasAttribute("tabindex")) continue;
      const heading = box.closest("section, article, form")?.querySelector("h2, h3");
      box.tabIndex = 0;
      box.setAttribute("role", "region");
      box.setAttribute("aria-label", (heading || document.querySelector("h1")).innerText.trim());
    }
  };

  // A name needs a role to be read (Django's two lists beside each other).
  const nameHints = (root) => {
    for (const hint of root.querySelectorAll(".help-tooltip[aria-label]:not([role])")) hint.setAttribute("role", "img");
  };

  // Beside the cells of a narrow list, names of columns begin as they do above a wide one.
  const nameCells = (root) => {
    for (const cell of root.querySelectorAll("#result_list [data-label]:not([data-label=''])")) {
      const name = cell.dataset.label;
      if (name[0] !== name[0].toUpperCase()) cell.dataset.label = name[0].toUpperCase() + name.slice(1);
    }
  };

  const lookAt = (root) => [hideIcons, nameSelects, nameScrollers, nameHints, nameCells].forEach((each) => each(root));

  let isDue = false;
  const lookSoon = () => {
    if (isDue) return;
    isDue = true;
    requestAnimationFrame(() => {
      isDue = false;
      lookAt(document);
    });
  };

  document.addEventListener("DOMContentLoaded", () => {
    lookAt(document);
    new MutationObserver(lookSoon).observe(document.body, { childList: true, subtree: true });
  });
  window.addEventListener("resize", lookSoon);

  // Until the theme has begun, its pages are hidden, and what is hidden can't get the focus.
  const giveFocus = () => {
    const wrong = firstWrong();
    if (wrong) wrong.focus();
    else if (document.activeElement === document.body) document.querySelector("[autofocus]")?.focus();
  };

  // The first field of a refused form that can get the focus; of a select that is dressed up, its dress.
  const firstWrong = () => {
    const fields = [...document.querySelectorAll("#content :is(input, select, textarea)[aria-invalid=true]")];
    const focusable = fields.map((field) => (
      field.matches(".select2-hidden-accessible") ? field.nextElementSibling?.querySelector(".select2-selection") : field
    ));
    return focusable.find((field) => field?.offsetParent);
  };
  document.addEventListener("alpine:initialized", () => requestAnimationFrame(giveFocus));
})();
