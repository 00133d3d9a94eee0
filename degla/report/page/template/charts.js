"use strict";
const byId = id => document.getElementById(id);
const read = id => JSON.parse(byId(id).textContent);
const facts = read("facts");

/** An element with properties and children; texts are set as text, so nothing of the data becomes HTML. */
function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name === "style") Object.assign(element.style, value);
    else if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function draw(tag, attributes, text) {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  if (text !== undefined) element.textContent = text;
  return element;
}

const percent = share => (100 * share).toFixed(1);
const signed = points => (points < 0 ? "\u2212" : "+") + Math.abs(points).toFixed(1);
const count = number => number.toLocaleString("en-US");
const place = share => Math.max(0, Math.min(100, 100 * share)) + "%";
const words = text => text.replaceAll("_", " ");

/** Round values that cut [low, high] into about `number` parts. */
function ticks(low, high, number) {
  const raw = (high - low || 1) / number, scale = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map(each => each * scale).find(each => each >= raw);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(+value.toPrecision(12));
  return found;
}

/** A plot that is drawn anew whenever its box changes its width, so that text keeps its size on a phone. */
function plot(box, height, draws) {
  let width = 0;
  new ResizeObserver(() => {
    const now = Math.floor(box.clientWidth);
    if (now === width || now === 0) return;
    width = now;
    const svg = draw("svg", {viewBox: `0 0 ${width} ${height}`, height, role: "img"});
    draws(svg, width, height);
    box.replaceChildren(svg);
  }).observe(box);
}

/** Axes with gridlines; returns the functions from values to pixels. */
function axes(svg, width, height, [left, right], [low, high], xName, yName) {
  const x0 = 46, x1 = width - 10, y0 = height - 34, y1 = 10;
  const x = value => x0 + (value - left) / (right - left || 1) * (x1 - x0), y = value => y0 - (value - low) / (high - low || 1) * (y0 - y1);
  for (const value of ticks(low, high, Math.max(4, Math.floor(height / 60)))) {
    svg.append(draw("line", {class: "grid", x1: x0, x2: x1, y1: y(value), y2: y(value)}),
      draw("text", {x: x0 - 6, y: y(value) + 4, "text-anchor": "end"}, String(value)));
  }
  for (const value of ticks(left, right, Math.max(3, Math.floor(width / 70)))) {
    svg.append(draw("text", {x: x(value), y: y0 + 16, "text-anchor": "middle"}, count(value)));
  }
  svg.append(draw("text", {x: (x0 + x1) / 2, y: height - 3, "text-anchor": "middle"}, xName));
  if (yName) svg.append(draw("text", {x: 12, y: (y0 + y1) / 2, transform: `rotate(-90 12 ${(y0 + y1) / 2})`, "text-anchor": "middle"}, yName));
  return [x, y];
}

function lossPlots() {
  const box = byId("loss-plots");
  for (const loss of box ? facts.losses : []) {
    const inside = make("div", {className: "plot"}), last = loss.means.at(-1);
    box.append(make("div", {}, make("h3", {}, loss.name === "total" ? "loss" : loss.name, make("small", {}, `ends at ${last.toPrecision(3)}`)), inside));
    plot(inside, 190, (svg, width, height) => {
      const range = [Math.min(...loss.values), Math.max(...loss.values)];
      const [x, y] = axes(svg, width, height, [0, loss.steps.at(-1)], range, "step");
      for (const [name, values] of [["pale", loss.values], ["dark", loss.means]]) {
        svg.append(draw("polyline", {class: name, points: loss.steps.map((step, i) => `${x(step).toFixed(1)},${y(values[i]).toFixed(1)}`).join(" ")}));
      }
    });
  }
}

function tradeOffPlot() {
  const box = byId("tradeoff-plot"), points = facts.tradeoff;
  if (!box || !points.length) return;
  const range = name => {
    const low = Math.min(...points.map(point => point[name].low)), high = Math.max(...points.map(point => point[name].high));
    return [100 * (low - 0.04 * (high - low)), 100 * (high + 0.04 * (high - low))];
  };
  plot(box, 380, (svg, width, height) => {
    const [x, y] = axes(svg, width, height, range("retention"), range("composition"), "retention, %", "composition, %");
    for (const run of new Set(points.map(point => point.run))) {
      const line = points.filter(point => point.run === run && point.alpha !== null).sort((a, b) => a.alpha - b.alpha);
      svg.append(draw("polyline", {class: "between", points: line.map(point => `${x(100 * point.retention.value)},${y(100 * point.composition.value)}`).join(" ")}));
    }
    for (const point of points) {
      const px = x(100 * point.retention.value), py = y(100 * point.composition.value);
      const name = point.alpha === null ? words(point.candidate) : `alpha ${+point.alpha.toFixed(3)}`;
      const said = ["composition", "retention"].map(of => `${of} ${percent(point[of].value)} (${percent(point[of].low)} to ${percent(point[of].high)})`);
      const group = draw("g", {});
      group.append(draw("title", {}, [name, ...said, point.chosen ? "chosen" : ""].filter(Boolean).join("\n")),
        draw("line", {class: "whisker", x1: x(100 * point.retention.low), x2: x(100 * point.retention.high), y1: py, y2: py}),
        draw("line", {class: "whisker", x1: px, x2: px, y1: y(100 * point.composition.low), y2: y(100 * point.composition.high)}),
        draw("circle", {class: "point", cx: px, cy: py, r: 5.5}));
      if (point.chosen) group.append(draw("circle", {class: "ring", cx: px, cy: py, r: 10}));
      const flip = px > width - 90;
      group.append(draw("text", {x: px + (flip ? -10 : 10), y: py - 9, "text-anchor": flip ? "end" : "start", class: point.chosen ? "strong" : ""}, point.alpha === null ? name : String(+point.alpha.toFixed(3))));
      svg.append(group);
    }
  });
}
