let pair = facts.pair.slice();

/** Changes value, low, high of a metric from the first model of the pair to the second; null if there is no paired interval. */
function changeOf(metric) {
  const [i, j] = pair, found = facts.pairs[`${Math.min(i, j)}-${Math.max(i, j)}`];
  const change = found && found.change[metric];
  if (!change) return null;
  return i < j ? change : [-change[0], -change[2], -change[1]];
}

function sentence() {
  const [i, j] = pair;
  if (i === j) return "Choose two different models.";
  const found = facts.pairs[`${Math.min(i, j)}-${Math.max(i, j)}`];
  return found ? (i < j ? found.verdict : found.back) : "This page has no paired intervals for these two models: with many models only those with the first and the last are in it.";
}

function figures(before, after, change) {
  const values = make("span", {}, `${before ? percent(before[0]) : "\u2013"} \u2192 ${after ? percent(after[0]) : "\u2013"}`);
  if (!before || !after) return make("div", {className: "figures"}, values);
  const points = 100 * (change ? change[0] : after[0] - before[0]);
  const way = change && change[1] > 0 ? "up" : change && change[2] < 0 ? "down" : "even";
  const interval = change ? ` (${signed(100 * change[1])} to ${signed(100 * change[2])})` : "";
  const text = `${{up: "\u25b2", down: "\u25bc", even: "\u25cf"}[way]} ${signed(points)}`;
  const said = {up: "rose, beyond the interval", down: "fell, beyond the interval", even: "no sure change"}[way];
  return make("div", {className: "figures"}, values, make("span", {className: `change ${way}`, title: said}, text, make("small", {}, interval)));
}

function title(name, score) {
  return score ? `${name}: ${percent(score[0])} (${percent(score[1])} to ${percent(score[2])}), ${count(score[3])} items` : name;
}

function track(metric, before, after) {
  const box = make("div", {className: "track"});
  if (metric.chance !== null) box.append(make("span", {className: "guess", style: {left: place(metric.chance)}, title: `chance: ${percent(metric.chance)}`}));
  if (before && after) {
    const [low, high] = [before[0], after[0]].sort((a, b) => a - b);
    box.append(make("span", {className: "shift", style: {left: place(low), width: 100 * (high - low) + "%"}}));
  }
  for (const [name, score] of [["before", before], ["after", after]]) {
    if (!score) continue;
    const said = title(facts.models[pair[name === "before" ? 0 : 1]], score);
    box.append(make("span", {className: `whisker is-${name}`, style: {left: place(score[1]), width: 100 * (score[2] - score[1]) + "%"}, title: said}),
      make("span", {className: `dot is-${name}`, style: {left: place(score[0])}, title: said}));
  }
  return box;
}

function bars(metric, before, after) {
  const box = make("div", {className: "bars"});
  for (const [name, score] of [["before", before], ["after", after]]) {
    if (!score) continue;
    const said = title(facts.models[pair[name === "before" ? 0 : 1]], score);
    box.append(make("span", {className: `bar is-${name}`, style: {width: place(score[0])}, title: said}),
      make("span", {className: `error of-${name}`, style: {left: place(score[1]), width: 100 * (score[2] - score[1]) + "%"}, title: said}));
  }
  if (metric.chance !== null) box.append(make("span", {className: "guess", style: {left: place(metric.chance)}, title: `chance: ${percent(metric.chance)}`}));
  return box;
}

function row(number, shown, name, small) {
  const metric = facts.metrics[number], [before, after] = pair.map(model => facts.scores[model][number]);
  if (!before && !after) return null;
  const label = make("div", {className: "name", title: metric.path}, name);
  if (small) label.append(make("small", {}, small));
  return make("div", {className: "row"}, label, shown(metric, before, after), figures(before, after, changeOf(number)));
}

function itemsOf(number) {
  const score = facts.scores[pair[1]][number] || facts.scores[pair[0]][number];
  if (!score) return "";
  return score[4] ? `${count(score[3])} of ${count(score[3] + score[4])} items` : `${count(score[3])} items`;
}

function showGains() {
  const box = byId("gain-rows");
  box.replaceChildren();
  for (const family of [...facts.families, "averages"]) {
    const rows = facts.rows.filter(number => facts.metrics[number].family === family)
      .map(number => row(number, track, facts.metrics[number].name, itemsOf(number))).filter(Boolean);
    if (rows.length) box.append(make("div", {className: "family"}, family), ...rows);
  }
}

function showSubsets() {
  const box = byId("subset-groups"), open = new Set([...box.querySelectorAll("details[open]")].map(each => each.dataset.key));
  const first = !box.children.length;
  box.replaceChildren();
  const titles = [...new Set(facts.metrics.map(metric => metric.benchmark))];
  for (const [place, benchmark] of titles.entries()) {
    const own = facts.metrics.map((metric, number) => [metric, number]).filter(([metric]) => metric.benchmark === benchmark);
    const main = own.find(([metric]) => metric.main), word = main && main[0].rest.split("/").at(-1);
    const parts = own.filter(([metric]) => metric.part && (metric.rest.endsWith("/" + word) || metric.family === "retrieval"));
    const others = own.filter(([metric]) => !parts.some(([part]) => part === metric));
    const rows = list => list.map(([metric, number]) => row(number, bars, words(metric.rest.replace(list === parts && metric.family !== "retrieval" ? "/" + word : "/", list === parts && metric.family !== "retrieval" ? "" : ", ")), itemsOf(number))).filter(Boolean);
    const drawn = rows(parts), rest = rows(others);
    if (!drawn.length && !rest.length) continue;
    const details = make("details", {open: first ? place < 2 : open.has(benchmark)},
      make("summary", {}, words(benchmark), make("small", {}, parts.length ? `${words(word)}, per cent` : "averages")), ...(drawn.length ? drawn : rest));
    details.dataset.key = benchmark;
    if (drawn.length && rest.length) {
      const more = make("details", {open: open.has(benchmark + "+")}, make("summary", {}, `${rest.length} further ${rest.length === 1 ? "metric" : "metrics"}: averages, other rules and tests`), ...rest);
      more.dataset.key = benchmark + "+";
      details.append(more);
    }
    box.append(details);
  }
}
