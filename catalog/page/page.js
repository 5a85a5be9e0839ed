// The pages: routes in the address after #, data from /api.
import { $, LEVELS, ask, count, crumbs, inPath, licenceOf, make, nameOf, pathOf, pictureAt, pictureLink, say, several, shows, taxonLink, tile, webLink } from "/common.js";
import { bars, longTail, worldMap } from "/figures.js";
import "/search.js";
import { fill, reveal } from "/tree.js";

const WORDS = { n_images: "pictures", license_status: "what the licence allows", countryCode: "country", basisOfRecord: "kind of record",
  lifeStage: "life stage", match_rule: "label settled by", taxonRank: "labelled to", image_type: "kind of picture", license: "licence" };
const main = $("main");
let overview;

let turn = 0; // which address is being shown; an answer to an earlier one comes too late

function show(mine, title, ...content) {
  if (mine !== turn) return false;
  main.replaceChildren(...content.filter(Boolean));
  document.title = `${title} · ${overview.title}`;
  main.querySelector("h1")?.setAttribute("tabindex", "-1");
  say(title);
  return true;
}

// A button that asks for more, once at a time; `next` adds what came and returns where to go on ("" after the last).
function moreButton(words, after, next) {
  const button = make("button", { type: "button" }, words);
  button.hidden = !after;
  button.addEventListener("click", async () => {
    if (button.ariaDisabled === "true") return;
    button.ariaDisabled = "true";
    try { after = await next(after); button.hidden = !after; } catch (error) { say(error.message); }
    button.ariaDisabled = "false";
  });
  return button;
}

function whenNear(element, then) {
  const watch = new IntersectionObserver((seen) => { if (seen.some((one) => one.isIntersecting)) { watch.disconnect(); then(); } }, { rootMargin: "600px" });
  watch.observe(element);
}

function filterForm(path, chosen) {
  const form = make("form", { class: "filters", "aria-label": "Filters" });
  for (const [name, values] of Object.entries(overview.filters)) {
    if (values.length < 2) continue;
    const select = make("select", { name }, make("option", { value: "" }, "any"),
      ...values.map((value) => make("option", { value, selected: chosen[name] === value }, value)));
    form.append(make("label", {}, WORDS[name] ?? name, select));
  }
  for (const [name, word] of [["from_year", "from year"], ["to_year", "to year"]])
    form.append(make("label", {}, word, make("input", { type: "number", name, min: 1500, max: 2100, value: chosen[name] })));
  form.append(make("label", { class: "check" }, make("input", { type: "checkbox", name: "pixels", value: "yes", checked: chosen.pixels === "yes" }), "with pixels only"));
  form.append(make("button", {}, "Apply"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    location.hash = taxonLink(path, Object.fromEntries([...new FormData(form)].filter(([, value]) => value)));
  });
  return form;
}

async function taxonPage(params) {
  const mine = turn;
  const path = {}, chosen = {};
  for (const [name, value] of params) if (name.startsWith("in_")) path[name.slice(3)] = value; else chosen[name] = value;
  const ordered = Object.fromEntries(LEVELS.filter((level) => level in path).map((level) => [level, path[level]]));
  const [told, first] = await Promise.all([ask("taxon", inPath(path)), ask("pictures", { ...inPath(path), ...chosen })]);
  const [level, name] = Object.entries(ordered).at(-1) ?? ["", overview.title];
  const head = make("h1", {}, level ? nameOf(name, level) : name, told.vernacularName ? make("span", { class: "soft" }, ` ${told.vernacularName}`) : null);
  const facts = make("p", { class: "soft" }, [level, several(level ? told.n_images : overview.n_images, "picture"), `${count(level ? told.n_open : overview.n_open)} with pixels`,
    told.n_species > 1 ? `${count(told.n_species)} species` : "", told.scientificName].filter(Boolean).join(" · "));
  const names = told.names.length ? make("details", {}, make("summary", {}, `${told.names.length} other names`),
    make("ul", { class: "names" }, ...told.names.map((one) => make("li", { lang: one.language }, one.name, make("small", {}, ` ${one.language ?? one.name_kind}`))))) : null;
  const filtered = Object.keys(chosen).length > 0;
  const spread = told.spread.length > 1 && !filtered
    ? make("section", {}, make("h2", {}, "One picture of each of ", told.spread.length === 48 ? "48 taxa, spread over the tree" : `${told.spread.length} taxa`),
      make("ul", { class: "gallery", id: "spread" }, ...told.spread.map((row) => tile(row)))) : null;
  const gallery = make("ul", { class: "gallery", id: "pictures" }, ...first.pictures.map((row) => tile(row)));
  const more = moreButton("More pictures", first.after, async (after) => {
    const next = await ask("pictures", { ...inPath(path), ...chosen, after });
    const tiles = next.pictures.map((row) => tile(row));
    gallery.append(...tiles);
    tiles[0]?.firstChild.focus();
    say(`${next.pictures.length} more pictures`);
    return next.after;
  });
  const total = make("span", { class: "soft" });
  const where = make("section", { id: "where" });
  const shown = show(mine, name, crumbs(ordered), head, facts, names, spread,
    make("section", {}, make("h2", {}, "Pictures, by taxonomy ", total), filterForm(ordered, chosen), gallery, more,
      first.pictures.length ? null : make("p", {}, "No picture is as the filters ask.")), where);
  if (!shown) return;
  const query = { ...inPath(path), ...chosen };
  const tell = (n) => { total.textContent = `(${count(n.n_images)}, ${count(n.n_open)} with pixels)`; };
  if (filtered) ask("count", query).then(tell).catch(() => {});
  else tell(level ? told : overview);
  whenNear(where, async () => {
    const cells = await ask("places", query), n = cells.reduce((sum, cell) => sum + cell.n_images, 0);
    if (!cells.length) return;
    where.append(make("h2", {}, "Where"), worldMap(`Map of ${several(n, "picture")} with coordinates, in ${several(cells.length, "cell")} of one degree`, cells),
      make("p", { class: "soft" }, `${several(n, "picture")} with coordinates, by cells of one degree, as published; outlines are coarse.`));
  });
  reveal(ordered, tree);
}

