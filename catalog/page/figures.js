// Figures drawn from numbers, as SVG: a map of the world in outline, bars, the long tail. Text is only ever text.
import { count, make } from "/common.js";

function draw(tag, attributes = {}, ...children) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

// Coarse outlines, longitude and latitude in degrees, read off a globe: to find one's way, not to measure.
const LAND = [
  "-168,66 -156,71 -128,70 -110,68 -95,72 -82,68 -94,60 -92,57 -82,55 -80,51 -78,56 -77,62 -70,62 -64,59 -56,52 -65,49 -60,46 -70,43 -74,40 -76,35 -81,31 -80,25 -82,28 -84,30 -90,29 -97,28 -98,22 -95,18 -91,19 -87,21 -88,16 -83,15 -83,10 -78,9 -80,7 -85,10 -92,14 -97,16 -105,20 -106,23 -112,29 -110,23 -115,30 -118,34 -124,40 -124,48 -131,54 -140,60 -151,60 -160,55 -158,59 -165,62",
  "-78,8 -72,12 -62,10 -52,5 -50,0 -44,-3 -35,-7 -39,-15 -41,-22 -48,-26 -54,-34 -58,-38 -65,-42 -66,-47 -69,-52 -73,-53 -75,-47 -73,-38 -71,-30 -70,-18 -76,-14 -81,-5 -80,1",
  "-10,36 -9,43 -1,44 -4,48 2,51 8,54 8,57 11,56 11,54 20,55 24,59 22,60 29,60 22,63 25,66 17,61 17,57 13,55 11,59 5,59 5,62 13,67 20,70 28,71 41,67 34,66 40,64 45,68 60,69 68,68 73,71 81,73 104,78 113,74 130,71 160,70 180,69 178,65 170,60 163,58 156,51 156,57 164,62 155,59 143,59 135,55 141,52 140,48 131,43 129,38 126,34 125,39 121,40 119,37 122,31 120,25 110,20 106,20 109,12 105,9 101,13 104,1 98,9 98,16 94,17 91,22 87,21 80,15 80,11 77,8 73,17 72,21 67,25 57,27 51,30 48,30 52,24 56,26 60,22 53,16 44,13 39,21 35,28 34,31 36,36 30,36 27,37 27,40 41,41 37,45 40,47 34,45 31,46 28,43 29,41 24,40 23,36 19,42 13,46 12,44 18,40 16,38 12,42 9,44 3,43 0,39 -2,37 -6,36",
  "-6,36 10,37 11,34 20,31 25,32 34,31 37,22 43,12 51,12 45,2 40,-3 40,-15 35,-20 33,-27 27,-34 19,-34 12,-18 14,-10 9,-1 9,4 4,6 -8,4 -13,8 -17,14 -17,21 -10,29",
  "114,-22 122,-18 129,-15 136,-12 136,-15 140,-18 142,-11 146,-19 153,-26 150,-37 140,-38 136,-35 131,-31 124,-33 115,-34",
  "-46,60 -40,65 -22,70 -18,79 -35,83 -60,82 -72,78 -55,70 -53,65", "-24,65 -14,66 -14,64 -22,63",
  "-5,50 1,51 1,53 -2,56 -3,58 -6,57 -4,54 -5,52", "-10,52 -6,52 -6,55 -10,54", "44,-25 47,-25 50,-15 49,-12 44,-17",
  "131,32 136,34 141,36 142,40 145,44 141,45 140,40 136,36 131,34", "131,-1 141,-3 147,-6 150,-10 141,-9 138,-8 133,-4",
  "109,1 117,7 119,5 117,-3 110,-3", "95,5 104,-2 106,-6 101,-3", "106,-6 114,-7 114,-9 105,-7", "173,-35 178,-38 175,-41 167,-46 172,-41 175,-38",
  "120,1 125,1 122,-1 123,-5 120,-5", "120,18 122,18 124,12 121,14", "122,7 126,9 126,6", "80,9 82,7 80,6", "-85,22 -75,20 -77,20 -84,22", "-74,20 -68,19 -72,18",
  "145,-41 148,-41 147,-44 145,-43", "-180,-78 -150,-77 -100,-74 -75,-73 -58,-63 -60,-75 -30,-77 0,-70 50,-67 100,-66 150,-68 170,-72 180,-78 180,-90 -180,-90",
];

