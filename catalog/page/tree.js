// The tree of life: taxa that open by a click or the arrow keys (WAI-ARIA tree view).
import { $, ask, count, inPath, make, nameOf, say, several, taxonLink } from "/common.js";

function treeNode(row, path, level) {
  const here = row.rank ? { ...path, [row.rank]: row.name } : path;
  const twist = make("span", { class: "twist", "aria-hidden": "true" }, row.has_children ? "▸" : "");
  const line = make("div", { class: "node" }, twist, make("span", { class: "name" }, row.rank ? nameOf(row.name, row.rank) : "named no further",
    row.vernacularName ? make("small", {}, row.vernacularName) : null), make("span", { class: "n" }, count(row.n_images)));
  const item = make("li", { role: "treeitem", tabindex: "-1", "aria-level": level, "aria-expanded": row.has_children ? "false" : null,
    "aria-label": `${row.rank ?? ""} ${row.name ?? "named no further"}, ${several(row.n_images, "picture")}` }, line);
  item.path = here;
  item.key = row.rank ? JSON.stringify(here) : null;
  line.addEventListener("click", (event) => {
    if (event.target === twist) { toggle(item); return; }
    focusNode(item);
    if (row.rank) location.hash = taxonLink(here);
    if (row.has_children) open(item);
  });
  return item;
}

export async function fill(list, path, level) {
  const rows = await ask("children", inPath(path));
  const shown = (from) => {
    const items = rows.slice(from, from + 200).map((row) => treeNode(row, path, level));
    list.append(...items);
    if (rows.length > from + 200) {
      const more = make("li", { role: "treeitem", tabindex: "-1", "aria-level": level },
        make("div", { class: "node" }, make("span", { class: "twist" }), `${count(rows.length - from - 200)} more …`));
      more.firstChild.addEventListener("click", () => { const next = shown(from + 200); more.remove(); focusNode(next); });
      list.append(more);
      list.more = () => { more.remove(); shown(from + 200); };
    } else list.more = null;
    return items[0];
  };
  shown(0);
}

async function open(item) {
  if (item.getAttribute("aria-expanded") !== "false") return;
  item.setAttribute("aria-expanded", "true");
  item.querySelector(".twist").textContent = "▾";
  let list = item.querySelector(":scope > ul");
  if (!list) {
    list = make("ul", { role: "group" });
    item.append(list);
    try { await fill(list, item.path, Number(item.getAttribute("aria-level")) + 1); }
    catch (error) { list.remove(); close(item); say(error.message); return; }
  }
  list.hidden = false;
}

function close(item) {
  item.setAttribute("aria-expanded", "false");
  item.querySelector(".twist").textContent = "▸";
  const list = item.querySelector(":scope > ul");
  if (list) list.hidden = true;
  if (list?.querySelector("[tabindex='0']")) { list.querySelector("[tabindex='0']").setAttribute("tabindex", "-1"); item.setAttribute("tabindex", "0"); }
}

const toggle = (item) => (item.getAttribute("aria-expanded") === "true" ? close(item) : open(item));

function focusNode(item) {
  $("tree").querySelectorAll("[tabindex='0']").forEach((other) => other.setAttribute("tabindex", "-1"));
  item.setAttribute("tabindex", "0");
  item.focus({ preventScroll: false });
}

$("tree").addEventListener("keydown", (event) => {
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  const item = event.target.closest("[role=treeitem]");
  const seen = [...$("tree").querySelectorAll("[role=treeitem]")].filter((one) => !one.parentElement.closest("[hidden]"));
  const at = seen.indexOf(item), state = item?.getAttribute("aria-expanded");
  const parent = item?.parentElement.closest("[role=treeitem]");
  const moves = { ArrowDown: seen[at + 1], ArrowUp: seen[at - 1], Home: seen[0], End: seen.at(-1) };
  if (event.key in moves) { if (moves[event.key]) focusNode(moves[event.key]); }
  else if (event.key === "ArrowRight") { if (state === "false") open(item); else if (state === "true") focusNode(seen[at + 1] ?? item); }
  else if (event.key === "ArrowLeft") { if (state === "true") close(item); else if (parent) focusNode(parent); }
  else if (event.key === "Enter" || event.key === " ") item.firstChild.click();
  else return;
  event.preventDefault();
});

export async function reveal(path, ready) {
  await ready;
  const wanted = JSON.stringify(path), levels = Object.entries(path);
  $("tree").querySelectorAll("[aria-current]").forEach((item) => item.removeAttribute("aria-current"));
  let list = $("tree"), last = null;
  for (let i = 0; i < levels.length && list; i++) {
    const key = JSON.stringify(Object.fromEntries(levels.slice(0, i + 1)));
    const find = () => [...list.children].find((item) => item.key === key);
    let item = find();
    while (!item && list.more) { list.more(); item = find(); }
    if (!item) break;
    last = item;
    if (item.key === wanted) break;
    await open(item);
    list = item.querySelector(":scope > ul");
  }
  if (!last) return;
  last.setAttribute("aria-current", "true");
  // by hand: scrollIntoView would also move the point from which the Tab key goes on
  const box = $("tree").parentNode, frame = box.getBoundingClientRect(), row = last.firstChild.getBoundingClientRect();
  box.scrollTop += Math.min(0, row.top - frame.top) + Math.max(0, row.bottom - frame.bottom);
}
