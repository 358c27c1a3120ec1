"use strict";
(() => {
  const PAGE = 60, SHORT = 3, TINY = 48; // images on a page, scores on a card, pixels below which edges stay sharp
  const { unit, classes, images, looks } = JSON.parse(document.getElementById("data").textContent);
  const [NAME, OWN, PREDICTED, SCORES, PICTURE] = [0, 1, 2, 3, 4];
  const at = id => document.getElementById(id);
  const form = at("choice"), field = name => form.elements[name];
  const grid = at("grid"), detail = at("detail");
  const collator = new Intl.Collator(undefined, { numeric: true });

  // What each order goes by; ties stay as in the data. No probability is compared as text.
  const share = (image, k) => { const i = image[SCORES].findIndex((v, j) => j % 2 === 0 && v === k); return i < 0 ? 0 : image[SCORES][i + 1]; };
  const own = images.map(image => share(image, image[OWN]));
  const sure = images.map(image => image[SCORES][1]);
  const isRight = image => image[OWN] === image[PREDICTED];
  const orders = {
    "": (a, b) => own[a] - own[b],
    sure: (a, b) => sure[b] - sure[a],
    unsure: (a, b) => sure[a] - sure[b],
    data: () => 0,
    name: (a, b) => collator.compare(images[a][NAME], images[b][NAME]),
  };

  let found = [], page = 0, current = 0; // positions of images; the page; a position in found

  function element(tag, className, text) {
    const made = document.createElement(tag);
    if (className) made.className = className;
    if (text !== undefined) made.textContent = text;
    return made;
  }

  function percent(value, digits) { return (value / unit).toFixed(digits); }

  function bar(value) {
    const made = element("span", "bar");
    made.style.setProperty("--share", value / unit);
    made.setAttribute("aria-hidden", "true");
    return made;
  }

  function picture(image, target) {
    target.classList.remove("tiny");
    target.onload = () => target.classList.toggle("tiny", Math.max(target.naturalWidth, target.naturalHeight) <= TINY);
    target.src = "data:image/webp;base64," + image[PICTURE];
  }

  function judgement(image) {
    return isRight(image)
      ? `✓ ${classes[image[OWN]]}, rightly`
      : `✗ ${classes[image[OWN]]}, taken for ${classes[image[PREDICTED]]}`;
  }

  function* scores(image) {
    for (let i = 0; i < image[SCORES].length; i += 2) yield [image[SCORES][i], image[SCORES][i + 1]];
  }

  function card(place) {
    const image = images[found[place]];
    const button = element("button", `card ${isRight(image) ? "right" : "wrong"}`);
    button.type = "button";
    button.dataset.place = place;
    button.tabIndex = place === current ? 0 : -1;
    const thumbnail = element("img");
    thumbnail.alt = "";
    picture(image, thumbnail);
    const words = judgement(image);
    button.append(thumbnail, element("span", "judged", words), element("span", "name", image[NAME]));
    button.title = `${words}\n${image[NAME]}`;
    const all = [...scores(image)];
    const best = all.slice(0, SHORT);
    if (!best.some(([k]) => k === image[OWN])) best[SHORT - 1] = all.find(([k]) => k === image[OWN]);
    for (const [k, value] of best) {
      const row = element("span", k === image[OWN] ? "score own" : "score");
      row.append(element("b", "", classes[k]), bar(value), element("i", "", percent(value, 3)));
      button.append(row);
    }
    const item = element("li");
    item.append(button);
    return item;
  }

  function show() {
    const last = Math.max(0, Math.ceil(found.length / PAGE) - 1);
    page = Math.min(page, last);
    const start = page * PAGE, end = Math.min(start + PAGE, found.length);
    if (current < start || current >= end) current = start;
    grid.replaceChildren(...Array.from({ length: end - start }, (_, i) => card(start + i)));
    at("none").hidden = found.length > 0;
    at("pages").hidden = last === 0;
    at("before").disabled = page === 0;
    at("after").disabled = page === last;
    at("page").textContent = `page ${page + 1} of ${last + 1}`;
    keep();
  }

  function choose() {
    const text = field("name").value.toLowerCase();
    const number = (name, otherwise) => { const v = field(name).valueAsNumber; return Number.isNaN(v) ? otherwise : v; };
    // Half a ten-thousandth more, so that 0.3 is not above the 3000 that it was rounded to.
    const from = number("from", 0) * unit - 0.5, to = number("to", 1) * unit + 0.5;
    const wanted = { own: field("class").value, predicted: field("predicted").value, judged: field("judged").value };
    const looked = field("looks")?.value === "yes";
    found = [];
    images.forEach((image, i) => {
      if (looked && !(i in looks)) return;
      if (wanted.own !== "" && image[OWN] !== +wanted.own) return;
      if (wanted.predicted !== "" && image[PREDICTED] !== +wanted.predicted) return;
      if (wanted.judged !== "" && isRight(image) !== (wanted.judged === "right")) return;
      if (sure[i] < from || sure[i] > to) return;
      if (text && !image[NAME].toLowerCase().includes(text)) return;
      found.push(i);
    });
    found.sort(orders[field("order").value] ?? orders[""]);
    const wrong = found.filter(i => !isRight(images[i])).length;
    const noun = images.length === 1 ? "image" : "images";
    at("status").textContent = `${found.length} of ${images.length} ${noun}: ${found.length - wrong} right, ${wrong} wrong`;
  }

  // ---------------------------------------------------------------- the address

  const FIELDS = ["class", "predicted", "judged", "from", "to", "name", "order", "looks"].filter(name => field(name));
  const OF_CLASSES = new Set(["class", "predicted"]);

  function keep() {
    const kept = new URLSearchParams();
    for (const name of FIELDS) {
      const value = field(name).value;
      if (value !== "") kept.set(name, OF_CLASSES.has(name) ? classes[value] : value);
    }
    if (page) kept.set("page", page + 1);
    const text = kept.toString();
    if (text !== location.hash.slice(1)) history.replaceState(null, "", text ? `#${text}` : location.pathname + location.search);
  }

  function recall() {
    const kept = new URLSearchParams(location.hash.slice(1));
    for (const name of FIELDS) {
      const value = kept.get(name) ?? "";
      const index = classes.indexOf(value);
      field(name).value = !OF_CLASSES.has(name) ? value : index < 0 ? "" : index;
      if (field(name).value === "" && field(name).options) field(name).value = "";
    }
    choose();
    page = Math.max(0, (parseInt(kept.get("page"), 10) || 1) - 1);
    current = page * PAGE;
    show();
  }

  // ---------------------------------------------------------------- one image

  function fill() {
    const image = images[found[current]];
    picture(image, at("large"));
    at("large").alt = image[NAME];
    at("heading").textContent = image[NAME];
    at("judgement").textContent = judgement(image);
    at("judgement").className = isRight(image) ? "right" : "wrong";
    const seen = looks[found[current]];
    at("looks").hidden = seen === undefined;
    if (seen !== undefined) {
      const words = `what speaks for ${classes[image[PREDICTED]]}, the brighter the more`;
      at("looked").src = "data:image/webp;base64," + seen;
      at("looked").alt = words;
      at("evidence").textContent = words;
    }
    at("scores").replaceChildren(...Array.from(scores(image), ([k, value]) => {
      const row = element("tr", k === image[OWN] ? "own" : ""), name = element("th", "", classes[k]), cell = element("td");
      name.scope = "row";
      cell.append(bar(value), percent(value, 4));
      row.append(name, cell);
      return row;
    }));
    at("previous").disabled = current === 0;
    at("next").disabled = current === found.length - 1;
  }

  function go(place, focus) {
    if (!found.length) return;
    const before = grid.querySelector('[tabindex="0"]');
    if (before) before.tabIndex = -1;
    current = Math.max(0, Math.min(found.length - 1, place));
    const there = Math.floor(current / PAGE);
    if (there !== page) { page = there; show(); }
    const button = grid.querySelector(`[data-place="${current}"]`);
    button.tabIndex = 0;
    if (focus) button.focus();
  }

  function columns() {
    return getComputedStyle(grid).gridTemplateColumns.split(" ").length;
  }

  grid.addEventListener("click", event => {
    const button = event.target.closest("button");
    if (!button) return;
    go(+button.dataset.place, false);
    fill();
    detail.showModal();
  });
  grid.addEventListener("keydown", event => {
    if (event.altKey || event.ctrlKey || event.metaKey) return;
    const steps = { ArrowRight: 1, ArrowLeft: -1, ArrowDown: columns(), ArrowUp: -columns(), PageDown: PAGE, PageUp: -PAGE };
    if (event.key === "Home") go(page * PAGE, true);
    else if (event.key === "End") go(page * PAGE + grid.children.length - 1, true);
    else if (event.key in steps) go(current + steps[event.key], true);
    else return;
    event.preventDefault();
  });
  detail.addEventListener("keydown", event => {
    if (event.key !== "ArrowRight" && event.key !== "ArrowLeft") return;
    event.preventDefault();
    go(current + (event.key === "ArrowRight" ? 1 : -1), false);
    fill();
  });
  detail.addEventListener("click", event => { if (event.target === detail) detail.close(); });
  detail.addEventListener("close", () => go(current, true));
  at("previous").addEventListener("click", () => { go(current - 1, false); fill(); });
  at("next").addEventListener("click", () => { go(current + 1, false); fill(); });
  at("close").addEventListener("click", () => detail.close());
  function turn(by) {
    page += by;
    current = page * PAGE;
    show();
    at("images").focus();
    at("images").scrollIntoView();
  }
  at("before").addEventListener("click", () => turn(-1));
  at("after").addEventListener("click", () => turn(1));

  const update = () => { choose(); page = 0; current = 0; show(); };
  form.addEventListener("input", update);
  form.addEventListener("submit", event => event.preventDefault());
  form.addEventListener("reset", () => setTimeout(update));
  addEventListener("hashchange", recall);

  for (const [name, position, words] of [["class", OWN, "any class"], ["predicted", PREDICTED, "any class"]]) {
    const counts = new Array(classes.length).fill(0);
    for (const image of images) counts[image[position]] += 1;
    field(name).append(new Option(words, ""), ...classes.map((label, k) => new Option(`${label} (${counts[k]})`, k)));
  }
  recall();
})();