function fact(name, value) {
  return value === null || value === undefined || value === "" ? [] : [make("dt", {}, name), make("dd", {}, value)];
}

function refused(row) {
  return make("section", { class: "panel warn" }, make("h2", {}, "Left out of the data"),
    make("p", {}, `${row.meaning ?? row.reject_reason}.`), make("dl", {}, ...fact("reason", `${row.reject_stage} / ${row.reject_reason}`),
      ...fact("score", row.reject_score), ...fact("row", `${row.archive}, ${row.source_table}, row ${row.source_row}`), ...fact("licence as stated", row.license_verbatim),
      ...fact("address", webLink(row.identifier)), ...fact("kept in its place", row.duplicate_of ? make("a", { href: pictureLink(row.duplicate_of) }, row.duplicate_of) : null)));
}

async function picturePage(uuid) {
  const mine = turn;
  const told = await ask("record", { uuid }), row = told.record;
  if (!row) {
    show(mine, "A row left out", make("h1", {}, told.rejected[0].verbatimScientificName ?? "A row left out"), ...told.rejected.map(refused));
    return;
  }
  const path = pathOf(row), name = row.canonicalName ?? row.verbatimScientificName ?? "not named";
  const picture = told.has_picture
    ? make("img", { src: pictureAt(uuid), alt: [name, row.sex, row.lifeStage, row.image_type].filter(Boolean).join(", ") })
    : make("p", { class: "panel" }, "The pixels are not in the dataset: ", told.rejected[0]?.meaning ?? licenceOf(row), ".");
  const placed = row.decimalLatitude !== null && row.decimalLongitude !== null;
  const degrees = placed ? `${row.decimalLatitude}, ${row.decimalLongitude}` : null;
  const where = make("section", { class: "panel" }, make("h2", {}, "Where and when"), make("dl", {}, ...fact("date", row.eventDate), ...fact("country", row.countryCode),
    ...fact("coordinates", degrees), ...fact("radius", row.coordinateUncertaintyInMeters === null ? null : `${count(row.coordinateUncertaintyInMeters)} m`),
    ...fact("geoprivacy", row.geoprivacy), ...fact("made coarse", row.dataGeneralizations), ...fact("withheld", row.informationWithheld),
    ...fact("elevation", row.minimumElevationInMeters === null ? null : `${row.minimumElevationInMeters} m`),
    ...fact("depth", row.minimumDepthInMeters === null ? null : `${row.minimumDepthInMeters} m`), ...fact("observer", row.recordedBy)),
    placed ? worldMap(`Map around ${degrees}`, [], { latitude: row.decimalLatitude, longitude: row.decimalLongitude, uncertainty: row.coordinateUncertaintyInMeters }) : null);
  const why = make("section", { class: "panel" }, make("h2", {}, "Why this name"), make("dl", {}, ...fact("as given", row.verbatimScientificName),
    ...fact("taken for", row.scientificName ?? row.canonicalName), ...fact("rule", `${row.match_rule ?? "unresolved"}: ${told.rule}`),
    ...fact("score", row.match_score === null ? null : make("span", {}, make("meter", { min: 0, max: 1, value: row.match_score, "aria-label": "score" }), ` ${row.match_score}`)),
    ...fact("remark", told.why ?? row.match_reason), ...fact("taxonomy", row.taxonomy), ...fact("taxon id", row.taxonID)));
  const rights = make("section", { class: "panel" }, make("h2", {}, "Licence and credit"), make("dl", {},
    ...fact("licence", row.license ? webLink(`https://spdx.org/licenses/${row.license}.html`) : licenceOf(row)), ...fact("as stated", webLink(row.license_verbatim)),
    ...fact("credit", row.attribution), ...fact("creator", row.creator), ...fact("holder", row.rightsHolder), ...fact("publisher", row.publisher),
    ...fact("dataset", row.datasetName), ...fact("page", webLink(row.references)), ...fact("file", webLink(row.identifier))));
  const alike = told.group.length || told.duplicates.length ? make("section", { class: "panel" }, make("h2", {}, "Of one organism, or alike", told.n_group > told.group.length ? make("span", { class: "soft" }, ` (${told.group.length} of ${count(told.n_group)})`) : null),
    told.group.length ? make("ul", { class: "gallery" }, ...told.group.map((one) => tile(one))) : null,
    told.duplicates.length ? make("div", { class: "wide" }, make("table", {}, make("caption", {}, told.n_duplicates > told.duplicates.length ? `Left out because this one stayed: ${told.duplicates.length} of ${count(told.n_duplicates)}` : "Left out because this one stayed"),
      make("tbody", {}, ...told.duplicates.map((one) => make("tr", {}, make("th", { scope: "row" }, make("a", { href: pictureLink(one.uuid) }, one.verbatimScientificName ?? one.uuid)),
        make("td", {}, one.meaning), make("td", { class: "number" }, one.reject_score === null ? "" : `${one.reject_score}`)))))) : null) : null;
  const scores = ["match_score", "phash_quality", "museum_score", "animal_score", "face_score", "sharpness", "subject_contrast", "clipped_share"].map((field) => [field, row[field]]);
  const all = make("details", {}, make("summary", {}, "Every field"), make("div", { class: "wide" }, make("table", {}, make("tbody", {}, ...Object.entries(told.fields)
    .filter(([field]) => row[field] !== null).map(([field, about]) => make("tr", {}, make("th", { scope: "row" }, field), make("td", {}, `${row[field]}${about.unit ? ` ${about.unit}` : ""}`), make("td", { class: "soft" }, about.meaning)))))));
  const shown = show(mine, name, crumbs(path), make("h1", {}, nameOf(name, row.taxonRank ?? "species"), row.vernacularName ? make("span", { class: "soft" }, ` ${row.vernacularName}`) : null),
    ...told.rejected.map(refused),
    make("div", { class: "record" }, make("div", {}, make("figure", {}, picture, make("figcaption", {}, row.attribution ?? licenceOf(row))), alike),
      make("div", {}, why, rights, where, make("section", { class: "panel" }, make("h2", {}, "Scores and split"), make("dl", {}, ...fact("split", row.split), ...fact("sex", row.sex), ...fact("life stage", row.lifeStage),
        ...scores.flatMap(([field, value]) => fact(field, value === null ? "not scored" : String(value))))), all)));
  if (shown) reveal(path, tree);
}

