// Search everywhere: suggestions below the box while one types, and the keys that lead to it. Without this the
// box leads to the page of results.
document.addEventListener("DOMContentLoaded", () => {
  const WAIT_MS = 200;
  const forms = [...document.querySelectorAll("form.mb-search")];

  forms.forEach((form) => {
    const box = form.querySelector("input[type=search]");
    const list = form.querySelector("[role=listbox]");
    const status = form.querySelector("[role=status]");
    let timer;
    let asking;
    let active = -1;

    const options = () => [...list.querySelectorAll("[role=option]")];
    const activate = (index) => {
      options().forEach((option, place) => option.setAttribute("aria-selected", String(place === index)));
      active = index;
      const chosen = options()[index];
      if (chosen) {
        box.setAttribute("aria-activedescendant", chosen.id);
        chosen.scrollIntoView({ block: "nearest" });
      } else {
        box.removeAttribute("aria-activedescendant");
      }
    };
    // Below the box, to the side where the list doesn't vanish behind the sidebar.
    const open = () => {
      list.hidden = false;
      list.style.left = list.style.right = "";
      const edge = document.getElementById("main")?.getBoundingClientRect().left ?? 0;
      if (list.getBoundingClientRect().left < edge) {
        list.style.left = "0";
        list.style.right = "auto";
      }
      box.setAttribute("aria-expanded", "true");
    };
    const close = () => {
      clearTimeout(timer);
      asking?.abort();
      list.hidden = true;
      box.setAttribute("aria-expanded", "false");
      activate(-1);
    };
    // The secret of a pasted key goes nowhere, not even into a log of addresses.
    const text = () => box.value.replace(/(mbk_[a-z0-9]+)\.\S*/g, "$1").trim();

    const suggest = async () => {
      asking?.abort();
      asking = new AbortController();
      const query = new URLSearchParams({ q: text(), suggest: "1" });
      try {
        const answer = await fetch(`${form.action}?${query}`, { signal: asking.signal });
        if (!answer.ok || answer.redirected) return;
        list.innerHTML = await answer.text();
      } catch {
        return; // given up for a newer question, or offline: Enter still works
      }
      options().forEach((option, place) => { option.id = `${list.id}-${place}`; });
      open();
      activate(-1);
      status.textContent = list.querySelector("[data-count]")?.dataset.count ?? "";
    };

    box.setAttribute("role", "combobox");
    box.setAttribute("aria-autocomplete", "list");
    box.setAttribute("aria-controls", list.id);
    box.setAttribute("aria-expanded", "false");
    box.addEventListener("input", () => {
      clearTimeout(timer);
      if (text()) timer = setTimeout(suggest, WAIT_MS);
      else close();
    });
    box.addEventListener("keydown", (event) => {
      const count = options().length;
      if (event.key === "Escape" && !list.hidden) {
        event.preventDefault(); // the text stays; a second Escape clears it
        close();
      } else if (event.key === "ArrowDown" && !list.hidden) {
        event.preventDefault();
        activate((active + 1) % count);
      } else if (event.key === "ArrowUp" && !list.hidden) {
        event.preventDefault();
        activate((active <= 0 ? count : active) - 1);
      } else if (event.key === "Enter" && active >= 0) {
        event.preventDefault();
        options()[active].click();
      }
    });
    form.addEventListener("submit", () => { box.value = text(); close(); });
    form.addEventListener("focusout", (event) => { if (!form.contains(event.relatedTarget)) close(); });
    list.addEventListener("mousedown", (event) => event.preventDefault()); // keeps the focus in the box
  });

  document.addEventListener("keydown", (event) => {
    const isTyping = event.target.closest?.("input, textarea, select, [contenteditable]");
    const isSlash = event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
    const isControlK = event.key.toLowerCase() === "k" && (event.ctrlKey || event.metaKey);
    const form = forms[0];
    if (!form || !(isSlash || isControlK)) return;
    event.preventDefault();
    const box = form.querySelector("input[type=search]");
    if (box.offsetParent) {
      box.focus();
      box.select();
    } else {
      window.location.assign(form.action); // a narrow screen has no room for the box but on its page
    }
  });
});
