// Offers the browser's time zone where another is chosen. The list may not know it; then nothing is offered.
document.addEventListener("DOMContentLoaded", () => {
  const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const choice = document.getElementById("id_time_zone");
  const offer = document.getElementById("zone-offer");
  if (!zone || !choice || !offer) return;
  const knows = Array.from(choice.options).some((option) => option.value === zone);
  const show = () => { offer.hidden = !knows || choice.value === zone || (zone === "UTC" && choice.value === ""); };
  offer.querySelector("[data-zone]").textContent = zone;
  offer.querySelector("button").addEventListener("click", () => {
    choice.value = zone;
    if (window.django && window.django.jQuery) window.django.jQuery(choice).trigger("change");
    show();
  });
  if (window.django && window.django.jQuery) window.django.jQuery(choice).on("change", show);
  show();
});
