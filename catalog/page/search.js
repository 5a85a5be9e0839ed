// Search by any name of a taxon (WAI-ARIA combobox with a list).
import { $, ask, make, nameOf, pathOf, say, several, taxonLink } from "/common.js";

let asking;
const found = $("found");
$("search").addEventListener("input", async () => {
  asking?.abort();
  asking = new AbortController();
  const text = $("search").value, signal = asking.signal;
  found.replaceChildren(); // what Enter takes is never an answer to an earlier word
  if (!text.trim()) { shut(); return; }
  try {
    await new Promise((done) => setTimeout(done, 120));
    if (signal.aborted) return;
    const rows = await ask("search", { text }, signal);
    found.replaceChildren(...rows.map((row, i) => {
      const kind = { vernacular: `common name${row.language ? `, ${row.language}` : ""}`, synonym: "synonym", verbatim: "as a provider wrote it", accepted: row.taxonRank }[row.name_kind];
      const item = make("li", { role: "option", id: `found-${i}`, "aria-selected": "false" },
        row.name_kind === "accepted" ? null : make("span", {}, row.name, " → "), nameOf(row.canonicalName, row.taxonRank),
        make("small", {}, ` ${kind ?? ""} · ${row.family ?? row.kingdom ?? ""} · ${several(row.n_images, "picture")}`));
      item.addEventListener("mousedown", (event) => { event.preventDefault(); go(row); });
      item.row = row;
      return item;
    }));
    $("search").removeAttribute("aria-activedescendant");
    if (!rows.length) found.append(make("li", { class: "soft", role: "option", "aria-disabled": "true" }, "no taxon of this dataset is called so"));
    found.hidden = false;
    $("search").setAttribute("aria-expanded", "true");
    say(rows.length === 1 ? "1 taxon found" : `${rows.length} taxa found`);
  } catch (error) { if (error.name !== "AbortError") say(error.message); }
});

function go(row) { location.hash = taxonLink(pathOf(row)); $("search").value = ""; shut(); }

function shut() {
  asking?.abort();
  found.hidden = true;
  found.replaceChildren();
  $("search").setAttribute("aria-expanded", "false");
  $("search").removeAttribute("aria-activedescendant");
}

$("search").addEventListener("blur", shut);
$("search").addEventListener("keydown", (event) => {
  const items = [...found.querySelectorAll("[role=option]:not([aria-disabled])")], at = items.findIndex((item) => item.ariaSelected === "true");
  if (event.key === "Escape") shut();
  else if (event.key === "Enter" && items.length) go(items[Math.max(0, at)].row);
  else if ((event.key === "ArrowDown" || event.key === "ArrowUp") && items.length) {
    const next = items[(at + (event.key === "ArrowDown" ? 1 : -1) + items.length) % items.length];
    items.forEach((item) => { item.ariaSelected = String(item === next); });
    $("search").setAttribute("aria-activedescendant", next.id);
    next.scrollIntoView({ block: "nearest" });
    event.preventDefault();
  }
});
