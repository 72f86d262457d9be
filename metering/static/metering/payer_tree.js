// Folding branches of the payers' tree. Without it everything is open.
document.querySelectorAll("button.mb-fold").forEach((button) => {
  button.addEventListener("click", () => {
    const isOpen = button.getAttribute("aria-expanded") === "true";
    button.setAttribute("aria-expanded", String(!isOpen));
    const rows = [...button.closest("tbody").rows];
    // A row is hidden while any branch above it is folded.
    const folded = rows
      .filter((row) => row.querySelector('button.mb-fold[aria-expanded="false"]'))
      .map((row) => row.dataset.path);
    rows.forEach((row) => {
      row.hidden = folded.some((path) => row.dataset.path !== path && row.dataset.path.startsWith(path));
    });
  });
});