export function worldMap(label, cells, point = null) {
  const land = LAND.map((outline) => draw("polygon", {
    class: "land", points: outline.split(" ").map((pair) => { const [x, y] = pair.split(",").map(Number); return `${x},${-y}`; }).join(" ") }));
  const grid = [-60, -30, 0, 30, 60].map((y) => draw("path", { class: "grid", d: `M-180 ${y}H180` }))
    .concat([-150, -120, -90, -60, -30, 0, 30, 60, 90, 120, 150].map((x) => draw("path", { class: "grid", d: `M${x} -90V90` })));
  const most = Math.max(1, ...cells.map((cell) => cell.n_images));
  const spots = cells.map((cell) => draw("circle", { class: "spot", cx: cell.west + 0.5, cy: -(cell.south + 0.5),
    r: 0.7 + 2.2 * Math.log1p(cell.n_images) / Math.log1p(most), "fill-opacity": 0.7 }));
  let box = [-180, -90, 360, 180];
  if (point) {
    const degrees = (point.uncertainty ?? 0) / 111_320, half = Math.min(90, Math.max(20, 1.5 * degrees));
    box = [point.longitude - 2 * half, -point.latitude - half, 4 * half, 2 * half];
    spots.push(draw("ellipse", { class: "reach", cx: point.longitude, cy: -point.latitude, ry: degrees,
      rx: degrees / Math.max(0.05, Math.cos(point.latitude * Math.PI / 180)) }));
    spots.push(draw("circle", { class: "spot", cx: point.longitude, cy: -point.latitude, r: half / 60 }));
  }
  const map = draw("svg", { class: "map", viewBox: box.join(" "), role: "img", "aria-label": label }, ...land, ...grid, ...spots);
  return map;
}

export function bars(caption, rows, heads, link = null) {
  const most = Math.max(1, ...rows.map((row) => row.n_images));
  const body = rows.map((row) => {
    const name = row.value === null ? "not stated" : row.value;
    const whole = make("span"), rest = make("span");
    whole.style.width = `${100 * row.n_images / most}%`;
    rest.style.width = row.n_open === null || row.n_open === undefined ? "0" : `${100 * (1 - row.n_open / Math.max(1, row.n_images))}%`;
    whole.append(rest);
    const href = link && row.value !== null ? link(row) : null;
    return make("tr", {}, make("th", { scope: "row" }, href ? make("a", { href }, name) : name),
      make("td", { class: "number" }, count(row.n_images)),
      heads.length > 2 ? make("td", { class: "number" }, count(row.n_open)) : null, make("td", { class: "bar", "aria-hidden": "true" }, whole));
  });
  return make("table", {}, make("caption", {}, caption),
    make("thead", {}, make("tr", {}, ...heads.map((head, i) => make("th", { scope: "col", class: i ? "number" : "" }, head)), make("td", { "aria-hidden": "true" }))),
    make("tbody", {}, ...body));
}

export function longTail(rows) {
  const points = rows.map((row) => [Number(row.value), row.n_open]).sort((a, b) => a[0] - b[0]);
  if (!points.length) return null;
  const right = Math.max(1, Math.log10(points.at(-1)[0])), top = Math.max(1, Math.log10(Math.max(...points.map((p) => p[1]))));
  const x = (n) => 46 + 440 * Math.log10(n) / right, y = (n) => 210 - 190 * Math.log10(Math.max(1, n)) / top;
  const ticks = [];
  for (let e = 0; e <= Math.ceil(top); e++) if (e <= top) ticks.push(draw("text", { x: 40, y: y(10 ** e) + 4, "text-anchor": "end" }, count(10 ** e)));
  for (let e = 0; e <= Math.ceil(right); e++) if (e <= right) ticks.push(draw("text", { x: x(10 ** e), y: 228, "text-anchor": "middle" }, count(10 ** e)));
  return draw("svg", { class: "plot", viewBox: "0 0 500 250", role: "img",
    "aria-label": `Pictures per species by rank: the first has ${count(points[0][1])}, number ${count(points.at(-1)[0])} has ${count(points.at(-1)[1])}` },
    draw("path", { class: "axis", d: "M46 15V210H490", fill: "none" }), ...ticks,
    draw("text", { x: 270, y: 246, "text-anchor": "middle" }, "species, by their number of pictures (rank)"),
    draw("path", { class: "line", d: "M" + points.map((p) => `${x(p[0])} ${y(p[1])}`).join("L") }),
    ...points.map((p) => draw("circle", { class: "dot", cx: x(p[0]), cy: y(p[1]), r: 2.5 })));
}
