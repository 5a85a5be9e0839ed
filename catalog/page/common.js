// What every part of the page uses: elements, questions, names and links. Values become text nodes, never markup.

export const LEVELS = ["kingdom", "phylum", "class", "order", "family", "genus", "species", "taxon"];
const ITALIC = new Set(["genus", "species", "taxon", "subspecies", "variety", "form"]);
export const $ = (id) => document.getElementById(id);
export const count = (n) => (n ?? 0).toLocaleString("en");
export const several = (n, word) => `${count(n)} ${word}${n === 1 ? "" : "s"}`;

export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name === "class") element.className = value;
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

export async function ask(name, params = {}, signal = undefined) {
  const answer = await fetch(`/api/${name}?${new URLSearchParams(params)}`, { signal });
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error);
  return said;
}

export function say(text) { $("said").textContent = text; }

export function nameOf(name, rank) {
  return ITALIC.has(rank) ? make("i", { lang: "la" }, name) : make("span", { lang: "la" }, name);
}

export function pathOf(row) {
  const path = {};
  for (const rank of LEVELS.slice(0, 7)) if (row[rank]) path[rank] = row[rank];
  const deepest = Object.values(path).at(-1);
  if (row.canonicalName && row.canonicalName !== deepest && (row.taxonRank === null || !(row.taxonRank in path))) path.taxon = row.canonicalName;
  return path;
}

export const inPath = (path) => Object.fromEntries(Object.entries(path).map(([level, name]) => [`in_${level}`, name]));
export const taxonLink = (path, filters = {}) => `#/taxon?${new URLSearchParams({ ...inPath(path), ...filters })}`;
export const pictureLink = (uuid) => `#/picture/${encodeURIComponent(uuid)}`;
export const webLink = (text) => /^https?:\/\//i.test(text ?? "")
  ? make("a", { href: text, rel: "noopener noreferrer nofollow", target: "_blank" }, text) : text;
// Pictures are kept by the browser under their dataset's own name, so that another one on this port shows its own.
let dataset = "";
export function shows(address) { dataset = encodeURIComponent(address ?? ""); }
export const pictureAt = (uuid) => `/picture/${encodeURIComponent(uuid)}?of=${dataset}`;
const thumbnailAt = (key) => `/thumbnail/${encodeURIComponent(key)}?of=${dataset}`;
export const licenceOf = (row) => row.license ?? { open: "public domain or open", nc: "non-commercial", nd: "no derivatives",
  reserved: "all rights reserved", unknown: "unknown licence" }[row.license_status];

export function crumbs(path) {
  const list = make("ol", { class: "crumbs" }), so_far = {};
  list.append(make("li", {}, make("a", { href: "#/" }, "All")));
  for (const [level, name] of Object.entries(path)) {
    so_far[level] = name;
    list.append(make("li", {}, make("a", { href: taxonLink({ ...so_far }), title: level }, nameOf(name, level))));
  }
  return make("nav", { "aria-label": "Lineage" }, list);
}

export function tile(row) {
  const shown = row.thumbnail_row ?? row.uuid, name = row.canonicalName ?? "not named";
  const picture = row.keep === false
    ? make("span", { class: "none" }, row.license_status === "open" ? "left out of the data" : `not shown: ${licenceOf(row) ?? "left out"}`)
    : make("img", { src: thumbnailAt(shown), loading: "lazy", alt: `${name}${row.sex ? `, ${row.sex}` : ""}` });
  const more = [row.eventDate?.slice(0, 10), row.countryCode, row.creator].filter(Boolean).join(" · ");
  return make("li", {}, make("a", { class: "tile", href: pictureLink(row.uuid) }, picture,
    make("div", {}, nameOf(name, row.taxonRank ?? "species"), row.vernacularName ? make("span", { class: "common" }, row.vernacularName) : null,
      more ? make("small", {}, make("br"), more) : null)));
}
