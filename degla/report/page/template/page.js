function showAll() {
  byId("first").value = pair[0];
  byId("second").value = pair[1];
  byId("sentence").textContent = sentence();
  const shortcut = facts.shortcuts[facts.models[pair[1]]];
  byId("shortcut").hidden = !shortcut;
  byId("shortcut").textContent = shortcut || "";
  showGains();
  showSubsets();
  showFailures();
}

function startPair() {
  for (const [place, id] of ["first", "second"].entries()) {
    byId(id).append(...facts.models.map((name, value) => make("option", {value}, name)));
    byId(id).addEventListener("change", event => { pair[place] = Number(event.target.value); showAll(); });
  }
  byId("swap").addEventListener("click", () => { pair.reverse(); showAll(); });
  byId("pair").addEventListener("submit", event => event.preventDefault());
}

function startTheme() {
  const dark = matchMedia("(prefers-color-scheme: dark)"), choices = ["auto", "light", "dark"];
  let choice = "auto";
  const apply = () => {
    document.documentElement.dataset.theme = choice === "auto" ? (dark.matches ? "dark" : "light") : choice;
    byId("theme").textContent = `theme: ${choice}`;
  };
  dark.addEventListener("change", apply);
  byId("theme").addEventListener("click", () => { choice = choices[(choices.indexOf(choice) + 1) % 3]; apply(); });
  apply();
}

function markExamples() {
  for (const example of document.querySelectorAll(".example")) {
    const [caption, text] = ["caption", "text"].map(name => example.querySelector(`[data-marked=${name}]`));
    const [inCaption, inText] = changedWords(caption.textContent, text.textContent);
    for (const [element, changed] of [[caption, inCaption], [text, inText]]) element.replaceChildren(...marked(element.textContent, changed));
    const image = example.querySelector("img");
    if (image) image.classList.toggle("small", image.naturalWidth > 0 && image.naturalWidth <= 96);
  }
}

startTheme();
startPair();
startFailures();
markExamples();
lossPlots();
tradeOffPlot();
showAll();