async function rejectsPage(params) {
  const mine = turn;
  const chosen = Object.fromEntries(params);
  const [page, numbers] = await Promise.all([ask("rejects", chosen), ask("statistics")]);
  const reasons = numbers.reject ?? [], link = (row) => `#/rejects?${new URLSearchParams({ stage: row.stage, reason: row.reason })}`;
  const body = make("tbody");
  const add = (rows) => body.append(...rows.map((row) => make("tr", {}, make("td", {}, row.verbatimScientificName ?? ""), make("td", {}, `${row.reject_stage} / ${row.reject_reason}`, make("br"), make("small", {}, row.meaning ?? "")),
    make("td", { class: "number" }, row.reject_score === null ? "" : String(row.reject_score)), make("td", {}, `${row.archive}, ${row.source_table}, row ${row.source_row}`),
    make("td", {}, webLink(row.identifier) ?? ""), make("td", {}, row.duplicate_of ? make("a", { href: pictureLink(row.duplicate_of) }, "the one kept") : row.uuid ? make("a", { href: pictureLink(row.uuid) }, "details") : ""))));
  add(page.rejects);
  const more = moreButton("More rows", page.after, async (after) => {
    const next = await ask("rejects", { ...chosen, after });
    add(next.rejects);
    say(`${next.rejects.length} more rows`);
    return next.after;
  });
  const form = make("form", { class: "filters", role: "search" }, make("label", {}, "address, name, id or uuid", make("input", { name: "text", value: chosen.text })), make("button", {}, "Look"));
  form.addEventListener("submit", (event) => { event.preventDefault(); location.hash = `#/rejects?${new URLSearchParams({ ...chosen, text: new FormData(form).get("text") })}`; });
  const said = Object.entries(chosen).map(([name, value]) => `${name} ${value}`).join(", ");
  show(mine, "Left out, and why", make("h1", {}, "Left out, and why"), make("p", { class: "soft" }, `${count(overview.n_rejects)} rows of the sources are not in the data. `, said ? make("a", { href: "#/rejects" }, `Shown: ${said}. Show all`) : ""),
    make("details", { open: !said }, make("summary", {}, `${reasons.length} reasons`), make("div", { class: "wide" }, bars("Rows by reason", reasons.map((row) => ({ ...row, value: `${row.reason}: ${row.meaning}`, n_open: null })), ["reason", "rows"], link))),
    form, make("div", { class: "wide" }, make("table", {}, make("thead", {}, make("tr", {}, ...["name as given", "reason", "score", "where it stands", "address", "see"].map((head) => make("th", { scope: "col" }, head)))), body)), more,
    page.rejects.length ? null : make("p", {}, "No row is as asked."));
}

