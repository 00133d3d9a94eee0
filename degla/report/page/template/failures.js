const items = read("items");
const STATES = [["broken", "broken", "\u2713\u2192\u2717"], ["wrong", "still wrong", "\u2717\u2192\u2717"], ["fixed", "fixed", "\u2717\u2192\u2713"], ["right", "right in both", "\u2713\u2192\u2713"]];
const AT_ONCE = 40;
let pictures = null, chosen = new Set(["broken", "wrong", "fixed"]), listed = [], drawnCards = 0;

const picture = number => (pictures ??= read("pictures"))[number];
const entryOf = number => items.entry[number] < 0 ? null : items.entries[items.entry[number]];
const hasPicture = number => { const entry = entryOf(number); return Boolean(entry) && entry[2].some(each => each >= 0); };

/** broken, wrong, fixed or right; null if one of the two models was not scored on the item. */
function stateOf(number) {
  const [before, after] = pair.map(model => items.models[model].right[number]);
  if (before === "-" || after === "-") return null;
  return before === "1" ? (after === "1" ? "right" : "broken") : (after === "1" ? "fixed" : "wrong");
}

/** How badly each item went under a model: 0 is the worst of its group, 1 the best, so that benchmarks of different measures mix. */
const standings = new Map();
function standing(model) {
  if (standings.has(model)) return standings.get(model);
  const {right, margin, rank} = items.models[model], groups = items.groups.map(() => []);
  items.of.forEach((group, number) => groups[group].push(number));
  const value = number => margin && margin[number] !== null ? margin[number] : rank && rank[number] !== null ? -rank[number] : 0;
  const found = new Float64Array(items.of.length);
  for (const group of groups) {
    group.sort((a, b) => right[a].localeCompare(right[b]) || value(a) - value(b));
    group.forEach((number, place) => { found[number] = (place + 0.5) / group.length; });
  }
  standings.set(model, found);
  return found;
}

/** Texts of an item in small letters, for the search; made at the first search. */
let haystack = null;
function contains(number, query) {
  haystack ??= items.of.map((_, each) => {
    const entry = entryOf(each), said = items.models.map(model => model.predicted && model.predicted[each]).filter(Boolean);
    return [items.item[each], items.label[each] || "", ...said, ...(entry ? entry[0] : [])].join("\n").toLowerCase();
  });
  return haystack[number].includes(query);
}

/** The words of two texts that the other lacks, by the longest common subsequence; place by place if that marks two exchanged words. */
function changedWords(one, other) {
  const a = one.split(/\s+/), b = other.split(/\s+/), plain = word => word.toLowerCase().replace(/[^\p{L}\p{N}]/gu, "");
  const p = a.map(plain), q = b.map(plain);
  if (a.length * b.length > 40000) return [a.map(() => false), b.map(() => false)];
  const best = Array.from({length: a.length + 1}, () => new Uint16Array(b.length + 1));
  for (let i = a.length - 1; i >= 0; i--) for (let j = b.length - 1; j >= 0; j--) {
    best[i][j] = p[i] === q[j] ? best[i + 1][j + 1] + 1 : Math.max(best[i + 1][j], best[i][j + 1]);
  }
  const inA = a.map(() => true), inB = b.map(() => true);
  for (let i = 0, j = 0; i < a.length && j < b.length;) {
    if (p[i] === q[j]) { inA[i++] = false; inB[j++] = false; }
    else if (best[i + 1][j] >= best[i][j + 1]) i++;
    else j++;
  }
  const moved = a.map((_, i) => p[i] !== q[i]), number = changed => changed.filter(Boolean).length;
  return a.length === b.length && number(moved) <= number(inA) + 1 ? [moved, moved] : [inA, inB];
}

function marked(text, changed) {
  const parts = [];
  text.split(/\s+/).forEach((word, i) => {
    if (i) parts.push(" ");
    parts.push(changed[i] ? make("mark", {}, word) : word);
  });
  return parts;
}

function said(text, className, changed) {
  return make("span", {className: `said ${className}`}, ...(changed ? marked(text, changed) : [text]));
}

function textsOf(number) {
  const entry = entryOf(number), kind = items.groups[items.of[number]][2], label = items.label[number];
  const answers = pair.map(model => items.models[model].predicted && items.models[model].predicted[number]);
  if (answers.some(Boolean)) {
    return [said(label || "", ""), ...[...new Set(answers)].filter(each => each && each !== label).map(each => said(each, "false"))];
  }
  if (!entry || !entry[0].length) return [said(`item ${items.item[number]}`, "plain")];
  const [texts, right] = entry;
  if (kind === "image_retrieval" || kind === "text_retrieval" || (right === texts.length && texts.length === 1)) return texts.map(text => said(text, ""));
  const first = texts[0];
  if (right === texts.length && texts.length === 2) {  // a match: each text belongs to a picture of its own
    const [one, two] = changedWords(texts[0], texts[1]);
    return [said(first, "plain", one), said(texts[1], "plain", two)];
  }
  const changes = texts.map((text, i) => i ? changedWords(first, text) : null);
  return texts.map((text, i) => said(text, i < right ? "" : "false", i < right && texts.length > 2 ? null : i ? changes[i][1] : texts.length === 2 ? changes[1][0] : null));
}

function numbersOf(number) {
  for (const [column, name, digits] of [["margin", "margin", 3], ["rank", "rank", 0]]) {
    const found = pair.map(model => items.models[model][column] && items.models[model][column][number]);
    if (found.some(each => each !== null && each !== undefined)) {
      const show = value => value === null || value === undefined ? "\u2013" : digits ? (value < 0 ? "\u2212" : "+") + Math.abs(value).toFixed(digits) : count(value);
      return make("span", {className: "margin", title: name === "margin" ? "cosine with the right answer minus the largest with a wrong one" : "place of the first right answer"},
        `${name} `, make("b", {}, show(found[0])), " \u2192 ", make("b", {}, show(found[1])));
    }
  }
  return "";
}

