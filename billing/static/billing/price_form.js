// A price while it is edited: fields of its model, another tier, and what it would bill.
(function () {
  "use strict";

  const form = document.getElementById("price_form");
  const preview = document.getElementById("price_preview");
  if (!form || !preview) return;

  const model = form.elements.namedItem("model");
  const rows = form.querySelectorAll("[data-models]");
  const addTier = form.querySelector("[data-add-tier]");
  let asked = 0;
  let timer = 0;

  function showFields() {
    if (!model) return;
    for (const row of rows) {
      const models = row.dataset.models.split(" ").filter(Boolean);
      row.hidden = models.length > 0 && !models.includes(model.value);
    }
  }

  async function refresh() {
    const number = (asked += 1);
    const response = await fetch(form.dataset.previewUrl, { method: "POST", body: new FormData(form), credentials: "same-origin" });
    if (!response.ok || number !== asked) return;
    const focused = document.activeElement && document.activeElement.name === "preview_quantity";
    preview.querySelector("[data-card]").innerHTML = await response.text();
    if (focused) form.elements.namedItem("preview_quantity").focus();
  }

  function refreshSoon() {
    window.clearTimeout(timer);
    timer = window.setTimeout(refresh, 250);
  }

  if (addTier) {
    addTier.hidden = false;
    addTier.addEventListener("click", function () {
      const body = form.querySelector("[data-tiers] tbody");
      const row = body.rows[body.rows.length - 1].cloneNode(true);
      for (const input of row.querySelectorAll("input")) {
        input.value = "";
        input.setAttribute("aria-label", input.getAttribute("aria-label").replace(/^\d+/, String(body.rows.length + 1)));
      }
      body.append(row);
      row.querySelector("input").focus();
    });
  }

  form.addEventListener("input", refreshSoon);
  form.addEventListener("change", function () {
    showFields();
    refreshSoon();
  });
  // The searchable list of metrics tells jQuery alone.
  if (window.django && window.django.jQuery) {
    window.django.jQuery(form).on("change", "select", refreshSoon);
  }
  showFields();
})();