async function numbersPage() {
  const mine = turn;
  const numbers = await ask("statistics"), cards = [];
  const facets = [["kingdom", "Kingdoms"], ["source", "Sources"], ["license", "Licences"], ["license_status", "What licences allow"], ["basisOfRecord", "Kinds of record"], ["countryCode", "Countries"],
    ["match_rule", "Labels, by the rule that settled them"], ["taxonRank", "Ranks of labels"], ["split", "Splits"], ["sex", "Sex"], ["lifeStage", "Life stage"], ["geoprivacy", "Coordinates, by policy and action"], ["image_type", "Kinds of picture"]];
  const years = [...(numbers.year ?? [])].filter((row) => row.value !== null).sort((a, b) => b.value.localeCompare(a.value)).slice(0, 40);
  for (const [facet, caption] of facets) {
    const rows = (numbers[facet] ?? []).slice(0, 25);
    if (rows.length) cards.push(make("section", { class: "panel wide" }, bars(caption, rows, ["value", "pictures", "with pixels"], facet in overview.filters ? (row) => taxonLink({}, { [facet]: row.value }) : null)));
  }
  if (years.length) cards.push(make("section", { class: "panel wide" }, bars("Years", years, ["year", "pictures", "with pixels"])));
  const taxa = numbers.taxa ?? [];
  if (taxa.length) cards.unshift(make("section", { class: "panel wide" }, bars("Label completeness: pictures labelled at least to", LEVELS.map((rank) => taxa.find((row) => row.value === rank)).filter(Boolean), ["rank", "pictures", "with pixels"])));
  const tail = longTail(numbers.species_at ?? []);
  if (tail) cards.unshift(make("section", { class: "panel" }, make("h2", {}, "The long tail: pictures with pixels per species"), tail));
  for (const facet of Object.keys(numbers).filter((name) => name.startsWith("list: ")))
    cards.push(make("section", { class: "panel wide" }, bars(`Species of the ${facet} with pixels, by category`, numbers[facet].map((row) => ({ value: row.value, n_images: row.n_listed, n_open: row.n_taxa })), ["category", "species listed", "with pixels"])));
  show(mine, "Numbers", make("h1", {}, "Numbers"), make("p", { class: "soft" }, `${count(overview.n_images)} pictures, ${count(overview.n_open)} with pixels; ${count(overview.taxa.species)} species, ${count(overview.taxa.family)} families. The lighter part of a bar has no pixels here.`),
    make("div", { class: "cards" }, ...cards));
}

let moved = false;
async function route() {
  if (location.hash && !location.hash.startsWith("#/")) return;
  const mine = ++turn, [place, query] = location.hash.replace(/^#\/?/, "").split("?"), params = new URLSearchParams(query), [page, id] = place.split("/");
  document.querySelectorAll("[data-page]").forEach((link) => { if (link.dataset.page === (page || "taxon")) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current"); });
  main.setAttribute("aria-busy", "true");
  try {
    if (page === "picture") await picturePage(decodeURIComponent(id ?? ""));
    else if (page === "rejects") await rejectsPage(params);
    else if (page === "numbers") await numbersPage();
    else await taxonPage(params);
  } catch (error) { show(mine, "Not found", make("h1", {}, "Not found"), make("p", { class: "problem" }, error.message)); }
  if (mine !== turn) return;
  main.removeAttribute("aria-busy");
  if (moved && !$("tree").contains(document.activeElement)) { main.querySelector("h1")?.focus({ preventScroll: true }); window.scrollTo(0, 0); }
  moved = true;
}

document.querySelector(".skip").addEventListener("click", (event) => { event.preventDefault(); main.focus(); });
const tree = fill($("tree"), {}, 1);
overview = await ask("overview");
shows(overview.address);
$("title").textContent = overview.title;
$("release").textContent = `release ${overview.release}`;
window.addEventListener("hashchange", route);
await Promise.all([tree, route()]);
$("tree").firstElementChild?.setAttribute("tabindex", "0");
document.documentElement.dataset.ready = "yes";