function cardOf(number) {
  const entry = entryOf(number), [benchmark, set, kind] = items.groups[items.of[number]], state = stateOf(number);
  const shown = hasPicture(number) ? entry[2].filter(each => each >= 0) : [];
  const card = make("article", {className: shown.length ? "card pictured" : "card"});
  if (shown.length) {
    card.append(make("div", {className: "pictures"}, ...shown.map(each => {
      const image = make("img", {src: `data:image/webp;base64,${picture(each)}`, alt: items.item[number]});
      image.addEventListener("load", () => image.classList.toggle("small", image.naturalWidth <= 96));
      return image;
    })));
  }
  card.append(make("div", {className: "texts"}, ...textsOf(number)));
  const [, name, arrow] = STATES.find(each => each[0] === state);
  const where = [words(benchmark), words(set), kind === "choice" || kind === "classification" ? "" : words(kind)].filter((each, i, all) => each && !all.slice(0, i).some(before => before.endsWith(each))).join(" \u00b7 ");
  card.append(make("div", {className: "facts"}, make("span", {className: `state ${state}`}, `${arrow} ${name}`), numbersOf(number), make("span", {className: "where", title: `item ${items.item[number]}`}, where)));
  return card;
}

/** Whether a kind of outcome stands for the items of its set: of matches the group does, and text and image are halves of it. */
function isWhole(title, set, kind) {
  return kind === "group" || !items.groups.some(each => each[0] === title && each[1] === set && each[2] === "group");
}

function drawMore() {
  const next = listed.slice(drawnCards, drawnCards + AT_ONCE);
  byId("cards").append(...next.map(cardOf));
  drawnCards += next.length;
  byId("more").textContent = drawnCards < listed.length ? `${count(drawnCards)} of ${count(listed.length)} drawn; scroll for more` : listed.length ? "" : "No item fits these filters.";
}

function showFailures() {
  if (!items.of) return;
  const query = byId("words").value.trim().toLowerCase(), benchmark = byId("benchmark").value, subset = byId("subset").value;
  const order = byId("order").value, onlyPictured = byId("pictured").checked, counts = {broken: 0, wrong: 0, fixed: 0, right: 0};
  const fits = items.groups.map(([title, set, kind]) => (!benchmark || title === benchmark) && (subset ? `${set}\n${kind}` === subset : isWhole(title, set, kind)));
  listed = [];
  for (let number = 0; number < items.of.length; number++) {
    if (!fits[items.of[number]] || (onlyPictured && !hasPicture(number)) || (query && !contains(number, query))) continue;
    const state = stateOf(number);
    if (!state) continue;
    counts[state]++;
    if (chosen.has(state)) listed.push(number);
  }
  const [before, after] = pair.map(standing), rank = {broken: 0, wrong: 1, fixed: 2, right: 3};
  const states = new Uint8Array(items.of.length);
  for (const number of listed) states[number] = rank[stateOf(number)];
  const keys = {
    worst: (a, b) => (states[a] > 1) - (states[b] > 1) || after[a] - after[b] || states[a] - states[b],
    lost: (a, b) => (states[a] !== 0) - (states[b] !== 0) || (after[a] - before[a]) - (after[b] - before[b]),
    gained: (a, b) => (states[a] !== 2) - (states[b] !== 2) || (after[b] - before[b]) - (after[a] - before[a]),
  };
  listed.sort((a, b) => keys[order](a, b) || a - b);
  for (const button of byId("states").children) {
    const [state, name, arrow] = STATES.find(each => each[0] === button.value);
    button.textContent = `${arrow} ${name} ${count(counts[state])}`;
    button.setAttribute("aria-pressed", chosen.has(state));
  }
  byId("found").textContent = `${count(listed.length)} of ${count(items.of.filter(group => fits[group]).length)} items`;
  byId("cards").replaceChildren();
  drawnCards = 0;
  drawMore();
}

function showSubsetOptions() {
  const benchmark = byId("benchmark").value, kinds = items.groups.filter(([title]) => !benchmark || title === benchmark);
  const values = new Map();
  for (const [title, set, kind] of kinds) {
    const own = kinds.filter(each => each[0] === title && each[1] === set).length > 1;
    values.set(`${set}\n${kind}`, words(set) + (own || kind.includes("retrieval") ? `, ${words(kind)}` : ""));
  }
  byId("subset").replaceChildren(make("option", {value: ""}, "all subsets"), ...[...values].map(([value, name]) => make("option", {value}, name)));
}

function startFailures() {
  if (!items.of) return;
  const titles = [...new Set(items.groups.map(([title]) => title))];
  byId("benchmark").append(make("option", {value: ""}, "all benchmarks"), ...titles.map(value => make("option", {value}, words(value))));
  byId("states").append(...STATES.map(([value]) => make("button", {type: "button", value})));
  byId("states").addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    if (!chosen.delete(button.value)) chosen.add(button.value);
    showFailures();
  });
  byId("pictured-box").hidden = !items.of.some((_, number) => hasPicture(number));
  byId("benchmark").addEventListener("change", showSubsetOptions);
  showSubsetOptions();
  byId("filters").addEventListener("submit", event => event.preventDefault());
  byId("filters").addEventListener("input", showFailures);
  new IntersectionObserver(seen => { if (seen.some(each => each.isIntersecting) && drawnCards && drawnCards < listed.length) drawMore(); }, {rootMargin: "600px"}).observe(byId("more"));
}
